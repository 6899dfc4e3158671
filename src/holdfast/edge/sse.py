"""The SSE tail: a session followed over plain HTTP, for those behind old proxies (control goes by POST there).

Each message of the session is one server-sent event whose ``id`` is ``incarnation:seq``; ``Last-Event-ID`` resumes as a
cursor does. A client that reads slowly is paused like any other reader: at most a few batches wait here.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from holdfast.edge.door import LONGEST_TIMER_S, Door
from holdfast.errors import HoldfastError, Refused
from holdfast.hub.port import Batch
from holdfast.protocol import codec, limits, wire
from holdfast.session.access import Principal, authorise

_NUMBERS = itertools.count(1)
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no", "connection": "keep-alive"}


class _Position(msgspec.Struct):
    """Where a message leaves its reader."""

    op: str
    seq: int | None = None
    to: int | None = None
    incarnation: str | None = None


_POSITION = msgspec.json.Decoder(_Position)


class SseConnection:
    """A reader behind a streaming response; the hub sees it as any connection."""

    def __init__(self, door: Door, principal: Principal, device: str) -> None:
        self.hub = door.hub
        self._crowd = door.crowd
        self.ident = f"sse{next(_NUMBERS)}"
        self.principal = principal
        self.surface = "sse"
        self.device = device
        self.closed: str | None = None
        self.task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._arrived = asyncio.Event()

    @property
    def paused(self) -> bool:
        """See ``hub.port.Connection``."""
        return self._size > limits.WRITE_HIGH_BYTES or self.closed is not None

    def deliver(self, batch: Batch) -> None:
        """See ``hub.port.Connection``."""
        self._waiting.extend(batch.payloads)
        self._size += sum(map(len, batch.payloads))
        self._arrived.set()

    def close(self, code: int, reason: str) -> None:
        """See ``hub.port.Connection``; a client that does not take what waits for it is cut off."""
        if self.closed is None:
            self.closed = reason
            self._arrived.set()
            if self.task is not None:
                self.hub.loop.call_later(limits.CLOSE_S, self.task.cancel)

    def open(self) -> None:
        """Become one of the hub's connections. Raises ``limit.connections``."""
        self._crowd.arrive()
        try:
            self._crowd.name(self.principal)
        except HoldfastError:
            self._crowd.leave()
            raise
        self._watch_expiry()
        self.hub.connect(self)

    def end(self) -> None:
        """The response is over, or never began; idempotent."""
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._crowd.leave()
        self._crowd.unname(self.principal)
        self.hub.disconnect(self)

    def _watch_expiry(self) -> None:
        if self.principal.expires_ms is None:
            return
        left_s = (self.principal.expires_ms - self.hub.clock.wall_ms()) / 1_000
        if left_s <= 0:
            self.close(4410, "token expired")
        else:
            self._timer = self.hub.loop.call_later(min(left_s, LONGEST_TIMER_S), self._watch_expiry)

    async def stream(self, incarnation: str) -> AsyncIterator[bytes]:
        """The response body; ends when the connection is closed, the token expires or the session ends."""
        yield b"retry: 1000\n\n"
        while self.closed is None or self._waiting:
            if not self._waiting:
                self.hub.resume(self)
                self._arrived.clear()
                try:
                    await asyncio.wait_for(self._arrived.wait(), limits.SSE_COMMENT_S)
                except TimeoutError:
                    yield b": still here\n\n"
                continue
            payload = self._waiting.popleft()
            self._size -= len(payload)
            at = _POSITION.decode(payload)
            if at.op == "welcome":
                continue
            incarnation = at.incarnation or incarnation
            seq = at.to if at.to is not None else at.seq
            mark = b"id: %b:%d\n" % (incarnation.encode(), seq) if seq is not None else b""
            yield b"%bdata: %b\n\n" % (mark, payload)
            if at.op == "closed":
                return


def start_of(request: Request) -> Any:
    """Where to begin: ``Last-Event-ID``, ``?cursor=incarnation:seq`` or ``?start=snapshot|tail``."""
    mark = request.headers.get("last-event-id") or request.query_params.get("cursor")
    if mark:
        incarnation, _, seq = mark.rpartition(":")
        if not incarnation or not seq.isascii() or not seq.isdigit() or len(seq) > 16:
            raise Refused("input.malformed", "Last-Event-ID: must be incarnation:seq")
        return wire.Cursor(incarnation, int(seq))
    start = request.query_params.get("start", "snapshot")
    if start not in ("snapshot", "tail"):
        raise Refused("input.malformed", "start: snapshot or tail")
    return start


async def follow(door: Door, principal: Principal, session: str, request: Request) -> Response:
    """Follow a session as server-sent events. Raises before the first byte when that is not possible."""
    authorise(principal, "read", session)
    start = start_of(request)
    if request.method == "HEAD":
        return Response(headers=_HEADERS, media_type="text/event-stream")
    door.admit()
    device = codec.check_text(request.query_params.get("device", ""), "device")[: limits.NAME_CHARS]
    conn = SseConnection(door, principal, device)
    conn.open()
    try:
        loaded = await door.hub.loaded(principal, session)
        await door.hub.attach_reader(conn, session, start)
    except BaseException:
        conn.end()
        raise
    return _Following(conn, loaded.incarnation)


class _Following(StreamingResponse):
    """The response; whatever becomes of it, its connection ends with it."""

    def __init__(self, conn: SseConnection, incarnation: str) -> None:
        self._conn = conn
        super().__init__(conn.stream(incarnation), headers=_HEADERS, media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._conn.task = asyncio.current_task()
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            if self._conn.closed is None:
                raise
        finally:
            self._conn.task = None
            self._conn.end()
