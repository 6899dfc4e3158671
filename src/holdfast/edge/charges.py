"""What everybody has the server do, charged to whom it is for before it is done, and begun in turns.

Work is counted in bytes: those that arrived, and for each JSON value in them ``limits.NODE_BYTES`` more, about what it takes
in memory and in time once it is decoded. It is charged to an account and to its tenant (``edge/accounts.py``), each of
which has a rate and a most that may be begun and not answered. Beyond either its work waits, with the transports it came
over paused.

While little is begun everything begins at once. After ``limits.WORK_TURN_BYTES`` the rest waits until the event loop has
gone round, and then whoever had least goes first: start-time fair queueing, by tenant and within a tenant by account. So
nobody waits for more than a turn because others ask for much.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

from holdfast.edge.accounts import Account, Accounts, Callback, Tenant
from holdfast.edge.config import Settings
from holdfast.edge.pool import Pool
from holdfast.edge.rate import too_fast
from holdfast.protocol import limits, wire
from holdfast.session.access import Principal

_STRUCTURE: Final = b"[{,"  # one of these stands before every JSON value but the first

EXTRA_WORK: Final[dict[type[wire.Op], int]] = {
    wire.Subscribe: 64 << 10, wire.History: 64 << 10, wire.Create: 64 << 10, wire.Serve: 256 << 10,
    wire.Watch: 512 << 10, wire.Delete: 1 << 20,
}  # fmt: skip
"""What operations take beside their bytes, in bytes of work; what they have sent is charged as it goes out."""
SENT_TIMES: Final = 4  # so many bytes that are sent are the work of one that is received
LIST_WORK: Final = 512 << 10  # a page of a list
VIEW_ITEM_WORK: Final = 8  # a view that is looked through to answer from it, for each of its items
LOAD_WORK: Final = 512 << 10  # a session that is not in memory
TOKEN_WORK: Final = 64 << 10  # signing a token


class Charges:
    """What is charged, held and waiting on one server.

    Args:
        clock: seconds; replaced in tests.

    Attributes:
        memory: what is held for anybody while it arrives, is worked on, or leaves.
        bytes, nodes: how much was charged. waited, refused: how often something had to wait for its turn, or was refused
            for its rate.
        in_progress: work of everybody that was begun and is not answered.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._accounts = Accounts(settings, clock)
        self._queue: list[tuple[int, int, Tenant]] = []
        self._virtual_time = 0  # where the order of the tenants has come to
        self._numbers = itertools.count()
        self._begun_this_round = 0  # since the loop has gone round
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self.memory = Pool(
            "server.busy",
            "too much in memory at a time",
            tenant_limit=limits.HELD_BYTES,
            root_limit=limits.HELD_EACH_BYTES,
            tenant_guarantee=limits.HELD_OWN_BYTES,
        )
        self.bytes = self.nodes = self.in_progress = self.waited = self.refused = 0

    def account(self, principal: Principal) -> Account:
        """Whose account a principal's work is charged to."""
        return self._accounts.get(principal)

    # --- charging
    def price(self, raw: bytes, base: int) -> int:
        """What it takes to work on JSON, before any of it is decoded; ``base`` is added for any request."""
        size = len(raw)
        nodes = size - len(raw.translate(None, _STRUCTURE))
        self.bytes += size
        self.nodes += nodes
        return size + nodes * limits.NODE_BYTES + base

    def spend(self, account: Account, work: int) -> None:
        """Charge what is done already; whoever owes for it waits."""
        account.rate.available -= work
        account.tenant.rate.available -= work

    def check(self, account: Account, work: int) -> None:
        """Refuse (``limit.rate``) somebody who owes too much for work of this size."""
        wait_s = max(account.delay_s(work), account.tenant.delay_s(work))
        if wait_s > 0:
            self.refused += 1
            raise too_fast(wait_s)

    def admit(self, account: Account, work: int) -> bool:
        """Begin work now, if it may begin and nothing of the account goes before it; ``finish`` says when it is answered."""
        tenant = account.tenant
        if (
            self._begun_this_round >= limits.WORK_TURN_BYTES
            or account.small
            or (account.large and work > limits.SMALL_WORK_BYTES)
        ):
            return False
        if (
            account.rate.available <= 0
            or tenant.rate.available <= 0  # else all is well, most often
            or account.in_progress >= account.most
            or tenant.in_progress >= tenant.most
            or self.in_progress >= limits.WORK_BYTES
        ) and not self._may_begin(account, work):
            return False
        account.rate.available -= work  # as ``_begin``, without a call: this is once per message
        tenant.rate.available -= work
        account.in_progress += work
        tenant.in_progress += work
        self.in_progress += work
        self._begun_this_round += work
        return True

    def finish(self, account: Account, work: int) -> None:
        """Work that was begun is answered."""
        account.in_progress -= work
        account.tenant.in_progress -= work
        self.in_progress -= work
        if self._queue:
            self._schedule()

    def _may_begin(self, account: Account, work: int) -> bool:
        return self._tenant_may_begin(account.tenant, work) and account.may_begin(work)

    def _tenant_may_begin(self, tenant: Tenant, work: int) -> bool:
        return (
            self.in_progress < limits.WORK_BYTES or tenant.in_progress < limits.WORK_OWN_BYTES
        ) and tenant.may_begin(work)

    def _begin(self, account: Account, work: int) -> None:
        tenant = account.tenant
        account.rate.available -= work
        tenant.rate.available -= work
        account.in_progress += work
        tenant.in_progress += work
        self.in_progress += work
        self._begun_this_round += work

    # --- waiting
    def wait(self, account: Account, work: int, go: Callback) -> None:
        """Begin work when its turn has come, then call ``go``."""
        self.waited += 1
        (account.small if work <= limits.SMALL_WORK_BYTES else account.large).append((work, go))
        if not account.queued:
            tenant = account.tenant
            account.queued = True
            account.start_tag = max(account.start_tag, tenant.virtual_time)
            heappush(tenant.queue, (account.start_tag, next(self._numbers), account))
            if not tenant.queued:
                tenant.queued = True
                tenant.start_tag = max(tenant.start_tag, self._virtual_time)
                heappush(self._queue, (tenant.start_tag, next(self._numbers), tenant))
        self._schedule()

    async def wait_turn(self, account: Account, work: int) -> None:
        """Begin work when its turn has come."""
        if self.admit(account, work):
            return
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def go() -> None:
            if ready.done():  # whoever waited has gone
                self.finish(account, work)
            else:
                ready.set_result(None)

        self.wait(account, work, go)
        await ready

    # --- turns
    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._serve_round)

    def _serve_round(self) -> None:
        """One turn: whoever had least goes first, until enough is begun. Who may not begin now is passed over."""
        self._scheduled = False
        self._begun_this_round = 0
        skipped: list[Tenant] = []
        while self._queue and self._begun_this_round < limits.WORK_TURN_BYTES:
            tenant = heappop(self._queue)[2]
            before = tenant.start_tag
            if self._serve_tenant(tenant):
                self._virtual_time = max(self._virtual_time, before)
            if not tenant.queue:
                tenant.queued = False
            elif tenant.start_tag == before:
                skipped.append(tenant)
            else:
                heappush(self._queue, (tenant.start_tag, next(self._numbers), tenant))
        if self._queue:
            self._schedule()
        for tenant in skipped:
            heappush(self._queue, (tenant.start_tag, next(self._numbers), tenant))
        self._schedule_when_paid(skipped)

    def _serve_tenant(self, tenant: Tenant) -> bool:
        """Begin the work of a tenant whose turn it is; whether there was any that may begin."""
        skipped: list[tuple[int, int, Account]] = []
        served = False
        while tenant.queue and not served and self._tenant_may_begin(tenant, 0):
            entry = heappop(tenant.queue)
            if self._may_begin(entry[2], entry[2].next):
                self._serve_account(entry[2])
                served = True
            else:
                skipped.append(entry)
        for entry in skipped:
            heappush(tenant.queue, entry)
        return served

    def _serve_account(self, account: Account) -> None:
        tenant = account.tenant
        work, go = (account.small or account.large).popleft()
        tenant.virtual_time = max(tenant.virtual_time, account.start_tag)
        account.start_tag += work
        tenant.start_tag += work
        account.queued = bool(account.small or account.large)
        if account.queued:
            heappush(tenant.queue, (account.start_tag, next(self._numbers), account))
        self._begin(account, work)
        try:
            go()
        except Exception as error:  # one's fault must not cost the others their turn
            context = {"message": "work that waited failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _schedule_when_paid(self, skipped: list[Tenant]) -> None:
        """Look again when the first of those who owe has paid; ``finish`` schedules those who wait for answers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting = [(tenant, account) for tenant in skipped for _, _, account in tenant.queue]
        delays = [max(tenant.delay_s(account.next), account.delay_s(account.next)) for tenant, account in waiting]
        positive_delays = [wait_s for wait_s in delays if wait_s > 0]
        if positive_delays:
            self._timer = asyncio.get_running_loop().call_later(min(positive_delays), self._schedule)
