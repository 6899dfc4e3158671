"""An upstream's stream on its way to the caller, read by read: nothing is done for a token that can be done for a read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from holdfast.errors import Unavailable
from holdfast.gateway.answers import CallerAnswer, Headers
from holdfast.gateway.attempt import UpstreamAttempt
from holdfast.gateway.followed import FollowedStream
from holdfast.gateway.unstreamed import stream_of
from holdfast.gateway.whole_events import WholeEvents
from holdfast.gateway.wires import MESSAGES, GatewayWire
from holdfast.protocol import limits

_PINGS: Final = {MESSAGES.name: b'event: ping\ndata: {"type": "ping"}\n\n'}
_COMMENT: Final = b": waiting\n\n"
"""What keeps a stream open that says nothing: every client leaves it unread."""
_BOM: Final = b"\xef\xbb\xbf"


class GaveUp(Unavailable):
    """The provider gave up in the middle of its answer: ``upstream.failed``, with the provider's words."""


class CallerStalled(Exception):
    """The caller takes nothing of its answer any more: its connection is to be dropped."""


class Relay:
    """One stream.

    Args:
        content: of the upstream's response.
        headers: of the caller's answer.
        left: why nobody waits any more; empty as long as somebody does.
    """

    def __init__(
        self, wire: GatewayWire, content: AsyncIterator[bytes], answer: CallerAnswer, attempt: UpstreamAttempt, headers: Headers,
        now_ms: Callable[[], int], left: Callable[[], str],
    ) -> None:  # fmt: skip
        assert attempt.followed is not None
        self.followed: FollowedStream = attempt.followed
        self._wire = wire
        self._content = content
        self._answer = answer
        self._attempt = attempt
        self._brake = attempt.brake
        self.headers = headers
        self._now_ms = now_ms
        self._left = left
        self._cutter = WholeEvents()
        self._whole_by = False
        self.writing_since: float | None = None

    async def run(self, scope: asyncio.Timeout) -> None:
        """Pass on what comes until its end; after a stop in the middle it may be called again.

        Args:
            scope: ends it; once the stream is whole, the upstream has little time to end the response.

        Raises:
            GaveUp: as the provider's stream says.
            Unavailable: ``upstream.failed``: it was cut, or is no stream of the wire.
            Braked: no more money is granted for it.
            aiohttp.ClientError, OSError, TimeoutError: the connection was lost.
        """
        loop = asyncio.get_running_loop()
        if self._brake is not None and self._brake.blocks:
            await self._take(b"", loop)
        async for data in self._content:
            if self._attempt.first_ms is None:
                self._attempt.begin(self._now_ms())
                data = await self._first(data)
            self._attempt.reader.feed(data)
            await self._take(self._cutter.feed(data), loop)
            if not self._whole_by and self.followed.is_whole():
                self._whole_by = True
                if not self._left():
                    scope.reschedule(loop.time() + limits.END_WAIT_S)
        await self._take(self._cutter.close(), loop)
        await self.close()

    async def close(self) -> None:
        """Nothing more comes: the caller's stream is ended, where it is one. Raises ``upstream.failed`` where it is not."""
        if not self.followed.is_whole():
            closing = self.followed.closing()
            if not closing:
                raise Unavailable("upstream.failed", "the provider's stream was cut before its end")
            await self._feed(closing, asyncio.get_running_loop())
        if not self._left():
            await self._answer.end(self.headers)

    async def _first(self, data: bytes) -> bytes:
        """The first bytes; a provider that does not stream answers with one object, which becomes a stream."""
        if data[:1] != b"{" and data.lstrip()[:1] != b"{":
            return data.removeprefix(_BOM)
        parts, size = [data], len(data)
        async for more in self._content:
            size += len(more)
            if size > limits.COLLECTED_BYTES:
                raise Unavailable("upstream.failed", f"the answer has more than {limits.COLLECTED_BYTES:,} bytes")
            parts.append(more)
        return stream_of(self._wire, b"".join(parts))

    async def drain(self) -> bool:
        """Read what is left for nobody, once the caller's stream has ended; returns whether it came to its own end. Raises
        as ``run`` does."""
        self.forgo()
        async for data in self._content:
            self._attempt.reader.feed(data)
            self.followed.add(self._cutter.feed(data))
            if self.followed.is_whole():
                return True
        self.followed.add(self._cutter.close())
        return self.followed.is_whole()

    def forgo(self) -> None:
        """What was read and waits to be passed on never is: it counts as seen all the same."""
        if self._brake is not None:
            self.followed.add(self._brake.rest())

    async def _take(self, events: bytes, loop: asyncio.AbstractEventLoop) -> None:
        brake = self._brake
        if brake is None:
            await self._pass(events, loop)
            return
        ready = brake.take(events) if events else brake.ready()
        await self._pass(ready, loop)
        while brake.blocks:
            await brake.more(self._ping)
            await self._pass(brake.ready(), loop)

    async def _ping(self) -> None:
        await self._feed(_PINGS.get(self._wire.name, _COMMENT), asyncio.get_running_loop())

    async def _pass(self, events: bytes, loop: asyncio.AbstractEventLoop) -> None:
        if not events:
            return
        events = self.followed.add(events)
        failure = self.followed.failure
        if failure is None:
            await self._feed(events, loop)
            return
        if events and self._answer.started:
            await self._feed(events, loop)
        message = failure.message or failure.code or failure.type or "it does not say why"
        raise GaveUp("upstream.failed", f"the provider gave up: {message[: limits.TOLD_CHARS]}")

    async def _feed(self, events: bytes, loop: asyncio.AbstractEventLoop) -> None:
        if not self._left():
            self.writing_since = loop.time()
            await self._answer.feed(events, self.headers)
            self.writing_since = None
