"""Rate limits: token buckets, one per connection or principal and kind of work."""

from __future__ import annotations

from holdfast.errors import Unavailable


class Bucket:
    """A token bucket: ``per_s`` on average, ``burst`` at once."""

    __slots__ = ("_at", "_left", "burst", "per_s")

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self.per_s = per_s
        self.burst = burst
        self._left = burst
        self._at = now

    def take(self, now: float, amount: float = 1.0) -> None:
        """Use ``amount``. Raises ``limit.rate`` with ``retry_after_s`` when the bucket does not hold it."""
        self._left = min(self.burst, self._left + (now - self._at) * self.per_s)
        self._at = now
        if self._left < amount:
            wait = (min(amount, self.burst) - self._left) / self.per_s
            raise Unavailable("limit.rate", retry_after_s=round(max(wait, 0.001), 3))
        self._left -= amount
