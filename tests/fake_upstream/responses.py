"""Responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tests.fake_upstream.answers import CREATED, ID, Asked, Counts, Part, event, reported, texts
from tests.fake_upstream.knobs import Knobs


class _Numbered:
    """Events with a sequence number each."""

    def __init__(self) -> None:
        self.number = -1

    def __call__(self, name: str, /, **fields: Any) -> bytes:
        self.number += 1
        return event({"type": name, "sequence_number": self.number} | fields, name)


def parts(asked: Asked, knobs: Knobs, counts: Counts) -> Iterator[Part]:
    """The stream."""
    say = _Numbered()
    open_ = _response(asked, knobs, "in_progress", [])
    yield Part(say("response.created", response=open_) + say("response.in_progress", response=open_))
    text = "".join(texts(knobs))
    items: list[dict[str, Any]] = [_reasoning()] if counts.reasoning else []
    if items:
        added = say("response.output_item.added", output_index=0, item=items[0])
        yield Part(added + say("response.output_item.done", output_index=0, item=items[0]))
    index, done = len(items), _item(knobs, text, "completed")
    where = {"item_id": done["id"], "output_index": index}
    yield Part(say("response.output_item.added", output_index=index, item=_item(knobs, "", "in_progress")))
    if knobs.tool:
        for token in texts(knobs):
            yield Part(say("response.function_call_arguments.delta", **where, delta=token), tokens=1)
        yield Part(say("response.function_call_arguments.done", **where, arguments=text, name=knobs.tool))
    else:
        where["content_index"] = 0
        yield Part(say("response.content_part.added", **where, part=_text("")))
        for token in texts(knobs):
            yield Part(say("response.output_text.delta", **where, delta=token, logprobs=[]), tokens=1)
        ended = say("response.output_text.done", **where, text=text, logprobs=[])
        yield Part(ended + say("response.content_part.done", **where, part=_text(text)))
    yield Part(say("response.output_item.done", output_index=index, item=done))
    final = _response(asked, knobs, "completed", [*items, done])
    if knobs.usage:
        final["usage"] = usage(knobs, counts)
    yield Part(say("response.completed", response=final), usage=knobs.usage)


def whole(asked: Asked, knobs: Knobs, counts: Counts) -> bytes:
    """The answer to a request that does not stream."""
    items = [_reasoning()] if counts.reasoning else []
    response = _response(asked, knobs, "completed", [*items, _item(knobs, "".join(texts(knobs)), "completed")])
    if knobs.usage:
        response["usage"] = usage(knobs, counts)
    return msgspec.json.encode(response)


def _response(asked: Asked, knobs: Knobs, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"resp_{ID}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": knobs.served or asked.model,
        "output": output,
        "parallel_tool_calls": True,
        "service_tier": knobs.tier or "default",
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }


def _reasoning() -> dict[str, Any]:
    return {"id": f"rs_{ID}", "type": "reasoning", "summary": []}


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _item(knobs: Knobs, text: str, status: str) -> dict[str, Any]:
    if knobs.tool:
        call = {"id": f"fc_{ID}", "type": "function_call", "call_id": f"call_{ID}", "name": knobs.tool}
        return call | {"arguments": text, "status": status}
    content = [_text(text)] if status == "completed" else []
    return {"id": f"msg_{ID}", "type": "message", "role": "assistant", "status": status, "content": content}


def usage(knobs: Knobs, counts: Counts) -> dict[str, Any]:
    """The input includes what was cached, the output the reasoning."""
    return reported(
        knobs,
        {
            "input_tokens": counts.total_input,
            "input_tokens_details": {"cached_tokens": counts.cached, "cache_write_tokens": counts.written},
            "output_tokens": counts.total_output,
            "output_tokens_details": {"reasoning_tokens": counts.reasoning},
            "total_tokens": counts.total_input + counts.total_output,
        },
    )


def broken(knobs: Knobs) -> bytes:
    """An error in mid-stream; its fields stand flat, as the provider sends them."""
    error = {"code": "server_error", "message": "The fake upstream fails.", "param": None}
    return event({"type": "error", "sequence_number": knobs.error} | error, "error")
