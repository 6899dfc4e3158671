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

from holdfast.edge.accounts import Account, Accounts, Go, Tenant
from holdfast.edge.config import Settings
from holdfast.edge.pool import Pool
from holdfast.edge.rate import too_fast
from holdfast.protocol import limits, wire
from holdfast.session.access import Principal

_STRUCTURE: Final = b"[{,"  # one of these stands before every JSON value but the first

MORE: Final[dict[type[wire.Op], int]] = {
    wire.Subscribe: 64 << 10, wire.History: 64 << 10, wire.Create: 64 << 10, wire.Serve: 256 << 10,
    wire.Watch: 512 << 10, wire.Delete: 1 << 20,
}  # fmt: skip
"""What operations take beside their bytes, in bytes of work; what they have sent is charged as it goes out."""
SENT_TIMES: Final = 4  # so many bytes that are sent are the work of one that is received
LIST_WORK: Final = 512 << 10  # a page of a list
VIEW_TIMES: Final = 4  # a view that is decoded to answer from it, for each of its bytes
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
        begun: work of everybody that is begun and not answered.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._accounts = Accounts(settings, clock)
        self._line: list[tuple[int, int, Tenant]] = []
        self._now = 0  # where the order of the tenants has come to
        self._numbers = itertools.count()
        self._spent = 0  # since the loop has gone round
        self._called = False
        self._timer: asyncio.TimerHandle | None = None
        self.memory = Pool(
            "server.busy", "too much in memory at a time", most=limits.HELD_BYTES, each=limits.HELD_EACH_BYTES,
            own=limits.HELD_OWN_BYTES,
        )  # fmt: skip
        self.bytes = self.nodes = self.begun = self.waited = self.refused = 0

    def account(self, principal: Principal) -> Account:
        """Whose account a principal's work is charged to."""
        return self._accounts.of(principal)

    # --- charging
    def price(self, raw: bytes, asking: int) -> int:
        """What it takes to work on JSON, before any of it is decoded; ``asking`` is for the asking."""
        size = len(raw)
        nodes = size - len(raw.translate(None, _STRUCTURE))
        self.bytes += size
        self.nodes += nodes
        return size + nodes * limits.NODE_BYTES + asking

    def spend(self, account: Account, work: int) -> None:
        """Charge what is done already; whoever owes for it waits."""
        account.rate.left -= work
        account.tenant.rate.left -= work

    def check(self, account: Account, work: int) -> None:
        """Refuse (``limit.rate``) somebody who owes too much for work of this size."""
        wait_s = max(account.owes_s(work), account.tenant.owes_s(work))
        if wait_s > 0:
            self.refused += 1
            raise too_fast(wait_s)

    def admit(self, account: Account, work: int) -> bool:
        """Begin work now, if it may begin and nothing of the account goes before it; ``done`` says when it is answered."""
        tenant = account.tenant
        if self._spent >= limits.WORK_TURN_BYTES or account.small or (account.large and work > limits.SMALL_WORK_BYTES):
            return False
        if (
            account.rate.left <= 0 or tenant.rate.left <= 0  # else all is well, most often
            or account.begun >= account.most or tenant.begun >= tenant.most or self.begun >= limits.WORK_BYTES
        ) and not self._may(account, work):  # fmt: skip
            return False
        account.rate.left -= work  # as ``_begin``, without a call: this is once per message
        tenant.rate.left -= work
        account.begun += work
        tenant.begun += work
        self.begun += work
        self._spent += work
        return True

    def done(self, account: Account, work: int) -> None:
        """Work that was begun is answered."""
        account.begun -= work
        account.tenant.begun -= work
        self.begun -= work
        if self._line:
            self._call()

    def _may(self, account: Account, work: int) -> bool:
        return self._open_to(account.tenant, work) and account.may(work)

    def _open_to(self, tenant: Tenant, work: int) -> bool:
        return (self.begun < limits.WORK_BYTES or tenant.begun < limits.WORK_OWN_BYTES) and tenant.may(work)

    def _begin(self, account: Account, work: int) -> None:
        tenant = account.tenant
        account.rate.left -= work
        tenant.rate.left -= work
        account.begun += work
        tenant.begun += work
        self.begun += work
        self._spent += work

    # --- waiting
    def wait(self, account: Account, work: int, go: Go) -> None:
        """Begin work when its turn has come, then call ``go``."""
        self.waited += 1
        (account.small if work <= limits.SMALL_WORK_BYTES else account.large).append((work, go))
        if not account.lined:
            tenant = account.tenant
            account.lined = True
            account.place = max(account.place, tenant.now)
            heappush(tenant.line, (account.place, next(self._numbers), account))
            if not tenant.lined:
                tenant.lined = True
                tenant.place = max(tenant.place, self._now)
                heappush(self._line, (tenant.place, next(self._numbers), tenant))
        self._call()

    async def turn(self, account: Account, work: int) -> None:
        """Begin work when its turn has come."""
        if self.admit(account, work):
            return
        came: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def go() -> None:
            if came.done():  # whoever waited has gone
                self.done(account, work)
            else:
                came.set_result(None)

        self.wait(account, work, go)
        await came

    # --- turns
    def _call(self) -> None:
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._serve)

    def _serve(self) -> None:
        """One turn: whoever had least goes first, until enough is begun. Who may not begin now is passed over."""
        self._called = False
        self._spent = 0
        passed: list[Tenant] = []
        while self._line and self._spent < limits.WORK_TURN_BYTES:
            tenant = heappop(self._line)[2]
            before = tenant.place
            if self._serve_one(tenant):
                self._now = max(self._now, before)
            if not tenant.line:
                tenant.lined = False
            elif tenant.place == before:
                passed.append(tenant)
            else:
                heappush(self._line, (tenant.place, next(self._numbers), tenant))
        if self._line:
            self._call()
        for tenant in passed:
            heappush(self._line, (tenant.place, next(self._numbers), tenant))
        self._call_when_paid(passed)

    def _serve_one(self, tenant: Tenant) -> bool:
        """Begin the work of a tenant whose turn it is; whether there was any that may begin."""
        passed: list[tuple[int, int, Account]] = []
        served = False
        while tenant.line and not served and self._open_to(tenant, 0):
            place = heappop(tenant.line)
            if self._may(place[2], place[2].next):
                self._serve_account(place[2])
                served = True
            else:
                passed.append(place)
        for place in passed:
            heappush(tenant.line, place)
        return served

    def _serve_account(self, account: Account) -> None:
        tenant = account.tenant
        work, go = (account.small or account.large).popleft()
        tenant.now = max(tenant.now, account.place)
        account.place += work
        tenant.place += work
        account.lined = bool(account.small or account.large)
        if account.lined:
            heappush(tenant.line, (account.place, next(self._numbers), account))
        self._begin(account, work)
        try:
            go()
        except Exception as error:  # one's fault must not cost the others their turn
            told = {"message": "work that waited failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)

    def _call_when_paid(self, passed: list[Tenant]) -> None:
        """Look again when the first of those who owe has paid; whoever waits for answers is called by ``done``."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting = [(tenant, account) for tenant in passed for _, _, account in tenant.line]
        waits = [max(tenant.owes_s(account.next), account.owes_s(account.next)) for tenant, account in waiting]
        owed = [wait_s for wait_s in waits if wait_s > 0]
        if owed:
            self._timer = asyncio.get_running_loop().call_later(min(owed), self._call)
