"""Attempts on reservations: what changes, ends or goes away in the middle neither passes a cap nor leaves money held."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from holdfast.errors import Refused, Unavailable
from holdfast.gateway.port import Served
from holdfast.governance import limits
from holdfast.governance.budgets import store as statements
from holdfast.governance.budgets.whereabouts import BudgetSet
from holdfast.governance.ledger import settling
from holdfast.governance.ledger import store as ledger_store
from holdfast.governance.organisation.document import parse
from holdfast.providers.billing.model import BilledAttempt
from tests.unit.governance.budgets.conftest import NANO, OUTPUT_RATE, Desk
from tests.unit.governance.budgets.test_service import FIRST, TAIL, TRANCHE

pytestmark = pytest.mark.anyio


async def nothing_is_left(desk: Desk) -> None:
    await desk.governance.ledger.flush()
    assert await desk.budgets.reservations("default") == []
    assert await desk.budgets.store.read(ledger_store.open_attempts) == 0
    assert await desk.budgets.verify("default") == []


async def test_a_budget_that_comes_in_the_middle_is_held_for_what_runs(desk: Desk) -> None:
    await desk.set("all", usd=1)
    opening = desk.opening()
    hold = await desk.open(opening)
    await desk.set("late", usd=(FIRST + TRANCHE * OUTPUT_RATE) / NANO, span="total")
    assert (await desk.account("late")).reserved_nano == FIRST, "what runs will count there"
    with pytest.raises(Refused, match="late"):
        await desk.open(desk.opening(5_000, limit=600))
    await hold.extend(TRANCHE)
    with pytest.raises(Refused, match="late"):
        await hold.extend(2 * TRANCHE)
    account = await desk.account("late")
    assert account.reserved_nano == FIRST + TRANCHE * OUTPUT_RATE <= account.budget.cap_nano
    await desk.settle(opening, 10, 2 * TRANCHE)
    await nothing_is_left(desk)


async def test_a_budget_that_covers_something_else_holds_what_falls_under_it_now(desk: Desk) -> None:
    budget = await desk.set("one", usd=1, scope={"team": "sales"})
    await desk.set("all", usd=1)
    await desk.open(desk.opening())
    assert (await desk.account("one")).reserved_nano == 0
    await desk.set("one", usd=1, scope={"team": "care"})
    assert (await desk.account("one")).reserved_nano == FIRST
    await desk.set("one", usd=1, scope={"team": "sales"})
    assert (await desk.account("one")).reserved_nano == 0
    assert budget.id


async def test_an_attempt_whose_budgets_had_ended_holds_all_of_it_for_the_next_one(desk: Desk) -> None:
    """It is on record without a hold, so nobody has held it for the new budget when that came."""
    await desk.set("all", usd=1)
    opening, real = desk.opening(), statements.current
    statements.current = lambda connection, before: BudgetSet()  # it ends between the look and the transaction
    try:
        hold = await desk.open(opening)
    finally:
        statements.current = real
    await desk.set("late", usd=(FIRST + TRANCHE * OUTPUT_RATE) / NANO, span="total")
    await hold.extend(TRANCHE)
    account = await desk.account("late")
    assert account.reserved_nano == FIRST + TRANCHE * OUTPUT_RATE
    with pytest.raises(Refused, match="late"):
        await hold.extend(2 * TRANCHE)
    await desk.settle(opening, 10, 10)
    await nothing_is_left(desk)


async def test_what_was_taken_for_lost_gets_no_more_and_settles_what_it_used(desk: Desk) -> None:
    await desk.set(usd=1, span="total")
    opening = desk.opening()
    hold = await desk.open(opening)
    ledger = desk.governance.ledger
    most = await desk.budgets.store.read(lambda connection: ledger.recorder.watch.most(connection, opening.id))
    await ledger._record(opening, settling.lost(opening, most))  # as another gateway does
    spent = (await desk.account()).spent_nano
    assert spent >= (TRANCHE + TAIL) * OUTPUT_RATE, "it counts until somebody knows better"
    with pytest.raises(Unavailable, match="taken for lost"):
        await hold.extend(TRANCHE)
    account = await desk.account()
    assert (account.spent_nano, account.reserved_nano) == (spent, 0)
    await desk.settle(opening, 10, 10)
    assert (await desk.account()).spent_nano < spent
    await nothing_is_left(desk)


async def test_whoever_leaves_before_it_is_decided_leaves_nothing_behind(desk: Desk) -> None:
    await desk.set(usd=1)
    store, gate, entered = desk.budgets.store, asyncio.Event(), asyncio.Event()
    real = store.write

    async def slow(work: Any) -> Any:
        entered.set()
        await gate.wait()
        return await real(work)

    store.write = slow  # type: ignore[method-assign]
    leaving = asyncio.ensure_future(desk.open(desk.opening()))
    await entered.wait()
    store.write = real  # type: ignore[method-assign]
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await desk.governance.ledger.flush()  # which has nothing to take off yet
    gate.set()
    await desk.open(last := desk.opening())  # decided after it
    await desk.settle(last)
    await nothing_is_left(desk)


async def test_nobody_waits_for_ever_when_it_stops(desk: Desk) -> None:
    """More than are decided at once wait; the first of them are being written."""
    await desk.set(usd=100)
    store, gate, entered = desk.budgets.store, asyncio.Event(), asyncio.Event()
    real = store.write

    async def slow(work: Any) -> Any:
        entered.set()
        await gate.wait()
        return await real(work)

    store.write = slow  # type: ignore[method-assign]
    opening = [asyncio.ensure_future(desk.open(desk.opening())) for _ in range(limits.BUDGET_GROUP + 40)]
    await entered.wait()
    stopping = asyncio.ensure_future(desk.budgets.stop())
    gate.set()
    await stopping
    found = await asyncio.gather(*opening, return_exceptions=True)
    refused = [error for error in found if isinstance(error, Unavailable)]
    assert len(refused) == 40 and {error.code for error in refused} == {"store.unavailable"}
    store.write = real  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await asyncio.wait_for(desk.open(desk.opening()), 5)
    await desk.budgets.start()


async def test_a_workflow_that_moves_in_mid_stream_takes_what_it_holds_along(desk: Desk) -> None:
    """A change of the organisation holds from the beginning of a day: what is under way is the other team's, too."""
    await desk.set("care", usd=1, scope={"team": "care"})
    await desk.set("sales", usd=(FIRST + TRANCHE * OUTPUT_RATE) / NANO, scope={"team": "sales"}, span="total")
    opening = desk.opening()
    hold = await desk.open(opening)
    moved = b"organisation: {name: Company, time_zone: UTC}\nteams: [{name: care}, {name: support, team: care}, {name: sales}]\n"
    await desk.governance.organisation.change(
        parse(moved + b"workflows: [{name: refunds, team: sales}]", "yaml"), by="user:ann"
    )
    await desk.budgets.follow_organisation()
    assert [(await desk.account(name)).reserved_nano for name in ("care", "sales")] == [0, FIRST]
    await hold.extend(TRANCHE)
    with pytest.raises(Refused, match="sales"):
        await hold.extend(2 * TRANCHE)
    await desk.settle(opening, 10, 2 * TRANCHE)
    account = await desk.account("sales")
    assert 0 < account.spent_nano <= account.budget.cap_nano
    assert (await desk.account("care")).spent_nano == 0
    await nothing_is_left(desk)


