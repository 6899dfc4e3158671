"""Splits what a WebSocket client sends before picows gets it: long frames become fragments (RFC 6455, 5.4).

picows keeps a frame in a buffer that doubles until the frame is in it, and never shrinks. Cut into fragments of
``FRAGMENT_BYTES`` a message is put together by us instead, in memory that is counted and given back, and only once there is
enough of it. What picows itself keeps of a connection stays a few times ``FRAGMENT_BYTES``, whatever comes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from picows.picows import WSProtocol  # type: ignore[attr-defined]

from holdfast.protocol import limits

FRAGMENT_BYTES: Final = limits.HELD_FREE_BYTES
"""Payload of the longest frame that is let through as it is: a multiple of four, so that masks go on in step."""
_STEP_BYTES: Final = FRAGMENT_BYTES // 2  # given to picows at once
_READ_BYTES: Final = 64 << 10
_CONTINUATION: Final = 0

_SCRATCH: Final = bytearray(_READ_BYTES)  # what was just read, of whichever connection: it is copied from here at once
_VIEW: Final = memoryview(_SCRATCH)

_get_buffer = WSProtocol.get_buffer
_buffer_updated = WSProtocol.buffer_updated


class FrameHeader(NamedTuple):
    """The header of a frame.

    Attributes:
        size: its bytes; ``length`` are those of the payload behind it.
        fin: the frame is the last of its message.
        is_data: it carries a message, or a part of one, and is no control frame.
        invalid: no server accepts such a frame.
    """

    size: int
    length: int
    fin: bool
    is_data: bool
    invalid: bool


def parse_frame_header(data: bytes | bytearray, at: int) -> FrameHeader | None:
    """The header of a client's frame at a position; None when it is incomplete."""
    available = len(data) - at
    if available < 2:
        return None
    first, second = data[at], data[at + 1]
    length, size = second & 0x7F, 6
    if length == 126:
        size = 8
        length = int.from_bytes(data[at + 2 : at + 4], "big")
    elif length == 127:
        size = 14
        length = int.from_bytes(data[at + 2 : at + 10], "big")
    if available < size:
        return None
    invalid = not second & 0x80 or length > limits.MESSAGE_BYTES or (size == 14 and length < 1 << 16)
    return FrameHeader(
        size, length, bool(first & 0x80), not first & 0x08, invalid or bool(first & 0x08 and length > 125)
    )


def _skip_short(data: bytes, at: int) -> int:
    """The position behind the short frames that are all there: most often these are all there is."""
    end = len(data)
    while at + 6 <= end:
        second = data[at + 1]
        length = second & 0x7F
        if length < 126:
            frame_end = at + 6 + length
        elif length == 126 and not data[at] & 0x08 and at + 8 <= end:
            frame_end = at + 8 + (data[at + 2] << 8 | data[at + 3])
        else:
            return at
        if frame_end > end or not second & 0x80 or frame_end - at > FRAGMENT_BYTES:
            return at
        at = frame_end
    return at


class FrameSplitter(WSProtocol):  # type: ignore[misc]
    """picows' protocol, which gets long frames as fragments. Its listener is asked for memory (``request_memory``) before a long
    frame is read, and reading waits for it."""

    __slots__ = ("_first_byte", "_fragment_left", "_frame_left", "_invalid", "_mask", "_pending")

    def reset(self) -> None:
        """Nothing has come yet."""
        self._frame_left = self._fragment_left = 0  # payload until the frame's end, and until the fragment's
        self._first_byte = 0
        self._mask = b""
        self._pending = b""  # the beginning of a header, or what waits for memory
        self._invalid = False

    # --- called by the transport
    def get_buffer(self, hint: int) -> memoryview:
        return _VIEW

    def buffer_updated(self, count: int) -> None:
        if not self._frame_left and not self._pending:  # most often this is one short frame
            length = _SCRATCH[1] & 0x7F
            if length == 126:
                frame_bytes = (_SCRATCH[2] << 8 | _SCRATCH[3]) + 8
            else:
                frame_bytes = length + 6 if length < 126 else 0
            if frame_bytes == count <= _STEP_BYTES:
                buffer = _get_buffer(self, -1)
                if len(buffer) >= count:
                    buffer[:count] = _VIEW[:count]
                    _buffer_updated(self, count)
                    return
        self.receive(bytes(_VIEW[:count]))

    # --- the long way
    def receive(self, data: bytes) -> None:
        """Take in what came."""
        if self._pending:
            data, self._pending = self._pending + data, b""
        at = begin = 0
        while at < len(data):
            if self._frame_left:
                step = min(len(data) - at, self._fragment_left)
                at, self._frame_left, self._fragment_left = (
                    at + step,
                    self._frame_left - step,
                    self._fragment_left - step,
                )
                if self._frame_left and not self._fragment_left:
                    self.feed(data[begin:at])
                    begin = at
                    self._start_fragment(_CONTINUATION)
                continue
            if self._invalid:
                break
            at = _skip_short(data, at)
            header = parse_frame_header(data, at)
            if header is None:
                break
            if header.invalid:
                self._invalid = True  # picows says what is wrong with it
                at = len(data)
            elif header.length <= FRAGMENT_BYTES:
                at += header.size
                self._frame_left = self._fragment_left = header.length
            else:
                self.feed(data[begin:at])
                if not self.listener.request_memory(
                    header.length if header.fin else limits.MESSAGE_BYTES, self._resume
                ):
                    self._pending = data[at:]
                    return
                self._first_byte, self._mask = data[at], data[at + header.size - 4 : at + header.size]
                self._frame_left = header.length
                at = begin = at + header.size
                self._start_fragment(self._first_byte & 0x0F)
        self.feed(data[begin:at])
        self._pending = data[at:] if not self._invalid else b""

    def _resume(self) -> None:
        """There is memory now for the frame that waited."""
        pending, self._pending = self._pending, b""
        self.receive(pending)

    def _start_fragment(self, kind: int) -> None:
        """Begin the next fragment of a long frame."""
        self._fragment_left = min(self._frame_left, FRAGMENT_BYTES)
        last = self._fragment_left == self._frame_left
        first = (self._first_byte & 0x80 if last else 0) | (self._first_byte & 0x70) | kind
        length = (
            bytes((0x80 | self._fragment_left,))
            if self._fragment_left < 126
            else b"\xfe" + self._fragment_left.to_bytes(2, "big")
        )
        self.feed(bytes((first,)) + length + self._mask)

    def feed(self, data: bytes) -> None:
        """Give it to picows, a step at a time."""
        rest = memoryview(data)
        while rest:
            buffer = _get_buffer(self, -1)
            step = min(len(buffer), len(rest), _STEP_BYTES)
            buffer[:step] = rest[:step]
            _buffer_updated(self, step)
            rest = rest[step:]
