"""WebSockets at the speed of send, on uvicorn's port: a subclass of picows' protocol that uvicorn uses for upgrades.

uvicorn parses the HTTP head and hands the connection over. Reading stays paused until the verdict, so no client byte is
looked at before Host, Origin and token are. What picows leaves to the listener is here: reserved bits (RFC 6455, 5.2),
reassembly (5.4) within a bound, UTF-8 (8.1), the close handshake (5.5.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import socket
import sys
import termios
from collections.abc import Callable
from typing import Any

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from holdfast.edge.browser import BrowserCheck
from holdfast.edge.door import CLOSE_CODES, Door, Kind, Visit
from holdfast.errors import HoldfastError
from holdfast.hub.port import Batch
from holdfast.protocol import limits
from holdfast.protocol.codec import encode
from holdfast.session.access import Principal

PATH = "/v1/connect"
PROTOCOL = "holdfast.v1"
_LARGE = limits.WRITE_LOW_BYTES
_LOG = logging.LoggerAdapter(logging.getLogger("holdfast.edge.picows"), {})  # an adapter: no logger per connection
_LOG.logger.setLevel(logging.CRITICAL)


class Turn:
    """The connections of one server that were given something in this turn of the loop.

    They are written to at its end: one ``send`` for each, however many frames and answers came together. The system
    call is most of what a delivery costs.
    """

    def __init__(self) -> None:
        self.wires: list[PicowsWire] = []

    def begin(self) -> None:
        """The first connection is about to be added."""
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        wires, self.wires = self.wires, []
        for wire in wires:  # as ``flush``, without a call: this is once per delivery
            unsent, out = wire._unsent, wire._out
            wire._unsent = None
            if unsent is not None and out is not None:
                out(unsent if isinstance(unsent, bytes) else b"".join(unsent))


class PicowsWire(WSListener):
    """One connection's frames in, bytes out."""

    __slots__ = (
        "_door",
        "_fragments",
        "_kind",
        "_out",
        "_principal",
        "_text",
        "_transport",
        "_turn",
        "_unread",
        "_unsent",
        "_visit",
        "paused",
    )

    def __init__(self, door: Door, turn: Turn, principal: Principal | None, kind: Kind | None) -> None:
        self._door = door
        self._kind = kind
        self._turn = turn
        self._principal = principal
        self._unsent: bytes | list[bytes] | None = None  # of this turn: most often one frame, and no list for it
        self._unread: int | None = None
        self._transport: Any = None
        self._out: Callable[[bytes], None] | None = None
        self._visit: Visit | None = None
        self._fragments: bytearray | None = None
        self._text = False
        self.paused = False

    # --- out
    def write(self, batch: Batch) -> None:
        """See ``door.Wire``."""
        if self._out is not None:
            unsent, data = self._unsent, batch.framed or batch.ws
            if unsent is None:
                self._unsent = data
                wires = self._turn.wires
                if not wires:
                    self._turn.begin()
                wires.append(self)
            elif isinstance(unsent, bytes):
                self._unsent = [unsent, data]
            else:
                unsent.append(data)
            if len(data) > _LARGE:
                self.flush()  # so that it is known now whether more may follow

    def flush(self) -> None:
        """Hand what was written in this turn to the transport."""
        unsent, self._unsent = self._unsent, None
        if self._out is not None and unsent is not None:
            self._out(unsent if isinstance(unsent, bytes) else b"".join(unsent))

    def shut(self, code: int, reason: str) -> None:
        """Begin the close handshake; a peer that does not answer is dropped."""
        transport = self._transport
        if transport is None or transport.is_close_frame_sent:
            return
        self.flush()
        self._out = None
        transport.send_close(code, reason.encode()[:120])
        asyncio.get_running_loop().call_later(limits.CLOSE_S, transport.disconnect, False)

    def abort(self) -> None:
        """See ``door.Wire``."""
        if self._transport is not None:
            self._transport.underlying_transport.abort()

    # --- in, called by picows
    def on_ws_connected(self, transport: Any) -> None:
        self._transport = transport
        under = transport.underlying_transport
        under.set_write_buffer_limits(limits.WRITE_HIGH_BYTES, limits.WRITE_LOW_BYTES)
        sock = under.get_extra_info("socket")
        if sock is not None:
            # a small kernel buffer: else megabytes hide there per slow reader, and pings queue behind them
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.SEND_BUFFER_BYTES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._out = under.write
        try:
            self._visit = self._door.visit(self, self._principal, self._kind)
            if self.paused:
                self._visit.filled()
        except HoldfastError as error:
            self.write(Batch([encode({"op": "error", "error": error.wire()})]))
            self.shut(CLOSE_CODES.get(error.code, 1013), error.code)

    def on_ws_disconnected(self, transport: Any) -> None:
        self._out = self._transport = None
        if self._visit is not None:
            self._visit.lost()

    def pause_writing(self) -> None:
        self.paused = True
        if self._visit is not None:
            self._visit.filled()
        if self._unread is None:
            self._unread = self._measure()
            asyncio.get_running_loop().call_later(limits.PING_REPLY_S / 2, self._look)

    def _measure(self) -> int:
        """Bytes the peer has not confirmed: the transport's and, where it can be asked, the system's."""
        under = self._transport.underlying_transport
        size: int = under.get_write_buffer_size()
        sock = under.get_extra_info("socket")
        with contextlib.suppress(OSError):
            size += int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return size

    def _look(self) -> None:
        """A peer that takes what was sent before is alive, though our ping, and so its answer, come behind all of it."""
        if self._transport is None:
            return
        before, self._unread = self._unread or 0, self._measure()
        if self._unread < before:
            self._transport.notify_user_specific_pong_received()
        if self.paused or self._unread < before:
            asyncio.get_running_loop().call_later(limits.PING_REPLY_S / 2, self._look)
        else:
            self._unread = None

    def resume_writing(self) -> None:
        self.paused = False
        if self._transport is not None:
            self._transport.notify_user_specific_pong_received()  # what was full has room: the peer takes what is sent
        if self._visit is not None:
            self._visit.drained()

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "reserved bits")
        if transport.is_close_frame_sent and kind != WSMsgType.CLOSE:
            return  # whatever comes after our close is ignored
        transport.notify_user_specific_pong_received()  # any data is a sign of life
        if kind == WSMsgType.TEXT and frame.fin and self._fragments is None:
            self._message(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(frame.get_close_code() or WSCloseCode.OK, None)
            transport.disconnect()
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._fragment(kind, frame)

    def _fragment(self, kind: Any, frame: Any) -> None:
        if kind == WSMsgType.CONTINUATION:
            if self._fragments is None:
                raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "unexpected continuation")
        elif self._fragments is not None:
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "expected continuation")
        else:
            self._text = kind == WSMsgType.TEXT
            self._fragments = bytearray()
        self._fragments += frame.get_payload_as_memoryview()
        if len(self._fragments) > limits.MESSAGE_BYTES:
            raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, "message too big")
        if frame.fin:
            data, self._fragments = bytes(self._fragments), None
            self._message(data, text=self._text)

    def _message(self, data: bytes, *, text: bool = True) -> None:
        if not text:
            raise WSProtocolError(WSCloseCode.UNSUPPORTED_DATA, "text messages only")
        try:
            data.decode()
        except UnicodeDecodeError:
            raise WSProtocolError(WSCloseCode.INVALID_TEXT, "invalid UTF-8") from None
        if self._visit is not None:
            self._visit.received(data)


