"""From an upgrade request to picows: the check, the response, and the wait for the first message.

uvicorn parses the head and makes an ``UpgradeProtocol`` for it. Host, Origin and a token in the head are judged before any byte
that follows is read. Without a token the connection waits here: its first message is buffered as it came, within
``limits.HELLO_BYTES``, and nothing else is made for it until that message is complete.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from picows import WSAutoPingStrategy, WSUpgradeResponse, WSUpgradeResponseWithListener

from holdfast.edge.browser import BrowserCheck
from holdfast.edge.frame_splitter import FrameSplitter, parse_frame_header
from holdfast.edge.listener import PATH, PROTOCOL, Listener, SocketKind
from holdfast.edge.picows_ws import FlushQueue, PicowsTransport
from holdfast.errors import HoldfastError, Refused
from holdfast.hub.port import ws_text
from holdfast.protocol import limits
from holdfast.protocol.codec import encode
from holdfast.session.access import Principal

_LOG: Final = logging.LoggerAdapter(
    logging.getLogger("holdfast.edge.picows"), {}
)  # an adapter: no logger per connection
_LOG.logger.setLevel(logging.CRITICAL)
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_PLACEHOLDER_REQUEST: Final = (
    f"GET {PATH} HTTP/1.1\r\nHost: holdfast\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
).encode()
"""The request that picows is given instead of the client's, which was checked and answered here."""

_PLACEHOLDER_RESPONSE: Final = WSUpgradeResponse.create_101_response()
"""picows' response to that, which is discarded: one for all connections."""


class AcceptedUpgrade(NamedTuple):
    """An upgrade that is accepted: the principal if there was a token; the kind of socket; and the response."""

    principal: Principal | None
    kind: SocketKind
    answer: bytes


class _SilencedTransport:
    """The transport as picows sees it, whose writes are discarded while picows handles the placeholder request."""

    __slots__ = ("_real", "write")

    def __init__(self, real: Any) -> None:
        self._real = real
        self.write = real.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class PicowsProtocol(FrameSplitter):
    """picows' protocol for a connection whose upgrade was accepted."""

    __slots__ = ("_server",)

    def __new__(cls, *_: Any) -> Any:
        return FrameSplitter.__new__(cls)

    def __init__(self, server: Any, transport: PicowsTransport) -> None:
        self._server = server
        verdict = WSUpgradeResponseWithListener(_PLACEHOLDER_RESPONSE, transport)
        super().__init__(  # positional by picows' signature; a smoke test watches it
            None, None, False, lambda request: verdict, _LOG, True, limits.HELLO_S, True, limits.PING_IDLE_S,
            limits.PING_REPLY_S, WSAutoPingStrategy.PING_WHEN_IDLE, True, limits.MESSAGE_BYTES, None,
            limits.READ_BUFFER_BYTES,
        )  # fmt: skip
        self.reset()

    def take_over(self, transport: Any, first_bytes: bytes) -> None:
        """Take over a connection and what has come over it; reading is paused, and goes on."""
        silenced = _SilencedTransport(transport)
        self._server.connections.add(self)
        self.connection_made(silenced)
        silenced.write = _discard
        transport.set_protocol(self)
        self.feed(_PLACEHOLDER_REQUEST)
        silenced.write = transport.write
        if not transport.is_closing():
            transport.resume_reading()
            if first_bytes:
                self.receive(first_bytes)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        super().connection_lost(error)

    def shutdown(self) -> None:
        """uvicorn's graceful shutdown."""
        if isinstance(self.listener, PicowsTransport):
            self.listener.close(1012, "restart")
        else:
            self.transport.disconnect()


def _discard(data: bytes) -> None:
    """The response was sent already."""


