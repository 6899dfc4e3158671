"""The stream that an answer would have been, from a provider that answers whole though a stream was asked for.

So that nothing after it has to know: it is billed, followed, collected and passed on like any other.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from holdfast.errors import Refused, Unavailable
from holdfast.gateway.wires import CHAT, MESSAGES, GatewayWire
from holdfast.protocol import limits
from holdfast.protocol.bounds import check_nesting
from holdfast.providers.encoder import dumps
from holdfast.providers.sse import server_sent

Fields = dict[str, Any]
_EMPTY: dict[str, Fields] = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}
_DELTAS = {"text": "text_delta", "thinking": "thinking_delta", "signature": "signature_delta"}


def stream_of(wire: GatewayWire, body: bytes) -> bytes:
    """The events of a whole answer; of an error, the error's one event.

    Raises:
        Unavailable: ``upstream.failed``: it is no answer of the wire.
    """
    try:
        check_nesting(body, max_depth=limits.PROVIDER_DEPTH)
        answer = msgspec.json.decode(body)
    except (Refused, ValueError, RecursionError):
        raise Unavailable("upstream.failed", "the provider answered with something that is no stream") from None
    try:
        if answer.get("error"):
            return server_sent(dumps(answer), "error" if wire is MESSAGES else "")
        events = _chat(answer) if wire is CHAT else _message(answer) if wire is MESSAGES else _response(answer)
    except (KeyError, TypeError, AttributeError):
        raise Unavailable("upstream.failed", "the provider answered with something that is no answer") from None
    named = wire is not CHAT
    stream = b"".join(server_sent(dumps(event), event["type"] if named else "") for event in events)
    return stream if named else stream + server_sent(b"[DONE]")


def _chat(answer: Fields) -> list[Fields]:
    head = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk"
    choices, ends = [], []
    for choice in answer["choices"]:
        delta = dict(choice["message"])
        if calls := delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": number, **call} for number, call in enumerate(calls)]
        index = choice.get("index", 0)
        rest = {name: value for name, value in choice.items() if name not in ("message", "finish_reason", "index")}
        choices.append({"index": index, "delta": delta, "finish_reason": None, **rest})
        ends.append({"index": index, "delta": {}, "finish_reason": choice.get("finish_reason") or "stop"})
    events = [{**head, "choices": choices}, {**head, "choices": ends}]
    if answer.get("usage") is not None:
        events.append({**head, "choices": [], "usage": answer["usage"]})
    return events


def _message(answer: Fields) -> list[Fields]:
    usage = answer.get("usage") or {}
    start = {
        **answer,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 0},
    }
    events: list[Fields] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(answer["content"]):
        empty = {**block, **_EMPTY.get(block["type"], {})}
        deltas = [
            {"type": kind, name: block[name]} for name, kind in _DELTAS.items() if name in empty and block.get(name)
        ]
        if isinstance(block.get("input"), dict):
            empty["input"] = {}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    stop = {name: answer.get(name) for name in ("stop_reason", "stop_sequence")}
    return [*events, {"type": "message_delta", "delta": stop, "usage": usage}, {"type": "message_stop"}]


def _response(answer: Fields) -> list[Fields]:
    output = answer["output"]
    events: list[Fields] = [{"type": "response.created", "response": {**answer, "status": "in_progress", "output": []}}]
    for index, item in enumerate(output):
        parts = item.get("content") if item["type"] == "message" else None
        opened = {**item, "content": [], "status": "in_progress"} if parts else item
        events.append({"type": "response.output_item.added", "output_index": index, "item": opened})
        for number, part in enumerate(parts or ()):
            if part.get("type") == "output_text":
                events += _text(part, {"item_id": item.get("id", ""), "output_index": index, "content_index": number})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    status = answer.get("status") if answer.get("status") in ("incomplete", "failed") else "completed"
    events.append({"type": f"response.{status}", "response": answer})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _text(part: Fields, where: Fields) -> list[Fields]:
    text = part["text"]
    return [
        {"type": "response.content_part.added", **where, "part": {**part, "text": "", "annotations": []}},
        {"type": "response.output_text.delta", **where, "delta": text, "logprobs": []},
        {"type": "response.output_text.done", **where, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **where, "part": part},
    ]
