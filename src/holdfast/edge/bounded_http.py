"""uvicorn's HTTP protocol with the bounds it leaves to a proxy: time and size of a head, pipelining, dead peers.

One counter bounds every way of feeding the parser without end (a long head, a long header, trailers): the bytes received
since something came out of it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holdfast.edge.config import Settings
from holdfast.protocol import limits

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def http_class(settings: Settings) -> type[asyncio.Protocol]:
    """The class uvicorn instantiates for every connection (``Config(http=…)``)."""
    most = settings.connections + limits.HTTP_CONNECTIONS

    class BoundedHttp(HttpToolsProtocol):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self._unyielding = 0
            self._upgraded = False
            self._timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.abort()
                return
            # a peer that takes nothing for so long is gone: HTTP has no pings to tell
            self._give_up_after(limits.PING_IDLE_S + limits.PING_REPLY_S)
            self._await_head()

        def _give_up_after(self, seconds: float) -> None:
            sock = self.transport.get_extra_info("socket")
            if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1_000))

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_came()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._unyielding += len(data)
            super().data_received(data)
            if self._upgraded or self.transport.is_closing():
                self._head_came()
            elif self._unyielding > limits.HEADER_BYTES:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
            elif self.cycle is None or self.cycle.response_complete:
                self._await_head()  # unless it waits already: drops of data do not buy time

        def _await_head(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(limits.HEAD_S, self.transport.abort)

        def _head_came(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        # --- what comes out of the parser
        def on_headers_complete(self) -> None:
            self._unyielding = 0
            self._head_came()
            if len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers) > limits.HEADER_BYTES:
                raise ValueError("the head is too large")
            if len(self.pipeline) >= limits.PIPELINED_REQUESTS:
                raise ValueError("too many pipelined requests")
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._unyielding = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._unyielding = 0
            super().on_message_complete()

        def handle_websocket_upgrade(self) -> None:
            self._upgraded = True
            self._give_up_after(0)  # a WebSocket has pings
            super().handle_websocket_upgrade()

    return BoundedHttp
