"""The same connections over plain ASGI WebSockets, for Holdfast inside somebody's own application and any ASGI server.

ASGI gives no write buffer to look at, so this transport keeps its own: what the hub delivers waits here until the server
took it, and the connection is paused while more than the high mark waits. Then the log is the buffer, as everywhere.

Nor does ASGI say how long a message may be: the server puts it together before we see it. uvicorn's WebSockets can be told
(``_accept_up_to``), so that a stranger sends no more than a hello; others have a setting for it, the same for everybody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from holdfast.edge.browser import BrowserCheck
from holdfast.edge.listener import CLOSE_CODES, PROTOCOL, Listener, ServerConnection, SocketKind
from holdfast.edge.middleware import answer_error
from holdfast.errors import HoldfastError
from holdfast.hub.port import Batch
from holdfast.protocol import limits

_BOUNDS: Final = (("conn", "max_message_size"), ("buffer", "max_length"), ("", "max_size"))
"""Where uvicorn's WebSockets keep how long a message may be: on ``websockets`` (sans I/O), on ``wsproto``, and on
``websockets`` as it was before."""


class AsgiTransport:
    """One accepted ASGI WebSocket as a ``listener.SocketTransport``."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._full = False
        self._changed = asyncio.Event()
        self._pauses = 0
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._close_args: tuple[int, str] | None = None
        self.disconnected = asyncio.Event()
        self.connection: ServerConnection | None = None

    def write(self, batch: Batch) -> None:
        """See ``listener.SocketTransport``."""
        if self._close_args is None:
            size = sum(map(len, batch.payloads))
            self._queue.extend(batch.payloads)
            self._size += size
            if self.connection is not None and size > limits.WRITE_LOW_BYTES:
                self.connection.charge_sent(size)
            if not self._full and self._size > limits.WRITE_HIGH_BYTES and self.connection is not None:
                self._full = True
                self.connection.pause_writing()
            self._changed.set()

    def unsent(self) -> int:
        """See ``listener.SocketTransport``."""
        return self._size

    def close(self, code: int, reason: str) -> None:
        """See ``listener.SocketTransport``; what waits is sent first, for as long as a close may take."""
        if self._close_args is None:
            self._close_args = (code, reason)
            self._changed.set()
            asyncio.get_running_loop().call_later(limits.CLOSE_S, self.disconnected.set)

    def abort(self) -> None:
        """See ``listener.SocketTransport``; ASGI has no way to drop a connection but to leave it."""
        self._close_args = self._close_args or (1001, "")
        self.disconnected.set()

    def pause_reading(self) -> None:
        """See ``listener.SocketTransport``."""
        self._pauses += 1
        self._may_read.clear()

    def resume_reading(self) -> None:
        """See ``listener.SocketTransport``."""
        self._pauses -= 1
        if not self._pauses:
            self._may_read.set()

    async def send_all(self) -> None:
        """Send what waits until the connection is to be closed."""
        while True:
            while self._queue:
                payload = self._queue.popleft()
                await self._socket.send_text(payload.decode())
                self._size -= len(payload)
                if self._full and self._size <= limits.WRITE_LOW_BYTES and self.connection is not None:
                    self._full = False
                    self.connection.resume_writing()
            if self._close_args is not None:
                code, reason = self._close_args
                await self._socket.close(code, reason[:120])
                return
            self._changed.clear()
            await self._changed.wait()

    async def receive_all(self, connection: ServerConnection, greeting_bytes: int) -> None:
        """Hand over messages, unless reading is paused; ends when the peer disconnects."""
        while True:
            await self._may_read.wait()
            is_stranger = connection.account is None
            try:
                async with asyncio.timeout(limits.HELLO_S if is_stranger else None):
                    message = await self._socket.receive()
            except (WebSocketDisconnect, RuntimeError):
                return None
            except TimeoutError:
                return await self._end(connection, 4408, "no hello")
            if message["type"] == "websocket.disconnect":
                return None
            text = message.get("text")
            if text is None:
                return await self._end(connection, 1003, "text messages only")
            raw = text.encode()
            if is_stranger and len(raw) > greeting_bytes:
                return await self._end(connection, 1009, "input.too_large")
            connection.message_received(raw, await _allocate(connection, len(raw)))
            if is_stranger and connection.account is not None:
                connection.listener.connection_limits.strangers.remove(connection)
                _accept_up_to(self._socket, limits.MESSAGE_BYTES)

    async def _end(self, connection: ServerConnection, code: int, reason: str) -> None:
        connection.close(code, reason)
        await self.disconnected.wait()


async def _allocate(connection: ServerConnection, size: int) -> int:
    """Wait until there is memory for a message that is longer than what is free."""
    if connection.memory is None or size <= limits.HELD_FREE_BYTES:
        return 0
    granted = asyncio.Event()
    connection.memory.wait(size, granted.set)
    await granted.wait()
    return size


def _accept_up_to(socket: WebSocket, most: int) -> None:
    """Tell the server how long a message may be from now on, if it can be told."""
    server = getattr(socket._receive, "__self__", None)
    for part, bound in _BOUNDS:
        owner = getattr(server, part, None) if part else server
        if isinstance(getattr(owner, bound, None), int):
            setattr(owner, bound, most)


async def serve_socket(
    listener: Listener, browser: BrowserCheck, socket: WebSocket, kind: SocketKind | None = None
) -> None:
    """An ASGI WebSocket endpoint: Host, Origin and token first, then messages until it closes."""
    headers = socket.headers
    try:
        browser.check(socket.scope["headers"])
        listener.admit()
        scheme, _, token = headers.get("authorization", "").partition(" ")
        principal = listener.verifier.verify(token.strip()) if scheme.lower() == "bearer" else None
    except HoldfastError as error:
        await _refuse(socket, error)
        return
    greeting_bytes = kind.first_message_bytes if kind is not None else limits.HELLO_BYTES
    _accept_up_to(socket, greeting_bytes if principal is None else limits.MESSAGE_BYTES)
    subprotocols = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    await socket.accept(PROTOCOL if PROTOCOL in subprotocols else None)
    transport = AsgiTransport(socket)
    try:
        connection = transport.connection = listener.connect(transport, principal, kind)
    except HoldfastError as error:
        await socket.close(CLOSE_CODES.get(error.code, 1013), error.code)
        return
    if principal is None:
        listener.connection_limits.strangers.add(connection, lambda: connection.close(1013, "limit.connections"))
    coroutines = (
        transport.send_all(),
        transport.receive_all(connection, greeting_bytes),
        transport.disconnected.wait(),
    )
    tasks = [asyncio.create_task(work) for work in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        listener.connection_limits.strangers.remove(connection)
        connection.connection_lost()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _refuse(socket: WebSocket, error: HoldfastError) -> None:
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(answer_error(error, ""))
    else:
        await socket.close(CLOSE_CODES.get(error.code, 4400), error.code)
