"""Bills over a ledger on both databases: compared, settled, explained, exported and read back."""

from __future__ import annotations

import io
from typing import Any

import pytest
from msgspec.structs import replace

from holdfast.errors import Refused
from holdfast.governance.ledger.bills.charts import bill_by_day, waste_by_day, waterfall
from holdfast.governance.ledger.bills.service import BillQuestion, Bills
from holdfast.governance.ledger.bills.tables import reconciliation_csv, variance_csv, waste_csv
from holdfast.governance.ledger.imports.service import Importer, ImportOptions
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.service import Ledger
from tests.unit.governance.ledger.bills import month as plants
from tests.unit.governance.ledger.bills.month import Month

pytestmark = pytest.mark.anyio


def small(seed: int = 1, **more: Any) -> Month:
    return Month(seed, keys=2, models=3, busy=3, days=10, step=1, **more)


def question(month: Month, **more: Any) -> BillQuestion:
    keys = {f"key-of-{key}": key for key in month.keys}
    facts = {"since": month.days[0], "until": month.days[-1], "provider": "anthropic", "keys": keys, **more}
    return BillQuestion(**facts)


async def filled(ledger: Ledger, month: Month) -> Bills:
    rows = [replace(row, card="card-1", catalogue="c1") for row in month.rows]
    await ledger.append(
        [ledger.complete(row, {"workflow": row.workflow, "team": "sales"}, price=False) for row in rows]
    )
    return Bills(ledger, Importer(ledger))


async def test_rows_in_the_store_are_compared_as_those_at_hand(ledger: Ledger) -> None:
    month = small()
    plants.missed_day(month)
    plants.netting_pair(month)
    bills = await filled(ledger, month)
    found = await bills.reconcile("default", question(month), month.lines())
    there = month.compare()
    assert (found.remainder, found.gap_nano, found.bill_nano) == (there.remainder, there.gap_nano, there.bill_nano)
    assert [entry.cause for entry in found.findings] == [entry.cause for entry in there.findings]
    by_day = bill_by_day(found)
    assert sum(day.bill_nano for day in by_day) == found.bill_nano
    assert {cause for day in by_day for cause in day.causes} == set(found.remainder) - {"unassigned"}
    assert reconciliation_csv(found).count("\n") >= len(found.cells)


async def test_estimates_are_settled_once_and_the_next_comparison_passes(ledger: Ledger) -> None:
    month = small(3, by_class=True, counts=True)
    plants.cut_streams(month, 0.05)
    bills = await filled(ledger, month)
    first = await bills.reconcile("default", question(month), month.lines())
    assert first.settlements and first.remainder["estimated"] > 1_000_000
    corrected = await bills.settle("default", first)
    assert {row.corrects for row in corrected} == {entry.row for entry in first.settlements}
    assert all(row.basis == "corrected" for row in corrected)
    again = await bills.reconcile("default", question(month), month.lines())
    assert "estimated" not in again.remainder and not again.settlements
    assert again.gap_nano < 50 * len(again.cells)
    assert await bills.settle("default", first) == [], "what was corrected is left as it is"


async def test_variance_reads_what_the_store_has(ledger: Ledger) -> None:
    month = small()
    bills = await filled(ledger, month)
    halves = (month.days[0], month.days[4]), (month.days[5], month.days[9])
    found = await bills.variance("default", *halves, by="model")
    rows = await _all(ledger)
    cost = [sum(row.billed_nano or 0 for row in rows if first <= row.day <= last) for first, last in halves]
    assert (found.before_nano, found.after_nano) == tuple(cost)
    assert found.effects.total == cost[1] - cost[0]
    assert found.effects.price == 0
    steps = waterfall(found)
    assert steps[-2].to_nano == steps[-1].to_nano == cost[1]
    one = waterfall(found, month.models[0])
    assert one[-2].to_nano == one[-1].to_nano
    assert variance_csv(found).count("\n") == len(found.groups) + 2


async def _all(ledger: Ledger) -> list[Row]:
    from holdfast.governance.ledger import queries

    return await ledger.store.read(lambda connection: queries.all_rows(connection, "default", "", 10_000))


async def test_waste_is_found_session_by_session(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.governance import limits
    from holdfast.governance.ledger.bills.waste.finder import find_waste

    monkeypatch.setattr(limits, "BILLS_PAGE", 7)
    month = small()
    month.rows = [
        replace(row, outcome="failed", reason="upstream.failed") if n % 9 == 0 else row
        for n, row in enumerate(month.rows)
    ]  # fmt: skip
    bills = await filled(ledger, month)
    found = await bills.waste("default", month.days[0], month.days[-1])
    rows = [row for row in await _all(ledger) if month.days[0] <= row.day <= month.days[-1]]
    there = find_waste(rows, month.days[0], month.days[-1])
    assert found == there
    assert next(item for item in found.items if item.kind == "retries").amount_nano
    series = waste_by_day(found)
    assert "unread" not in series.kinds and len(series.kinds["retries"]) == len(series.days)
    assert "retries" in waste_csv(found)


async def test_a_focus_file_read_back_as_a_bill_is_the_ledger(ledger: Ledger) -> None:
    month = small()
    month.rows = [replace(row, key=f"k-{row.upstream}") for row in month.rows]
    bills = await filled(ledger, month)
    text = "".join([line async for line in bills.focus("default", month.days[0], month.days[-1])])
    # FOCUS has days of UTC: those at both ends are not whole, since the organisation is in Berlin
    since, until = month.days[1], month.days[-2]
    importer = Importer(ledger)
    await importer.import_file(io.BytesIO(text.encode()), ImportOptions(provider="anthropic", name=""))
    keys = {f"k-{key}": key for key in month.keys}
    found = await bills.reconcile("default", question(month, since=since, until=until, keys=keys))
    assert (found.verdict, found.reasons) == ("pass", ())
    assert found.gap_nano == 0, found.findings
    assert await bills.providers("default", since, until) == ["anthropic"]


async def test_questions_that_cannot_be_answered_are_refused(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.governance import limits

    month = small()
    bills = await filled(ledger, month)
    for wrong in ({"since": "yesterday"}, {"since": "2026-10-01", "until": "2026-09-01"}, {"zone": "Mars/Olympus"}):
        with pytest.raises(Refused, match=r"input\.malformed"):
            await bills.reconcile("default", question(month, **wrong), [])
    monkeypatch.setattr(limits, "BILLS_ROWS", 5)
    with pytest.raises(Refused, match=r"input\.too_large"):
        await bills.waste("default", month.days[0], month.days[-1])


async def test_other_tenants_see_nothing(ledger: Ledger) -> None:
    month = small()
    bills = await filled(ledger, month)
    found = await bills.reconcile("other", question(month))
    assert (found.bill_nano, found.ledger_nano, found.verdict) == (0, 0, "unknown")
