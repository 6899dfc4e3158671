"""Recorded streams of the Responses API, said again by an agent: the client gets the output that was recorded.

The recordings stand beside the checkout in ``../shared/data/provider-streams`` and are not part of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.agents.run import RunContext

from .conftest import Site

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "provider-streams"
if not FOLDER.is_dir():
    pytest.skip("the recorded streams are not beside this checkout", allow_module_level=True)

DELTAS = {
    "response.output_text.delta": ("message", "TEXT_MESSAGE"),
    "response.reasoning_summary_text.delta": ("reasoning", "REASONING_MESSAGE"),
    "response.function_call_arguments.delta": ("function_call", "TOOL_CALL"),
}


def events_of(recording: dict[str, Any]) -> list[dict[str, Any]]:
    lines = recording["response_body"].replace("\r\n", "\n").split("\n")
    if recording["framing"] == "chunk-lines":
        return [json.loads(line) for line in lines if line.strip()]
    return [json.loads(line[5:]) for line in lines if line.startswith("data:") and line[5:].strip() != "[DONE]"]


def recordings() -> list[tuple[str, list[dict[str, Any]]]]:
    paths = [*sorted(FOLDER.glob("*.json")), *sorted(FOLDER.glob("chunk-lines/*.json"))]
    read = [json.loads(path.read_text()) for path in paths]
    return [(r["id"], events_of(r)) for r in read if r["streaming"] and r["api"] == "openai.responses"]


def recorded(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the recording's deltas come to: (kind, text) of each part, in order."""
    found: dict[tuple[int, str, int], str] = {}
    for event in events:
        if event["type"] in DELTAS:
            part = event.get("content_index", event.get("summary_index", 0))
            key = (event["output_index"], DELTAS[event["type"]][0], part)
            found[key] = found.get(key, "") + event["delta"]
    return [(kind, text) for (_, kind, _), text in found.items() if text]


async def say(run: RunContext, events: list[dict[str, Any]]) -> None:
    """Say the events' texts as they came."""
    open_: dict[tuple[int, str, int], str] = {}
    names = {e["output_index"]: e["item"].get("name") for e in events if e["type"] == "response.output_item.added"}
    for event in events:
        if event["type"] not in DELTAS or not event["delta"]:
            continue
        kind, stem = DELTAS[event["type"]]
        key = (event["output_index"], kind, event.get("content_index", event.get("summary_index", 0)))
        field = "toolCallId" if stem == "TOOL_CALL" else "messageId"
        if key not in open_:
            for done, ident in open_.items():
                stem_, field_ = next((s, f) for k, s, f in STEMS if k == done[1])
                await run.emit(f"{stem_}_END", {field_: ident})
            open_ = {key: f"{run.id}.{kind}.{key[0]}.{key[2]}"}
            opening = {"toolCallName": names[key[0]]} if stem == "TOOL_CALL" else {}
            opening |= {"role": "assistant"} if kind == "message" else {}
            await run.emit(f"{stem}_START", {field: open_[key], **opening})
        grows = "TOOL_CALL_ARGS" if stem == "TOOL_CALL" else f"{stem}_CONTENT"
        await run.emit(grows, {field: open_[key], "delta": event["delta"]})
        await run.flush()
    for done, ident in open_.items():
        stem_, field_ = next((s, f) for k, s, f in STEMS if k == done[1])
        await run.emit(f"{stem_}_END", {field_: ident})


STEMS = [
    ("message", "TEXT_MESSAGE", "messageId"),
    ("reasoning", "REASONING_MESSAGE", "messageId"),
    ("function_call", "TOOL_CALL", "toolCallId"),
]


def text_of(item: Any) -> str:
    if item.type == "message":
        return str(item.content[0].text)
    return str(item.summary[0].text if item.type == "reasoning" else item.arguments)


async def test_what_was_recorded_is_read_back(site: Site) -> None:
    plays = dict(recordings())
    assert len(plays) > 15
    shapes: dict[str, set[str]] = {}  # fields of each recorded event type

    async def player(run: RunContext) -> None:
        await say(run, plays[run.input.text])

    await site.serve(player=player)
    client = site.client()
    for ident, events in plays.items():
        for event in events:
            known = shapes.setdefault(event["type"], set(event))
            known &= set(event)
        names = sorted(
            {e["item"].get("name") or "" for e in events if e["type"] == "response.output_item.added"} - {""}
        )
        tools: Any = [{"type": "function", "name": n, "parameters": {}, "strict": False} for n in names]
        stream = await client.responses.create(model="player", input=ident, stream=True, tools=tools)
        read = [event async for event in stream]
        final = read[-1].response  # type: ignore[union-attr]
        assert [(item.type, text_of(item)) for item in final.output] == recorded(events), ident
        for event in read:
            missing = shapes.get(event.type, set()) - set(event.model_dump()) - {"obfuscation"}
            assert not missing, (ident, event.type, missing)
