"""The ledger as the gateway's meter: nothing is lost, nothing counts twice, nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, Table, func, select, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors import CommitFailed, Refused, Unavailable
from holdfast.gateway.port import Served
from holdfast.governance import limits
from holdfast.governance.ledger import store as statements
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.ledger.verify import LedgerVerifier
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.pricing.service import Prices
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.ledger import ledger_openings, ledger_processes, ledger_rows, ledger_sessions
from holdfast.providers.billing.model import BilledAttempt
from holdfast.testing import FakeClock
from tests.unit.governance.ledger.conftest import NOON, FlatOrganisation, FlatPrices, opening, used

pytestmark = pytest.mark.anyio


async def count(store: Store, table: Table) -> int:
    return await store.read(lambda c: c.scalar(select(func.count()).select_from(table)) or 0)


class Flaky:
    """A store that is away when a test says so; ``unknown``: what is written then is written, and not said to be."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.away = ""

    async def write(self, work: Callable[[Connection], Any]) -> Any:
        if self.away == "unknown":
            await self.store.write(work)
        if self.away:
            raise CommitFailed("unknown") if self.away == "unknown" else Unavailable("store.unavailable")
        return await self.store.write(work)

    async def read(self, work: Callable[[Connection], Any]) -> Any:
        return await self.store.read(work)

    async def insert(self, table: Table, rows: Sequence[Mapping[str, Any]], *, synced: bool = True) -> None:
        if self.away == "unknown":
            await self.store.insert(table, rows, synced=synced)
        if self.away:
            raise CommitFailed("unknown") if self.away == "unknown" else Unavailable("store.unavailable")
        await self.store.insert(table, rows, synced=synced)


async def test_an_attempt_is_on_record_before_the_upstream_is_asked(ledger: Ledger, store: Store) -> None:
    await ledger.open(opening())
    assert await count(store, ledger_openings) == 1
    await ledger.settle(Served("a1", "served", [used()], at_ms=NOON + 500, first_ms=80))
    assert await count(store, ledger_openings) == 0
    (row,) = await ledger.row("default", "a1")
    assert (row.list_nano, row.billed_nano, row.basis) == (150_000, 135_000, "exact")
    assert (row.workflow, row.team, row.task, row.key) == ("mail", "sales", "reply", "k1")
    assert (row.took_ms, row.first_ms, row.day, row.month, row.period) == (500, 80, "2026-10-21", "2026-10", "2026-10")
    assert row.parts == {"input": 100_000, "output": 50_000}


async def test_days_are_those_of_the_organisation(ledger: Ledger) -> None:
    late = (
        1_793_485_800_000  # 2026-10-31T22:30Z, which is 23:30 in Berlin after the change; 22:00Z before would be 00:00
    )
    for number, (at_ms, day) in enumerate(((late, "2026-10-31"), (late + 1_800_000, "2026-11-01"))):
        await ledger.open(opening(f"d{number}"))
        await ledger.settle(Served(f"d{number}", "served", [used()], at_ms=at_ms))
        (row,) = await ledger.row("default", f"d{number}")
        assert (row.day, row.month) == (day, day[:7])


async def test_each_model_that_took_part_has_its_row(ledger: Ledger) -> None:
    await ledger.open(opening())
    parts = [used("m1", input=10, output=5), BilledAttempt(kind="advisor_message", model="m2", counts={"output": 7})]
    await ledger.settle(Served("a1", "served", parts))
    (first,), (second,) = await ledger.row("default", "a1"), await ledger.row("default", "a1/2")
    assert (first.parent, second.parent, second.kind, second.model) == ("", "a1", "advisor_message", "m2")
    assert (first.list_nano, second.list_nano) == (35_000, 35_000)


async def test_settling_again_changes_nothing(ledger: Ledger, store: Store) -> None:
    await ledger.open(opening())
    served = Served("a1", "served", [used()])
    await ledger.settle(served)
    with pytest.raises(Refused) as refused:
        await ledger.settle(served)
    assert refused.value.code == "ledger.row_not_found"
    assert await count(store, ledger_rows) == 1


async def test_a_reported_zero_is_a_zero_and_costs_nothing(ledger: Ledger) -> None:
    await ledger.open(opening(model="m1"))
    await ledger.settle(Served("a1", "served", [BilledAttempt(model="unpriced-1", counts={"input": 0, "output": 0})]))
    (row,) = await ledger.row("default", "a1")
    assert (row.counts, row.basis, row.list_nano) == ({"input": 0, "output": 0}, "exact", 0)


