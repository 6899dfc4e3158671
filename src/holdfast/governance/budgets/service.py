"""Budgets: the meter of the gateway where money is bounded. What is spent is the ledger's; what may be is decided here."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection

from holdfast.errors import HoldfastError, Refused
from holdfast.gateway.port import Hold, Opening, Served
from holdfast.governance import labels, limits
from holdfast.governance.budgets import recounting, store, windows
from holdfast.governance.budgets.book import Standing
from holdfast.governance.budgets.bounds import bound_of
from holdfast.governance.budgets.counting import SpendCount
from holdfast.governance.budgets.hold import Ask, AttemptHold
from holdfast.governance.budgets.model import BrakeRule, Budget, BudgetAccount
from holdfast.governance.budgets.port import BudgetLedger, BudgetOrganisation, BudgetStore
from holdfast.governance.budgets.refusing import refusal_of
from holdfast.governance.budgets.reserving import Reserving
from holdfast.governance.budgets.store import HoldLine
from holdfast.governance.budgets.whereabouts import Whereabouts
from holdfast.governance.ledger.port import WallClock
from holdfast.governance.store import facts
from holdfast.governance.store.changes import count_change
from holdfast.visible import logger

T = TypeVar("T")
log = logger("holdfast.budgets")
_ORGANISED = "budgets.organisation:"


class Exhaustion(NamedTuple):
    """A budget that brakes, and an account of it that has spent all it may."""

    budget: Budget
    spent_nano: int
    reopens_ms: int | None


class Budgets:
    """Budgets of one process; a ``gateway.port.Meter``.

    Args:
        database: the store.
        ledger: where attempts are put on record; its rows are counted by ``count``.
        organisation: whose calls are.
        clock: the time.
        count: counts the ledger's rows; the ledger has it, too.
    """

    def __init__(
        self, database: BudgetStore, ledger: BudgetLedger, organisation: BudgetOrganisation, clock: WallClock, count: SpendCount
    ) -> None:  # fmt: skip
        self.store = database
        self.ledger = ledger
        self.organisation = organisation
        self.clock = clock
        self.asking: Ask = _nobody
        self._count = count
        self._brakes: Mapping[tuple[str, str], BrakeRule] = {}
        self._organised: dict[
            str, Mapping[object, object]
        ] = {}  # the organisation by which a tenant's budgets were counted
        self._exhausted: Mapping[tuple[str, str], Exhaustion] = {}
        self._refreshing = asyncio.Lock()
        self._holds: dict[str, AttemptHold] = {}  # of the attempts under way
        self._seen: float | None = None  # when what is exhausted was read, on the loop's clock
        self._reserving = Reserving(database, ledger, organisation.zone, clock.wall_ms, lambda: count.budgets)
        self._task: asyncio.Task[None] | None = None

    # --- life
    async def refresh(self) -> None:
        """Read what budgets there are. Raises ``store.unavailable``."""
        async with self._refreshing:  # who began to read earlier must not have the last word
            self._count.budgets, self._brakes = await self.store.read(
                lambda connection: (store.read_budgets(connection), store.read_brakes(connection))
            )

    async def start(self) -> None:
        """Begin to decide, and to look which budgets are exhausted. Raises ``store.unavailable``."""
        await self.follow_organisation()
        self._reserving.start()
        await self.look()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="holdfast budgets")

    async def stop(self) -> None:
        """End. Money of attempts under way stays reserved until they are settled."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._reserving.stop()

    async def _run(self) -> None:
        loop, forgotten = asyncio.get_running_loop(), float("-inf")
        while True:
            await asyncio.sleep(limits.BUDGET_FRESH_S)
            try:
                await self.follow_organisation()
                await self.look()
                if loop.time() - forgotten >= limits.BUDGET_FORGET_EVERY_S:
                    await self.forget()
                    forgotten = loop.time()
            except HoldfastError as error:
                log.warning("which budgets are spent cannot be seen: %s", error.code)
            except Exception:  # the next look may do better, and without any agents would be braked by what was once
                log.exception("looking at budgets failed")

    # --- the meter
    async def open(self, opening: Opening) -> Hold:
        """See ``gateway.port.Meter.open``."""
        where = self.where(opening)
        if not self._count.budgets.accounts(opening.call.caller.tenant, where):
            return await self.ledger.open(opening)
        self.ledger.admit(opening)
        try:
            bound = bound_of(opening, self.ledger.prices)
        except Refused:
            if any(name.budget.brakes for name in self._count.budgets.accounts(opening.call.caller.tenant, where)):
                raise
            return await self.ledger.open(opening)
        rule = self.brake_rule(opening.call.caller.tenant, where.workflow)
        hold = AttemptHold(self._reserving.reserve, self.asking, opening, self.where, bound, rule, self.clock.wall_ms)
        await self.ledger.begin(opening, hold.begin())
        self._holds[opening.id] = hold
        return hold

    async def settle(self, served: Served) -> None:
        """See ``gateway.port.Meter.settle``. Of an answer that was cut more may be billed than was seen: the margin that was
        reserved for that counts as used, until the provider's report says what was."""
        hold = self._holds.pop(served.id, None)
        if hold is not None and served.estimated is not None:
            served = replace(served, estimated=hold.with_tail(served.estimated))
        await self.ledger.settle(served)
        self._reserving.settled()

    def where(self, opening: Opening) -> Whereabouts:
        """Where an attempt stands in the organisation."""
        call = opening.call
        return self.whereabouts(
            call.caller.tenant, dict(call.caller.labels), opening.at_ms, call.session, call.run or call.id
        )

    def whereabouts(
        self, tenant: str, claims: Mapping[str, str], at_ms: int, session: str = "", run: str = ""
    ) -> Whereabouts:
        """Where work with these labels stands."""
        whose = self.organisation.resolve(claims, at_ms, tenant)
        teams = (
            tuple(unit.name for unit in self.organisation.tree(tenant).teams(whose.team, at_ms)) if whose.team else ()
        )
        return Whereabouts(
            whose.organisation, teams, whose.workflow, claims.get(labels.TASK, ""), whose.person, session, run
        )

    def brake_rule(self, tenant: str, workflow: str) -> BrakeRule:
        """What becomes of a workflow's running answers that get no more money."""
        return self._brakes.get((tenant, workflow)) or BrakeRule(workflow)

    # --- definitions
    def definitions(self, tenant: str) -> Sequence[Budget]:
        """The budgets that hold, the largest parts of the organisation first."""
        return self._count.budgets.of(tenant)

    async def change(self, work: Callable[[Connection], tuple[T, Sequence[Budget]]]) -> T:
        """Change definitions in one transaction; those budgets that ``work`` names beside its answer are counted anew from
        the ledger in it. Raises what ``work`` raises."""

        def whole(connection: Connection) -> T:
            store.lock(connection)
            answer, changed = work(connection)
            for budget in changed:
                recounting.recount(connection, budget, self.organisation, self.clock.wall_ms())
            recounting.hold_again(connection, changed, self.ledger, self.where, self.clock.wall_ms())
            count_change(connection, store.DOMAIN)
            return answer

        answer = await self.store.write(whole)
        await self.refresh()
        self._reserving.settled()
        return answer

    async def follow_organisation(self) -> None:
        """Count the budgets of a tenant again, and what is held of them, when its organisation has changed since: a change holds
        from a day on, so that what was counted since its beginning stands elsewhere now. Raises ``store.unavailable``."""
        for tenant in sorted({budget.tenant for budget in self._count.budgets.by_id.values()}):
            timelines = self.organisation.tree(tenant).timelines
            if self._organised.get(tenant) == timelines:
                continue
            digest = hashlib.sha256(repr(sorted(timelines.items())).encode()).hexdigest()
            counted = await self.store.read(lambda connection, of=tenant: facts.get(connection, f"{_ORGANISED}{of}"))  # type: ignore[misc]
            if tenant in self._organised or counted != digest:

                def again(connection: Connection, of: str = tenant, new: str = digest) -> tuple[None, Sequence[Budget]]:
                    facts.put(connection, f"{_ORGANISED}{of}", new)
                    return None, store.current(connection, self._count.budgets).of(of)

                await self.change(again)
            self._organised[tenant] = timelines

    # --- how things stand
    async def accounts(self, tenant: str, budget: str = "", limit: int = limits.BUDGET_ACCOUNTS) -> list[BudgetAccount]:
        """How budgets stand, or one by its id: of those with a cap for each of something, the accounts that were used."""
        wanted = [each for each in self.definitions(tenant) if budget in ("", each.id)]
        now_ms = self.clock.wall_ms()

        def work(connection: Connection) -> list[BudgetAccount]:
            return [account for each in wanted for account in self._accounts(connection, each, now_ms, limit)][:limit]

        return await self.store.read(work)

    def _accounts(self, connection: Connection, budget: Budget, now_ms: int, limit: int) -> list[BudgetAccount]:
        window = self.window(budget, now_ms)
        subjects = store.read_subjects(connection, budget.id, window.opens_ms, limit) if budget.each else [""]
        spent = store.read_spent(connection, budget.id, subjects, window.opens_ms)
        holds = store.read_held(connection, budget.id, subjects)
        found = []
        for subject in subjects:
            there, holding = spent.get(subject, store.Spent()), holds.get(subject, store.HeldMoney())
            found.append(
                BudgetAccount(
                    budget, subject, *window, there.spent_nano, holding.nano, holding.attempts, there.returned_nano,
                    there.settled_nano, there.refused, there.observed,
                )
            )  # fmt: skip
        return found

    def window(self, budget: Budget, at_ms: int) -> windows.Window:
        """A budget's window at an instant."""
        return windows.counted_window(budget, at_ms, self.organisation.zone)

    async def reservations(self, tenant: str, limit: int = limits.BUDGET_ACCOUNTS) -> list[HoldLine]:
        """What attempts under way hold, the oldest first."""
        return await self.store.read(lambda connection: store.list_holds(connection, tenant, limit))

    async def verify(self, tenant: str) -> list[recounting.CountDifference]:
        """Where what was counted differs from the ledger's rows; none where enforcement and ledger are one number."""
        wanted, now_ms = self.definitions(tenant), self.clock.wall_ms()
        return await self.store.read(
            lambda connection: [
                d for each in wanted for d in recounting.differences(connection, each, self.organisation, now_ms)
            ]
        )

    async def forget(self) -> int:
        """Forget what is too old to be kept: refusals, accounts of single runs and sessions that nothing touches any more,
        parts of windows that have rolled on. How many those were. Raises ``store.unavailable``."""
        now_ms = self.clock.wall_ms()
        refused_ms = now_ms - round(limits.BUDGET_REFUSALS_S * 1_000)
        count = await self._forget(lambda connection, most: store.forget_refusals(connection, refused_ms, most))
        for budget in list(self._count.budgets.by_id.values()):
            some = recounting.forgotten_of(budget, self.window(budget, now_ms), now_ms)
            if some is not None:
                count += await self._forget(
                    lambda connection, most, of=budget.id, old=some: store.forget_spent(connection, of, most, **old)  # type: ignore[misc]
                )
        return count

    async def _forget(self, some: Callable[[Connection, int], int]) -> int:
        count, found = 0, limits.BUDGET_FORGET_ROWS
        while found >= limits.BUDGET_FORGET_ROWS:
            found = await self.store.write(lambda connection: some(connection, limits.BUDGET_FORGET_ROWS))
            count += found
        return count

    # --- what is exhausted, in memory: for those who do not pass the gateway
    async def look(self) -> None:
        """Read which accounts have spent all they may. Raises ``store.unavailable``."""
        now_ms, budgets = self.clock.wall_ms(), self._count.budgets
        braking = [budget for budget in budgets.by_id.values() if budget.brakes]

        def work(connection: Connection) -> dict[tuple[str, str], Exhaustion]:
            found = {}
            for budget in braking:
                window = self.window(budget, now_ms)
                # of runs and sessions there are ever more, and those that are over spend nothing
                touched_ms = now_ms - int(limits.BUDGET_LIVELY_S * 1_000) if budget.each in ("run", "session") else 0
                for subject, nano in store.exhausted(
                    connection, budget.id, window.opens_ms, budget.cap_nano, limits.BUDGET_ACCOUNTS, touched_ms
                ):
                    reopens = windows.reopens_ms(budget, window, now_ms, None)
                    found[budget.id, subject] = Exhaustion(budget, nano, reopens)
            return found

        self._exhausted = await self.store.read(work) if braking else {}
        self._seen = asyncio.get_running_loop().time()

    def age_s(self) -> float:
        """How old, in seconds, what is known of exhausted budgets is; 0 while none brakes."""
        if self._seen is not None and not any(budget.brakes for budget in self._count.budgets.by_id.values()):
            return 0.0
        if self._seen is None:
            return float("inf")
        return asyncio.get_running_loop().time() - self._seen

    def any_spent(self) -> bool:
        """Whether any budget that binds has no money left; in memory."""
        return bool(self._exhausted)

    def refusal(self, tenant: str, claims: Mapping[str, str], session: str, run: str) -> Refused | None:
        """Why work with these labels may not go on; None where it may. In memory, and as old as ``age_s`` says."""
        if not self._exhausted:
            return None
        now_ms = self.clock.wall_ms()
        where = self.whereabouts(tenant, claims, now_ms, session, run)
        for budget, subject in self._count.budgets.accounts(tenant, where):
            found = self._exhausted.get((budget.id, subject))
            if found is not None:
                standing = Standing(budget.cap_nano, found.spent_nano, 0, brakes=True)
                return refusal_of(budget, standing, 0, found.reopens_ms, now_ms)
        return None


async def _nobody(opening: Opening, where: Whereabouts, refused: Refused) -> None:
    """Nobody can be asked."""
    raise refused
