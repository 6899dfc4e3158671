"""An answer as far as it went on: what was seen of it, whether it has ended, and how to end it where it stands.

The bytes are kept as they come and read only when somebody has to know: an answer that ends as it should is never decoded.
"""

from __future__ import annotations

from typing import Final

from holdfast.errors import HoldfastError
from holdfast.gateway import refusal
from holdfast.gateway.wires import Wire
from holdfast.protocol import limits
from holdfast.providers.billing.model import OUTPUT, BilledAttempt
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.errors import MalformedStream
from holdfast.providers.pieces import DELTAS, Piece
from holdfast.providers.usage import TokenUsage

_ENDS: Final = {
    "openai.chat": (b"data: [DONE]",),
    "openai.responses": (b'"response.completed"', b'"response.incomplete"', b'"response.failed"'),
    "anthropic.messages": (b'"message_stop"',),
}
"""What is in the last event of a whole stream."""


def tokens_of(size: int) -> int:
    """About how many tokens a text of so many bytes has: one for every four, rounded up.

    No vocabulary is at hand, and the newest models publish none.
    """
    return -(-size // limits.BYTES_PER_TOKEN)


class FollowedStream:
    """One stream of a wire.

    Attributes:
        text_bytes: size of the content that was seen, in UTF-8, as of the last ``estimate`` or ``ending``.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        dialect = STREAM_DIALECTS[wire.name]
        self._decoder = dialect.decoder()
        self._encoder = dialect.encoder(native=True)
        self._waiting: list[bytes] = []
        self._size = 0
        self._readable = True
        self._marks = _ENDS[wire.name]
        self.text_bytes = 0

    def add(self, data: bytes) -> None:
        """More of the stream."""
        self._waiting.append(data)
        self._size += len(data)
        if self._size > limits.FOLLOWED_BYTES:
            self._read()

    def has_ended(self) -> bool:
        """Whether the dialect's own end, or its own failure, has come."""
        last = b"".join(self._waiting[-4:])
        if any(mark in last for mark in self._marks):
            return True
        self._read()
        if self._readable:
            try:
                self._take(self._decoder.close())
            except MalformedStream:
                self._readable = False
        return self._decoder.ended

    def _read(self) -> None:
        data, self._waiting, self._size = b"".join(self._waiting), [], 0
        if not self._readable or not data:
            return
        try:
            self._take(self._decoder.feed(data))
        except MalformedStream:
            self._readable = False

    def _take(self, pieces: list[Piece]) -> None:
        self.text_bytes += sum(len(p.text.encode("utf-8", "replace")) for p in pieces if isinstance(p, DELTAS))
        self._encoder.follow(pieces)

    def estimate(self, input_bytes: int, reported: tuple[BilledAttempt, ...]) -> BilledAttempt:
        """What was used at least: the input that was sent and the output that was seen. What the provider had said of
        either before it was cut counts instead."""
        self._read()
        return estimated(input_bytes, self.text_bytes, reported)

    def ending(self, error: HoldfastError, used: BilledAttempt | None) -> bytes:
        """The bytes that end it here, legally in its dialect: what is open is closed, the usage is told, and the error."""
        self._read()
        pieces: list[Piece] = []
        if used is not None:
            pieces.append(TokenUsage(input=used.total_input, output=used.total_output))
        return self._encoder.encode([*pieces, refusal.failure(self._wire, error)])


def estimated(input_bytes: int, output_bytes: int, reported: tuple[BilledAttempt, ...]) -> BilledAttempt:
    """An attempt whose provider did not get to say all of it."""
    said = reported[0] if reported else BilledAttempt(reported=False)
    counts = dict(said.counts)
    if not said.total_input:
        counts["input"] = tokens_of(input_bytes)
    if (seen := tokens_of(output_bytes)) > said.total_output:
        counts = {name: count for name, count in counts.items() if name not in OUTPUT}
        counts["output"] = seen
    counts.setdefault("output", 0)
    return BilledAttempt(said.kind, said.model, counts, said.tier, said.region, said.speed, False, said.odd, said.raw)
