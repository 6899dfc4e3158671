"""An answer as far as it went on: what was seen of it, whether it has ended, and how to end it where it stands.

Its events are kept as they come and read only when somebody has to know: an answer that ends as it should is never decoded.
Of a long one, what its end does not need is dropped: texts are counted, and those that the end repeats are joined.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from holdfast.errors import HoldfastError
from holdfast.gateway import refusal
from holdfast.gateway.estimates import tokens_of_request
from holdfast.gateway.seen import size_of, texts_in
from holdfast.gateway.whole_events import BLANK, end_of_last
from holdfast.gateway.wires import CHAT, MESSAGES, RESPONSES, GatewayWire
from holdfast.protocol import limits
from holdfast.providers.billing.model import OUTPUT, BilledAttempt
from holdfast.providers.chat_encoder import ChatEncoder
from holdfast.providers.decoder import StreamDecoder, failure
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.errors import MalformedStream
from holdfast.providers.pieces import AnswerEnd, AnswerFailure, AnswerFinish, AnswerStart, Piece
from holdfast.providers.responses_decoder import ResponsesDecoder
from holdfast.providers.responses_encoder import ResponsesEncoder
from holdfast.providers.sse import SseParser, server_sent
from holdfast.providers.usage import TokenUsage

_LAST: Final[dict[str, tuple[bytes, ...]]] = {
    RESPONSES.name: (b"response.completed", b"response.incomplete", b"response.failed", b"response.cancelled"),
    MESSAGES.name: (b"message_stop",),
}
"""The types of the events that end a stream."""
_HEADS: Final = 3
"""So many chunks of a chat completion are kept for their head: the first of some providers' have none."""
_CLOSING: Final[dict[str, bytes]] = {
    CHAT.name: server_sent(b"[DONE]"),
    MESSAGES.name: server_sent(b'{"type":"message_stop"}', "message_stop"),
}
"""The end of a stream that says nothing but that it is one."""
_PIECE: Final[dict[str, tuple[bytes, ...]]] = {
    RESPONSES.name: (b'.delta"',),
    MESSAGES.name: (b'"content_block_delta"',),
}


class FollowedStream:
    """One stream of a wire.

    Attributes:
        failure: how the provider itself gave up in the middle of it; None while it has not.
    """

    def __init__(self, wire: GatewayWire) -> None:
        self._wire = wire
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._remaining: list[bytes] = []  # of what was condensed
        self._remaining_size = 0
        self._text_bytes = 0
        self._newest = b""
        self.failure: AnswerFailure | None = None

    def add(self, events: bytes) -> bytes:
        """More of the stream: whole events. Returns what stands before the provider's own failure, which is all of it where
        there is none."""
        if not events:
            return events
        if b'"error"' in events:
            events = self._before_failure(events)
        self._newest = events
        self._waiting.append(events)
        self._waiting_size += len(events)
        if self._waiting_size > limits.FOLLOWED_BYTES:
            self._condense()
        return events

    def _before_failure(self, events: bytes) -> bytes:
        nulls = events.count(b'"error":null') + events.count(b'"error": null')
        if events.count(b'"error"') == nulls:
            return events
        begin = 0
        for found in BLANK.finditer(events):
            event = events[begin : found.end()]
            if b'"error"' in event:
                fields = _fields(b"".join(SseParser().feed(event)))
                if fields.get("type") == "error" or fields.get("error"):
                    self.failure = failure(fields)
                    return events[:begin]
            begin = found.end()
        return events

    # --- how it ended
    def is_whole(self) -> bool:
        """Whether the dialect's own end has come."""
        if self._wire is CHAT:
            return _says_done(self._newest)
        if not any(mark in self._newest for mark in _LAST[self._wire.name]):
            return False
        last = self._newest.rstrip(b"\r\n")
        for data in SseParser().feed(last[end_of_last(last) :] + b"\n\n"):
            try:
                kind = msgspec.json.decode(data, type=_Typed).type
            except (msgspec.DecodeError, RecursionError):
                kind = str(_fields(data).get("type"))
            return kind.encode("utf-8", "replace") in _LAST[self._wire.name]
        return False

    def closing(self) -> bytes:
        """What is missing of the end of an answer that has said why it stopped; empty where it was cut."""
        pieces = self._read(STREAM_DIALECTS[self._wire.name].decoder())
        return _CLOSING.get(self._wire.name, b"") if any(isinstance(piece, AnswerFinish) for piece in pieces) else b""

    # --- what was seen
    @property
    def text_bytes(self) -> int:
        """Size of the content that was seen, about: in UTF-8, without the escapes of JSON."""
        return self._text_bytes + size_of(texts_in(self._wire, b"".join(self._waiting)))

    def _condense(self) -> None:
        """Keep of what is waiting only what its end needs."""
        events = b"".join(self._waiting)
        self._text_bytes += size_of(texts_in(self._wire, events))
        self._waiting, self._waiting_size = [], 0
        if self._wire is CHAT:  # its end repeats nothing but the head, which every chunk has
            remaining = [] if self._remaining else [server_sent(data) for data in SseParser().feed(events)[:_HEADS]]
        else:
            remaining = _without_pieces(self._wire, SseParser().feed(events))
        self._remaining += remaining
        self._remaining_size += sum(map(len, remaining))
        if self._remaining_size > limits.COLLECTED_BYTES:
            self._remaining, self._remaining_size = [], 0

    def _read(self, decoder: StreamDecoder) -> list[Piece]:
        """The pieces of all that is there, as far as they can be read."""
        pieces: list[Piece] = []
        with contextlib.suppress(MalformedStream):
            pieces += decoder.feed(b"".join([*self._remaining, *self._waiting]))
            pieces += decoder.close()
        return pieces

    # --- what comes of it
    def ending(self, error: HoldfastError, used: BilledAttempt) -> bytes:
        """The bytes that end it here, legally in its dialect: what is open is closed, the usage is told, and the error:
        the provider's own, where it gave up."""
        return self._ended([_usage_of(used), self.failure or refusal.failure(self._wire, error)])

    def truncation(self, used: BilledAttempt, choices: Sequence[int]) -> bytes:
        """The bytes that end it here as if it had reached its limit of tokens.

        Args:
            choices: of a chat completion, the answers that have not ended.
        """
        return self._ended([AnswerFinish("", "length"), _usage_of(used), AnswerEnd()], choices)

    def _ended(self, end: list[Piece], choices: Sequence[int] = (0,)) -> bytes:
        dialect = STREAM_DIALECTS[self._wire.name]
        decoder, encoder = dialect.decoder(), dialect.encoder(native=True)
        pieces = self._read(decoder)
        encoder.follow(pieces)
        if isinstance(decoder, ResponsesDecoder) and isinstance(encoder, ResponsesEncoder):
            encoder.sequence = decoder.sequence + 1 if pieces else 0
        if isinstance(encoder, ChatEncoder):
            encoder.choices = tuple(choices)
        has_start = any(isinstance(piece, AnswerStart) for piece in pieces)
        return encoder.encode(end if has_start else [AnswerStart(), *end])


