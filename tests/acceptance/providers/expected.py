"""What a recording says, read in another way than agents read it: from the whole of it, never piece by piece, and, where
the provider repeats its answer at the end, from there."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .recordings import Recording, body, frames

Event = dict[str, Any]


@dataclass
class ExpectedAnswer:
    """Text, reasoning, and calls as ``(name, arguments)``; and whether it ends with an error."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    error: bool = False


def objects(recording: Recording) -> list[Event]:
    """Every object of the answer."""
    framing = recording["framing"]
    if framing == "websocket-json":
        return frames(recording, "received")
    raw = body(recording)
    if framing == "json-array-stream":
        return list(json.loads(raw))
    if framing == "aws-eventstream":
        found = re.findall(
            rb":event-type\x07\x00.(\w+?)\r:content-type.+?\x05event(\{.+?\})(?=.{4}(?:\x00|$))", raw, re.S
        )
        events = [(kind.decode(), json.loads(text)) for kind, text in found]
        return [json.loads(base64.b64decode(e["bytes"])) if kind == "chunk" else {kind: e} for kind, e in events]
    lines = re.findall(r"^data: ?(\{.*\})\r?$" if framing == "sse" else r"^(\{.*\})$", raw.decode(), re.M)
    return [json.loads(line) for line in lines]


def parsed(args: str) -> Any:
    """Arguments as a value; text that is no JSON, as a model may write it, as it is."""
    try:
        return json.loads(args or "{}")
    except ValueError:
        return args


def _chat(events: list[Event]) -> ExpectedAnswer:
    told, calls = ExpectedAnswer(), list[list[Any]]()
    deltas = [c.get("delta") or {} for e in events for c in e.get("choices") or [] if c.get("index", 0) == 0]
    for delta in deltas:
        content = delta.get("content") or ""
        parts = content if isinstance(content, list) else [{"text": content}]
        told.text += "".join(part.get("text") or "" for part in parts) + (delta.get("refusal") or "")
        told.reasoning += "".join(piece["text"] for part in parts for piece in part.get("thinking") or [])
        details = "".join(
            piece.get("text") or piece.get("summary") or "" for piece in delta.get("reasoning_details") or []
        )
        told.reasoning += delta.get("reasoning_content") or delta.get("reasoning") or details
        for call in delta.get("tool_calls") or []:
            if call.get("id") and call["function"].get("name"):
                calls.append([call.get("index", 0), call["function"]["name"], ""])
            mine = next(c for c in reversed(calls) if c[0] == call.get("index", 0))
            mine[2] += call["function"].get("arguments") or ""
    told.calls = [(name, parsed(args)) for _, name, args in calls]
    told.error = any(e.get("error") for e in events)
    return told


ABRIDGED = {"msg_0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e52"}
"""Messages of which upstream kept fewer deltas than it repeats at the end (openai-shell-container-1)."""


def _responses(events: list[Event]) -> ExpectedAnswer:
    items = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    parts = [p for item in items if item["type"] == "message" for p in item["content"]]
    if any(item["id"] in ABRIDGED for item in items):
        parts = [{"text": e["delta"]} for e in events if e["type"] == "response.output_text.delta"]
    thoughts = [
        p for i in items if i["type"] == "reasoning" for p in [*(i.get("summary") or []), *(i.get("content") or [])]
    ]
    return ExpectedAnswer(
        "".join(p.get("text") or p.get("refusal") or "" for p in parts),
        "".join(p["text"] for p in thoughts),
        [_asked(item) for item in items if item["type"] in _GIVEN],
    )


_GIVEN = {
    "function_call": "arguments", "mcp_approval_request": "arguments", "custom_tool_call": "input",
    "apply_patch_call": "operation",
}  # fmt: skip
"""Where items that somebody else has to act on say what they ask for."""


def _asked(item: Event) -> tuple[str, Any]:
    given = item[_GIVEN[item["type"]]]
    if item["type"] == "custom_tool_call":
        given = {"input": given}
    return item.get("name") or item["type"].removesuffix("_call"), parsed(given) if isinstance(given, str) else given


def _anthropic(events: list[Event]) -> ExpectedAnswer:
    told, blocks = ExpectedAnswer(), list[Event]()
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append({**event["content_block"], "json": ""})
        elif event["type"] == "content_block_delta":
            for name in ("text", "thinking", "partial_json"):
                where = "json" if name == "partial_json" else name
                blocks[-1][where] = blocks[-1].get(where, "") + event["delta"].get(name, "")
    told.text = "".join(b["text"] for b in blocks if b["type"] == "text")
    told.reasoning = "".join(b["thinking"] for b in blocks if b["type"] == "thinking")
    told.calls = [
        (b["name"], parsed(b["json"]) if b["json"] else b["input"]) for b in blocks if b["type"] == "tool_use"
    ]
    return told


