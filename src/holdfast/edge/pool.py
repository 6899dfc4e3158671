"""What there is only so much of: memory, connections, requests at a time; and each tenant's share of it.

A tenant always has its ``own``, which nobody else can take. Beside that one tenant may have ``most``, and an eighth more
than that is kept, of which it can take nothing: nobody may hold more than eight times what is left for others. Within a
tenant each root (``session.access.root_of``) has at most ``each``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from holdfast.errors import Unavailable
from holdfast.protocol import limits

_TIMES_LEFT = 8


class Who(NamedTuple):
    """Whom something is charged to: a tenant, and the root of a principal in it."""

    tenant: str
    root: str


class Pool:
    """See the module.

    Args:
        code: of the refusal.
        what: is too much, in the refusal's words.
        most: of one tenant, when no other wants any.
        each: of one root.
        own: of every tenant, whatever the others hold.
    """

    def __init__(self, code: str, what: str, *, most: int, each: int, own: int) -> None:
        self._code = code
        self._what = what
        self.each = each
        self.own = min(own, most)
        self._shared = _with_an_eighth(most - self.own)
        self._taken = 0  # of what is shared
        self._roots: Counter[Who] = Counter()
        self._tenants: Counter[str] = Counter()
        self._waiting: deque[tuple[Who, int, Callable[[], None]]] = deque()
        self.held = 0
        self.refused = 0

    def fits(self, who: Who, amount: int) -> bool:
        """Whether there is room for so much more."""
        if self._roots[who] + amount > self.each:
            return False
        before, after = self._beyond(who.tenant), self._beyond(who.tenant, amount)
        return after == before or after <= _TIMES_LEFT * (self._shared - self._taken - (after - before))

    def _beyond(self, tenant: str, more: int = 0) -> int:
        """What a tenant holds of what is shared."""
        return max(0, self._tenants[tenant] + more - self.own)

    def take(self, who: Who, amount: int) -> None:
        """Hold so much more. Raises the pool's refusal, with a ``retry_after_s``, when there is no room for it."""
        if not self.fits(who, amount):
            self.refused += 1
            raise Unavailable(self._code, self._what, retry_after_s=limits.ROOM_RETRY_S)
        self._add(who, amount)

    def give(self, who: Who, amount: int) -> None:
        """Hold so much less; whoever waits for room is looked at."""
        self._add(who, -amount)
        if self._waiting and amount:
            self._serve()

    def _add(self, who: Who, amount: int) -> None:
        before = self._beyond(who.tenant)
        self.held += amount
        for counted, name in ((self._roots, who), (self._tenants, who.tenant)):
            counted[name] += amount  # type: ignore[index]
            if not counted[name]:  # type: ignore[index]
                del counted[name]
        self._taken += self._beyond(who.tenant) - before

    # --- those who can wait
    def wait(self, who: Who, amount: int, go: Callable[[], None]) -> None:
        """Call ``go`` once there is room, which is then held: at once, or in the order of asking."""
        if self.fits(who, amount):
            self._add(who, amount)
            go()
        else:
            self._waiting.append((who, amount, go))

    def _serve(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for who, amount, go in waiting:
            self.wait(who, amount, go)

    @property
    def holders(self) -> int:
        """How many roots hold any."""
        return len(self._roots)


def _with_an_eighth(most: int) -> int:
    return most + -(-most // _TIMES_LEFT)


class Room:
    """What one connection or request holds of a pool."""

    __slots__ = ("_left", "_pool", "_who", "size")

    def __init__(self, pool: Pool, who: Who) -> None:
        self._pool = pool
        self._who = who
        self._left = False
        self.size = 0

    def grow(self, size: int) -> None:
        """Hold more. Raises the pool's refusal."""
        self._pool.take(self._who, size)
        self.size += size

    def shrink(self, size: int) -> None:
        """Hold less."""
        self.size -= size
        self._pool.give(self._who, size)

    def wait(self, size: int, go: Callable[[], None]) -> None:
        """Hold more as soon as there is room, then call ``go``."""

        def granted() -> None:
            self.size += size
            if self._left:
                self.leave()
            else:
                go()

        self._pool.wait(self._who, size, granted)

    def leave(self) -> None:
        """Hold nothing, for good; idempotent."""
        self._left = True
        size, self.size = self.size, 0
        self._pool.give(self._who, size)