def estimated(input_bytes: int, output: int, reported: tuple[BilledAttempt, ...]) -> BilledAttempt:
    """An attempt whose provider did not get to say all of it: the input that was sent, and the output tokens that were
    seen. What the provider had said of either before it was cut counts instead."""
    newest = reported[-1] if reported else BilledAttempt(reported=False)
    counts, provider_input, provider_output = dict(newest.counts), newest.provider_input, newest.provider_output
    if not newest.total_input:
        counts["input"], provider_input = tokens_of_request(input_bytes), None
    if output > newest.total_output:
        counts = {name: count for name, count in counts.items() if name not in OUTPUT}
        counts["output"], provider_output = output, None
    counts.setdefault("output", 0)
    return msgspec.structs.replace(
        newest,
        counts=counts,
        reported=False,
        final=False,
        provider_input=provider_input,
        provider_output=provider_output,
    )


def _usage_of(used: BilledAttempt) -> TokenUsage:
    """As the encoders take it, which know three classes of input."""
    counts = used.counts
    read = [count for name, count in counts.items() if name.startswith("cache_read")]
    write = [count for name, count in counts.items() if name.startswith("cache_write")]
    plain = used.total_input - sum(read) - sum(write)
    return TokenUsage(
        plain, sum(read) if read else None, sum(write) if write else None, used.total_output, counts.get("reasoning"),
        used.tier,
    )  # fmt: skip


def _says_done(events: bytes) -> bool:
    """Whether ``[DONE]`` is a line of its own: inside a text the end of a line is escaped."""
    at = events.rfind(b"[DONE]")
    if at < 0:
        return False
    begin = max(events.rfind(b"\n", 0, at), events.rfind(b"\r", 0, at)) + 1
    return events[begin:at] in (b"data: ", b"data:") and events[at + 6 : at + 7] in (b"", b"\n", b"\r")


class _Typed(msgspec.Struct):
    type: str = ""


class _Delta(msgspec.Struct):
    """A piece of a text in Responses: where it belongs, and the piece."""

    type: str
    delta: str
    sequence_number: int = 0
    item_id: str = ""
    output_index: int = 0
    content_index: int | None = None
    summary_index: int | None = None


def _without_pieces(wire: GatewayWire, events: list[bytes]) -> list[bytes]:
    """Events without the pieces of texts. Responses repeats its texts at its end, so there pieces become one a text."""
    marks = _PIECE[wire.name]
    remaining: list[bytes] = []
    texts: dict[tuple[Any, ...], list[_Delta]] = {}
    for data in events:
        if not any(mark in data[:200] for mark in marks):
            remaining += [*_joined(texts), server_sent(data.replace(b"\n", b" "))]
            texts = {}
        elif wire is RESPONSES:
            try:
                delta = msgspec.json.decode(data, type=_Delta)
            except msgspec.DecodeError:
                continue
            key = (delta.type, delta.item_id, delta.output_index, delta.content_index, delta.summary_index)
            texts.setdefault(key, []).append(delta)
    return [*remaining, *_joined(texts)]


def _joined(texts: dict[tuple[Any, ...], list[_Delta]]) -> list[bytes]:
    return [
        server_sent(
            msgspec.json.encode(msgspec.structs.replace(deltas[-1], delta="".join(each.delta for each in deltas)))
        )
        for deltas in texts.values()
    ]


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            return None


def _fields(data: bytes) -> dict[str, Any]:
    value = _decoded(data)
    return value if isinstance(value, dict) else {}
