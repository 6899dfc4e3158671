"""How much was written in a session, second by second, over the last moments: what operators see as a line beside it.

It lives with the session in memory and is gone with it, so there is no more of it than there are sessions in memory.
"""

from __future__ import annotations

from collections import deque

from holdfast.protocol import limits


class Activity:
    """Events by second, of the last ``limits.ACTIVITY_S`` seconds in which any were written."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque(maxlen=limits.ACTIVITY_S)

    def record(self, count: int, now_s: float) -> None:
        """So many events were committed."""
        second = int(now_s)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += count
        else:
            self._seconds.append([second, count])

    def seconds(self, now_s: float) -> list[int]:
        """Events by second, the newest, unfinished second last; empty when none were written for so long."""
        now = int(now_s)
        counts = [0] * limits.ACTIVITY_S
        for second, count in self._seconds:
            if second > now - limits.ACTIVITY_S:
                counts[second - now - 1] += count
        return counts if any(counts) else []
