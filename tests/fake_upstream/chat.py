"""Chat Completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tests.fake_upstream.answers import CREATED, ID, Asked, AskedEmbeddings, Counts, Part, event, reported, texts
from tests.fake_upstream.knobs import Knobs


def parts(asked: Asked, knobs: Knobs, counts: Counts) -> Iterator[Part]:
    """The stream. Usage comes in a chunk of its own when it is asked for; the other chunks then say ``null``."""
    wants = asked.wants_usage and knobs.usage

    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event(_head(asked, knobs, "chat.completion.chunk") | {"choices": [choice]} | none)

    none = {"usage": None} if wants else {}
    if knobs.tool:
        call = {"index": 0, "id": f"call_{ID}", "type": "function", "function": {"name": knobs.tool, "arguments": ""}}
        yield Part(chunk({"role": "assistant", "content": None, "tool_calls": [call]}))
    else:
        yield Part(chunk({"role": "assistant", "content": "", "refusal": None}))
    for text in texts(knobs):
        said = {"tool_calls": [{"index": 0, "function": {"arguments": text}}]} if knobs.tool else {"content": text}
        yield Part(chunk(said), tokens=1)
    yield Part(chunk({}, "tool_calls" if knobs.tool else "stop"))
    if wants:
        told = {"choices": [], "usage": usage(knobs, counts)}
        yield Part(event(_head(asked, knobs, "chat.completion.chunk") | told), usage=True)
    yield Part(event(b"[DONE]"))


def whole(asked: Asked, knobs: Knobs, counts: Counts) -> bytes:
    """The answer to a request that does not stream."""
    text = "".join(texts(knobs))
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if knobs.tool:
        call = {"id": f"call_{ID}", "type": "function", "function": {"name": knobs.tool, "arguments": text}}
        message |= {"content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if knobs.tool else "stop"}
    told = {"usage": usage(knobs, counts)} if knobs.usage else {}
    return msgspec.json.encode(_head(asked, knobs, "chat.completion") | {"choices": [choice]} | told)


def _head(asked: Asked, knobs: Knobs, kind: str) -> dict[str, Any]:
    tier = {"service_tier": knobs.tier} if knobs.tier else {}
    head = {"id": f"chatcmpl-{ID}", "object": kind, "created": CREATED, "model": knobs.served or asked.model}
    return head | tier | {"system_fingerprint": "fp_fake"}


def usage(knobs: Knobs, counts: Counts) -> dict[str, Any]:
    """The prompt includes what was cached, the completion the reasoning."""
    inside: dict[str, int] = {"cached_tokens": counts.cached, "audio_tokens": 0}
    if counts.written:
        inside["cache_write_tokens"] = counts.written
    return reported(
        knobs,
        {
            "prompt_tokens": counts.total_input,
            "completion_tokens": counts.total_output,
            "total_tokens": counts.total_input + counts.total_output,
            "prompt_tokens_details": inside,
            "completion_tokens_details": {
                "reasoning_tokens": counts.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    )


def failure(status: int) -> bytes:
    """The body of a refusal, and the data of an error in mid-stream."""
    kinds = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
    kind = "invalid_request_error" if status < 429 else "requests" if status == 429 else "server_error"
    code = kinds.get(status)
    return msgspec.json.encode(
        {"error": {"message": f"The fake upstream fails with {status}.", "type": kind, "param": None, "code": code}}
    )


def broken(knobs: Knobs) -> bytes:
    """An error in mid-stream; the real one ends the stream with it."""
    return event(failure(500))


def embeddings(asked: Asked, knobs: Knobs, counts: Counts) -> bytes:
    """A vector for each text. All input is plain."""
    assert isinstance(asked, AskedEmbeddings)
    texts = asked.input if isinstance(asked.input, list) else [asked.input]
    number_of = 1 if texts and isinstance(texts[0], int) else len(texts)  # of one text, tokens
    vectors = [
        {"object": "embedding", "index": number, "embedding": [0.25, -0.5, 0.125]} for number in range(number_of)
    ]
    told = {"prompt_tokens": counts.total_input, "total_tokens": counts.total_input}
    body = {"object": "list", "data": vectors, "model": knobs.served or asked.model}
    return msgspec.json.encode(body | ({"usage": reported(knobs, told)} if knobs.usage else {}))
