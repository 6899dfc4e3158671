"""Accounts: one for each root of a tenant, whose work it pays for; and what the tenant as a whole has left."""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from holdfast.edge.config import Settings
from holdfast.edge.pool import AccountKey
from holdfast.edge.rate import Bucket
from holdfast.protocol import limits
from holdfast.session.access import Principal, root_of

Callback = Callable[[], None]

_IDLE_ACCOUNTS: Final = 10_000  # accounts, beside those in use


class Share:
    """What a tenant, or a root of one, may still have worked on.

    Attributes:
        rate: of work, in bytes.
        in_progress: work that was begun and is not answered; ``most`` of it at a time.
        start_tag: its place in the fair order.
        queued: whether it is in the queue.
    """

    __slots__ = ("in_progress", "most", "queued", "rate", "start_tag")

    def __init__(self, rate: Bucket, most: int) -> None:
        self.rate = rate
        self.most = most
        self.in_progress = 0
        self.start_tag = 0
        self.queued = False

    def may_begin(self, work: int) -> bool:
        """Whether this much may begin: small work also for somebody who owes, up to as much as a second gives."""
        rate = self.rate
        least = 1 if work > limits.SMALL_WORK_BYTES else 1 - rate.burst
        return self.in_progress < self.most and (rate.available >= least or rate.has(least))

    def delay_s(self, work: int) -> float:
        """Seconds until work of this size may begin, as far as it is for the rate."""
        least = 1 if work > limits.SMALL_WORK_BYTES else 1 - self.rate.burst
        return 0.0 if self.rate.has(least) else self.rate.wait_s(least)


class Tenant(Share):
    """All of a tenant. ``queue`` are its accounts that have something waiting; ``virtual_time`` is where their order
    has come to."""

    __slots__ = ("accounts", "queue", "virtual_time")

    def __init__(self, rate: Bucket) -> None:
        super().__init__(rate, limits.WORK_TENANT_BYTES)
        self.queue: list[tuple[int, int, Account]] = []
        self.virtual_time = 0
        self.accounts = 0


class Account(Share):
    """A root of a tenant.

    Attributes:
        requests: how many it may ask for over HTTP.
        small, large: what waits, each in the order it came.
        users: connections and requests that are of it now.
    """

    __slots__ = ("key", "large", "requests", "small", "tenant", "users")

    def __init__(self, key: AccountKey, tenant: Tenant, rate: Bucket, requests: Bucket) -> None:
        super().__init__(rate, limits.WORK_EACH_BYTES)
        self.key = key
        self.tenant = tenant
        self.requests = requests
        self.small: deque[tuple[int, Callback]] = deque()
        self.large: deque[tuple[int, Callback]] = deque()
        self.users = 0

    @property
    def next(self) -> int:
        """The work that is to begin next."""
        return (self.small or self.large)[0][0]

    @property
    def is_idle(self) -> bool:
        """Nothing is lost when it is forgotten: nothing is under way, and it has its whole rates again."""
        full = all(rate.has(rate.burst) for rate in (self.rate, self.requests))
        return full and not (self.users or self.in_progress or self.queued)


class Accounts:
    """The accounts of one server, those in use and the latest beside them."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._accounts: OrderedDict[AccountKey, Account] = OrderedDict()
        self._tenants: dict[str, Tenant] = {}

    def get(self, principal: Principal) -> Account:
        """Whose account a principal's work is charged to."""
        key = AccountKey(principal.tenant, root_of(principal))
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = self._open(key)
            self._evict_idle()
        else:
            self._accounts.move_to_end(key)
        return account

    def _open(self, key: AccountKey) -> Account:
        settings, clock = self._settings, self._clock
        tenant = self._tenants.get(key.tenant)
        if tenant is None:
            most = settings.work_per_s * limits.WORK_TENANT_TIMES
            tenant = self._tenants[key.tenant] = Tenant(Bucket(most, most, clock))
        tenant.accounts += 1
        rate = Bucket(settings.work_per_s, settings.work_per_s, clock)
        return Account(key, tenant, rate, Bucket(settings.requests_per_s, settings.requests_per_s * 2, clock))

    def _evict_idle(self) -> None:
        """Forget the accounts that were not used for longest, as far as they are idle."""
        for key in list(itertools.islice(self._accounts, max(0, len(self._accounts) - _IDLE_ACCOUNTS))):
            account = self._accounts[key]
            if account.is_idle:
                del self._accounts[key]
                account.tenant.accounts -= 1
                if not account.tenant.accounts:
                    del self._tenants[key.tenant]
