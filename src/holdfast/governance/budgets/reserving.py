"""Reserves money for attempts: many in one transaction, decided one after the other over what stands in the database.

What does not fit and may fit once others have settled waits for that, for ``limits.BUDGET_WAIT_S`` at most; it is looked at
again whenever something settled here, and now and then, because other gateways settle, too. More for answers under way is
decided before new ones. A piece of work may be run again, so it changes nothing but the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from holdfast.errors import HoldfastError, Unavailable
from holdfast.gateway.port import Opening
from holdfast.governance import limits
from holdfast.governance.budgets import book, store, windows
from holdfast.governance.budgets.book import Bound, Grant, Shortage, Standing
from holdfast.governance.budgets.model import Budget, BudgetRefusal
from holdfast.governance.budgets.port import BudgetStore, OpeningBook
from holdfast.governance.budgets.refusing import refusal_of
from holdfast.governance.budgets.store import HoldLine, SpentLine
from holdfast.governance.budgets.whereabouts import AccountName, BudgetSet, Whereabouts

_Key = tuple[str, str]


class Reservation(msgspec.Struct):
    """What one attempt wants, until it is decided.

    Attributes:
        opening: of the attempt; ``begun``: it is on record, and wants more.
        where: whose it is.
        least, wanted: output tokens from the beginning of the answer.
        observed: it is on record already that it does not fit in a budget that only observes.
        since, until: on the loop's clock: when it was asked for, and from when on it does not wait.
        done: gets the ``Grant``, or why there is none.
    """

    opening: Opening
    where: Whereabouts
    bound: Bound
    least: int
    wanted: int
    until: float
    done: asyncio.Future[Grant]
    begun: bool = False
    observed: bool = False
    since: float = 0.0


class _Decision(NamedTuple):
    grant: Grant | None
    refused: HoldfastError | None
    waits: bool
    refusals: tuple[BudgetRefusal, ...] = ()


class Reserving:
    """Decides reservations.

    Args:
        database: the store.
        openings: where attempts are put on record as they begin.
        zone: the time zone of a tenant's days.
        now_ms: Unix ms.
        budgets: as read last.
    """

    def __init__(
        self, database: BudgetStore, openings: OpeningBook, zone: Callable[[str, int], ZoneInfo], now_ms: Callable[[], int],
        budgets: Callable[[], BudgetSet],
    ) -> None:  # fmt: skip
        self._store = database
        self._openings = openings
        self._zone = zone
        self._now_ms = now_ms
        self._budgets = budgets
        self._new: deque[Reservation] = deque()
        self._waiting: list[Reservation] = []
        self._round: list[Reservation] = []  # those being decided
        self._news = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to decide."""
        self._stopping = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name="holdfast reservations")

    async def stop(self) -> None:
        """Decide no more; who waits is refused. What is being written is waited for: what became of it is known then."""
        self._stopping = True
        self._news.set()
        task, self._task = self._task, None
        if task is not None:
            await task
        for one in (*self._new, *self._waiting, *self._round):
            if not one.done.done():
                one.done.set_exception(Unavailable("server.restarting"))
        self._new.clear()
        self._waiting.clear()
        self._round.clear()

    def settled(self) -> None:
        """Something was settled: what waits may fit now."""
        if self._waiting:
            self._news.set()

    async def reserve(self, reservation: Reservation) -> Grant:
        """What is granted.

        Raises:
            Refused: ``budget.exceeded``, ``budget.reopens``, ``budget.spent``.
            Unavailable: ``store.unavailable``, ``store.busy``; ``server.restarting`` before the start and after the end.
        """
        if self._task is None:
            raise Unavailable("server.restarting")
        if len(self._new) + len(self._waiting) >= limits.BUDGET_WAITING:
            raise Unavailable("store.busy", "too many reservations wait to be decided")
        self._new.append(reservation)
        self._news.set()
        return await reservation.done

    async def _run(self) -> None:
        while not self._stopping:
            if self._waiting:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(limits.BUDGET_LOOK_S):
                        await self._news.wait()
            else:
                await self._news.wait()
            self._news.clear()
            self._round = sorted((*self._waiting, *self._new), key=lambda one: not one.begun)
            self._waiting = []
            self._new.clear()
            while self._round and not self._stopping:
                group = [one for one in self._round[: limits.BUDGET_GROUP] if not one.done.done()]
                if group:
                    await self._decide(group)
                del self._round[: limits.BUDGET_GROUP]

    async def _decide(self, group: Sequence[Reservation]) -> None:
        now = asyncio.get_running_loop().time()
        patient = frozenset(id(one) for one in group if one.until > now)
        work = _Work(self._openings, self._zone, self._now_ms(), self._budgets(), group, patient, now)
        try:
            decisions = await self._store.write(work)
        except BaseException as error:
            refusal = error if isinstance(error, Exception) else Unavailable("server.restarting")
            for one in group:
                if not one.done.done():
                    one.done.set_exception(refusal)
                elif not one.begun:  # its caller has left, and it may be on record all the same
                    self._openings.unasked(one.opening)
            if refusal is not error:
                raise
            return
        for one, decision in zip(group, decisions, strict=True):
            if decision.waits:
                self._waiting.append(one)
            elif one.done.done():  # the caller has left: what it was granted is given back with its attempt
                if decision.grant is not None and not one.begun:  # only now that it is on record: before, nothing was
                    self._openings.unasked(one.opening)
            elif decision.refused is not None:
                one.done.set_exception(decision.refused)
            else:
                assert decision.grant is not None
                one.done.set_result(decision.grant)


