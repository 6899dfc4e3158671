"""What went wrong with budgets elsewhere, each as its whole kind (cases/economics.md has the origins)."""

from __future__ import annotations

import asyncio
import datetime
import random

import pytest

from holdfast.errors import Refused
from holdfast.gateway.settings import GatewaySettings
from holdfast.governance import limits
from holdfast.governance.app import Governance
from holdfast.governance.ledger.service import Ledger
from holdfast.testing import FakeClock
from tests.unit.governance import postgres_server
from tests.unit.governance.budgets.conftest import COMPANY, INPUT_RATE, NANO, OUTPUT_RATE, Desk

pytestmark = pytest.mark.anyio

FIRST = (100 + limits.BUDGET_INPUT_TOKENS) * INPUT_RATE + (
    limits.BUDGET_TRANCHE_TOKENS + limits.BUDGET_TAIL_TOKENS
) * OUTPUT_RATE


async def test_reservations_do_not_fill_a_budget_with_nothing_spent(desk: Desk) -> None:
    """11: a budget of $25 stood full with $0 spent; $2,000 were blocked at $0.144."""
    await desk.set(usd=25)
    openings = [desk.opening(input_bytes=200_000, limit=128_000) for _ in range(50)]
    await asyncio.gather(*map(desk.open, openings))
    account = await desk.account()
    assert account.spent_nano == 0 and account.refused == 0
    assert account.reserved_nano < 0.2 * account.budget.cap_nano
    await asyncio.gather(*(desk.settle(each, 100, 100) for each in openings))
    assert (await desk.account()).reserved_nano == 0


async def test_what_is_enforced_and_what_the_ledger_has_are_one_number(desk: Desk) -> None:
    """12: enforced $111.29, ledger $55.74, cap 100. Also after failures, estimates and corrections."""
    await desk.set(usd=100)
    rng = random.Random(12)
    for number in range(30):
        opening = desk.opening(input_bytes=rng.randint(1, 5_000))
        await desk.open(opening)
        await desk.settle(opening, rng.randint(0, 2_000), rng.randint(0, 500))
        if number % 7 == 0:
            await desk.governance.ledger.correct("default", opening.id, why="bill", billed_nano=rng.randint(0, 10**7))
    rows = await desk.governance.ledger.row("default", "c1.1")
    assert rows[-1].corrects
    assert await desk.budgets.verify("default") == []
    spent = (await desk.account()).spent_nano
    reader = desk.governance.desk.reader
    today = desk.governance.organisation.today().isoformat()
    assert (await reader.spend("default", today, today, ("workflow",))).total.billed_nano == spent


async def test_a_window_turns_over_in_the_middle_of_a_stream(desk: Desk) -> None:
    """13: it turns over at its own midnight, and what runs then counts where it ends, and is held in the new window."""
    await desk.set(usd=3 * FIRST / NANO, span="day", zone="Asia/Tokyo")
    tokyo = datetime.timezone(datetime.timedelta(hours=9))
    now = datetime.datetime.fromtimestamp(desk.clock.wall_ms() / 1_000, tokyo)
    midnight = datetime.datetime.combine(now.date() + datetime.timedelta(days=1), datetime.time(), tokyo)
    spent, running = desk.opening(), desk.opening()
    await desk.open(spent)
    await desk.settle(spent, 100, 700)
    hold = await desk.open(running)
    before = await desk.account()
    assert before.closes_ms == int(midnight.timestamp() * 1_000)
    desk.clock.advance(midnight.timestamp() - desk.clock.wall_ms() / 1_000 - 0.001)
    assert (await desk.account()).spent_nano == before.spent_nano
    desk.clock.advance(0.001)
    after = await desk.account()
    assert (after.opens_ms, after.spent_nano) == (before.closes_ms, 0)
    assert after.reserved_nano == before.reserved_nano, "what runs can still spend, in the new window"
    await hold.extend(hold.granted or 0)
    await desk.settle(running, 10, 10)
    after = await desk.account()
    assert (after.spent_nano, after.reserved_nano) == (10 * INPUT_RATE + 10 * OUTPUT_RATE, 0)
    assert await desk.budgets.verify("default") == []


async def test_a_clock_that_steps_back_gives_no_money_twice(desk: Desk) -> None:
    await desk.set(usd=1, span="day")
    first, second = desk.opening(), desk.opening()
    await desk.open(first)
    await desk.settle(first, 100, 100)
    spent = (await desk.account()).spent_nano
    desk.clock.advance(-3_600)
    assert (await desk.account()).spent_nano == spent
    await desk.open(second)
    desk.clock.advance(2 * 86_400)
    await desk.settle(second, 100, 100, at_ms=desk.clock.wall_ms() - 2 * 86_400_000)
    assert (await desk.account()).spent_nano == 0, "it ended two days ago, and counts there"
    desk.clock.advance(-2 * 86_400)
    assert (await desk.account()).spent_nano == 2 * spent
    assert await desk.budgets.verify("default") == []


async def test_a_token_costs_what_a_token_costs(desk: Desk) -> None:
    """15: a quota charged one for each request: what counts is what was used, also beyond what was reserved."""
    await desk.set(usd=1)
    for tokens in (1, 4_500):
        opening = desk.opening()
        await desk.open(opening)
        await desk.settle(opening, 0, tokens)
    assert (await desk.account()).spent_nano == 4_501 * OUTPUT_RATE


