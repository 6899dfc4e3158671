"""A closed month stays what it was; what comes late is in the open one; journals sum to the last cent."""

from __future__ import annotations

import csv
import io
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError

from holdfast.errors import Refused
from holdfast.gateway.port import Served
from holdfast.governance.ledger import books, dates
from holdfast.governance.ledger import store as statements
from holdfast.governance.ledger.bookkeeping import Bookkeeper
from holdfast.governance.ledger.figures import CENT
from holdfast.governance.ledger.record import record
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.ledger import ledger_rows
from holdfast.testing import FakeClock
from tests.unit.governance.ledger.conftest import NOON, FlatOrganisation, FlatPrices, opening, used

pytestmark = pytest.mark.anyio

NOVEMBER = NOON + 20 * 86_400_000


async def settle(ledger: Ledger, id_: str, at_ms: int = NOON, centre: str = "cc1", **counts: int) -> None:
    await ledger.open(opening(id_, at_ms=at_ms, labels={"cost_centre": centre}))
    await ledger.settle(Served(id_, "served", [used(**counts)], at_ms=at_ms))


@pytest.fixture
def late(clock: FakeClock) -> FakeClock:
    """In December 2026."""
    clock.advance((NOON + 45 * 86_400_000 - clock.wall_ms()) / 1_000)
    return clock


async def test_a_closed_month_is_closed(ledger: Ledger, late: FakeClock) -> None:
    keeper = Bookkeeper(ledger)
    await settle(ledger, "a1")
    closed = await keeper.close("default", "2026-10", "user:ann")
    assert (closed.rows, closed.list_nano, closed.billed_nano, closed.by) == (1, 150_000, 135_000, "user:ann")
    assert (await keeper.periods("default")) == ([closed], [])
    with pytest.raises(Refused) as refused:
        await keeper.close("default", "2026-10", "user:ann")
    assert refused.value.code == "period.closed"


async def test_what_comes_late_stands_in_the_open_month(ledger: Ledger, late: FakeClock) -> None:
    keeper = Bookkeeper(ledger)
    await settle(ledger, "a1")
    closed = await keeper.close("default", "2026-10", "x")
    await settle(ledger, "a2", output=1)
    (row,) = await ledger.row("default", "a2")
    assert (row.month, row.period) == ("2026-10", "2026-11")
    assert (await keeper.digest("default", "2026-10")).hexdigest() == closed.digest
    journal = await keeper.journal("default", "2026-11", "list_nano")
    assert [(line.account, line.exact_nano) for line in journal.lines] == [("models:openai (of 2026-10)", 5_000)]


async def test_another_gateway_that_does_not_know_of_the_close_cannot_write_into_it(
    ledger: Ledger, store: Store, late: FakeClock
) -> None:
    other = Ledger(store, FlatPrices(), FlatOrganisation(), late)
    await other.recorder.refresh()
    await settle(other, "a1")
    await Bookkeeper(ledger).close("default", "2026-10", "x")
    await settle(other, "a2")  # it believes that October is open
    assert (await ledger.row("default", "a2"))[0].period == "2026-11"


async def test_the_database_refuses_rows_of_a_closed_month(ledger: Ledger, store: Store, late: FakeClock) -> None:
    await settle(ledger, "a1")
    await Bookkeeper(ledger).close("default", "2026-10", "x")
    from msgspec.structs import replace

    (row,) = await ledger.row("default", "a1")
    facts = record(replace(row, id="a9"), "")
    with pytest.raises(DBAPIError, match=r"ledger\.period_closed"):
        await store.write(lambda connection: connection.execute(insert(ledger_rows), facts))


async def test_a_correction_takes_back_in_the_open_month_what_the_closed_one_had(
    ledger: Ledger, late: FakeClock
) -> None:
    keeper = Bookkeeper(ledger)
    await settle(ledger, "a1")
    await keeper.close("default", "2026-10", "x")
    before = await keeper.journal("default", "2026-10", "list_nano")
    await ledger.correct("default", "a1", why="report", counts={"input": 100, "output": 4})
    await ledger.correct("default", "a1", why="moved", labels={"cost_centre": "cc2"})
    assert await keeper.journal("default", "2026-10", "list_nano") == before
    after = await keeper.journal("default", "2026-11", "list_nano")
    assert {(line.cost_centre, line.exact_nano) for line in after.lines} == {("cc1", -150_000), ("cc2", 120_000)}
    assert before.exact_nano + after.exact_nano == 120_000


@pytest.mark.parametrize("case", ["running", "earlier", "attempts"])
async def test_a_month_is_not_closed_too_early(ledger: Ledger, late: FakeClock, case: str) -> None:
    period = "2026-12" if case == "running" else "2026-11"
    if case == "earlier":
        await settle(ledger, "a1")
    if case == "attempts":
        await ledger.open(opening("a1", at_ms=NOVEMBER))
    with pytest.raises(Refused) as refused:
        await Bookkeeper(ledger).close("default", period, "x")
    assert refused.value.code == ("ledger.busy" if case == "attempts" else "period.open")


