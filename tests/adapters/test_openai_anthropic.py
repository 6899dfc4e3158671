"""The relays of OpenAI's and Anthropic's streams, with their own clients, against recordings and a server that misbehaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import anthropic
import openai
import pytest

from holdfast.agents.adapters import anthropic_messages, openai_chat, openai_responses
from holdfast.agents.adapters.answer import ModelAnswer
from holdfast.agents.run import RunContext
from tests.adapters.replay import Provider, body_of, events, framed, recordings, refusal
from tests.adapters.workshop import Workshop, answers, ended, items, logged, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]


def played(body: bytes, number: int, request: dict[str, Any]) -> bytes:
    """The same answer to every request."""
    return body


SECRET = "sk-secret-1234567890abcdefghijkl"
ALL = ("openai.chat", "openai.responses", "anthropic.messages")


CLIENTS: list[Any] = []


@pytest.fixture(autouse=True)
async def closed_clients(anyio_backend: str) -> AsyncIterator[None]:
    yield
    for client in CLIENTS:
        await client.close()
    CLIENTS.clear()


def asking(api: str, provider: Provider, answers: list[ModelAnswer] | None = None) -> Any:
    """An agent of three lines, for each API."""
    answers = [] if answers is None else answers
    gpt = openai.AsyncOpenAI(base_url=provider.url, api_key=SECRET, max_retries=0)
    claude = anthropic.AsyncAnthropic(base_url=provider.url, api_key=SECRET, max_retries=0)
    CLIENTS.extend((gpt, claude))
    say: Any = [{"role": "user", "content": "hello"}]

    async def chat(run: RunContext) -> None:
        answers.append(
            await openai_chat.relay(run, gpt.chat.completions.create(model="gpt", messages=say, stream=True))
        )

    async def responses(run: RunContext) -> None:
        answers.append(await openai_responses.relay(run, gpt.responses.create(model="gpt", input=say, stream=True)))

    async def messages(run: RunContext) -> None:
        stream = claude.messages.create(model="claude", max_tokens=100, messages=say, stream=True)
        answers.append(await anthropic_messages.relay(run, stream))

    return {"openai.chat": chat, "openai.responses": responses, "anthropic.messages": messages}[api]


def expected(api: str, events: list[dict[str, Any]]) -> tuple[str, str, list[tuple[str, str]]]:
    """Text, reasoning and calls (name, arguments), folded from the events in the plainest way."""
    text, thought, calls = "", "", dict[Any, list[str]]()
    message = 0
    for event in events:
        kind = event.get("type", "")
        if api == "openai.chat":
            for choice in event.get("choices") or []:
                delta = choice.get("delta") or {}
                if choice["index"] != 0:
                    continue
                content = delta.get("content")
                for part in content if isinstance(content, list) else []:
                    text += part.get("text", "")
                    thought += "".join(p["text"] for p in part.get("thinking", []))
                text += content if isinstance(content, str) else ""
                text += delta.get("refusal") or ""
                details = "".join(piece.get("text") or "" for piece in delta.get("reasoning_details") or [])
                thought += delta.get("reasoning_content") or delta.get("reasoning") or details
                for piece in delta.get("tool_calls") or []:
                    call = calls.setdefault(piece.get("index", 0), ["", ""])
                    call[0] += piece["function"].get("name") or ""
                    call[1] += piece["function"].get("arguments") or ""
        elif api == "openai.responses":
            item = event.get("item") or {}
            if kind in ("response.output_text.delta", "response.refusal.delta"):
                text += event["delta"]
            elif kind.startswith("response.reasoning") and kind.endswith("text.delta"):
                thought += event["delta"]
            elif kind == "response.output_item.done" and item["type"] == "function_call":
                calls[event["output_index"]] = [item["name"], item["arguments"]]
        else:
            message += kind == "message_start"
            block, delta, key = (
                event.get("content_block") or {},
                event.get("delta") or {},
                (message, event.get("index")),
            )
            text += block.get("text", "") + delta.get("text", "")
            thought += block.get("thinking", "") + delta.get("thinking", "")
            if block.get("type") == "tool_use":
                calls[key] = [block["name"], json.dumps(block["input"]) if block.get("input") else ""]
            elif key in calls:
                calls[key][1] += delta.get("partial_json", "")
    return text, thought, [(name, args) for name, args in calls.values()]


def blocks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Anthropic's blocks, as they begin."""
    return [event["content_block"] for event in events if event["type"] == "content_block_start"]


def cited(events: Any) -> set[str]:
    """Every address that is cited, wherever it stands: what is called a citation or an annotation has one."""
    if isinstance(events, list):
        return set().union(*map(cited, events))
    if not isinstance(events, dict):
        return set()
    if events.get("type") in ("url_citation", "web_search_result_location"):
        return {(events.get("url_citation") or events)["url"]}
    return set().union(*map(cited, events.values()))


