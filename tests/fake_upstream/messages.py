"""Anthropic messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tests.fake_upstream.answers import ID, WORDS, Asked, Counts, Part, event, reported, texts
from tests.fake_upstream.knobs import Knobs


def parts(asked: Asked, knobs: Knobs, counts: Counts) -> Iterator[Part]:
    """The stream. Input comes with the start of the message, what was written with its end."""
    start = _message(asked, knobs, [], None)
    if knobs.usage:
        start["usage"] = usage(knobs, counts) | ({} if knobs.report else {"output_tokens": 1})
    yield Part(_named("message_start", message=start), usage=knobs.usage)
    yield Part(_named("ping"))
    index = 0
    if counts.reasoning:
        yield Part(_named("content_block_start", index=0, content_block=_thinking("", "")))
        for number in range(counts.reasoning):
            thought = {"type": "thinking_delta", "thinking": f"{WORDS[-1 - number % len(WORDS)]} "}
            yield Part(_named("content_block_delta", index=0, delta=thought))
        yield Part(_named("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "c2ln"}))
        yield Part(_named("content_block_stop", index=0))
        index = 1
    block = _call({}, knobs) if knobs.tool else {"type": "text", "text": ""}
    yield Part(_named("content_block_start", index=index, content_block=block))
    for text in texts(knobs):
        delta = (
            {"type": "input_json_delta", "partial_json": text} if knobs.tool else {"type": "text_delta", "text": text}
        )
        yield Part(_named("content_block_delta", index=index, delta=delta), tokens=1)
    yield Part(_named("content_block_stop", index=index))
    end: dict[str, Any] = {"delta": {"stop_reason": _reason(knobs), "stop_sequence": None}}
    if knobs.usage:
        end["usage"] = usage(knobs, counts)
    yield Part(_named("message_delta", **end), usage=knobs.usage)
    yield Part(_named("message_stop"))


def whole(asked: Asked, knobs: Knobs, counts: Counts) -> bytes:
    """The answer to a request that does not stream."""
    text = "".join(texts(knobs))
    content: list[dict[str, Any]] = []
    if counts.reasoning:
        content.append(_thinking(" ".join(WORDS[-1 - n % len(WORDS)] for n in range(counts.reasoning)), "c2ln"))
    content.append(_call(msgspec.json.decode(text or "{}"), knobs) if knobs.tool else {"type": "text", "text": text})
    message = _message(asked, knobs, content, _reason(knobs))
    return msgspec.json.encode(message | ({"usage": usage(knobs, counts)} if knobs.usage else {}))


def _named(name: str, /, **fields: Any) -> bytes:
    return event({"type": name} | fields, name)


def _message(asked: Asked, knobs: Knobs, content: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
    head = {"id": f"msg_{ID}", "type": "message", "role": "assistant", "model": knobs.served or asked.model}
    return head | {"content": content, "stop_reason": reason, "stop_sequence": None}


def _reason(knobs: Knobs) -> str:
    return "tool_use" if knobs.tool else "end_turn"


def _thinking(text: str, signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


def _call(arguments: dict[str, Any], knobs: Knobs) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{ID}", "name": knobs.tool, "input": arguments}


def usage(knobs: Knobs, counts: Counts) -> dict[str, Any]:
    """The input excludes what was cached; thinking is part of the output."""
    return reported(
        knobs,
        {
            "input_tokens": counts.input,
            "cache_creation_input_tokens": counts.written,
            "cache_read_input_tokens": counts.cached,
            "cache_creation": {"ephemeral_5m_input_tokens": counts.written, "ephemeral_1h_input_tokens": 0},
            "output_tokens": counts.total_output,
            "service_tier": knobs.tier or "standard",
        },
    )


def failure(status: int) -> bytes:
    """The body of a refusal."""
    kinds = {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "api_error")
    error = {"type": kind, "message": f"The fake upstream fails with {status}."}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": f"req_{ID}"})


def broken(knobs: Knobs) -> bytes:
    """An error in mid-stream."""
    return event(failure(529), "error")
