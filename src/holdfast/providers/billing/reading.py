"""Usage of a stream, as it passes."""

from __future__ import annotations

import msgspec

from holdfast.providers.billing.model import BilledAttempt
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.errors import MalformedStream
from holdfast.providers.pieces import AnswerStart
from holdfast.providers.usage import TokenUsage


class UsageReader:
    def __init__(self, wire: str) -> None:
        dialect = STREAM_DIALECTS.get(wire)
        self._decoder = dialect.decoder(deltas=False) if dialect else None
        self._model = ""
        self._usage: TokenUsage | None = None
        self._body = b""

    def feed(self, data: bytes) -> None:
        if self._decoder is None:
            self._body += data
            return
        try:
            for piece in self._decoder.feed(data):
                if isinstance(piece, AnswerStart):
                    self._model = piece.model or self._model
        except MalformedStream:
            pass
        self._usage = self._decoder.usage

    @property
    def complete(self) -> bool:
        return self._decoder is None or self._decoder.ended

    def end(self) -> tuple[BilledAttempt, ...]:
        if self._decoder is None:
            value = msgspec.json.decode(self._body) if self._body else {}
            usage = value.get("usage") or {}
            return (
                BilledAttempt("embedding", value.get("model", ""), {"input": usage.get("prompt_tokens", 0)}, raw=usage),
            )
        usage = self._usage
        if usage is None:
            return ()
        named = {
            "input": usage.input, "cache_read": usage.cache_read, "cache_write": usage.cache_write,
            "output": None if usage.output is None else usage.output - (usage.reasoning or 0), "reasoning": usage.reasoning,
        }  # fmt: skip
        counts = {name: count for name, count in named.items() if count is not None}
        return (BilledAttempt("message", self._model, counts, usage.tier, odd=usage.odd, raw=usage.reported),)


def reader_of(wire: str) -> UsageReader:
    return UsageReader(wire)
