"""Rate limits: token buckets, whose refusals say truly when the same would be let through."""

from __future__ import annotations

import math
from collections.abc import Callable

from holdfast.errors import Unavailable


class Bucket:
    """A token bucket: ``per_s`` on average, ``burst`` at once.

    It may be taken from when it holds what is asked for, or is full; what it did not hold it owes.

    Attributes:
        available: what it has as far as is known; the clock is read only when that is too little. Negative is a debt.
    """

    __slots__ = ("_at", "_clock", "available", "burst", "per_s")

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float]) -> None:
        self.per_s = per_s
        self.burst = burst
        self.available = burst
        self._clock = clock
        self._at = clock()

    def take(self, amount: float = 1.0) -> None:
        """Use ``amount``. Raises ``limit.rate``, with the ``retry_after_s`` after which the same succeeds unless somebody
        else takes meanwhile."""
        need = min(amount, self.burst)
        if self.available < need and not self.has(need):
            raise too_fast(self.wait_s(need))
        self.available -= amount

    def has(self, amount: float) -> bool:
        """Whether it holds so much now."""
        if self.available < amount:
            now = self._clock()
            self.available = min(self.burst, self.available + (now - self._at) * self.per_s)
            self._at = now
        return self.available >= amount

    def wait_s(self, amount: float) -> float:
        """Seconds until it holds so much, from when it was last looked at."""
        return max(0.0, (amount - self.available) / self.per_s)


def too_fast(wait_s: float) -> Unavailable:
    """The refusal of somebody who should wait so long."""
    return Unavailable("limit.rate", retry_after_s=math.ceil(wait_s * 1_000 + 1e-6) / 1_000)