async def test_rows_that_come_while_it_is_closed_are_in_it_or_in_the_next(
    ledger: Ledger, late: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Bookkeeper(ledger)
    await settle(ledger, "a1")
    real, count = keeper.digest, 0

    async def and_then_a_row(tenant: str, period: str) -> Any:
        nonlocal count
        found = await real(tenant, period)
        count += 1
        await settle(ledger, f"b{count}")
        return found

    monkeypatch.setattr(keeper, "digest", and_then_a_row)
    closed = await keeper.close("default", "2026-10", "x")
    assert closed.rows == count + 1
    assert (await real("default", "2026-10")).hexdigest() == closed.digest


@pytest.mark.parametrize(
    ("key", "expected"), [("tokens", [10, 30, 60]), ("calls", [33, 34, 33]), ("equal", [34, 33, 33])]
)
async def test_a_shared_cost_is_divided_without_rest(
    ledger: Ledger, late: FakeClock, key: Any, expected: list[int]
) -> None:
    keeper = Bookkeeper(ledger)
    for centre, tokens in (("a", 10), ("b", 30), ("c", 60)):
        await settle(ledger, f"r{centre}", centre=centre, input=tokens)
    if key == "calls":
        await settle(ledger, "rb2", centre="b", input=0)
        expected = [25, 50, 25]
    divided = await keeper.allocate("default", "2026-10", "platform", 100, key, "user:ann")
    assert [(part.value, part.amount_nano) for part in divided.shares] == list(zip("abc", expected, strict=True))
    journal = await keeper.journal("default", "2026-10")
    assert sum(line.exact_nano for line in journal.lines if line.account == "shared:platform") == 100
    with pytest.raises(Refused, match="already"):
        await keeper.allocate("default", "2026-10", "platform", 100, key, "user:ann")
    closed = await keeper.close("default", "2026-10", "x")
    assert closed.shared_nano == 100
    with pytest.raises(Refused) as refused:
        await keeper.allocate("default", "2026-10", "more", 100, key, "user:ann")
    assert refused.value.code == "period.closed"


async def test_nothing_is_divided_among_nobody(ledger: Ledger) -> None:
    for changes in ({}, {"key": "size"}, {"dimension": "person"}, {"name": ""}, {"period": "2026-1"}):
        given_ = {"period": "2026-10", "name": "n", "key": "spend", "dimension": "cost_centre"} | changes
        with pytest.raises(Refused):
            await Bookkeeper(ledger).allocate("default", amount_nano=5, by="x", **given_)  # type: ignore[arg-type]


async def test_a_journal_sums_to_its_total_in_cents(ledger: Ledger, late: FakeClock) -> None:
    chance = random.Random(8)
    for number in range(30):
        await settle(ledger, f"a{number}", centre=f"c{number % 7}", input=chance.randrange(100_000))
    journal = await Bookkeeper(ledger).journal("default", "2026-10")
    cells = list(csv.DictReader(io.StringIO(journal.csv())))
    assert sum(Decimal(cell["amount"]) for cell in cells) == Decimal(journal.total_nano) / 10**9
    assert abs(journal.total_nano - journal.exact_nano) <= CENT // 2
    for cell in cells:
        assert Decimal(cell["exact"]) + Decimal(cell["rounding"]) == Decimal(cell["amount"])
    assert len({cell["reference"] for cell in cells}) == len(cells) == 7


POSTINGS = st.lists(
    st.builds(books.Posting, st.sampled_from("abc"), st.sampled_from(["models:x", "seats:x"]),
              st.sampled_from(["2026-09", "2026-10"]), st.integers(-(10**12), 10**12)), max_size=20,
)  # fmt: skip


@given(POSTINGS)
def test_no_cent_is_lost_in_a_journal(postings: list[books.Posting]) -> None:
    journal = books.journal("2026-10", postings, [], 0, closed=True)
    assert journal.exact_nano == sum(posting.amount_nano for posting in postings)
    assert sum(line.amount_nano for line in journal.lines) == journal.total_nano
    assert abs(journal.total_nano - journal.exact_nano) <= CENT // 2


def test_months_follow_each_other() -> None:
    assert dates.next_month("2026-12") == "2027-01"
    assert dates.open_period("2026-11", {"2026-11", "2026-12", "2027-02"}) == "2027-01"
    assert dates.week_of("2027-01-01") == "2026-12-28"


async def test_a_closed_month_survives_that_a_session_is_forgotten(
    ledger: Ledger, store: Store, late: FakeClock
) -> None:
    await ledger.open(opening("a1", session="s1"))
    await ledger.settle(Served("a1", "served", [used()], at_ms=NOON))
    keeper = Bookkeeper(ledger)
    closed = await keeper.close("default", "2026-10", "x")
    assert await store.write(lambda c: statements.forget_session(c, "default", "s1"))
    assert (await keeper.digest("default", "2026-10")).hexdigest() == closed.digest
