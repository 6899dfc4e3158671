"""From bytes as they come, cut anywhere, to the events of a stream that is not server-sent: lines, an array, one body.

Each has the shape of ``SseParser``: ``feed`` gives what is whole now, ``close`` what is left, ``error`` says that something
is larger than it may be, after which nothing comes.
"""

from __future__ import annotations

import re
from typing import Final, Literal, Protocol

from holdfast.protocol import limits
from holdfast.providers.errors import MalformedStream
from holdfast.providers.sse import Wanted

Framing = Literal["sse", "ndjson", "json-array", "eventstream", "json"]

_TYPES: Final[dict[str, Framing]] = {
    "text/event-stream": "sse", "application/x-ndjson": "ndjson", "application/stream+json": "ndjson",
    "application/jsonl": "ndjson", "application/vnd.amazon.eventstream": "eventstream",
}  # fmt: skip


class Framer(Protocol):
    """What takes a stream apart."""

    error: MalformedStream | None

    def feed(self, data: bytes, wanted: Wanted | None = None) -> list[bytes]:
        """The events that are whole now, without those that nobody wants."""

    def close(self) -> list[bytes]:
        """A last event that nothing ended."""


def framing_of(content_type: str) -> Framing | None:
    """The framing that a media type names; None where it names none, as for ``application/json``: look at the bytes."""
    return _TYPES.get(content_type.partition(";")[0].strip().lower())


def seen_framing(data: bytes, *, lines: bool) -> Framing | None:
    """The framing that the first bytes of a body show; None while they are blank.

    Args:
        lines: the wire streams as lines of JSON.
    """
    if data[:1] == b"\0":
        return "eventstream"  # the length of a message: none is so long that its first byte is another
    first = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if not first:
        return None
    if first == b"{":
        return "ndjson" if lines else "json"
    return "json-array" if first == b"[" else "sse"


class LinesFramer:
    """Lines of JSON, as Ollama and Cohere stream."""

    def __init__(self, max_bytes: int = limits.PROVIDER_EVENT_BYTES) -> None:
        self.error: MalformedStream | None = None
        self._max = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes, wanted: Wanted | None = None) -> list[bytes]:
        """The lines that are whole now."""
        if self.error is not None:
            return []
        searched = len(self._buffer)
        self._buffer += data
        end = self._buffer.rfind(b"\n", searched)
        lines: list[bytes] = []
        if end >= 0:
            block = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if wanted is None or wanted(block):
                lines = [line for line in map(bytes.strip, block.split(b"\n")) if line]
        if len(self._buffer) > self._max:
            self._buffer.clear()
            self.error = _too_long("a line", self._max)
        return lines

    def close(self) -> list[bytes]:
        """A last line without an end."""
        line = bytes(self._buffer).strip()
        self._buffer.clear()
        return [line] if line else []


class ArrayFramer:
    """One array of objects that is written as it grows, as Google streams without ``alt=sse``."""

    def __init__(self, max_bytes: int = limits.PROVIDER_EVENT_BYTES) -> None:
        self.error: MalformedStream | None = None
        self._max = max_bytes
        self._buffer = bytearray()
        self._at = 0  # where the search goes on
        self._begin = 0  # of the element that is open
        self._depth = 0
        self._quoted = self._escaped = False

    def feed(self, data: bytes, wanted: Wanted | None = None) -> list[bytes]:
        """The elements that are whole now."""
        if self.error is not None:
            return []
        self._buffer += data
        elements = [element for element in self._elements() if wanted is None or wanted(element)]
        done = self._begin if self._depth > 1 else self._at
        del self._buffer[:done]
        self._at, self._begin = self._at - done, max(0, self._begin - done)
        if len(self._buffer) > self._max:
            self._buffer.clear()
            self.error = _too_long("an element", self._max)
        return elements

    def close(self) -> list[bytes]:
        """Nothing: an element without an end is none."""
        self._buffer.clear()
        return []

    def _elements(self) -> list[bytes]:
        """Elements that end in what was not searched yet; only brackets outside of texts count."""
        found: list[bytes] = []
        size = len(self._buffer)
        while self._at < size:
            if self._escaped:
                self._escaped = False
                self._at += 1
                continue
            match = (_IN_TEXT if self._quoted else _OUTSIDE).search(self._buffer, self._at)
            if match is None:
                self._at = size
                break
            here, mark = match.start(), match[0]
            self._at = here + 1
            if mark == b"\\":
                self._escaped = True
            elif mark == b'"':
                self._quoted = not self._quoted
            elif mark in b"{[":
                if self._depth == 1:
                    self._begin = here
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 1:
                    found.append(bytes(self._buffer[self._begin : self._at]))
        return found


_OUTSIDE: Final = re.compile(rb'["{}\[\]]')
_IN_TEXT: Final = re.compile(rb'["\\]')


class BodyFramer:
    """A body that is one JSON value."""

    def __init__(self, max_bytes: int = limits.PROVIDER_EVENT_BYTES) -> None:
        self.error: MalformedStream | None = None
        self._max = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes, wanted: Wanted | None = None) -> list[bytes]:
        """Nothing yet."""
        if self.error is None:
            self._buffer += data
            if len(self._buffer) > self._max:
                self._buffer.clear()
                self.error = _too_long("a body", self._max)
        return []

    def close(self) -> list[bytes]:
        """The body."""
        body = bytes(self._buffer)
        self._buffer.clear()
        return [body] if body else []


def _too_long(what: str, size: int) -> MalformedStream:
    return MalformedStream(f"{what} of the provider's stream has more than {size:,} bytes")