@pytest.mark.parametrize(("api", "least"), [("openai.chat", 30), ("openai.responses", 20), ("anthropic.messages", 20)])
async def test_every_recorded_stream_is_in_the_session(
    bench: Workshop, provider: Provider, api: str, least: int
) -> None:
    returned_answers: list[ModelAnswer] = []
    await bench.worker(writer=asking(api, provider, returned_answers))
    person = await bench.person()
    found = recordings(api)
    assert len(found) > least
    failed, unknown = 0, set[str]()
    for number, recording in enumerate(found):
        expected_events = events(recording)
        provider.script = partial(played, body_of(recording))
        session = await person.create(f"r{number}", agent="writer")
        run = await session.send("go")
        view = await ended(session, run.id)
        text, thought, calls = expected(api, expected_events)
        shown = [(i["name"], i["args"]) for i in items(view, "tool") if i["status"] != "done"]
        where = recording["id"]
        if any(event.get("error") for event in expected_events):
            failed += 1
            assert view.runs[run.id]["error"]["code"] == "upstream.failed", where
            continue
        assert view.runs[run.id]["status"] == "completed", (where, view.runs[run.id])
        assert "".join(answers(view, run.id)) == text, where
        assert "".join(i["text"] for i in items(view, "reasoning")) == thought, where
        assert [c for c in calls if c not in shown] == [], where
        answer = returned_answers[-1]
        assert answer.text + answer.refusal == text, where
        assert [(c.name, c.args) for c in answer.calls if c.kind == "function"] == calls, where
        assert items(view, "tool", status="open") == [], where
        assert {s["uri"] for m in items(view, "message") for s in m.get("sources", [])} == cited(expected_events), where
        unknown.update(
            name
            for returned_answers in await logged(session, "upstream.unknown")
            for name in returned_answers["events"]
        )
        if api == "anthropic.messages":  # the provider's own tools have their results, and one answer is one message
            calls_made = {
                block["id"] for block in blocks(expected_events) if block["type"] in ("server_tool_use", "mcp_tool_use")
            }
            assert sum(i["status"] == "done" for i in items(view, "tool")) == len(calls_made), where
            assert len(answers(view, run.id)) <= 1 + len(calls_made) + bool(thought), where
    assert failed < 4
    assert unknown <= {"another choice"}


CHUNKS = {
    "openai.chat": [
        {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt",
         "choices": [{"index": 0, "delta": {"content": "Half an"}, "finish_reason": None}]},
    ],
    "openai.responses": [
        {"type": "response.output_text.delta", "delta": "Half an", "output_index": 0, "content_index": 0, "item_id": "m",
         "sequence_number": 1, "logprobs": []},
    ],
    "anthropic.messages": [
        {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [],
         "model": "claude", "usage": {"input_tokens": 7, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Half an"}},
    ],
}  # fmt: skip


@pytest.mark.parametrize("api", ALL)
async def test_a_stop_closes_the_connection_to_the_provider(bench: Workshop, provider: Provider, api: str) -> None:
    provider.script = lambda _, request: (framed(CHUNKS[api]).replace(b"data: [DONE]\n\n", b""), asyncio.Event())
    await bench.worker(writer=asking(api, provider))
    session = await bench.session()
    run = await session.send("go")
    await seen(session, lambda view: [i for i in items(view, "message", run=run.id) if i["text"] == "Half an"])
    joined = await (await bench.person("user:bob")).session("s1").state()
    assert [i["text"] for i in items(joined, "message", run=run.id)] == ["Half an"]
    await run.cancel()
    await asyncio.wait_for(provider.cut.wait(), 10)
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "cancelled"
    assert [i["status"] for i in items(view, "message", run=run.id)] == ["cut"]


@pytest.mark.parametrize("api", ALL)
async def test_a_stream_that_breaks_off_fails_the_run(bench: Workshop, provider: Provider, api: str) -> None:
    provider.script = lambda _, request: framed(CHUNKS[api])
    await bench.worker(writer=asking(api, provider))
    session = await bench.session()
    run = await session.send("go")
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "failed"
    assert view.runs[run.id]["error"]["code"] == "upstream.failed"


@pytest.mark.parametrize("api", ALL)
@pytest.mark.parametrize(("status", "words"), [(429, "rate_limited"), (401, "auth"), (500, "broken")])
async def test_a_refusal_is_the_runs_error_and_shows_no_secret(
    bench: Workshop, provider: Provider, api: str, status: int, words: str
) -> None:
    provider.script = lambda _, request: refusal(
        status, type=words, message=f"No: {SECRET}. See https://example.com/account for why."
    )
    await bench.worker(writer=asking(api, provider))
    session = await bench.session()
    run = await session.send("go")
    view = await ended(session, run.id)
    error = view.runs[run.id]["error"]
    assert (view.runs[run.id]["status"], error["code"]) == ("failed", "upstream.failed")
    assert str(status) in error["message"] and words in error["message"]
    assert SECRET not in str(error) and "example.com" not in str(error)
    assert ("No: " in error["message"]) == (status != 401)