async def test_work_is_of_the_team_that_had_it_when_it_began(desk: Desk) -> None:
    await desk.set("care", usd=1, scope={"team": "care"})
    opening = desk.opening()
    await desk.open(opening)
    desk.clock.advance(86_400)
    moved = b"organisation: {name: Company, time_zone: UTC}\nteams: [{name: care}, {name: support, team: care}, {name: sales}]\n"
    await desk.governance.organisation.change(
        parse(moved + b"workflows: [{name: refunds, team: sales}]", "yaml"), by="user:ann"
    )
    await desk.budgets.follow_organisation()
    assert (await desk.account("care")).reserved_nano == FIRST
    await desk.settle(opening, 10, 10)
    assert (await desk.account("care")).spent_nano > 0
    await nothing_is_left(desk)


async def test_what_was_read_beyond_the_grant_is_a_part_of_the_tail(desk: Desk) -> None:
    await desk.set(usd=FIRST / NANO, span="total")
    opening = desk.opening()
    await desk.open(opening)
    seen = BilledAttempt(model="gpt-5-mini", counts={"input": 25, "output": TRANCHE + TAIL - 10}, reported=False)
    await desk.budgets.settle(Served(opening.id, "cut", estimated=seen, at_ms=desk.clock.wall_ms()))
    account = await desk.account()
    assert account.spent_nano <= account.budget.cap_nano
    assert account.spent_nano >= (TRANCHE + TAIL) * OUTPUT_RATE, "and the tail counts"


async def test_a_row_that_comes_twice_at_once_counts_once(desk: Desk) -> None:
    await desk.set(usd=1)
    opening = desk.opening()
    await desk.open(opening)
    await desk.settle(opening, 10, 10)
    (row,) = await desk.governance.ledger.row("default", opening.id)
    twin = replace(row, id="imported", source="import")
    await desk.governance.ledger.append([twin, twin])
    assert (await desk.account()).spent_nano == 2 * (row.billed_nano or 0)
    assert await desk.budgets.verify("default") == []


async def test_a_cheaper_tier_reserves_what_the_usual_one_costs(desk: Desk) -> None:
    await desk.set(usd=1)
    opening = desk.opening(tier="flex")
    await desk.open(opening)
    billed = BilledAttempt(model="gpt-5-mini", counts={"input": 100, "output": TRANCHE}, tier="default")
    held = (await desk.account()).reserved_nano
    await desk.budgets.settle(Served(opening.id, "served", billed=(billed,), at_ms=desk.clock.wall_ms()))
    assert (await desk.account()).spent_nano <= held
