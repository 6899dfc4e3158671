"""What the encoders of all dialects have in common: pieces in, the bytes of a stream out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec

from holdfast.providers import pieces as p
from holdfast.providers.sse import server_sent
from holdfast.providers.usage import TokenUsage

_JSON = msgspec.json.Encoder()


class StreamEncoder:
    """Writes one stream of a dialect.

    A stream ends with ``AnswerEnd`` or with ``AnswerFailure``, as the dialect ends it: what is open is closed, the newest
    ``TokenUsage`` is told, the clients of the dialect see the failure. Never end a stream by closing its connection.

    To end a stream that somebody else began and whose bytes were passed on as they came, ``follow`` its pieces and
    ``encode`` the end.

    Args:
        native: the pieces were read from this dialect: what they have in it (``native``, ``reported``, words for reasons) is
            written as it was. Otherwise they are put into the dialect's own words.

    Attributes:
        unsaid: how often, by its kind, something came for which the dialect has no words.
    """

    dialect: ClassVar[str]

    def __init__(self, *, native: bool = False) -> None:
        self.unsaid: Counter[str] = Counter()
        self._native = native
        self._usage = TokenUsage()
        self._finish: p.AnswerFinish | None = None
        self._out: list[bytes] = []
        self._silent = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            p.AnswerStart: self._start,
            p.ItemStart: self._start_item,
            p.ItemEnd: self._end_item,
            p.TextDelta: self._text,
            p.RefusalDelta: self._refusal,
            p.ReasoningDelta: self._reasoning,
            p.CallStart: self._start_call,
            p.ProviderCallStart: self._start_provider_call,
            p.ArgumentsDelta: self._arguments,
            p.ProviderCallResult: self._result,
            p.SourceCited: self._cite,
            p.OpaqueField: self._field,
            TokenUsage: self._count,
            p.AnswerFinish: self._stop,
            p.AnswerFailure: self._fail,
            p.AnswerEnd: self._end,
            p.UnknownPart: self._drop,
        }

    def encode(self, pieces: Iterable[p.Piece]) -> bytes:
        """The bytes of these pieces, which may be none yet."""
        handlers = self._handlers
        for piece in pieces:
            handlers[type(piece)](piece)
        out, self._out = self._out, []
        return b"".join(out)

    def follow(self, pieces: Iterable[p.Piece]) -> None:
        """Know what was written by somebody else."""
        self._silent = True
        try:
            self.encode(pieces)
        finally:
            self._silent = False

    def _write(self, event: dict[str, Any], name: str = "") -> None:
        if not self._silent:
            self._out.append(server_sent(dumps(event), name))

    def _said_not(self, kind: str) -> None:
        self.unsaid[kind] += 1

    # --- pieces
    def _start(self, piece: p.AnswerStart) -> None:
        raise NotImplementedError

    def _start_item(self, piece: p.ItemStart) -> None:
        raise NotImplementedError

    def _end_item(self, piece: p.ItemEnd) -> None:
        raise NotImplementedError

    def _text(self, piece: p.TextDelta) -> None:
        raise NotImplementedError

    def _refusal(self, piece: p.RefusalDelta) -> None:
        raise NotImplementedError

    def _reasoning(self, piece: p.ReasoningDelta) -> None:
        raise NotImplementedError

    def _start_call(self, piece: p.CallStart) -> None:
        raise NotImplementedError

    def _start_provider_call(self, piece: p.ProviderCallStart) -> None:
        raise NotImplementedError

    def _arguments(self, piece: p.ArgumentsDelta) -> None:
        raise NotImplementedError

    def _result(self, piece: p.ProviderCallResult) -> None:
        raise NotImplementedError

    def _cite(self, piece: p.SourceCited) -> None:
        raise NotImplementedError

    def _field(self, piece: p.OpaqueField) -> None:
        raise NotImplementedError

    def _count(self, piece: TokenUsage) -> None:
        self._usage = piece

    def _stop(self, piece: p.AnswerFinish) -> None:
        self._finish = piece

    def _fail(self, piece: p.AnswerFailure) -> None:
        raise NotImplementedError

    def _end(self, piece: p.AnswerEnd) -> None:
        raise NotImplementedError

    def _drop(self, piece: p.UnknownPart) -> None:
        """What was not understood is not written."""


def dumps(value: Any) -> bytes:
    """JSON on one line. Halves of surrogate pairs stand in escapes, as providers send them."""
    try:
        return _JSON.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(value).encode()


def as_text(value: Any) -> str:
    """A result as text: JSON, unless it is one."""
    return value if isinstance(value, str) else dumps(value).decode()