async def test_every_way_in_is_under_the_same_budget(desk: Desk) -> None:
    """14: a provider's cap that one path left untouched. Whatever the wire, an attempt is reserved and counted."""
    await desk.set(usd=1)
    for wire in ("openai.chat", "openai.responses", "anthropic.messages", "openai.embeddings"):
        opening = desk.opening(wire=wire)
        before = await desk.account()
        await desk.open(opening)
        assert (await desk.account()).reserved_nano > before.reserved_nano, wire
        await desk.settle(opening, 10, 0)
        assert (await desk.account()).spent_nano == before.spent_nano + 10 * INPUT_RATE, wire


async def test_many_gateways_have_one_cap(clock: FakeClock) -> None:
    """17: N replicas, N times the cap."""
    database = await postgres_server.empty_database()
    several = [Governance(database, clock, GatewaySettings()) for _ in range(3)]
    await asyncio.gather(*(one.start() for one in several))
    try:
        await several[0].organisation.change(COMPANY, by="user:ann")
        for one in several[1:]:
            await one.organisation.refresh()
        desks = [Desk(one, clock) for one in several]
        await desks[0].set(usd=10 * FIRST / NANO, span="total")
        openings = [(desk, desk.opening(id=f"n{n}")) for n, desk in enumerate(desks * 10)]
        found = await asyncio.gather(*(desk.open(each) for desk, each in openings), return_exceptions=True)
        granted = [pair for pair, one in zip(openings, found, strict=True) if not isinstance(one, BaseException)]
        assert all(isinstance(one, Refused) for one in found if isinstance(one, BaseException)), found
        account = await desks[0].account()
        assert account.spent_nano + account.reserved_nano <= account.budget.cap_nano
        assert len(granted) >= 10, "and all of the cap"
        for desk, opening in granted:
            await desk.settle(opening, 10, 10)
        account = await desks[1].account()
        assert (account.spent_nano, account.reserved_nano) == (len(granted) * (10 * INPUT_RATE + 10 * OUTPUT_RATE), 0)
    finally:
        for one in several:
            await one.stop()


async def test_what_was_lost_stays_counted_until_it_is_reconciled(desk: Desk) -> None:
    await desk.set(usd=1)
    opening = desk.opening()
    await desk.open(opening)
    held = (await desk.account()).reserved_nano
    ours = desk.governance.ledger
    # another process of this store, which takes the one with the attempt for dead
    other = Ledger(ours.store, ours.prices, ours.organisation, desk.clock, watch=ours.recorder.watch)
    assert await other.beat() == 1
    account = await desk.account()
    assert (account.spent_nano, account.reserved_nano, account.attempts) == (held, 0, 0)
    (row,) = await desk.governance.ledger.row("default", opening.id)
    assert (row.basis, row.reason) == ("estimated", "gateway.lost")
    await desk.governance.ledger.correct("default", opening.id, why="the provider's report", billed_nano=1_000)
    assert (await desk.account()).spent_nano == 1_000
    assert await desk.budgets.verify("default") == []


async def test_a_call_whose_caller_left_while_it_waited_holds_nothing(desk: Desk) -> None:
    await desk.set(usd=FIRST / NANO)
    first = desk.opening()
    await desk.open(first)
    waiting = asyncio.ensure_future(desk.open(desk.opening()))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait([waiting])
    await desk.settle(first, 1, 1)
    await desk.governance.ledger.flush()
    account = await desk.account()
    assert (account.attempts, account.reserved_nano) == (0, 0)


async def test_a_currency_whose_rate_changes_in_mid_stream(desk: Desk) -> None:
    """What is reserved is at the rate of the day it began, what counts is at that of the day it ended, as the ledger has it."""
    prices = desk.governance.prices
    card = {
        "upstream": "openai", "from": "2020-01-01", "currency": "EUR",
        "prices": [{"models": "gpt-5-mini", "prices": {"input": "0.25", "output": "2"}}],
    }  # fmt: skip
    today = datetime.datetime.fromtimestamp(desk.clock.wall_ms() / 1_000, datetime.UTC).date()
    tomorrow = today + datetime.timedelta(days=1)
    await prices.import_currencies(f"day,currency,usd\n{today},EUR,1.00\n{tomorrow},EUR,2.00\n", "test")
    change = await prices.propose("card", card, by="user:ann", why="the contract")
    await prices.approve(change.id, by="user:ben")
    await desk.set(usd=10 * FIRST / NANO)
    opening = desk.opening()
    await desk.open(opening)
    reserved = (await desk.account()).reserved_nano
    assert 0 < reserved <= FIRST
    desk.clock.advance(86_400)
    await desk.settle(opening, 10, 10)
    (row,) = await desk.governance.ledger.row("default", opening.id)
    assert (row.currency, row.rate, row.billed_nano) == ("EUR", "2.00", 2 * (10 * INPUT_RATE + 10 * OUTPUT_RATE))
    account = await desk.account()
    assert (account.spent_nano, account.reserved_nano) == (row.billed_nano, 0)
    assert await desk.budgets.verify("default") == []
