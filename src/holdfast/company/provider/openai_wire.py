"""Chat completions and embeddings, as OpenAI speaks them
(https://platform.openai.com/docs/api-reference/chat-streaming, …/embeddings)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from holdfast.company.provider.answers import Block, ModelQuestion, Reply, pieces, texts_of, tokens


def read(body: dict[str, Any], provider: str, key: str) -> ModelQuestion:
    """A request for a completion. Raises ``KeyError``, ``TypeError`` for what is none."""
    blocks = [
        Block(message["role"], text, result=message["role"] == "tool")
        for message in body["messages"]
        for text, _ in texts_of(message.get("content") or msgspec.json.encode(message.get("tool_calls") or "").decode())
    ]
    return ModelQuestion(
        provider, key, body["model"], tuple(blocks),
        tuple(tool["function"]["name"] for tool in body.get("tools") or ()), bool(body.get("stream")),
        body.get("max_completion_tokens") or body.get("max_tokens") or 4_096, hints(body),
    )  # fmt: skip


def hints(body: dict[str, Any]) -> dict[str, int]:
    """What the caller says of the simulation."""
    return {name: int(value) for name, value in (body.get("metadata") or {}).items() if str(value).isdigit()}


def usage(reply: Reply) -> dict[str, Any]:
    """The prompt includes what was cached."""
    counts = reply.counts
    whole = counts["input"] + counts.get("cache_read", 0)
    return {
        "prompt_tokens": whole, "completion_tokens": counts["output"], "total_tokens": whole + counts["output"],
        "prompt_tokens_details": {"cached_tokens": counts.get("cache_read", 0), "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }  # fmt: skip


def stream(reply: Reply, model: str) -> Iterator[bytes]:
    """Events, the usage in a chunk of its own and ``[DONE]`` behind it."""

    def chunk(choices: list[dict[str, Any]], used: Any = None) -> bytes:
        head = {"id": f"chatcmpl-{reply.id}", "object": "chat.completion.chunk", "created": 0, "model": model}
        return b"data: " + msgspec.json.encode({**head, "choices": choices, "usage": used}) + b"\n\n"

    def choice(delta: dict[str, Any], reason: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": delta, "finish_reason": reason}]

    if reply.tool:
        function = {"name": reply.tool, "arguments": reply.arguments}
        call = {"index": 0, "id": f"call_{reply.id}", "type": "function", "function": function}
        yield chunk(choice({"role": "assistant", "content": None, "tool_calls": [call]}))
    else:
        yield chunk(choice({"role": "assistant", "content": ""}))
        for text in pieces(reply.text):
            yield chunk(choice({"content": text}))
    yield chunk(choice({}, "tool_calls" if reply.tool else "stop"))
    yield chunk([], usage(reply))
    yield b"data: [DONE]\n\n"


def whole(reply: Reply, model: str) -> bytes:
    """The answer to a request that does not stream."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.tool:
        function = {"name": reply.tool, "arguments": reply.arguments}
        message["tool_calls"] = [{"id": f"call_{reply.id}", "type": "function", "function": function}]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if reply.tool else "stop"}
    head = {"id": f"chatcmpl-{reply.id}", "object": "chat.completion", "created": 0, "model": model}
    return msgspec.json.encode({**head, "choices": [choice], "usage": usage(reply)})


def embeddings(body: dict[str, Any], model: str) -> tuple[bytes, dict[str, int]]:
    """Vectors, and what they are billed for."""
    texts = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
    used = sum(map(tokens, texts))
    data = [{"object": "embedding", "index": at, "embedding": [0.25, -0.5, 0.125]} for at in range(len(texts))]
    usage_part = {"prompt_tokens": used, "total_tokens": used}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage_part}), {"input": used}


def failure(status: int) -> bytes:
    """The body of a refusal."""
    kind = "rate_limit_exceeded" if status == 429 else "server_error"
    words = "Rate limit reached." if status == 429 else "The server is overloaded."
    return msgspec.json.encode({"error": {"message": words, "type": kind, "param": None, "code": kind}})
