"""Messages, as Anthropic speaks them (https://platform.claude.com/docs/en/build-with-claude/streaming)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from holdfast.company.provider.answers import Block, ModelQuestion, Reply, pieces, texts_of
from holdfast.company.provider.openai_wire import hints


def read(body: dict[str, Any], provider: str, key: str) -> ModelQuestion:
    """A request. Raises ``KeyError``, ``TypeError`` for what is none."""
    blocks = [Block("system", text, mark) for text, mark in texts_of(body.get("system") or ())]
    for message in body["messages"]:
        content = message["content"]
        result = not isinstance(content, str) and any(part.get("type") == "tool_result" for part in content)
        blocks += [Block(message["role"], text, mark, result) for text, mark in texts_of(content)]
    return ModelQuestion(
        provider, key, body["model"], tuple(blocks), tuple(tool["name"] for tool in body.get("tools") or ()),
        bool(body.get("stream")), body["max_tokens"], hints(body),
    )  # fmt: skip


def usage(reply: Reply) -> dict[str, Any]:
    """The input excludes what was cached."""
    counts = reply.counts
    written = counts.get("cache_write_5m", 0)
    return {
        "input_tokens": counts["input"], "cache_creation_input_tokens": written,
        "cache_read_input_tokens": counts.get("cache_read", 0),
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": counts["output"], "service_tier": "standard",
    }  # fmt: skip


def stream(reply: Reply, model: str) -> Iterator[bytes]:
    """Events; input is told at the start, output at the end."""
    message = _message(reply, model, [], None)
    message["usage"] = {**usage(reply), "output_tokens": 1}
    yield _event("message_start", message=message)
    block = _call(reply, {}) if reply.tool else {"type": "text", "text": ""}
    yield _event("content_block_start", index=0, content_block=block)
    if reply.tool:
        yield _event(
            "content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": reply.arguments}
        )
    else:
        for text in pieces(reply.text):
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    yield _event("content_block_stop", index=0)
    yield _event("message_delta", delta={"stop_reason": _reason(reply), "stop_sequence": None}, usage=usage(reply))
    yield _event("message_stop")


def whole(reply: Reply, model: str) -> bytes:
    """The answer to a request that does not stream."""
    content = _call(reply, msgspec.json.decode(reply.arguments)) if reply.tool else {"type": "text", "text": reply.text}
    return msgspec.json.encode({**_message(reply, model, [content], _reason(reply)), "usage": usage(reply)})


def failure(status: int) -> bytes:
    """The body of a refusal."""
    kind = "rate_limit_error" if status == 429 else "overloaded_error"
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": "Overloaded"}})


def _message(reply: Reply, model: str, content: list[Any], reason: str | None) -> dict[str, Any]:
    head = {"id": f"msg_{reply.id}", "type": "message", "role": "assistant", "model": model}
    return {**head, "content": content, "stop_reason": reason, "stop_sequence": None}


def _call(reply: Reply, arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{reply.id}", "name": reply.tool, "input": arguments}


def _reason(reply: Reply) -> str:
    return "tool_use" if reply.tool else "end_turn"


def _event(name: str, **fields: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode({"type": name} | fields) + b"\n\n"