async def test_what_has_no_price_has_no_cost(ledger: Ledger) -> None:
    await ledger.open(opening())
    await ledger.settle(Served("a1", "served", [used("unpriced-1", input=3)]))
    (row,) = await ledger.row("default", "a1")
    assert (row.list_nano, row.billed_nano) == (None, None)


async def test_a_model_nobody_priced_opens_nothing(ledger: Ledger, store: Store) -> None:
    with pytest.raises(Refused):
        await ledger.open(opening(model="unpriced-1"))
    assert await count(store, ledger_openings) == 0


@pytest.mark.parametrize(
    ("outcome", "estimated", "expected"),
    [
        ("served", None, ({"input": 100}, "estimated", 100_000)),  # the provider said nothing: 400 bytes are 100 tokens
        ("cut", None, ({"input": 100}, "estimated", 100_000)),
        ("drained", None, ({"input": 100}, "estimated", 100_000)),
        ("cut", used(input=120, output=7), ({"input": 120, "output": 7}, "estimated", 155_000)),
        ("failed", None, ({}, "exact", 0)),
        ("refused", None, ({}, "exact", 0)),
        ("failed", used(input=120), ({"input": 120}, "estimated", 120_000)),
    ],
)
async def test_what_an_attempt_without_usage_is_billed(
    ledger: Ledger, outcome: Any, estimated: Any, expected: Any
) -> None:
    await ledger.open(opening())
    await ledger.settle(Served("a1", outcome, estimated=estimated, reason="r"))
    (row,) = await ledger.row("default", "a1")
    assert (row.counts, row.basis, row.list_nano) == expected
    assert (row.outcome, row.reason) == (outcome, "r")


async def test_what_a_dead_process_left_open_is_billed_from_its_opening(store: Store, clock: FakeClock) -> None:
    dead = Ledger(store, FlatPrices(), FlatOrganisation(), clock)
    await dead.beat()
    for number in range(3):
        await dead.open(opening(f"a{number}"))
    ledger = Ledger(store, FlatPrices(), FlatOrganisation(), clock)
    assert await ledger.beat() == 3
    assert await count(store, ledger_openings) == 0
    (row,) = await ledger.row("default", "a1")
    assert (row.basis, row.outcome, row.reason, row.counts) == ("estimated", "cut", "gateway.lost", {"input": 100})
    assert await ledger.beat() == 0


async def test_another_gateway_that_lives_keeps_its_attempts_whatever_its_clock_says(store: Store) -> None:
    """Clocks of two machines are not compared: one of them may be a month off, either way."""
    for number, offset_s in enumerate((0, -2_600_000, 2_600_000)):
        clock = FakeClock()
        other = Ledger(store, FlatPrices(), FlatOrganisation(), clock, sole=False)
        clock.advance(offset_s)
        await other.beat()
        await other.open(opening(f"b{number}"))
        ledger = Ledger(store, FlatPrices(), FlatOrganisation(), FakeClock(), sole=False)
        for _ in range(3 * limits.LEDGER_SILENT_BEATS):
            assert await ledger.beat() == 0
            await other.beat()  # its clock stands still, and it is heard of all the same
        for _ in range(limits.LEDGER_SILENT_BEATS):
            assert await ledger.beat() == 0
        assert await ledger.beat() == 1
        assert await count(store, ledger_openings) == 0
        assert await ledger.beat() == 0
        await ledger.stop()
    assert await count(store, ledger_processes) == 0, "of the dead nothing is left"


