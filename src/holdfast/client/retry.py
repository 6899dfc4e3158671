"""When to try again: exponential backoff with full jitter, so that a thousand clients do not come back at once."""

from __future__ import annotations

import random

from holdfast.errors import HoldfastError
from holdfast.protocol import limits


class Backoff:
    """Delays before the tries after a failure: uniform in ``0 .. min(cap, base * 2**n)`` seconds.

    Args:
        base_s, cap_s: first and largest upper end, in seconds.
        uniform: the source of randomness, ``random.uniform`` unless a test brings its own.
    """

    def __init__(
        self, base_s: float = limits.RETRY_BASE_S, cap_s: float = limits.RETRY_CAP_S, uniform: object = None
    ) -> None:
        self._base_s, self._cap_s = base_s, cap_s
        self._uniform = uniform if callable(uniform) else random.uniform
        self._failures = 0

    def lower_cap(self, cap_s: float) -> None:
        """From now on no delay is longer than this, nor than it would have been."""
        self._cap_s = min(self._cap_s, cap_s)

    def reset(self) -> None:
        """It worked: the next delay is short again."""
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait before the next try."""
        upper = min(self._cap_s, self._base_s * 2 ** min(self._failures, 30))
        self._failures += 1
        return float(self._uniform(0.0, upper))

    def after_s(self, error: HoldfastError) -> float:
        """As ``next_s``, but never sooner than the server asked for in ``retry_after_s``."""
        return max(self.next_s(), error.retry_after_s)
