"""The WebSocket transport (RFC 6455), on picows. Half-open connections are found by pings within 10 s (SUB-7)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import picows

from holdfast.client.transport import Sink
from holdfast.errors import Code, Refused
from holdfast.protocol import limits

PATH = "/v1/connect"
SUBPROTOCOL = "holdfast.v1"

_REFUSALS: Final[dict[int, Code]] = {401: "auth.invalid", 403: "auth.denied", 421: "auth.host"}
"""HTTP statuses of a handshake that trying again does not cure."""
_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


def connect_url(url: str) -> str:
    """The WebSocket address of a server named by ``http(s)://host[:port]`` or ``ws(s)://host[:port][/path]``.

    Raises:
        Refused: ``config.invalid`` when it is not such an address, or carries a token or other query (they leak).
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.query or parts.username:
        raise Refused("config.invalid", "url: expected http(s)://host[:port] without a query or a user name")
    path = parts.path.rstrip("/")
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path if path.endswith(PATH) else path + PATH, "", ""))


def http_url(url: str) -> str:
    """The HTTP base address of the same server, without a trailing slash."""
    parts = urlsplit(connect_url(url))
    scheme = "https" if parts.scheme == "wss" else "http"
    return urlunsplit((scheme, parts.netloc, parts.path.removesuffix(PATH), "", ""))


async def connect_socket(host: str, port: int) -> socket.socket:
    """A TCP socket connected to ``host:port``. Raises ``OSError``."""
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    connection = socket.socket(family, kind, protocol)
    connection.setblocking(False)
    try:
        await loop.sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


class _Listener(picows.WSListener):
    """Puts whole text messages into the sink; answers pings and closes through picows."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._parts: list[bytes] | None = None
        self._size = 0
        self._code, self._reason = 1006, ""

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        transport.notify_user_specific_pong_received()  # any data is a sign of life
        kind = frame.msg_type
        if kind is picows.WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            self._code = int.from_bytes(payload[:2]) or 1005
            self._reason = payload[2:].decode("utf-8", "replace")
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()
        elif kind is picows.WSMsgType.TEXT and frame.fin:
            self._sink.received(frame.get_payload_as_bytes())
        elif kind in (picows.WSMsgType.TEXT, picows.WSMsgType.CONTINUATION):
            self._append_fragment(transport, frame)

    def _append_fragment(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if self._parts is None:
            self._parts, self._size = [], 0
        self._parts.append(frame.get_payload_as_bytes())
        self._size += frame.payload_size
        if self._size > limits.SERVER_MESSAGE_BYTES:
            transport.disconnect()
        elif frame.fin:
            parts, self._parts = self._parts, None
            self._sink.received(b"".join(parts))

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self._sink.lost(self._code, self._reason)


class _WebSocket:
    def __init__(self, transport: picows.WSTransport) -> None:
        self._transport = transport

    def send(self, message: bytes) -> None:
        if not self._transport.is_disconnected:
            self._transport.send(picows.WSMsgType.TEXT, message)

    def close(self) -> None:
        if not self._transport.is_disconnected:
            self._transport.send_close(picows.WSCloseCode.OK)
            self._transport.disconnect()


class WebSocketDialer:
    """Opens WebSockets to one server.

    Args:
        url: see ``connect_url``.
        tls: for ``wss``: an ``ssl.SSLContext`` instead of the system's default.
        via: host and port to connect to instead, a tunnel's say; names and certificates stay those of ``url``.
    """

    authenticates = True

    def __init__(self, url: str, tls: ssl.SSLContext | None = None, via: tuple[str, int] | None = None) -> None:
        self.url = connect_url(url)
        self._tls = tls
        self._via = via

    async def _socket(self, _: object) -> socket.socket | None:
        return None if self._via is None else await connect_socket(*self._via)

    async def __call__(self, sink: Sink) -> _WebSocket:
        try:
            transport, _ = await picows.ws_connect(
                lambda: _Listener(sink),
                self.url,
                ssl_context=self._tls,
                websocket_handshake_timeout=limits.HELLO_S,
                enable_auto_ping=True,
                auto_ping_idle_timeout=limits.PING_IDLE_S,
                auto_ping_reply_timeout=limits.PING_REPLY_S,
                max_frame_size=limits.SERVER_MESSAGE_BYTES,
                extra_headers=[("Sec-WebSocket-Protocol", SUBPROTOCOL)],
                max_redirects=0,
                socket_factory=self._socket,
            )
        except picows.WSHandshakeError as error:
            status = error.response.status if error.response is not None else 0
            if int(status) in _REFUSALS:
                raise Refused(
                    _REFUSALS[int(status)], f"the server refused the connection with HTTP status {int(status)}"
                ) from None
            raise ConnectionError(f"no WebSocket at {self.url}: HTTP status {int(status)}") from error
        except TimeoutError as error:
            raise ConnectionError(f"no answer from {self.url}") from error
        if transport.is_disconnected:  # picows does not raise when the line is lost during the handshake
            raise ConnectionError(f"the connection to {self.url} was lost during the handshake")
        return _WebSocket(transport)
