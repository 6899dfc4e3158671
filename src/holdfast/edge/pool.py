"""Limited resources (memory, connections, requests at a time) and each tenant's share of them.

A tenant always has its ``tenant_guarantee``, which nobody else can take. Including that one tenant may have ``tenant_limit``,
and an eighth more than that is set aside, of which it can take nothing: nobody may have more than eight times what is left
for others. Within a tenant each root (``session.access.root_of``) has at most ``root_limit``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from holdfast.errors import Code, Unavailable
from holdfast.protocol import limits

_HEADROOM_FACTOR = 8


class AccountKey(NamedTuple):
    """Whom something is charged to: a tenant, and the root of a principal in it."""

    tenant: str
    root: str


class Pool:
    """See the module.

    Args:
        code: of the refusal.
        what: is too much, in the refusal's words.
        tenant_limit: most of one tenant, when no other wants any.
        root_limit: most of one root.
        tenant_guarantee: of every tenant, whatever the others have.
    """

    def __init__(self, code: Code, what: str, *, tenant_limit: int, root_limit: int, tenant_guarantee: int) -> None:
        self._code = code
        self._what = what
        self.root_limit = root_limit
        self.tenant_guarantee = min(tenant_guarantee, tenant_limit)
        self._shared = _with_an_eighth(tenant_limit - self.tenant_guarantee)
        self._shared_in_use = 0  # of what is shared
        self._roots: Counter[AccountKey] = Counter()
        self._tenants: Counter[str] = Counter()
        self._waiting: deque[tuple[AccountKey, int, Callable[[], None]]] = deque()
        self.in_use = 0
        self.refused = 0

    def fits(self, key: AccountKey, amount: int) -> bool:
        """Whether so much more fits."""
        if self._roots[key] + amount > self.root_limit:
            return False
        before, after = self._shared_use(key.tenant), self._shared_use(key.tenant, amount)
        return after == before or after <= _HEADROOM_FACTOR * (self._shared - self._shared_in_use - (after - before))

    def _shared_use(self, tenant: str, more: int = 0) -> int:
        """What a tenant has of what is shared."""
        return max(0, self._tenants[tenant] + more - self.tenant_guarantee)

    def acquire(self, key: AccountKey, amount: int) -> None:
        """Acquire so much. Raises the pool's refusal, with a ``retry_after_s``, when it does not fit."""
        if not self.fits(key, amount):
            self.refused += 1
            raise Unavailable(self._code, self._what, retry_after_s=limits.ROOM_RETRY_S)
        self._add(key, amount)

    def release(self, key: AccountKey, amount: int) -> None:
        """Release so much; those who wait are looked at."""
        self._add(key, -amount)
        if self._waiting and amount:
            self._grant_waiting()

    def _add(self, key: AccountKey, amount: int) -> None:
        before = self._shared_use(key.tenant)
        self.in_use += amount
        for counted, name in ((self._roots, key), (self._tenants, key.tenant)):
            counted[name] += amount  # type: ignore[index]
            if not counted[name]:  # type: ignore[index]
                del counted[name]
        self._shared_in_use += self._shared_use(key.tenant) - before

    # --- those who can wait
    def wait(self, key: AccountKey, amount: int, on_granted: Callable[[], None]) -> None:
        """Acquire as soon as it fits, then call ``on_granted``: at once, or in the order of asking."""
        if self.fits(key, amount):
            self._add(key, amount)
            on_granted()
        else:
            self._waiting.append((key, amount, on_granted))

    def _grant_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for key, amount, on_granted in waiting:
            self.wait(key, amount, on_granted)

    @property
    def root_count(self) -> int:
        """How many roots have any."""
        return len(self._roots)


def _with_an_eighth(most: int) -> int:
    return most + -(-most // _HEADROOM_FACTOR)


class Allocation:
    """What one connection or request has of a pool."""

    __slots__ = ("_key", "_pool", "_released", "size")

    def __init__(self, pool: Pool, key: AccountKey) -> None:
        self._pool = pool
        self._key = key
        self._released = False
        self.size = 0

    def grow(self, size: int) -> None:
        """Acquire more. Raises the pool's refusal."""
        self._pool.acquire(self._key, size)
        self.size += size

    def shrink(self, size: int) -> None:
        """Release some."""
        self.size -= size
        self._pool.release(self._key, size)

    def wait(self, size: int, on_granted: Callable[[], None]) -> None:
        """Acquire more as soon as it fits, then call ``on_granted``."""

        def granted() -> None:
            self.size += size
            if self._released:
                self.release()
            else:
                on_granted()

        self._pool.wait(self._key, size, granted)

    def release(self) -> None:
        """Release everything, for good; idempotent."""
        self._released = True
        size, self.size = self.size, 0
        self._pool.release(self._key, size)