async def test_what_a_process_left_open_is_found_also_when_the_clock_has_gone_back(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    ahead, clock = FakeClock(), FakeClock()
    ahead.advance(40 * 86_400)
    dead = Ledger(store, FlatPrices(), FlatOrganisation(), ahead)
    await dead.beat()
    await dead.open(opening())
    ledger = Ledger(store, FlatPrices(), FlatOrganisation(), clock)
    await ledger.start()
    assert await count(store, ledger_openings) == 0
    assert "this ledger was used at" in caplog.text, (
        "whoever looks after it is told, because rows are dated by the clock"
    )
    await ledger.stop()


async def test_who_was_taken_for_dead_replaces_the_estimate_by_the_truth(store: Store, clock: FakeClock) -> None:
    slow, ledger = (Ledger(store, FlatPrices(), FlatOrganisation(), clock) for _ in range(2))
    await slow.open(opening())
    assert await ledger.beat() == 1
    await slow.settle(Served("a1", "served", [used(), used("m2", output=1)]))
    first, second = await ledger.row("default", "a1")
    assert (first.reason, second.corrects, second.basis, second.list_nano) == (
        "gateway.lost",
        "a1",
        "corrected",
        150_000,
    )
    assert len(await ledger.row("default", "a1/2")) == 1


async def test_what_was_served_while_the_store_is_away_is_kept_and_written_later(
    store: Store, clock: FakeClock
) -> None:
    flaky = Flaky(store)
    ledger = Ledger(flaky, FlatPrices(), FlatOrganisation(), clock)
    await ledger.open(opening())
    flaky.away = "away"
    await ledger.settle(Served("a1", "served", [used()]))
    assert ledger.unsettled == 1
    with pytest.raises(Unavailable):
        await ledger.open(opening("a2"))
    with pytest.raises(Unavailable):
        await ledger.flush()
    flaky.away = ""
    await ledger.flush()
    assert ledger.unsettled == 0
    assert (await ledger.row("default", "a1"))[0].list_nano == 150_000
    assert await count(store, ledger_openings) == 0


async def test_a_commit_of_unknown_outcome_counts_once(store: Store, clock: FakeClock) -> None:
    flaky = Flaky(store)
    ledger = Ledger(flaky, FlatPrices(), FlatOrganisation(), clock)
    await ledger.open(opening())
    flaky.away = "unknown"
    await ledger.settle(Served("a1", "served", [used()]))
    with pytest.raises(Unavailable):  # its opening is there, and the upstream was not asked
        await ledger.open(opening("a2"))
    flaky.away = ""
    await ledger.flush()
    assert ledger.unsettled == 0
    assert await count(store, ledger_rows) == 1
    assert await count(store, ledger_openings) == 0


@pytest.mark.parametrize("code", ["disk.full", "disk.lost", "store.unavailable"])
async def test_to_callers_a_store_that_cannot_write_is_down_whatever_is_wrong_with_it(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, code: Any
) -> None:
    async def failing(*_: object, **__: object) -> None:
        raise CommitFailed("not_applied", code, "no space on the disk")

    flaky = Flaky(store)
    monkeypatch.setattr(flaky, "insert", failing)
    with pytest.raises(Unavailable, match="no space") as refused:
        await Ledger(flaky, FlatPrices(), FlatOrganisation(), clock).open(opening())
    assert (refused.value.code, refused.value.row.status) == ("store.unavailable", 503)


async def test_a_store_that_does_not_answer_is_down_and_what_it_wrote_later_is_no_spend(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, writing = asyncio.Event(), asyncio.Event()

    async def slow(*what: Any, **how: Any) -> None:
        try:
            await frozen.wait()
        finally:  # whoever waits may leave; what was handed in is written
            await store.insert(*what, **how)
            writing.set()

    flaky = Flaky(store)
    monkeypatch.setattr(flaky, "insert", slow)
    monkeypatch.setattr(limits, "LEDGER_OPENING_S", 0.001)
    ledger = Ledger(flaky, FlatPrices(), FlatOrganisation(), clock)
    with pytest.raises(Unavailable, match="did not answer") as refused:
        await ledger.open(opening())
    assert refused.value.code == "store.unavailable"
    await writing.wait()
    assert await count(store, ledger_openings) == 1
    await ledger.flush()
    assert await count(store, ledger_openings) == await count(store, ledger_rows) == 0


async def test_no_attempt_is_opened_while_too_much_waits(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LEDGER_UNSETTLED", 1)
    flaky = Flaky(store)
    ledger = Ledger(flaky, FlatPrices(), FlatOrganisation(), clock)
    await ledger.open(opening())
    flaky.away = "away"
    await ledger.settle(Served("a1", "served", [used()]))
    flaky.away = ""
    with pytest.raises(Unavailable, match="waiting"):
        await ledger.open(opening("a2"))


async def test_a_correction_stands_beside_what_it_replaces(ledger: Ledger) -> None:
    await ledger.open(opening())
    await ledger.settle(Served("a1", "served", [used()]))
    await ledger.correct("default", "a1", why="the report says so", counts={"input": 100, "output": 20})
    await ledger.correct("default", "a1", why="and a discount", billed_nano=7)
    first, second, third = await ledger.row("default", "a1")
    assert (first.list_nano, second.list_nano, third.list_nano) == (150_000, 200_000, 200_000)
    assert (third.billed_nano, third.corrects, third.basis, third.reason) == (7, "a1~1", "corrected", "and a discount")


async def test_a_row_is_replaced_once(ledger: Ledger) -> None:
    await ledger.open(opening())
    await ledger.settle(Served("a1", "served", [used()]))
    (row,) = await ledger.row("default", "a1")
    await ledger.correct("default", "a1", why="x", billed_nano=7)
    from msgspec.structs import replace

    with pytest.raises(Refused) as refused:
        await ledger.append([replace(row, id="fork", corrects="a1")])
    assert refused.value.code == "ledger.corrected"


@pytest.mark.parametrize("changes", [{}, {"counts": {"input": -1}}])
async def test_a_correction_that_makes_no_sense_is_refused(ledger: Ledger, changes: Any) -> None:
    await ledger.open(opening())
    await ledger.settle(Served("a1", "served", [used()]))
    with pytest.raises(Refused):
        await ledger.correct("default", "a1", why="x", **changes)


@pytest.mark.parametrize("statement", ["UPDATE ledger_rows SET billed_nano = 0", "DELETE FROM ledger_rows"])
async def test_the_database_itself_keeps_rows(ledger: Ledger, store: Store, statement: str) -> None:
    await ledger.open(opening())
    await ledger.settle(Served("a1", "served", [used()]))
    with pytest.raises(DBAPIError, match=r"ledger\.append_only"):
        await store.write(lambda connection: connection.execute(text(statement)))
    assert await count(store, ledger_rows) == 1


async def test_nobody_replaces_a_row_of_sqlite_by_inserting_it(ledger: Ledger, store: Store, database: str) -> None:
    if not database.startswith("sqlite"):
        return  # INSERT OR REPLACE is SQLite's
    await ledger.open(opening())
    await ledger.settle(Served("a1", "served", [used()]))
    columns = ", ".join(f"'{5}' AS x" if c.name == "reason" else c.name for c in ledger_rows.columns)
    await store.write(
        lambda c: c.execute(text(f"INSERT OR REPLACE INTO ledger_rows SELECT {columns} FROM ledger_rows"))
    )
    assert (await ledger.row("default", "a1"))[0].reason == ""


async def test_a_deleted_session_cannot_be_found_from_its_rows(ledger: Ledger, store: Store) -> None:
    for id_ in ("a1", "a2"):
        await ledger.open(opening(id_, session="secret-plans"))
        await ledger.settle(Served(id_, "served", [used()]))
    (row,) = await ledger.row("default", "a1")
    assert row.session == "secret-plans"
    assert await ledger.forget_session("default", "secret-plans")
    (one,), (two,) = await ledger.row("default", "a1"), await ledger.row("default", "a2")
    assert one.session == two.session  # what belonged together still does
    assert one.session.startswith("erased:")
    dump = await store.read(
        lambda c: str([c.execute(select(t)).all() for t in (ledger_rows, ledger_sessions, ledger_openings)])
    )
    assert "secret-plans" not in dump
    assert not await ledger.forget_session("default", "secret-plans")


async def test_a_session_of_that_name_in_another_tenant_is_another(ledger: Ledger, store: Store) -> None:
    for tenant in ("default", "other"):
        await ledger.open(opening(f"a-{tenant}", session="s", tenant=tenant))
        await ledger.settle(Served(f"a-{tenant}", "served", [used()]))
    references = await store.read(lambda c: {statements.session_reference(c, t, "s") for t in ("default", "other")})
    assert len(references) == 2
    with pytest.raises(Refused):
        await ledger.row("other", "a-default")


async def test_a_model_is_waived_for_the_workflow_that_its_call_named(store: Store, clock: FakeClock) -> None:
    """Whatever the tree knows: what was let through by a waiver has it in its row."""
    prices, tree = Prices(store, clock.wall_ms), Organisation(store, clock.wall_ms)
    await prices.open()
    await tree.refresh()
    made = Ledger(store, prices, tree, clock)
    until_ms = clock.wall_ms() + 86_400_000
    waiver = await prices.waive(
        model="odd-1", by="user:ann", why="a trial", until_ms=until_ms, workflow="mail", rates={"input": "1"}
    )
    at_ms = clock.wall_ms()
    await made.open(opening(model="odd-1", asked="odd-1", at_ms=at_ms))
    await made.settle(Served("a1", "served", [used("odd-1", input=1_000)], at_ms=at_ms))
    (row,) = await made.row("default", "a1")
    assert (row.workflow, row.waiver, row.billed_nano) == ("unassigned", waiver.id, 1_000_000)
    assert (await LedgerVerifier(made, prices.book_of).run()).ok
