"""The newest encoded frames of a session, kept in memory for those who come back after a moment."""

from __future__ import annotations

from collections import deque

from holdfast.protocol.frames import Frame


class Ring:
    """Consecutive frames up to the tail; the oldest go when there are more bytes than are kept.

    Args:
        capacity: bytes of payloads that are kept; the newest frame stays however large it is.
    """

    __slots__ = ("_capacity", "_frames", "_size")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._frames: deque[Frame] = deque()
        self._size = 0

    def append(self, frames: list[Frame], size: int) -> None:
        """Add frames whose payloads have ``size`` bytes."""
        self._frames.extend(frames)
        self._size += size
        while self._size > self._capacity and len(self._frames) > 1:
            self._size -= len(self._frames.popleft().payload)

    def after(self, cursor: int, max_bytes: int) -> list[Frame] | None:
        """Frames beyond a cursor, up to a page of ``max_bytes``; None when they are not all here."""
        if not self._frames or self._frames[0].first > cursor + 1:
            return None
        frames: list[Frame] = []
        size = 0
        for frame in self._frames:
            if frame.last > cursor:
                frames.append(frame)
                size += len(frame.payload)
                if size > max_bytes:
                    break
        return frames

    def clear(self) -> None:
        """Keep nothing; who wants a frame reads the log."""
        self._frames.clear()
        self._size = 0
