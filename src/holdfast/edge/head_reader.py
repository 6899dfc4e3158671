"""Where every connection begins: only the bytes of its first request head are buffered until the head is complete.

A ``HeadReader`` keeps the bytes of a request's head as they come, and hands them over once the head is complete; only then
is there a parser. What it costs to wait here is the bytes and a kilobyte or two, whatever the client sends (a head of many
short headers takes thirty times its size once it is parsed).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

from holdfast.edge.connection_limits import Strangers
from holdfast.protocol import limits

TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class RequestHead:
    """The bytes of a head as they come. ``too_large``: no head may be as long."""

    __slots__ = ("_bytes", "too_large")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.too_large = False

    def add(self, data: bytes) -> bytes | None:
        """All bytes so far, when the head is complete, or cannot become one: then the parser says what is wrong."""
        begin = max(0, len(self._bytes) - 3)
        self._bytes += data if self._bytes else data.lstrip(b"\r\n")  # RFC 9112, 2.2
        buffered = self._bytes
        ends = [end for end in (buffered.find(b"\n\r\n", begin), buffered.find(b"\n\n", begin)) if end >= 0]
        self.too_large = (min(ends) if ends else len(buffered)) > limits.HEADER_BYTES
        if self.too_large or not buffered or (not ends and buffered[:1].isupper()):
            return None
        self._bytes = bytearray()
        return bytes(buffered)


class HeadReader(asyncio.Protocol):
    """A connection that has not sent a head yet; the class that uvicorn makes for every connection (``Config(http=…)``)
    is a subclass with the server's own ``next_protocol`` and ``strangers``."""

    __slots__ = ("_head", "_timer", "_transport", "_uvicorn_args")

    next_protocol: Callable[..., asyncio.Protocol]
    strangers: Strangers

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        self._uvicorn_args = (config, server_state, app_state)
        self._head = RequestHead()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._uvicorn_args[1].connections.add(self)
        # a peer that takes nothing for so long is gone: HTTP has no pings to tell
        set_user_timeout(transport, limits.PING_IDLE_S + limits.PING_REPLY_S)
        self.strangers.add(self, transport.abort)
        self._timer = asyncio.get_running_loop().call_later(limits.HEAD_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        head = self._head.add(data)
        if head is not None:
            self._hand_over(head)
        elif self._head.too_large:
            self._transport.write(TOO_LARGE)
            self._transport.close()

    def _hand_over(self, head: bytes) -> None:
        transport, self._transport = self._transport, None
        assert transport is not None
        self._detach()
        config, server_state, app_state = self._uvicorn_args
        protocol = type(self).next_protocol(config, server_state, app_state)
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        protocol.data_received(head)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._detach()

    def _detach(self) -> None:
        self._uvicorn_args[1].connections.discard(self)
        self.strangers.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def shutdown(self) -> None:
        """uvicorn's graceful shutdown."""
        if self._transport is not None:
            self._transport.close()


def set_user_timeout(transport: asyncio.BaseTransport, seconds: float) -> None:
    """How long a peer may take nothing of what it was sent, where the system can tell; 0 for as long as it likes."""
    sock = transport.get_extra_info("socket")
    if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1_000))
