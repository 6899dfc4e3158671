"""What is reserved, spent and refused, on a real store of either kind."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.errors import Refused
from holdfast.governance import limits
from tests.unit.governance.budgets.conftest import INPUT_RATE, NANO, OUTPUT_RATE, Desk

pytestmark = pytest.mark.anyio

TRANCHE = limits.BUDGET_TRANCHE_TOKENS
TAIL = limits.BUDGET_TAIL_TOKENS
FIRST = (100 + limits.BUDGET_INPUT_TOKENS) * INPUT_RATE + (TRANCHE + TAIL) * OUTPUT_RATE
"""What the first reservation of a call of 100 bytes holds."""


async def test_a_call_reserves_its_input_and_a_tranche_and_settles_for_what_it_used(desk: Desk) -> None:
    await desk.set(usd=1)
    opening = desk.opening()
    hold = await desk.open(opening)
    assert hold.granted == TRANCHE
    account = await desk.account()
    assert (account.spent_nano, account.reserved_nano, account.attempts) == (0, FIRST, 1)
    await desk.settle(opening, 25, 100)
    account = await desk.account()
    used = 25 * INPUT_RATE + 100 * OUTPUT_RATE
    assert (account.spent_nano, account.reserved_nano, account.attempts) == (used, 0, 0)
    assert (account.settled_nano, account.returned_nano) == (used, FIRST - used)


async def test_money_is_reserved_on_every_level_at_once(desk: Desk) -> None:
    await desk.set("all", usd=1)
    await desk.set("care", usd=1, scope={"team": "care"})
    await desk.set("refunds", usd=1, scope={"workflow": "refunds"})
    await desk.set("answers", usd=1, scope={"team": "support", "task": "answer"})
    await desk.set("each-run", usd=1, scope={"workflow": "refunds"}, each="run", span="total")
    await desk.set("others", usd=1, scope={"team": "sales"})
    opening = desk.opening()
    await desk.open(opening)
    for name in ("all", "care", "refunds", "answers", "each-run"):
        assert (await desk.account(name)).reserved_nano == FIRST, name
    assert (await desk.account("others")).reserved_nano == 0
    await desk.settle(opening, 10, 10)
    for name in ("all", "care", "refunds", "answers", "each-run"):
        account = await desk.account(name)
        assert (account.spent_nano, account.reserved_nano) == (10 * INPUT_RATE + 10 * OUTPUT_RATE, 0), name
    assert await desk.budgets.verify("default") == []


async def test_what_does_not_fit_and_never_will_is_refused_at_once(desk: Desk) -> None:
    await desk.set(usd=0.0001, span="total")
    with pytest.raises(Refused) as caught:
        await desk.open(desk.opening())
    assert caught.value.code == "budget.exceeded" and caught.value.row.status == 402
    assert caught.value.fields["budget"] == "support-month" and caught.value.fields["decider"] == "user:ann"
    account = await desk.account()
    assert (account.refused, account.reserved_nano) == (1, 0)


async def test_what_does_not_fit_waits_for_others_to_settle(desk: Desk) -> None:
    await desk.set(usd=FIRST / NANO)
    first, second = desk.opening(), desk.opening()
    await desk.open(first)
    waiting = asyncio.ensure_future(desk.open(second))
    await asyncio.sleep(0)
    await desk.settle(first, 1, 1)
    hold = await waiting
    assert hold.granted is not None and limits.BUDGET_TRANCHE_LEAST_TOKENS <= hold.granted < TRANCHE
    account = await desk.account()
    assert account.spent_nano + account.reserved_nano <= account.budget.cap_nano
    assert account.refused == 0


async def test_more_is_granted_tranche_by_tranche_until_the_money_is_spent(desk: Desk) -> None:
    await desk.set(usd=(FIRST + 2 * TRANCHE * OUTPUT_RATE + 1) / NANO, span="total")
    opening = desk.opening()
    hold = await desk.open(opening)
    seen = 0
    with pytest.raises(Refused, match="support-month"):
        while True:
            assert hold.granted is not None
            seen = hold.granted
            await hold.extend(seen)
    assert seen == 3 * TRANCHE
    account = await desk.account()
    assert account.spent_nano + account.reserved_nano <= account.budget.cap_nano


async def test_a_caller_s_own_limit_bounds_what_is_reserved(desk: Desk) -> None:
    await desk.set(usd=1)
    hold = await desk.open(desk.opening(limit=20))
    assert hold.granted is None, "its provider stops by itself"
    expected = (100 + limits.BUDGET_INPUT_TOKENS) * INPUT_RATE + 20 * OUTPUT_RATE
    assert (await desk.account()).reserved_nano == expected


async def test_a_budget_that_only_observes_refuses_nothing_and_counts_all(desk: Desk) -> None:
    await desk.set(usd=0.0001, mode="observe")
    hold = await desk.open(desk.opening())
    assert hold.granted == TRANCHE
    account = await desk.account()
    assert (account.refused, account.observed) == (0, 1)


async def test_a_soft_budget_neither_refuses_nor_counts_refusals(desk: Desk) -> None:
    await desk.set(usd=0.0001, strength="soft")
    await desk.open(desk.opening())
    account = await desk.account()
    assert (account.refused, account.observed) == (0, 0)


async def test_where_no_budget_is_nothing_is_reserved(desk: Desk) -> None:
    await desk.set("others", scope={"team": "sales"})
    hold = await desk.open(desk.opening())
    assert hold.granted is None
    assert await desk.budgets.reservations("default") == []


async def test_a_new_budget_begins_with_what_was_spent_in_its_window(desk: Desk) -> None:
    opening = desk.opening()
    await desk.open(opening)
    await desk.settle(opening, 10, 10)
    await desk.set(usd=1, zone="Asia/Tokyo")
    assert (await desk.account()).spent_nano == 10 * INPUT_RATE + 10 * OUTPUT_RATE
    assert await desk.budgets.verify("default") == []


async def test_settling_twice_counts_once(desk: Desk) -> None:
    await desk.set(usd=1)
    opening = desk.opening()
    await desk.open(opening)
    await desk.settle(opening, 10, 10)
    with pytest.raises(Refused, match=r"ledger\.row_not_found"):
        await desk.settle(opening, 10, 10)
    assert (await desk.account()).spent_nano == 10 * INPUT_RATE + 10 * OUTPUT_RATE


async def test_a_correction_moves_what_is_spent(desk: Desk) -> None:
    await desk.set(usd=1)
    opening = desk.opening()
    await desk.open(opening)
    await desk.settle(opening, 10, 10)
    await desk.governance.ledger.correct("default", opening.id, why="the bill", billed_nano=12_345)
    assert (await desk.account()).spent_nano == 12_345
    assert await desk.budgets.verify("default") == []


async def test_the_brake_is_told_of_who_spent_all(desk: Desk) -> None:
    await desk.set(usd=(10 * INPUT_RATE + 10 * OUTPUT_RATE) / NANO, scope={"team": "care"})
    labels = {"workflow": "refunds", "task": "answer"}
    assert desk.budgets.refusal("default", labels, "s1", "r1") is None
    opening = desk.opening(limit=10)
    await desk.set("bigger", usd=1)
    await desk.set(usd=1, scope={"team": "care"})
    await desk.open(opening)
    await desk.settle(opening, 10, 10)
    await desk.set(usd=(10 * INPUT_RATE + 10 * OUTPUT_RATE) / NANO, scope={"team": "care"})
    await desk.budgets.look()
    refused = desk.budgets.refusal("default", labels, "s1", "r1")
    assert refused is not None and refused.fields["budget"] == "support-month"
    assert desk.budgets.refusal("default", {"workflow": "else", "team": "sales"}, "s1", "r1") is None