def _converse(events: list[Event]) -> ExpectedAnswer:
    if "type" in events[0]:
        return _anthropic(events)
    deltas = [
        (e["contentBlockDelta"]["contentBlockIndex"], e["contentBlockDelta"]["delta"])
        for e in events
        if "contentBlockDelta" in e
    ]
    starts = [e["contentBlockStart"] for e in events if "contentBlockStart" in e]
    inputs = {n: "".join(d["toolUse"]["input"] for i, d in deltas if i == n and "toolUse" in d) for n, _ in deltas}
    return ExpectedAnswer(
        "".join(d.get("text", "") for _, d in deltas),
        "".join(d["reasoningContent"].get("text", "") for _, d in deltas if "reasoningContent" in d),
        [
            (s["start"]["toolUse"]["name"], parsed(inputs[s["contentBlockIndex"]]))
            for s in starts
            if "toolUse" in s["start"]
        ],
    )


def _google(events: list[Event]) -> ExpectedAnswer:
    parts = [p for e in events for c in e.get("candidates", []) for p in c.get("content", {}).get("parts", [])]
    calls = [(p["functionCall"]["name"], p["functionCall"]["args"]) for p in parts if "functionCall" in p]
    settled = any("codeExecutionResult" in p for p in parts)
    calls += [("code_execution", p["executableCode"]) for p in parts if "executableCode" in p and not settled]
    return ExpectedAnswer(
        "".join(p.get("text", "") for p in parts if not p.get("thought")),
        "".join(p.get("text", "") for p in parts if p.get("thought")),
        calls,
    )


def _interactions(events: list[Event]) -> ExpectedAnswer:
    return ExpectedAnswer("".join(e["delta"].get("text", "") for e in events if e["event_type"] == "step.delta"))


def _cohere(events: list[Event]) -> ExpectedAnswer:
    def said(kind: str, *names: str) -> str:
        found = [e["delta"]["message"] for e in events if e["type"].startswith(kind) and "delta" in e]
        for name in names:
            found = [m.get(name, {}) for m in found]
        return "".join(text for text in found if isinstance(text, str))

    starts = [e for e in events if e["type"] == "tool-call-start"]
    calls = []
    for start in starts:
        mine = [
            e for e in events if e["type"] in ("tool-call-start", "tool-call-delta") and e["index"] == start["index"]
        ]
        args = "".join(e["delta"]["message"]["tool_calls"]["function"]["arguments"] for e in mine)
        calls.append((start["delta"]["message"]["tool_calls"]["function"]["name"], parsed(args)))
    return ExpectedAnswer(
        said("content", "content", "text"),
        said("tool-plan", "tool_plan") + said("content", "content", "thinking"),
        calls,
    )


def _realtime(events: list[Event]) -> ExpectedAnswer:
    items = [i for e in events if e.get("type") == "response.done" for i in e["response"]["output"]]
    content = [e["serverContent"] for e in events if "serverContent" in e]
    asked = [c for e in events for c in e.get("toolCall", {}).get("functionCalls", [])]
    spoken = [p.get("text") or p.get("transcript") or "" for i in items for p in i.get("content", [])]
    return ExpectedAnswer(
        "".join([*spoken, *(c.get("outputTranscription", {}).get("text", "") for c in content)]),
        "".join(p["text"] for c in content for p in c.get("modelTurn", {}).get("parts", []) if p.get("thought")),
        [(i["name"], parsed(i["arguments"])) for i in items if i["type"] == "function_call"]
        + [(c["name"], c["args"]) for c in asked],
    )


READERS: dict[str, Callable[[list[Event]], ExpectedAnswer]] = {
    "anthropic.messages": _anthropic,
    "bedrock.converse-stream": _converse,
    "bedrock.invoke-with-response-stream": _converse,
    "cohere.v1.chat": lambda events: ExpectedAnswer(events[-1]["response"]["text"]),
    "cohere.v2.chat": _cohere,
    "google.interactions": _interactions,
    "google.streamGenerateContent": _google,
    "ollama.generate": lambda events: ExpectedAnswer("".join(e["response"] for e in events)),
    "openai.chat": _chat,
    "openai.completions": lambda events: ExpectedAnswer("".join(c["text"] for e in events for c in e["choices"])),
    "openai.responses": _responses,
    "realtime.ws": _realtime,
    "writer.chat": _chat,
}
"""By the API of a recording."""


def expected_answer(recording: Recording) -> ExpectedAnswer:
    """What a recording says."""
    return READERS[recording["api"]](objects(recording))
