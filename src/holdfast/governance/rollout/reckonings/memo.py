"""What is dear to reckon is reckoned once for a round of the plan, and not once for each workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from holdfast.governance import limits

T = TypeVar("T")


class RoundMemo(Generic[T]):
    """Remembers answers for a while, by the time of whoever asks.

    Args:
        keep_ms: for how long.
    """

    def __init__(self, keep_ms: int = int(limits.PLAN_EVERY_S * 1_000) - 1) -> None:
        self._keep_ms = keep_ms
        self._known: dict[Hashable, tuple[int, T]] = {}

    async def get(self, key: Hashable, now_ms: int, make: Callable[[], Awaitable[T]]) -> T:
        """What is remembered of a key, or what is made now. Raises what making it raises."""
        found = self._known.get(key)
        if found is not None and 0 <= now_ms - found[0] < self._keep_ms:
            return found[1]
        made = await make()
        self._known = {one: entry for one, entry in self._known.items() if 0 <= now_ms - entry[0] < self._keep_ms}
        self._known[key] = now_ms, made
        return made

    def forget(self, key: Hashable) -> None:
        """Reckon it anew the next time."""
        self._known.pop(key, None)
