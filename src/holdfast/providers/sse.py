"""Server-sent events: bytes as they come, cut anywhere, to the data of each event (WHATWG HTML, section 9.2).

Names of events are left out: in the dialects that have them, the data says the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from holdfast.protocol import limits
from holdfast.providers.errors import MalformedStream

Wanted: TypeAlias = Callable[[bytes], bool]
_BOM = b"\xef\xbb\xbf"
_BLANK = b"\n\n"


class SseParser:
    """Keeps what has not ended yet, and nothing else: at most ``max_bytes`` and the newest read.

    Attributes:
        error: an event is larger than it may be. What came before it has been returned; nothing comes after it.
    """

    def __init__(self, max_bytes: int = limits.PROVIDER_EVENT_BYTES) -> None:
        self.error: MalformedStream | None = None
        self._max = max_bytes
        self._buffer = bytearray()
        self._return = False  # a carriage return came last: the newline after it is the same line's end
        self._started = False

    def feed(self, data: bytes, wanted: Wanted | None = None) -> list[bytes]:
        """The data of the events that are whole now.

        Args:
            wanted: is asked about all that is whole now; what nobody wants is dropped unread.
        """
        if self.error is not None:
            return []
        if wanted is not None and self._is_whole(data) and not wanted(data):
            return []
        data = self._newlines(data)
        searched = max(0, len(self._buffer) - 1)
        self._buffer += data
        end = self._buffer.rfind(_BLANK, searched)
        events: list[bytes] = []
        if end >= 0:
            block = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            events = self._events(block, wanted)
        if len(self._buffer) - self._buffer.endswith(b"\n") > self._max:
            self._fail()
        return events

    def close(self) -> list[bytes]:
        """The data of a last event that no blank line ended."""
        block = bytes(self._buffer).strip(b"\n")
        self._buffer.clear()
        return self._events(block, None) if block and self.error is None else []

    def _is_whole(self, data: bytes) -> bool:
        """Whether a read has whole events and nothing else, as most have."""
        idle = self._started and not self._buffer and not self._return
        return idle and data.endswith(_BLANK) and len(data) <= self._max

    def _newlines(self, data: bytes) -> bytes:
        """The bytes with every end of a line as one newline."""
        if self._return and data:
            self._return = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._return = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _events(self, block: bytes, wanted: Wanted | None) -> list[bytes]:
        if not self._started:
            self._started = True
            block = block.removeprefix(_BOM)
        if wanted is not None and len(block) <= self._max and not wanted(block):
            return []
        events = []
        for event in block.split(_BLANK):
            if len(event.strip(b"\n")) > self._max:
                self._fail()
                break
            if event.startswith(b"data: ") and len(event) > 6 and b"\n" not in event:
                events.append(event[6:])
            elif data := _data(event):
                events.append(data)
        return events

    def _fail(self) -> None:
        self._buffer.clear()
        self.error = MalformedStream(f"an event of the provider's stream has more than {self._max:,} bytes")


def _data(event: bytes) -> bytes:
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return lines[0] if len(lines) == 1 else b"\n".join(lines)


def server_sent(data: bytes, name: str = "") -> bytes:
    """One event; ``data`` is one line."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data) if name else b"data: %b\n\n" % data
