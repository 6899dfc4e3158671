"""What a caller is answered: a stream whose bytes pass as they come, or the one answer it waits for.

A caller that leaves is not written to any more; whether its upstream is read on is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from starlette.types import Send

from holdfast.errors import HoldfastError
from holdfast.gateway import refusal
from holdfast.gateway.collecting import Collected
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.wires import GatewayWire

Headers = Sequence[tuple[bytes, bytes]]
_JSON: Final = (b"content-type", b"application/json")
_STREAM: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class CallerAnswer(Protocol):
    """Where the answer of a call goes."""

    @property
    def started(self) -> bool:
        """Whether some of it was given: another upstream cannot be asked any more."""

    def restart(self) -> None:
        """Another upstream is asked: what came so far, and was not given, counts no more."""

    async def feed(self, data: bytes, headers: Headers) -> None:
        """More of a stream: whole events. The first of it brings the headers."""

    async def end(self, headers: Headers) -> None:
        """The stream is whole. Raises ``upstream.failed`` where it is not an answer after all."""

    async def fail(self, ending: bytes) -> None:
        """The stream ends here, with these bytes."""

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """An answer in one piece, in place of a stream."""


class HttpAnswer:
    """The answer to an HTTP request, in one piece."""

    def __init__(self, wire: GatewayWire | None, send: Send) -> None:
        self.wire = wire
        self._started = False
        self._send = send

    @property
    def started(self) -> bool:
        """See ``CallerAnswer``."""
        return self._started

    def restart(self) -> None:
        """See ``CallerAnswer``."""

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """See ``CallerAnswer``."""
        self._started = True
        length = (b"content-length", str(len(body)).encode())
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, error: HoldfastError, request_id: str) -> None:
        """Answer with an error of the wire."""
        body = refusal.body(self.wire, error, request_id)
        await self.whole(
            error.row.status, [_JSON, (b"x-request-id", request_id.encode()), *refusal.headers(error)], body
        )


class WholeAnswer(HttpAnswer):
    """The answer of a wire that has no streams."""

    async def feed(self, data: bytes, headers: Headers) -> None:
        """Not on this wire."""
        raise NotImplementedError

    async def end(self, headers: Headers) -> None:
        """Not on this wire."""
        raise NotImplementedError

    async def fail(self, ending: bytes) -> None:
        """The error of the call is its answer."""


class StreamAnswer(HttpAnswer):
    """A stream.

    Args:
        without_usage: the caller did not ask for the chunk that only tells the usage, so it is left out.
    """

    def __init__(self, wire: GatewayWire, send: Send, *, without_usage: bool) -> None:
        super().__init__(wire, send)
        self._filter = UsageFilter() if without_usage else None

    async def feed(self, data: bytes, headers: Headers) -> None:
        """See ``CallerAnswer``."""
        if self._filter is not None:
            data = self._filter.feed(data)
        if not self._started:
            self._started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": [*_STREAM, *headers]})
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, headers: Headers) -> None:
        """See ``CallerAnswer``."""
        if not self.started:
            await self.feed(b"", headers)
        await self._send({"type": "http.response.body", "body": b""})

    async def fail(self, ending: bytes) -> None:
        """See ``CallerAnswer``."""
        await self._send({"type": "http.response.body", "body": ending})


class CollectedAnswer(HttpAnswer):
    """One JSON answer, for a caller who does not stream; the upstream streams all the same."""

    def __init__(self, wire: GatewayWire, send: Send) -> None:
        super().__init__(wire, send)
        self._wire = wire
        self._collected = Collected(wire)

    def restart(self) -> None:
        """See ``CallerAnswer``."""
        self._collected = Collected(self._wire)

    async def feed(self, data: bytes, headers: Headers) -> None:
        """See ``CallerAnswer``."""
        self._collected.feed(data)

    async def end(self, headers: Headers) -> None:
        """See ``CallerAnswer``."""
        await self.whole(200, [_JSON, *headers], self._collected.close())

    async def fail(self, ending: bytes) -> None:
        """Nothing was given: the error of the call is its answer."""


class Answers(HttpAnswer):
    """The answer to one request, whose kind is known once the request has been read.

    Until then it is an error at most.
    """

    def __init__(self, wire: GatewayWire | None, send: Send) -> None:
        super().__init__(wire, send)
        self._chosen: WholeAnswer | StreamAnswer | CollectedAnswer | None = None

    @property
    def started(self) -> bool:
        """See ``CallerAnswer``."""
        return self._started or (self._chosen is not None and self._chosen.started)

    def of(self, incoming: Incoming) -> CallerAnswer:
        """As a request wants it."""
        wire, send = incoming.wire, self._send
        if not wire.streams:
            self._chosen = WholeAnswer(wire, send)
        elif incoming.streams:
            self._chosen = StreamAnswer(wire, send, without_usage=not incoming.tells_usage)
        else:
            self._chosen = CollectedAnswer(wire, send)
        return self._chosen


class UsageFilter:
    """Takes the chunk with the usage, and without choices, out of a stream of chat completions."""

    def feed(self, events: bytes) -> bytes:
        """What of whole events goes on. Where none tells a usage, which is nearly always, they are not even split."""
        if not _may_tell_usage(events):
            return events
        if b"\r" in events:
            events = events.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return b"".join(event + b"\n\n" for event in events.split(b"\n\n") if event and not _tells_usage(event))


def _may_tell_usage(events: bytes) -> bool:
    """Whether one of the usages in there is not null."""
    found = events.count(b'"usage"')
    return found > 0 and found > events.count(b'"usage":null') + events.count(b'"usage": null')


def _tells_usage(event: bytes) -> bool:
    flat = event.replace(b" ", b"").replace(b"\n", b"")
    return b'"usage":{' in flat and b'"choices":[]' in flat
