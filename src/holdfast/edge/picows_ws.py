"""WebSockets at the speed of send, on uvicorn's port: picows' protocol takes over once there is a first message or a token.

What picows leaves to the listener is here: reserved bits (RFC 6455, 5.2), reassembly (5.4) within a bound, UTF-8 (8.1), the
close handshake (5.5.1). How a connection gets here is in ``edge/upgrade.py``, what comes between in ``edge/frame_splitter.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import sys
import termios
from collections.abc import Callable
from typing import Any

from picows import WSCloseCode, WSListener, WSMsgType, WSProtocolError

from holdfast.edge.listener import CLOSE_CODES, Listener, ServerConnection, SocketKind
from holdfast.errors import HoldfastError
from holdfast.hub.port import Batch
from holdfast.protocol import limits
from holdfast.protocol.codec import encode
from holdfast.session.access import Principal

_LARGE = limits.WRITE_LOW_BYTES
_TEXT = WSMsgType.TEXT  # looking it up takes as long as looking at it


class FlushQueue:
    """The connections of one server to which something was written in this turn of the loop.

    They are written to at its end: one ``send`` for each, however many frames and answers came together. The system
    call is most of what a delivery costs.
    """

    def __init__(self) -> None:
        self.transports: list[PicowsTransport] = []

    def schedule(self) -> None:
        """The first connection is about to be added."""
        asyncio.get_running_loop().call_soon(self._flush_all)

    def _flush_all(self) -> None:
        transports, self.transports = self.transports, []
        for transport in transports:  # as ``flush``, without a call: this is once per delivery
            unsent, out = transport._unsent, transport._out
            transport._unsent = None
            if unsent is not None and out is not None:
                out(unsent if isinstance(unsent, bytes) else b"".join(unsent))


class PicowsTransport(WSListener):
    """One connection's frames in, bytes out."""

    __slots__ = (
        "_allocated",
        "_connection",
        "_flush_queue",
        "_fragments",
        "_is_text",
        "_kind",
        "_listener",
        "_out",
        "_pauses",
        "_principal",
        "_tcp_transport",
        "_timer",
        "_unconfirmed",
        "_unsent",
        "_ws_transport",
        "paused",
    )

    def __init__(
        self,
        listener: Listener,
        flush_queue: FlushQueue,
        tcp_transport: Any,
        principal: Principal | None,
        kind: SocketKind | None,
    ) -> None:
        self._listener = listener
        self._tcp_transport = tcp_transport
        self._kind = kind
        self._flush_queue = flush_queue
        self._principal = principal
        self._unsent: bytes | list[bytes] | None = None  # of this turn: most often one frame, and no list for it
        self._unconfirmed: int | None = None
        self._ws_transport: Any = None
        self._out: Callable[[bytes], None] | None = None
        self._connection: ServerConnection | None = None
        self._fragments: bytearray | None = None
        self._is_text = False
        self._pauses = 0  # reasons not to read for now
        self._allocated = 0  # memory for the message that is coming
        self._timer: asyncio.TimerHandle | None = None
        self.paused = False

    # --- out
    def write(self, batch: Batch) -> None:
        """See ``listener.SocketTransport``."""
        if self._out is not None:
            unsent, data = self._unsent, batch.framed or batch.ws
            if unsent is None:
                self._unsent = data
                transports = self._flush_queue.transports
                if not transports:
                    self._flush_queue.schedule()
                transports.append(self)
            elif isinstance(unsent, bytes):
                self._unsent = [unsent, data]
            else:
                unsent.append(data)
            if len(data) > _LARGE:
                if self._connection is not None:
                    self._connection.charge_sent(len(data))
                self.flush()  # so that it is known now whether more may follow

    def flush(self) -> None:
        """Hand what was written in this turn to the transport."""
        unsent, self._unsent = self._unsent, None
        if self._out is not None and unsent is not None:
            self._out(unsent if isinstance(unsent, bytes) else b"".join(unsent))

    def unsent(self) -> int:
        """See ``listener.SocketTransport``."""
        size: int = self._tcp_transport.get_write_buffer_size()
        return size

    def close(self, code: int, reason: str) -> None:
        """Begin the close handshake; a peer that does not answer is dropped."""
        transport = self._ws_transport
        if transport is None or transport.is_close_frame_sent:
            return
        self.flush()
        self._out = None
        transport.send_close(code, reason.encode()[:120])
        asyncio.get_running_loop().call_later(limits.CLOSE_S, transport.disconnect, False)

    def abort(self) -> None:
        """See ``listener.SocketTransport``."""
        if self._ws_transport is not None:
            self._tcp_transport.abort()

    # --- in, as ``Inbox`` and ``FrameSplitter`` want it
    def pause_reading(self) -> None:
        """See ``listener.SocketTransport``."""
        self._pauses += 1
        if self._pauses == 1 and not self._tcp_transport.is_closing():
            self._tcp_transport.pause_reading()
            asyncio.get_running_loop().call_later(limits.PING_REPLY_S / 2, self._stay_alive_while_paused)

    def resume_reading(self) -> None:
        """See ``listener.SocketTransport``."""
        self._pauses -= 1
        if self._pauses == 0 and not self._tcp_transport.is_closing():
            self._tcp_transport.resume_reading()

    def _stay_alive_while_paused(self) -> None:
        """While nothing is read a peer is not taken for dead because its answers to pings are not read."""
        if self._pauses and self._ws_transport is not None:
            self._ws_transport.notify_user_specific_pong_received()
            asyncio.get_running_loop().call_later(limits.PING_REPLY_S / 2, self._stay_alive_while_paused)

    def request_memory(self, size: int, resume: Callable[[], None]) -> bool:
        """Whether a message of this size may come in now. If not, nothing is read until it may, and then ``resume`` is called.
        It must come within the time that bodies have."""
        memory = self._connection.memory if self._connection is not None else None
        if memory is None or self._allocated:
            return True
        waited = False

        def granted() -> None:
            self._allocated = size
            patience_s = limits.BODY_S + size / limits.BODY_BYTES_PER_S
            self._timer = asyncio.get_running_loop().call_later(patience_s, self.close, 4408, "the message did not end")
            if waited:
                self.resume_reading()
                resume()

        memory.wait(size, granted)
        if not self._allocated:
            waited = True
            self.pause_reading()
        return not waited

    def _take_allocated(self) -> int:
        """The message is there: the memory that was allocated for it goes with it."""
        allocated, self._allocated = self._allocated, 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return allocated

    # --- in, called by picows
    def on_ws_connected(self, transport: Any) -> None:
        self._ws_transport = transport
        tcp_transport = self._tcp_transport
        tcp_transport.set_write_buffer_limits(limits.WRITE_HIGH_BYTES, limits.WRITE_LOW_BYTES)
        sock = tcp_transport.get_extra_info("socket")
        if sock is not None:
            # a small kernel buffer: else megabytes hide there per slow reader, and pings queue behind them
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.SEND_BUFFER_BYTES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._out = tcp_transport.write
        try:
            self._connection = self._listener.connect(self, self._principal, self._kind)
            if self.paused:
                self._connection.pause_writing()
        except HoldfastError as error:
            self.write(Batch([encode({"op": "error", "error": error.wire()})]))
            self.close(CLOSE_CODES.get(error.code, 1013), error.code)

    def on_ws_disconnected(self, transport: Any) -> None:
        self._out = self._ws_transport = None
        self._take_allocated()
        if self._connection is not None:
            self._connection.connection_lost()

    def pause_writing(self) -> None:
        self.paused = True
        if self._connection is not None:
            self._connection.pause_writing()
        if self._unconfirmed is None:
            self._unconfirmed = self._unconfirmed_bytes()
            asyncio.get_running_loop().call_later(limits.PING_REPLY_S / 2, self._check_progress)

    def _unconfirmed_bytes(self) -> int:
        """Bytes the peer has not confirmed: the transport's and, where it can be asked, the system's."""
        tcp_transport = self._tcp_transport
        size: int = tcp_transport.get_write_buffer_size()
        sock = tcp_transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            size += int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return size

    def _check_progress(self) -> None:
        """A peer that takes what was sent before is alive, though our ping, and so its answer, come behind all of it."""
        if self._ws_transport is None:
            return
        before, self._unconfirmed = self._unconfirmed or 0, self._unconfirmed_bytes()
        if self._unconfirmed < before:
            self._ws_transport.notify_user_specific_pong_received()
        if self.paused or self._unconfirmed < before:
            asyncio.get_running_loop().call_later(limits.PING_REPLY_S / 2, self._check_progress)
        else:
            self._unconfirmed = None

    def resume_writing(self) -> None:
        self.paused = False
        if self._ws_transport is not None:
            self._ws_transport.notify_user_specific_pong_received()  # what was full has room: the peer takes what is sent
        if self._connection is not None:
            self._connection.resume_writing()

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "reserved bits")
        if transport.is_close_frame_sent and kind != WSMsgType.CLOSE:
            return  # whatever comes after our close is ignored
        transport.notify_user_specific_pong_received()  # any data is a sign of life
        if kind is _TEXT and frame.fin and self._fragments is None:
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
            self._is_text = kind == WSMsgType.TEXT
            self._fragments = bytearray()
        self._fragments += frame.get_payload_as_memoryview()
        if len(self._fragments) > limits.MESSAGE_BYTES:
            raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, "message too big")
        if frame.fin:
            data, self._fragments = bytes(self._fragments), None
            self._message(data, text=self._is_text)
        elif len(self._fragments) > limits.HELD_FREE_BYTES:
            self.request_memory(limits.MESSAGE_BYTES, _nothing)

    def _message(self, data: bytes, *, text: bool = True) -> None:
        if not text:
            raise WSProtocolError(WSCloseCode.UNSUPPORTED_DATA, "text messages only")
        try:
            data.decode()
        except UnicodeDecodeError:
            raise WSProtocolError(WSCloseCode.INVALID_TEXT, "invalid UTF-8") from None
        allocated = self._take_allocated()
        if self._connection is not None:
            self._connection.message_received(data, allocated)


def _nothing() -> None:
    """Reading goes on by itself."""
