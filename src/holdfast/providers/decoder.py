"""What the decoders of all dialects have in common: from bytes to events, once a read, and what happens when they are bad."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import limits
from holdfast.protocol.bounds import check_nesting
from holdfast.providers.errors import MalformedStream
from holdfast.providers.events import speaks_of, value_of
from holdfast.providers.fields import Fields, word
from holdfast.providers.pieces import CONTROL, AnswerEnd, AnswerFailure, Piece
from holdfast.providers.sse import SseParser
from holdfast.providers.usage import TokenUsage

_JSON = msgspec.json.Decoder()
_DONE = b"[DONE]"


class StreamDecoder:
    """Reads one stream of a dialect.

    It holds the event that has not ended yet and numbers of items, never their text, however long an answer is.

    Args:
        deltas: read the content. Without it only ``CONTROL`` pieces come, and what has none of them is not even parsed.

    Attributes:
        usage: the newest.
        ended: the dialect's end came, or a failure. False after ``close``: the stream was cut.
    """

    dialect: ClassVar[str]
    control: ClassVar[tuple[bytes, ...]]
    """One of them is in every event that has a ``CONTROL`` piece; a field that is null does not count."""

    def __init__(self, *, deltas: bool = True) -> None:
        self.usage: TokenUsage | None = None
        self.ended = False
        self._deltas = deltas
        self._sse = SseParser()
        self._error: MalformedStream | None = None

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces of the events that are whole now.

        Raises:
            MalformedStream: the bytes are no such stream. Pieces that came before are returned first: then the next call
                raises it, and each after that.
        """
        if self._error is not None:
            raise self._error
        return self._pieces(self._sse.feed(data, None if self._deltas else self._has_control))

    def event(self, event: Fields) -> list[Piece]:
        """The pieces of one event that somebody else has parsed.

        Raises:
            MalformedStream: it is no event of the dialect.
        """
        pieces: list[Piece] = []
        self._read(event, pieces)
        return self._ends(pieces) if self._deltas else [p for p in self._ends(pieces) if isinstance(p, CONTROL)]

    def close(self) -> list[Piece]:
        """No more bytes come. What was cut in the middle of an event is left out. Raises as ``feed`` does."""
        if self._error is not None:
            raise self._error
        pieces: list[Piece] = []
        for data in self._sse.close():
            try:
                values = list(_values([data]))
            except MalformedStream:
                break
            for value in values:
                pieces += self._event(value)
        return pieces + self._ends(self._rest())

    def _has_control(self, block: bytes) -> bool:
        """Whether there may be a ``CONTROL`` piece in events."""
        return speaks_of(block, self.control)

    def _pieces(self, events: list[bytes]) -> list[Piece]:
        pieces: list[Piece] = []
        try:
            for value in _values(events):
                pieces += self._event(value)
            if self._sse.error is not None:
                raise self._sse.error
        except MalformedStream as error:
            self._error = error
            if not pieces:
                raise
        return pieces

    def _event(self, value: Any) -> list[Piece]:
        if value is _DONE:
            return self._ends(self._done())
        if not isinstance(value, dict):
            raise MalformedStream("an event of the provider's stream is not an object")
        return self.event(value)

    def _ends(self, pieces: list[Piece]) -> list[Piece]:
        for piece in pieces:
            if isinstance(piece, (AnswerEnd, AnswerFailure)):
                self.ended = True
        return pieces

    def _read(self, event: Fields, pieces: list[Piece]) -> None:
        """Append the pieces of an event."""
        raise NotImplementedError

    def _done(self) -> list[Piece]:
        """``[DONE]`` came, which only chat completions need."""
        return []

    def _rest(self) -> list[Piece]:
        """What is certain only now that nothing more comes."""
        return []


def bounded(table: Any) -> None:
    """Refuse an answer of more items than anybody makes: what is remembered of each would have no end."""
    if len(table) >= limits.PROVIDER_ITEMS:
        raise MalformedStream(f"the provider's answer has more than {limits.PROVIDER_ITEMS:,} items")


def failure(body: Fields) -> AnswerFailure:
    """An error as providers tell it: ``{code?, type?, message?}``, the same under ``error``, or a text there."""
    nested = body.get("error")
    if isinstance(nested, str):
        return AnswerFailure(word(body, "code"), "", nested)
    fields = nested if isinstance(nested, dict) else body
    details = fields.get("details")
    code = word(fields, "code") or (word(details, "error_code") if isinstance(details, dict) else "")
    return AnswerFailure(code, word(fields, "type"), word(fields, "message"))


def _values(events: list[bytes]) -> Iterator[Any]:
    """What is in the data of events. All of a read are parsed at once; where one of them is odd, each by itself."""
    if len(events) > 1 and all(data[:1] == b"{" and data[-1:] == b"}" for data in events):
        lines = b"\n".join(data if b"\n" not in data else data.replace(b"\n", b" ") for data in events)
        try:
            check_nesting(lines, max_depth=limits.PROVIDER_DEPTH)
            values = _JSON.decode_lines(lines)
        except (Refused, ValueError, RecursionError):
            values = []
        if len(values) == len(events):
            yield from values
            return
    for data in events:
        yield _DONE if data == _DONE else value_of(data.replace(b"\n", b" "))
