"""Attempts on time: zones that change, windows that reopen, and what is forgotten when it is old."""

from __future__ import annotations

import pytest

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.budgets import store as statements
from holdfast.governance.budgets import windows
from holdfast.governance.organisation.document import parse
from holdfast.governance.store.tables.budgets import budget_refusals, budget_requests, budget_spent
from tests.unit.governance.budgets.conftest import INPUT_RATE, NANO, OUTPUT_RATE, Desk
from tests.unit.governance.budgets.test_service import FIRST

pytestmark = pytest.mark.anyio
DAY_S = 86_400


async def spend(desk: Desk, nano: int, **more: object) -> None:
    """So much, rounded up to a token."""
    opening = desk.opening(**more)
    await desk.open(opening)
    await desk.settle(opening, 0, -(-nano // OUTPUT_RATE))


async def test_moving_to_another_time_zone_forgets_nothing_that_was_spent(desk: Desk) -> None:
    budget = await desk.set(usd=1, span="month")
    await spend(desk, NANO // 2)
    desk.clock.advance(2 * DAY_S)
    west = b"organisation: {name: Company, time_zone: America/New_York}\nteams: [{name: care}, {name: support, team: care}]\n"
    await desk.governance.organisation.change(
        parse(west + b"workflows: [{name: refunds, team: support}]\n", "yaml"), by="user:ann"
    )
    await desk.budgets.follow_organisation()
    assert (await desk.account()).spent_nano >= NANO // 2
    with pytest.raises(Refused):
        await desk.open(desk.opening(limit=400_000, input_bytes=4_000_000))
    assert (await desk.account()).refused == 1
    assert await desk.budgets.verify("default") == []
    await desk.budgets.change(lambda connection: (None, [budget]))
    assert await desk.budgets.verify("default") == []


async def test_of_two_that_are_short_the_one_that_stays_so_is_told(desk: Desk) -> None:
    await desk.set("always", usd=FIRST / NANO, span="total")
    await desk.set("rolls", usd=FIRST / NANO, span="rolling", rolling_s=60, scope={"workflow": "refunds"})
    await spend(desk, FIRST - 2_000)
    with pytest.raises(Refused) as caught:
        await desk.open(desk.opening())
    assert caught.value.code == "budget.exceeded", "nobody shall come back in a minute in vain"
    assert caught.value.fields["budget"] == "always"


async def test_a_window_that_rolls_says_when_enough_is_free(desk: Desk) -> None:
    await desk.set(usd=FIRST / NANO, span="rolling", rolling_s=600)
    await spend(desk, 2_000)  # little is free when this is forgotten
    desk.clock.advance(300)
    with pytest.raises(Refused):
        await desk.open(desk.opening(100_000))
    await spend(desk, FIRST - 700_000)
    desk.clock.advance(60)
    with pytest.raises(Refused) as caught:
        await desk.open(desk.opening(1_000))
    desk.clock.advance((caught.value.fields["reopens_ms"] - desk.clock.wall_ms()) / 1_000)
    await desk.open(desk.opening(1_000))


def test_the_part_that_frees_enough() -> None:
    assert windows.freeing_part([], 5) is None
    assert windows.freeing_part([(10, 1), (20, 0), (30, 9), (40, 9)], 1) == 10
    assert windows.freeing_part([(10, 1), (20, 0), (30, 9), (40, 9)], 2) == 30
    assert windows.freeing_part([(10, 1), (30, 2)], 99) == 30


async def count(desk: Desk, table: object) -> int:
    return await desk.budgets.store.read(lambda connection: len(connection.execute(table.select()).all()))  # type: ignore[attr-defined]


async def test_what_is_too_old_is_forgotten_and_the_counts_still_agree(desk: Desk) -> None:
    await desk.set("runs", usd=1, each="run", span="total")
    await desk.set("rolls", usd=1, span="rolling", rolling_s=60)
    await desk.set("month", usd=0.002)
    for _ in range(3):
        await spend(desk, 1_000)
        desk.clock.advance(180)
    with pytest.raises(Refused):
        await desk.open(desk.opening(100_000))
    await desk.budgets.forget()
    parts = await desk.budgets.store.read(lambda connection: statements.read_buckets(connection, "b-rolls"))
    assert len(parts) <= 1, "of the window that has rolled on nothing is kept"
    assert len(await desk.budgets.accounts("default", "b-runs")) == 3
    desk.clock.advance(limits.BUDGET_TOUCHED_S + 60)
    await spend(desk, 1_000)
    assert await desk.budgets.verify("default") == []
    await desk.budgets.forget()
    assert len(await desk.budgets.accounts("default", "b-runs")) == 1
    assert await count(desk, budget_refusals) == 1
    assert await desk.budgets.verify("default") == []
    assert (await desk.account("rolls")).spent_nano == 1_000 // OUTPUT_RATE * OUTPUT_RATE or OUTPUT_RATE
    desk.clock.advance(limits.BUDGET_REFUSALS_S)
    await desk.budgets.forget()
    assert await count(desk, budget_refusals) == 0


async def test_much_is_forgotten_a_part_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BUDGET_FORGET_ROWS", 2)
    await desk.set("runs", usd=1, each="run", span="total")
    for _ in range(5):
        await spend(desk, INPUT_RATE)
    desk.clock.advance(limits.BUDGET_TOUCHED_S + 60)
    await desk.budgets.forget()
    assert await count(desk, budget_spent) == 0


async def test_a_request_does_not_lead_to_a_session_that_was_deleted(desk: Desk) -> None:
    budget = await desk.set()
    facts = {"id": "br-1", "tenant": "default", "budget": budget.id, "session": "s1", "run": "r1", "state": "denied"}
    await desk.budgets.store.write(lambda connection: connection.execute(budget_requests.insert(), facts))
    await desk.governance.ledger.forget_session("default", "s1")
    found = await desk.budgets.store.read(
        lambda connection: connection.execute(budget_requests.select()).mappings().one()
    )
    assert (found["session"], found["run"]) == ("", "")