class UpgradeProtocol(asyncio.Protocol):
    """A connection that wants to be a WebSocket, until it is one. uvicorn makes a subclass that is bound to one server."""

    __slots__ = ("_buffer", "_kind", "_server", "_timer", "_transport", "_verdict")

    listener: Listener
    flush_queue: FlushQueue
    browser: BrowserCheck

    def __init__(self, config: Any, server_state: Any, app_state: Any) -> None:
        self._server = server_state
        self._transport: Any = None
        self._kind: SocketKind | None = None  # once it may send its first message
        self._buffer = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._detach()

    def _detach(self) -> Any:
        """Stop waiting; the transport, if it is still connected."""
        transport, self._transport = self._transport, None
        self._buffer = bytearray()
        self._server.connections.discard(self)
        self.listener.connection_limits.strangers.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return transport

    def shutdown(self) -> None:
        """uvicorn's graceful shutdown."""
        self.close(1012, "restart")

    # --- the request
    def data_received(self, data: bytes) -> None:
        """The head, once, as uvicorn has parsed it; then what the client sends."""
        if self._transport is None:
            return
        if self._kind is not None:
            self._buffer_first_message(data)
        elif self._timer is None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._answer, data)  # uvicorn has to finish first

    def _answer(self, head: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        method, target, headers = parse_head(head)
        verdict = check_upgrade(self.listener, self.browser, method, target, headers)
        if not isinstance(verdict, AcceptedUpgrade):
            self._transport.write(verdict)
            self._transport.close()
            return
        self._transport.write(verdict.answer)
        self._kind = verdict.kind
        if verdict.principal is not None:
            self._switch_protocol(verdict.principal)
            return
        self.listener.connection_limits.strangers.add(self, self._drop)
        self._timer = asyncio.get_running_loop().call_later(limits.HELLO_S, self.close, 4408, "no hello")
        self._transport.resume_reading()

    # --- the first message
    def _buffer_first_message(self, data: bytes) -> None:
        assert self._kind is not None
        self._buffer += data
        complete = first_message_complete(self._buffer, self._kind.first_message_bytes)
        if complete:
            self._transport.pause_reading()
            self._switch_protocol(None)
        elif complete is None:
            if self._kind.first_message_bytes == limits.HELLO_BYTES:
                error = Refused("input.too_large", f"hello: more than {limits.HELLO_BYTES} bytes")
                self._transport.write(ws_text(encode({"op": "error", "error": error.wire()})))
            self.close(1009, "input.too_large")
        elif len(self._buffer) > limits.HELLO_BYTES:
            self.listener.connection_limits.strangers.set_buffered(self, len(self._buffer))

    def _switch_protocol(self, principal: Principal | None) -> None:
        first_bytes = bytes(self._buffer)
        transport = self._detach()
        picows_transport = PicowsTransport(self.listener, self.flush_queue, transport, principal, self._kind)
        PicowsProtocol(self._server, picows_transport).take_over(transport, first_bytes)

    # --- the end of a wait
    def _drop(self) -> None:
        self.close(1013, "limit.connections")

    def close(self, code: int, reason: str) -> None:
        """Close with a WebSocket close code; what still comes is not looked at."""
        transport = self._detach()
        if transport is None or transport.is_closing():
            return
        payload = code.to_bytes(2, "big") + reason.encode()
        transport.write(bytes((0x88, len(payload))) + payload)
        transport.write_eof()
        asyncio.get_running_loop().call_later(limits.CLOSE_S, transport.abort)


def websocket_class(listener: Listener, browser: BrowserCheck) -> type:
    """The class uvicorn instantiates for every upgrade (``Config(ws=…)``), bound to one server."""

    class BoundUpgradeProtocol(UpgradeProtocol):
        __slots__ = ()

    BoundUpgradeProtocol.listener, BoundUpgradeProtocol.browser, BoundUpgradeProtocol.flush_queue = (
        listener,
        browser,
        FlushQueue(),
    )
    return BoundUpgradeProtocol


def first_message_complete(data: bytes | bytearray, most: int) -> bool | None:
    """Whether a message is complete in what came first, or something that is wrong; None when it is or will be longer than
    ``most``. Frames of control may go before it, and count."""
    at = 0
    while (head := parse_frame_header(data, at)) is not None:
        if head.length > limits.MESSAGE_BYTES:
            return None
        if head.invalid:
            return True
        at += head.size + head.length
        if at > most:
            return None
        if at > len(data):
            break
        if head.is_data and head.fin:
            return True
    return False


def parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Method, path and headers of the request head that uvicorn rebuilt."""
    lines = head.decode("latin1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines[1:-2]:
        name, _, value = line.partition(": ")
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    method, target, _ = lines[0].split(" ")
    return method, target, headers


def check_upgrade(
    listener: Listener, browser: BrowserCheck, method: str, target: str, headers: dict[str, str]
) -> AcceptedUpgrade | bytes:
    """Accept the upgrade, or say how it is answered, as HTTP would."""
    try:
        browser.host(headers.get("host"))
        browser.origin(headers.get("origin"), headers.get("host"))
        kind = listener.socket_kind(target.partition("?")[0])
        if kind is None:
            return _refusal(404, b"not found")
        if method != "GET":  # RFC 6455, 4.2.1
            return _refusal(405, b"method not allowed", ("Allow", "GET"))
        if headers.get("sec-websocket-version") != "13":
            return _refusal(426, b"upgrade required", ("Sec-WebSocket-Version", "13"))
        key = _key(headers.get("sec-websocket-key", ""))
        listener.admit()
        scheme, _, token = headers.get("authorization", "").partition(" ")
        principal = listener.verifier.verify(token.strip()) if scheme.lower() == "bearer" else None
    except HoldfastError as error:
        extra = [("Retry-After", "1")] if error.row.retry else []
        return _refusal(error.row.status, encode({"error": error.wire()}), ("Content-Type", "application/json"), *extra)
    subprotocols = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
    subprotocol_header = [("Sec-WebSocket-Protocol", PROTOCOL)] if PROTOCOL in subprotocols else []
    upgrade = [("Upgrade", "websocket"), ("Connection", "upgrade"), ("Sec-WebSocket-Accept", accept)]
    return AcceptedUpgrade(principal, kind, _response(101, *upgrade, *subprotocol_header))


def _key(key: str) -> bytes:
    """The nonce as it was sent; it has 16 bytes in base64 (RFC 6455, 4.1)."""
    try:
        fits = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        fits = False
    if not fits:
        raise Refused("input.malformed", "Sec-WebSocket-Key: must be 16 bytes in base64")
    return key.encode()


def _refusal(status: int, body: bytes, *headers: tuple[str, str]) -> bytes:
    return _response(status, *headers, ("Content-Length", str(len(body))), ("Connection", "close")) + body


def _response(status: int, *headers: tuple[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin1")