class _Work:
    """One transaction: reads the accounts of a group once, decides one by one, writes what was decided."""

    def __init__(
        self, openings: OpeningBook, zone: Callable[[str, int], ZoneInfo], now_ms: int, budgets: BudgetSet,
        group: Sequence[Reservation], patient: frozenset[int], now: float,
    ) -> None:  # fmt: skip
        self._openings = openings
        self._zone = zone
        self._now_ms = now_ms
        self._budgets = budgets
        self._group = group
        self._patient = patient
        self._now = now

    def __call__(self, connection: Connection) -> list[_Decision]:
        store.lock(connection)
        budgets = store.current(connection, self._budgets)
        accounts = [budgets.accounts(one.opening.call.caller.tenant, one.where) for one in self._group]
        standings = self._read(connection, accounts)
        holds = self._holding(connection)
        bare = [one.opening.id for one in self._group if one.begun and one.opening.id not in holds]
        still_open = self._openings.open_of(connection, bare) if bare else {}
        self._holders: dict[_Key, list[str]] = {}
        lines: list[HoldLine] = []
        raised: list[tuple[str, int, int]] = []
        decisions: list[_Decision] = []
        refusals: list[BudgetRefusal] = []
        for one, names in zip(self._group, accounts, strict=True):
            own = holds.get(one.opening.id, {})
            if one.begun and not own and one.opening.id not in still_open:
                decisions.append(_Decision(None, _taken_away(one), waits=False))
                continue
            decision = self._one(connection, one, names, standings, own)
            decisions.append(decision)
            refusals += decision.refusals
            if decision.grant is None:
                continue
            tokens, nano, _ = decision.grant
            for name in names:
                key = name.budget.id, name.subject
                standings[key] = standings[key]._replace(reserved=standings[key].reserved + nano - own.get(key, 0))
            if one.begun:
                raised.append((one.opening.id, nano, self._paid(one, tokens)))
            lines += [
                HoldLine(
                    budget.id, subject, one.opening.id, nano, one.bound.input_tokens, self._paid(one, tokens), self._now_ms
                )
                for budget, subject in names if (budget.id, subject) not in own
            ]  # fmt: skip
        new = [one.opening for one, each in zip(self._group, decisions, strict=True) if each.grant and not one.begun]
        self._openings.add_openings(connection, new)
        store.add_holds(connection, lines)
        store.raise_holds(connection, raised)
        self._record(connection, refusals, budgets)
        return decisions

    @staticmethod
    def _paid(one: Reservation, tokens: int) -> int:
        """The output tokens that a hold stands for, the tail included."""
        with_tail = tokens + one.bound.tail_tokens
        return with_tail if one.bound.limit is None else min(with_tail, one.bound.limit)

    def _holding(self, connection: Connection) -> dict[str, dict[_Key, int]]:
        """What those who want more hold already, and of which accounts: that is what stands in the database, for a budget may
        have come since, and an attempt have been taken for lost."""
        found: dict[str, dict[_Key, int]] = {}
        for line in store.holds_of(connection, [one.opening.id for one in self._group if one.begun]):
            found.setdefault(line.attempt, {})[line.budget, line.subject] = line.nano
        return found

    def _read(self, connection: Connection, accounts: Sequence[Sequence[AccountName]]) -> dict[_Key, Standing]:
        subjects: dict[str, set[str]] = {}
        by_id = {}
        for budget, subject in (name for names in accounts for name in names):
            by_id[budget.id] = budget
            subjects.setdefault(budget.id, set()).add(subject)
        standings: dict[_Key, Standing] = {}
        for id_, named in sorted(subjects.items()):
            budget, wanted = by_id[id_], sorted(named)
            spent = store.read_spent(connection, id_, wanted, self._window(budget).opens_ms)
            holds = store.read_held(connection, id_, wanted)
            for subject in wanted:
                there = spent.get(subject, store.Spent())
                holding = holds.get(subject, store.HeldMoney())
                standings[id_, subject] = Standing(budget.cap_nano, there.spent_nano, holding.nano, budget.brakes)
        return standings

    def _window(self, budget: Budget) -> windows.Window:
        return windows.counted_window(budget, self._now_ms, self._zone)

    def _one(
        self, connection: Connection, one: Reservation, names: Sequence[AccountName], standings: dict[_Key, Standing],
        holds: Mapping[_Key, int],
    ) -> _Decision:  # fmt: skip
        own = []
        for budget, subject in names:
            standing = standings[budget.id, subject]
            own.append(standing._replace(reserved=standing.reserved - holds.get((budget.id, subject), 0)))
        found = book.decide(own, one.bound, one.least, one.wanted)
        if isinstance(found, Grant):
            watched = [] if one.observed else [p for p in found.short if names[p].budget.strength == "hard"]
            refusals = self._refusals(connection, one, names, own, watched, found.nano, "budget.exceeded")
            return _Decision(found, None, False, refusals)
        if found.waits and id(one) in self._patient:
            return _Decision(None, None, waits=True)
        return self._refused(connection, one, names, own, found)

    def _refused(
        self, connection: Connection, one: Reservation, names: Sequence[AccountName], own: Sequence[Standing],
        found: Shortage,
    ) -> _Decision:  # fmt: skip
        braking = [p for p in found.short if names[p].budget.brakes]
        spent = [p for p in braking if found.need > own[p].cap - own[p].spent] or braking
        reopening = {p: self._reopens_ms(connection, names[p], own[p], found.need) for p in spent}
        # where several are short, the one that stays so for the longest: a call that is told of another comes back in vain
        place = max(spent, key=lambda p: math.inf if (at_ms := reopening[p]) is None else at_ms)
        error = refusal_of(names[place].budget, own[place], found.need, reopening[place], self._now_ms)
        watched = [p for p in found.short if names[p].budget.strength == "hard"]
        refusals = self._refusals(connection, one, names, own, watched, found.need, error.code)
        return _Decision(None, error, False, refusals)

    def _reopens_ms(self, connection: Connection, name: AccountName, standing: Standing, need: int) -> int | None:
        budget, subject = name
        if need > standing.cap:
            return None
        window, until = self._window(budget), None
        if budget.span == "rolling":
            parts = store.read_parts(connection, budget.id, subject, window.opens_ms)
            until = windows.freeing_part(parts, need - (standing.cap - standing.spent))
        return windows.reopens_ms(budget, window, self._now_ms, until)

    def _refusals(
        self, connection: Connection, one: Reservation, names: Sequence[AccountName], own: Sequence[Standing],
        places: Sequence[int], need: int, reason: str,
    ) -> tuple[BudgetRefusal, ...]:  # fmt: skip
        call = one.opening.call
        found = []
        for place in places:
            (budget, subject), standing = names[place], own[place]
            flying = self._holders.get((budget.id, subject))
            if flying is None:
                flying = store.holders(connection, budget.id, subject, limits.BUDGET_IN_FLIGHT)
                self._holders[budget.id, subject] = flying
            found.append(
                BudgetRefusal(
                    id=f"f{secrets.token_hex(8)}", tenant=budget.tenant, at_ms=self._now_ms, budget=budget.id,
                    subject=subject, attempt=one.opening.id, call=call.id, workflow=call.caller.label("workflow"),
                    key=call.caller.key, mode=budget.mode, in_stream=one.begun, reason=reason, need_nano=need,
                    cap_nano=standing.cap, spent_nano=standing.spent, reserved_nano=standing.reserved,
                    waited_ms=max(0, int((self._now - one.since) * 1_000)),
                    in_flight=tuple(each for each in flying if each != one.opening.id),
                )
            )  # fmt: skip
        return tuple(found)

    def _record(self, connection: Connection, refusals: Sequence[BudgetRefusal], budgets: BudgetSet) -> None:
        store.add_refusals(connection, [msgspec.structs.asdict(each) for each in refusals])
        lines: dict[tuple[str, str, int], SpentLine] = {}
        for each in refusals:
            budget = budgets.by_id[each.budget]
            key = (
                budget.id,
                each.subject,
                windows.bucket_of(budget, self._now_ms, self._zone(budget.tenant, self._now_ms)),
            )
            line, enforced = lines.get(key) or SpentLine(*key), each.mode == "enforce"
            lines[key] = line._replace(refused=line.refused + enforced, observed=line.observed + (not enforced))
        store.add_spent(connection, lines.values(), self._now_ms)


def _taken_away(one: Reservation) -> Unavailable:
    """This process was silent for so long that it was taken for dead: what the attempt held counts as used, and no more is
    granted for it."""
    return Unavailable("store.unavailable", f"attempt {one.opening.id} was taken for lost, and is billed as such")
