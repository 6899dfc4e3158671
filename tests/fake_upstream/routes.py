"""Which path is answered by whom, and the answers, encoded once for all requests that are alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from tests.fake_upstream import chat, messages, responses
from tests.fake_upstream.answers import CREATED, Asked, Counts, Part
from tests.fake_upstream.knobs import Knobs

MODELS: Final = ("gpt-5", "gpt-5-mini", "gpt-4o", "claude-opus-4-8", "claude-sonnet-4-5", "text-embedding-3-small")


@dataclass(frozen=True)
class Dialect:
    """How a path answers. ``parts`` is None where nothing streams."""

    whole: Callable[[Asked, Knobs, Counts], bytes]
    failure: Callable[[int], bytes] = chat.failure
    parts: Callable[[Asked, Knobs, Counts], Iterator[Part]] | None = None
    broken: Callable[[Knobs], bytes] = chat.broken


DIALECTS: Final = {
    "/v1/chat/completions": Dialect(chat.whole, parts=chat.parts),
    "/v1/responses": Dialect(responses.whole, parts=responses.parts, broken=responses.broken),
    "/v1/messages": Dialect(messages.whole, messages.failure, messages.parts, messages.broken),
    "/v1/embeddings": Dialect(chat.embeddings),
}


@dataclass(frozen=True)
class Answer:
    """A whole stream, ready to send: each part framed for chunked transfer, and all of them in one piece."""

    parts: tuple[Part, ...]
    framed: tuple[bytes, ...]
    at_once: bytes


@lru_cache(maxsize=512)
def stream(path: str, asked: Asked, knobs: Knobs, counts: Counts) -> Answer:
    """The stream that answers. Ids are still to be put in, which changes no length."""
    make = DIALECTS[path].parts
    assert make is not None
    parts = tuple(make(asked, knobs, counts))
    framed = tuple(frame(part.data) for part in parts)
    return Answer(parts, framed, b"".join(framed) + LAST)


LAST: Final = b"0\r\n\r\n"


def frame(data: bytes) -> bytes:
    """A chunk of HTTP/1.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(path: str, asked: Asked, knobs: Knobs, counts: Counts) -> bytes:
    """The body that answers."""
    return DIALECTS[path].whole(asked, knobs, counts)


def models() -> bytes:
    """``GET /v1/models``, with the fields of both shapes."""
    data = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "fake", "type": "model", "display_name": name,
         "created_at": "2025-11-24T00:00:00Z"}
        for name in MODELS
    ]  # fmt: skip
    return msgspec.json.encode(
        {"object": "list", "data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
    )
