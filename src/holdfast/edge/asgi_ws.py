"""The same door over plain ASGI WebSockets, for Holdfast inside somebody's own application and any ASGI server.

ASGI gives no write buffer to look at, so this transport keeps its own: what the hub delivers waits here until the server
took it, and the visit is paused while more than the high mark waits. Then the log is the buffer, as everywhere.

Nor does ASGI say how long a message may be: the server puts it together before we see it. uvicorn's WebSockets can be told
(``_accept_up_to``), so that a stranger sends no more than a hello; others have a setting for it, the same for everybody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from holdfast.edge.browser import BrowserCheck
from holdfast.edge.door import CLOSE_CODES, PROTOCOL, Door, Kind, Visit
from holdfast.edge.guard import answer_error
from holdfast.errors import HoldfastError
from holdfast.hub.port import Batch
from holdfast.protocol import limits

_BOUNDS: Final = (("conn", "max_message_size"), ("buffer", "max_length"), ("", "max_size"))
"""Where uvicorn's WebSockets keep how long a message may be: on ``websockets`` (sans I/O), on ``wsproto``, and on
``websockets`` as it was before."""


class AsgiWire:
    """One accepted ASGI WebSocket as a ``door.Wire``."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._full = False
        self._arrived = asyncio.Event()
        self._holds = 0
        self._listening = asyncio.Event()
        self._listening.set()
        self._close: tuple[int, str] | None = None
        self.gone = asyncio.Event()
        self.visit: Visit | None = None

    def write(self, batch: Batch) -> None:
        """See ``door.Wire``."""
        if self._close is None:
            size = sum(map(len, batch.payloads))
            self._waiting.extend(batch.payloads)
            self._size += size
            if self.visit is not None and size > limits.WRITE_LOW_BYTES:
                self.visit.gave(size)
            if not self._full and self._size > limits.WRITE_HIGH_BYTES and self.visit is not None:
                self._full = True
                self.visit.filled()
            self._arrived.set()

    def unsent(self) -> int:
        """See ``door.Wire``."""
        return self._size

    def shut(self, code: int, reason: str) -> None:
        """See ``door.Wire``; what waits is sent first, for as long as a close may take."""
        if self._close is None:
            self._close = (code, reason)
            self._arrived.set()
            asyncio.get_running_loop().call_later(limits.CLOSE_S, self.gone.set)

    def abort(self) -> None:
        """See ``door.Wire``; ASGI has no way to drop a connection but to leave it."""
        self._close = self._close or (1001, "")
        self.gone.set()

    def hold(self) -> None:
        """See ``door.Wire``."""
        self._holds += 1
        self._listening.clear()

    def go_on(self) -> None:
        """See ``door.Wire``."""
        self._holds -= 1
        if not self._holds:
            self._listening.set()

    async def send_all(self) -> None:
        """Send what waits until the connection is to be closed."""
        while True:
            while self._waiting:
                payload = self._waiting.popleft()
                await self._socket.send_text(payload.decode())
                self._size -= len(payload)
                if self._full and self._size <= limits.WRITE_LOW_BYTES and self.visit is not None:
                    self._full = False
                    self.visit.drained()
            if self._close is not None:
                code, reason = self._close
                await self._socket.close(code, reason[:120])
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def receive_all(self, visit: Visit, greeting_bytes: int) -> None:
        """Hand over what comes, as long as it is listened to; ends when the peer has gone."""
        while True:
            await self._listening.wait()
            stranger = visit.account is None
            try:
                async with asyncio.timeout(limits.HELLO_S if stranger else None):
                    message = await self._socket.receive()
            except (WebSocketDisconnect, RuntimeError):
                return None
            except TimeoutError:
                return await self._end(visit, 4408, "no hello")
            if message["type"] == "websocket.disconnect":
                return None
            text = message.get("text")
            if text is None:
                return await self._end(visit, 1003, "text messages only")
            raw = text.encode()
            if stranger and len(raw) > greeting_bytes:
                return await self._end(visit, 1009, "input.too_large")
            visit.received(raw, await _room(visit, len(raw)))
            if stranger and visit.account is not None:
                visit.door.crowd.strangers.leave(visit)
                _accept_up_to(self._socket, limits.MESSAGE_BYTES)

    async def _end(self, visit: Visit, code: int, reason: str) -> None:
        visit.close(code, reason)
        await self.gone.wait()


async def _room(visit: Visit, size: int) -> int:
    """Wait until there is room for a message that is longer than what is not counted."""
    if visit.memory is None or size <= limits.HELD_FREE_BYTES:
        return 0
    granted = asyncio.Event()
    visit.memory.wait(size, granted.set)
    await granted.wait()
    return size


def _accept_up_to(socket: WebSocket, most: int) -> None:
    """Tell the server how long a message may be from now on, if it can be told."""
    server = getattr(socket._receive, "__self__", None)
    for part, bound in _BOUNDS:
        owner = getattr(server, part, None) if part else server
        if isinstance(getattr(owner, bound, None), int):
            setattr(owner, bound, most)


async def serve_socket(door: Door, browser: BrowserCheck, socket: WebSocket, kind: Kind | None = None) -> None:
    """An ASGI WebSocket endpoint: Host, Origin and token first, then messages until it closes."""
    headers = socket.headers
    try:
        browser.check(socket.scope["headers"])
        door.admit()
        scheme, _, token = headers.get("authorization", "").partition(" ")
        principal = door.verifier.verify(token.strip()) if scheme.lower() == "bearer" else None
    except HoldfastError as error:
        await _refuse(socket, error)
        return
    greeting_bytes = kind.greeting_bytes if kind is not None else limits.HELLO_BYTES
    _accept_up_to(socket, greeting_bytes if principal is None else limits.MESSAGE_BYTES)
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    await socket.accept(PROTOCOL if PROTOCOL in offered else None)
    wire = AsgiWire(socket)
    try:
        visit = wire.visit = door.visit(wire, principal, kind)
    except HoldfastError as error:
        await socket.close(CLOSE_CODES.get(error.code, 1013), error.code)
        return
    if principal is None:
        door.crowd.strangers.arrive(visit, lambda: visit.close(1013, "limit.connections"))
    works = (wire.send_all(), wire.receive_all(visit, greeting_bytes), wire.gone.wait())
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        door.crowd.strangers.leave(visit)
        visit.lost()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _refuse(socket: WebSocket, error: HoldfastError) -> None:
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(answer_error(error, ""))
    else:
        await socket.close(CLOSE_CODES.get(error.code, 4400), error.code)
