"""How much was written in which session, second by second, over the last moments: what operators see as a line beside it.

It is state of this process and forgotten by age; a session in which nothing is written costs nothing.
"""

from __future__ import annotations

from collections import deque

from holdfast.engines.port import Key
from holdfast.protocol import limits


class Activity:
    """Events of each session by second, ``limits.ACTIVITY_S`` of them."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, dict[Key, int]]] = deque()

    def wrote(self, key: Key, count: int, now_s: float) -> None:
        """So many events were committed to a session."""
        second = int(now_s)
        if not self._seconds or self._seconds[-1][0] != second:
            self._forget(second)
            self._seconds.append((second, {}))
        counts = self._seconds[-1][1]
        if key in counts or len(counts) < limits.OPERATOR_ROWS:
            counts[key] = counts.get(key, 0) + count

    def of(self, tenant: str, now_s: float) -> dict[str, list[int]]:
        """Events by second of every session of a tenant in which any were written; the newest, unfinished second last."""
        now = int(now_s)
        self._forget(now)
        found: dict[str, list[int]] = {}
        for second, counts in self._seconds:
            for key, count in counts.items():
                if key.tenant == tenant:
                    row = found.setdefault(key.session, [0] * limits.ACTIVITY_S)
                    row[second - now - 1] += count
        return found

    def _forget(self, now: int) -> None:
        while self._seconds and self._seconds[0][0] <= now - limits.ACTIVITY_S:
            self._seconds.popleft()