def websocket_class(door: Door, browser: BrowserCheck) -> type:
    """The class uvicorn instantiates for every upgrade (``Config(ws=…)``), bound to one server."""

    turn = Turn()

    class Upgrade(WSProtocol):  # type: ignore[misc]
        """From uvicorn's parsed head to a picows connection."""

        __slots__ = ("_server", "_task", "_verdict")

        def __new__(cls, config: Any, server_state: Any, app_state: Any) -> Any:
            return WSProtocol.__new__(cls)

        def __init__(self, config: Any, server_state: Any, app_state: Any) -> None:
            self._server = server_state
            self._verdict: Any = None
            self._task: asyncio.Task[None] | None = None
            super().__init__(  # positional by picows' signature; a smoke test watches it
                None, None, False, lambda request: self._verdict, _LOG, True, limits.HELLO_S, True, limits.PING_IDLE_S,
                limits.PING_REPLY_S, WSAutoPingStrategy.PING_WHEN_IDLE, True, limits.MESSAGE_BYTES, None,
                limits.READ_BUFFER_BYTES,
            )  # fmt: skip

        def connection_made(self, transport: Any) -> None:
            self._server.connections.add(self)
            super().connection_made(transport)

        def connection_lost(self, error: Exception | None) -> None:
            self._server.connections.discard(self)
            super().connection_lost(error)
            self._verdict = self._task = None

        def shutdown(self) -> None:
            """uvicorn's graceful shutdown."""
            if isinstance(self.listener, PicowsWire):
                self.listener.shut(1012, "restart")
            else:
                self.transport.disconnect()

        def data_received(self, head: bytes) -> None:
            """The head, once, as uvicorn has parsed it."""
            self.transport.underlying_transport.pause_reading()
            self._task = asyncio.get_running_loop().create_task(self._open(head))

        async def _open(self, head: bytes) -> None:
            method, target, headers = parse_head(head)
            self._verdict = decide(door, turn, browser, method, target, headers)
            transport = self.transport.underlying_transport
            if transport.is_closing():
                return
            key = headers.get("sec-websocket-key", "")
            told = (
                f"GET {PATH} HTTP/1.1\r\nHost: holdfast\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            ).encode("latin1")
            while told:  # a normalised head: picows parses nothing of the client's
                room = self.get_buffer(-1)
                size = min(len(room), len(told))
                room[:size], told = told[:size], told[size:]
                self.buffer_updated(size)
            self._verdict = self._task = None
            if not transport.is_closing():
                transport.resume_reading()

    return Upgrade


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


def decide(
    door: Door, turn: Turn, browser: BrowserCheck, method: str, target: str, headers: dict[str, str]
) -> WSUpgradeResponseWithListener:
    """Accept the upgrade, or answer it as HTTP would."""
    try:
        browser.host(headers.get("host"))
        browser.origin(headers.get("origin"), headers.get("host"))
        path = target.partition("?")[0]
        kind = door.kind(path)
        if path != PATH and kind is None:
            return _refusal(404, b"not found")
        if method != "GET":  # RFC 6455, 4.2.1
            return _refusal(405, b"method not allowed", ("Allow", "GET"))
        if headers.get("sec-websocket-version") != "13":
            return _refusal(426, b"upgrade required", ("Sec-WebSocket-Version", "13"))
        door.admit()
        scheme, _, token = headers.get("authorization", "").partition(" ")
        principal = door.verifier.verify(token.strip()) if scheme.lower() == "bearer" else None
    except HoldfastError as error:
        extra = [("Retry-After", "1")] if error.row.retry else []
        return _refusal(error.row.status, encode({"error": error.wire()}), ("Content-Type", "application/json"), *extra)
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    chosen = [("Sec-WebSocket-Protocol", PROTOCOL)] if PROTOCOL in offered else []
    return WSUpgradeResponseWithListener(
        WSUpgradeResponse.create_101_response(chosen), PicowsWire(door, turn, principal, kind)
    )


def _refusal(status: int, body: bytes, *headers: tuple[str, str]) -> WSUpgradeResponseWithListener:
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(status, body, [*headers]), None)
