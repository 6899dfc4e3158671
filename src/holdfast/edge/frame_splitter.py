"""What a WebSocket client sends, on its way into picows: long frames are cut into fragments (RFC 6455, 5.4).

picows keeps a frame in a buffer that doubles until the frame is in it, and never shrinks. Cut into fragments of
``PIECE_BYTES`` a message is put together by us instead, in memory that is counted and given back, and only once there is
room for it. What picows itself keeps of a connection stays a few times ``PIECE_BYTES``, whatever comes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from picows.picows import WSProtocol  # type: ignore[attr-defined]

from holdfast.protocol import limits

PIECE_BYTES: Final = limits.HELD_FREE_BYTES
"""Payload of the longest frame that is let through as it is: a multiple of four, so that masks go on in step."""
_STEP_BYTES: Final = PIECE_BYTES // 2  # given to picows at once
_READ_BYTES: Final = 64 << 10
_CONTINUATION: Final = 0

_SCRATCH: Final = bytearray(_READ_BYTES)  # what was just read, of whichever connection: it is taken from here at once
_VIEW: Final = memoryview(_SCRATCH)

_room_in = WSProtocol.get_buffer
_take_in = WSProtocol.buffer_updated


class FrameHead(NamedTuple):
    """The head of a frame.

    Attributes:
        size: its bytes; ``length`` are those of the payload behind it.
        fin: the frame is the last of its message.
        data: it carries a message, or a part of one, and not a control frame.
        wrong: no server takes such a frame.
    """

    size: int
    length: int
    fin: bool
    data: bool
    wrong: bool


def read_head(data: bytes | bytearray, at: int) -> FrameHead | None:
    """The head of a client's frame at a position; None when it is not all there."""
    left = len(data) - at
    if left < 2:
        return None
    first, second = data[at], data[at + 1]
    length, size = second & 0x7F, 6
    if length == 126:
        size = 8
        length = int.from_bytes(data[at + 2 : at + 4], "big")
    elif length == 127:
        size = 14
        length = int.from_bytes(data[at + 2 : at + 10], "big")
    if left < size:
        return None
    wrong = not second & 0x80 or length > limits.MESSAGE_BYTES or (size == 14 and length < 1 << 16)
    return FrameHead(size, length, bool(first & 0x80), not first & 0x08, wrong or bool(first & 0x08 and length > 125))


def _skip_short(data: bytes, at: int) -> int:
    """The position behind the short frames that are all there: most often these are all there is."""
    end = len(data)
    while at + 6 <= end:
        second = data[at + 1]
        length = second & 0x7F
        if length < 126:
            beyond = at + 6 + length
        elif length == 126 and not data[at] & 0x08 and at + 8 <= end:
            beyond = at + 8 + (data[at + 2] << 8 | data[at + 3])
        else:
            return at
        if beyond > end or not second & 0x80 or beyond - at > PIECE_BYTES:
            return at
        at = beyond
    return at


class Intake(WSProtocol):  # type: ignore[misc]
    """picows' protocol behind a cut. Its listener is asked for ``room``, and put on hold, before a long frame is taken in."""

    __slots__ = ("_first", "_left", "_mask", "_piece", "_rest", "_spoilt")

    def begin(self) -> None:
        """Nothing has come yet."""
        self._left = self._piece = 0  # payload until the frame's end, and until the fragment's
        self._first = 0
        self._mask = b""
        self._rest = b""  # the beginning of a head, or what waits for room
        self._spoilt = False

    # --- called by the transport
    def get_buffer(self, hint: int) -> memoryview:
        return _VIEW

    def buffer_updated(self, count: int) -> None:
        if not self._left and not self._rest:  # most often this is one short frame
            length = _SCRATCH[1] & 0x7F
            if length == 126:
                whole = (_SCRATCH[2] << 8 | _SCRATCH[3]) + 8
            else:
                whole = length + 6 if length < 126 else 0
            if whole == count <= _STEP_BYTES:
                room = _room_in(self, -1)
                if len(room) >= count:
                    room[:count] = _VIEW[:count]
                    _take_in(self, count)
                    return
        self.take(bytes(_VIEW[:count]))

    # --- the long way
    def take(self, data: bytes) -> None:
        """Take in what came."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        at = begin = 0
        while at < len(data):
            if self._left:
                step = min(len(data) - at, self._piece)
                at, self._left, self._piece = at + step, self._left - step, self._piece - step
                if self._left and not self._piece:
                    self.feed(data[begin:at])
                    begin = at
                    self._cut(_CONTINUATION)
                continue
            if self._spoilt:
                break
            at = _skip_short(data, at)
            head = read_head(data, at)
            if head is None:
                break
            if head.wrong:
                self._spoilt = True  # picows says what is wrong with it
                at = len(data)
            elif head.length <= PIECE_BYTES:
                at += head.size
                self._left = self._piece = head.length
            else:
                self.feed(data[begin:at])
                if not self.listener.request_memory(head.length if head.fin else limits.MESSAGE_BYTES, self._go_on):
                    self._rest = data[at:]
                    return
                self._first, self._mask = data[at], data[at + head.size - 4 : at + head.size]
                self._left = head.length
                at = begin = at + head.size
                self._cut(self._first & 0x0F)
        self.feed(data[begin:at])
        self._rest = data[at:] if not self._spoilt else b""

    def _go_on(self) -> None:
        """There is room now for the frame that waited."""
        rest, self._rest = self._rest, b""
        self.take(rest)

    def _cut(self, kind: int) -> None:
        """Begin the next fragment of a long frame."""
        self._piece = min(self._left, PIECE_BYTES)
        last = self._piece == self._left
        first = (self._first & 0x80 if last else 0) | (self._first & 0x70) | kind
        length = bytes((0x80 | self._piece,)) if self._piece < 126 else b"\xfe" + self._piece.to_bytes(2, "big")
        self.feed(bytes((first,)) + length + self._mask)

    def feed(self, data: bytes) -> None:
        """Give it to picows, a step at a time."""
        left = memoryview(data)
        while left:
            room = _room_in(self, -1)
            step = min(len(room), len(left), _STEP_BYTES)
            room[:step] = left[:step]
            _take_in(self, step)
            left = left[step:]
