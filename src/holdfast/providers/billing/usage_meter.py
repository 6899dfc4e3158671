"""What an answer is billed for, from its bytes: a stream as it passes by, or a whole body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from holdfast.protocol import limits
from holdfast.providers.billing.counting import note
from holdfast.providers.billing.event_stream import EventStreamFramer
from holdfast.providers.billing.framing import (
    ArrayFramer,
    BodyFramer,
    Framer,
    Framing,
    LinesFramer,
    framing_of,
    seen_framing,
)
from holdfast.providers.billing.model import BilledAttempt
from holdfast.providers.billing.usage_reader import UsageReader
from holdfast.providers.billing.wires import wire_named
from holdfast.providers.errors import MalformedStream
from holdfast.providers.events import value_of
from holdfast.providers.sse import SseParser

_FRAMERS: Final[Mapping[Framing, Callable[[], Framer]]] = {
    "sse": SseParser, "ndjson": LinesFramer, "json-array": ArrayFramer, "eventstream": EventStreamFramer,
    "json": BodyFramer,
}  # fmt: skip
_DONE: Final = b"[DONE]"


class UsageMeter:
    """Reads the usage of one answer while its bytes pass by. It never raises for what they are: that is said in ``odd``.

    An event is decoded only if it can say something of usage. What is remembered is the event that has not ended yet, at
    most ``limits.PROVIDER_EVENT_BYTES`` of it, and the newest usage.

    Args:
        wire: a name in ``WIRES``.
        content_type: of the answer. Where it names no framing, the first bytes show it.
        provider: whose wire it is, as price catalogues name it; xAI counts reasoning beside the completion.

    Raises:
        LookupError: usage of the wire is not read.
    """

    def __init__(self, wire: str, *, content_type: str = "", provider: str = "") -> None:
        found = wire_named(wire)
        self._lines = found.lines
        self._reader = found.reader(provider)
        self._prefilter = None if self._reader.wrapped else self._reader.wants
        self._first = b""
        self._framing = framing_of(content_type)
        self._framer = _FRAMERS[self._framing]() if self._framing is not None else None
        self._failed = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        framer = self._framer
        if framer is None:
            data = self._first + data
            self._framing = seen_framing(data, lines=self._lines)
            if self._framing is None:
                self._first = data[:3]  # blanks say nothing; a mark of the byte order may be cut
                return
            framer = self._framer = _FRAMERS[self._framing]()
        payloads = framer.feed(data, self._prefilter)
        if payloads:
            self._read(payloads)
        if framer.error is not None and not self._failed:
            self._failed = True
            note(self._reader.odd, framer.error.detail)

    def so_far(self) -> tuple[BilledAttempt, ...]:
        """What was reported until now."""
        return self._reader.attempts()

    def end(self) -> tuple[BilledAttempt, ...]:
        """What was billed, when no more bytes come; an attempt with ``reported`` False where nothing was said.

        Empty only where the provider says that it bills nothing: all that it tried was declined.
        """
        if self._framer is not None:
            self._read(self._framer.close(), cut=self._framing != "json")
            self._framer = _Ended()
        return self._reader.attempts()

    def _read(self, payloads: Iterable[bytes], *, cut: bool = False) -> None:
        """Read events; ``cut``: one that is no JSON is the beginning of one."""
        reader = self._reader
        for payload in payloads:
            event = reader.unwrap(payload) if reader.wrapped else payload
            if event == _DONE:
                reader.end()
            elif reader.wants(event):
                try:
                    value = value_of(event.replace(b"\n", b" ") if self._framing == "sse" else event)
                except MalformedStream as error:
                    if not cut:
                        note(reader.odd, error.detail)
                    continue
                _take(reader, value)
                if self._framing == "json":
                    reader.end()


class _Ended:
    """What takes no more bytes."""

    error: MalformedStream | None = None

    def feed(self, data: bytes, wanted: Callable[[bytes], bool] | None = None) -> list[bytes]:
        return []

    def close(self) -> list[bytes]:
        return []


def _take(reader: UsageReader, value: Any) -> None:
    for event in value if isinstance(value, list) else [value]:
        if isinstance(event, dict):
            reader.read(event)


def of_response(
    wire: str, body: bytes, *, headers: Mapping[str, str] | None = None, provider: str = ""
) -> tuple[BilledAttempt, ...]:
    """What a whole answer that is not streamed is billed for; an attempt with ``reported`` False where it does not say.

    Args:
        wire: a name in ``WIRES``.
        body: JSON, one value.
        headers: of the answer: Bedrock's say what AWS counted.
        provider: as in ``UsageMeter``.

    Raises:
        LookupError: usage of the wire is not read.
    """
    reader = wire_named(wire).reader(provider)
    reader.read_headers({name.lower(): value for name, value in (headers or {}).items()})
    try:
        if len(body) > limits.PROVIDER_EVENT_BYTES:
            raise MalformedStream(f"the provider's answer has more than {limits.PROVIDER_EVENT_BYTES:,} bytes")
        _take(reader, value_of(body))
    except MalformedStream as error:
        note(reader.odd, error.detail)
    reader.end()
    return reader.attempts()
