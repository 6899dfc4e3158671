"""The same door over plain ASGI WebSockets, for Holdfast inside somebody's own application and any ASGI server.

ASGI gives no write buffer to look at, so this transport keeps its own: what the hub delivers waits here until the server
took it, and the visit is paused while more than the high mark waits. Then the log is the buffer, as everywhere.
"""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.websockets import WebSocket, WebSocketDisconnect

from holdfast.edge.browser import BrowserCheck
from holdfast.edge.door import CLOSE_CODES, Door, Kind, Visit
from holdfast.edge.guard import answer_error
from holdfast.errors import HoldfastError
from holdfast.hub.port import Batch
from holdfast.protocol import limits

PROTOCOL = "holdfast.v1"


class AsgiWire:
    """One accepted ASGI WebSocket as a ``door.Wire``."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._full = False
        self._arrived = asyncio.Event()
        self._close: tuple[int, str] | None = None
        self.gone = asyncio.Event()
        self.visit: Visit | None = None

    def write(self, batch: Batch) -> None:
        """See ``door.Wire``."""
        if self._close is None:
            self._waiting.extend(batch.payloads)
            self._size += sum(map(len, batch.payloads))
            if not self._full and self._size > limits.WRITE_HIGH_BYTES and self.visit is not None:
                self._full = True
                self.visit.filled()
            self._arrived.set()

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
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    await socket.accept(PROTOCOL if PROTOCOL in offered else None)
    wire = AsgiWire(socket)
    try:
        visit = wire.visit = door.visit(wire, principal, kind)
    except HoldfastError as error:
        await socket.close(CLOSE_CODES.get(error.code, 1013), error.code)
        return
    tasks = [asyncio.create_task(work) for work in (wire.send_all(), _receive(socket, visit), wire.gone.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        visit.lost()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _refuse(socket: WebSocket, error: HoldfastError) -> None:
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(answer_error(error, ""))
    else:
        await socket.close(CLOSE_CODES.get(error.code, 4400), error.code)


async def _receive(socket: WebSocket, visit: Visit) -> None:
    while True:
        try:
            message = await socket.receive()
        except (WebSocketDisconnect, RuntimeError):
            return
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None:
            visit.close(1003, "text messages only")
            return
        visit.received(text)
