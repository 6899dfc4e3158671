"""How a response is sent over HTTP: with the headers that every response has, in chunks, as fast as the client takes it.

What waits to be sent is in memory that is counted, and a client that takes it too slowly is dropped, as one that sends too
slowly is.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from holdfast.edge.request import ActiveRequest
from holdfast.protocol import limits

DROP_CONNECTION: Final = "holdfast.cut"
"""In an ASGI scope: what to call to drop the connection."""
_CHUNK_BYTES: Final = limits.WRITE_HIGH_BYTES


class ClientTooSlow(Exception):
    """The client took what it was sent too slowly."""


class ResponseSender:
    """The answer to one request.

    Args:
        headers: added where the answer has none of the name.

    Attributes:
        started: some of it has left; another answer is not possible any more.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, active: ActiveRequest, headers: list[tuple[bytes, bytes]]
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._active = active
        self._headers = headers
        self._pending_start: Message | None = None  # sent once memory is allocated for the rest
        self.started = False

    async def send(self, message: Message) -> None:
        """Send an ASGI message. Raises ``server.busy`` before anything has left, and ``ClientTooSlow``."""
        if message["type"] == "http.response.start":
            names = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in self._headers if pair[0] not in names)]
            if b"content-length" in names and self._scope["method"] != "HEAD":
                self._pending_start = message
            else:
                self.started = True
                await self._send(message)
            return
        body: bytes = message.get("body", b"")
        if len(body) <= _CHUNK_BYTES:
            await self._send_start()
            await self._send(message)
        else:
            await self._send_large(body, more=message.get("more_body", False))

    async def _send_start(self) -> None:
        if self._pending_start is not None:
            start, self._pending_start = self._pending_start, None
            self.started = True
            await self._send(start)

    async def _send_large(self, body: bytes, *, more: bool) -> None:
        """In chunks, each within its time; what is not sent yet is counted."""
        allocation, extra = self._active.allocation, max(0, len(body) - self._active.response_bytes)
        if allocation is not None:
            allocation.grow(extra)
        view, began = memoryview(body), asyncio.get_running_loop().time()
        try:
            for at in range(0, len(view), _CHUNK_BYTES):
                async with asyncio.timeout_at(began + limits.BODY_S + at / limits.BODY_BYTES_PER_S):
                    await self._send_start()
                    last = at + _CHUNK_BYTES >= len(view)
                    chunk = bytes(view[at : at + _CHUNK_BYTES])
                    await self._send({"type": "http.response.body", "body": chunk, "more_body": more or not last})
        except TimeoutError:
            await self._drop()
        finally:
            if allocation is not None:
                allocation.shrink(extra)

    async def _drop(self) -> None:
        drop = self._scope.get(DROP_CONNECTION)
        if drop is None:
            raise ClientTooSlow
        drop()
        while (await self._receive())["type"] != "http.disconnect":
            pass
