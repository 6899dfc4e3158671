"""WebSockets at the speed of send, on uvicorn's port: picows' protocol takes over once it is known who is there.

What picows leaves to the listener is here: reserved bits (RFC 6455, 5.2), reassembly (5.4) within a bound, UTF-8 (8.1), the
close handshake (5.5.1). How a connection gets here is in ``edge/upgrade.py``, what comes between in ``edge/intake.py``.
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

from holdfast.edge.door import CLOSE_CODES, Door, Kind, Visit
from holdfast.errors import HoldfastError
from holdfast.hub.port import Batch
from holdfast.protocol import limits
from holdfast.protocol.codec import encode
from holdfast.session.access import Principal

_LARGE = limits.WRITE_LOW_BYTES
_TEXT = WSMsgType.TEXT  # looking it up takes as long as looking at it


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
        "_holds",
        "_kind",
        "_out",
        "_principal",
        "_room",
        "_text",
        "_timer",
        "_transport",
        "_turn",
        "_under",
        "_unread",
        "_unsent",
        "_visit",
        "paused",
    )

    def __init__(self, door: Door, turn: Turn, under: Any, principal: Principal | None, kind: Kind | None) -> None:
        self._door = door
        self._under = under
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
        self._holds = 0  # reasons not to read for now
        self._room = 0  # kept for the message that is coming
        self._timer: asyncio.TimerHandle | None = None
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
                if self._visit is not None:
                    self._visit.gave(len(data))
                self.flush()  # so that it is known now whether more may follow

    def flush(self) -> None:
        """Hand what was written in this turn to the transport."""
        unsent, self._unsent = self._unsent, None
        if self._out is not None and unsent is not None:
            self._out(unsent if isinstance(unsent, bytes) else b"".join(unsent))

    def unsent(self) -> int:
        """See ``door.Wire``."""
        size: int = self._under.get_write_buffer_size()
        return size

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
            self._under.abort()

    # --- in, as the visit and the intake want it
    def hold(self) -> None:
        """See ``door.Wire``."""
        self._holds += 1
        if self._holds == 1 and not self._under.is_closing():
            self._under.pause_reading()
            asyncio.get_running_loop().call_later(limits.PING_REPLY_S / 2, self._vouch)

    def go_on(self) -> None:
        """See ``door.Wire``."""
        self._holds -= 1
        if self._holds == 0 and not self._under.is_closing():
            self._under.resume_reading()

    def _vouch(self) -> None:
        """A peer that is not listened to is not taken for dead because its answers to pings are not heard."""
        if self._holds and self._transport is not None:
            self._transport.notify_user_specific_pong_received()
            asyncio.get_running_loop().call_later(limits.PING_REPLY_S / 2, self._vouch)

    def room(self, size: int, go: Callable[[], None]) -> bool:
        """Whether a message of this size may come in now. If not, nothing is read until it may, and then ``go`` is called.
        It must come within the time that bodies have."""
        memory = self._visit.memory if self._visit is not None else None
        if memory is None or self._room:
            return True
        waited = False

        def granted() -> None:
            self._room = size
            patience_s = limits.BODY_S + size / limits.BODY_BYTES_PER_S
            self._timer = asyncio.get_running_loop().call_later(patience_s, self.shut, 4408, "the message did not end")
            if waited:
                self.go_on()
                go()

        memory.wait(size, granted)
        if not self._room:
            waited = True
            self.hold()
        return not waited

    def _came(self) -> int:
        """The message is there: the room that was kept for it goes with it."""
        room, self._room = self._room, 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return room

    # --- in, called by picows
    def on_ws_connected(self, transport: Any) -> None:
        self._transport = transport
        under = self._under
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
        self._came()
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
        under = self._under
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
            self._text = kind == WSMsgType.TEXT
            self._fragments = bytearray()
        self._fragments += frame.get_payload_as_memoryview()
        if len(self._fragments) > limits.MESSAGE_BYTES:
            raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, "message too big")
        if frame.fin:
            data, self._fragments = bytes(self._fragments), None
            self._message(data, text=self._text)
        elif len(self._fragments) > limits.HELD_FREE_BYTES:
            self.room(limits.MESSAGE_BYTES, _nothing)

    def _message(self, data: bytes, *, text: bool = True) -> None:
        if not text:
            raise WSProtocolError(WSCloseCode.UNSUPPORTED_DATA, "text messages only")
        try:
            data.decode()
        except UnicodeDecodeError:
            raise WSProtocolError(WSCloseCode.INVALID_TEXT, "invalid UTF-8") from None
        room = self._came()
        if self._visit is not None:
            self._visit.received(data, room)


def _nothing() -> None:
    """Reading goes on by itself."""
