"""A file counts once, as what it was imported for, and never beside what is counted already."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from msgspec.structs import replace

from holdfast.errors import Refused, Unavailable
from holdfast.gateway.port import Served
from holdfast.governance import limits
from holdfast.governance.ledger import settling
from holdfast.governance.ledger.bill_line import ImportBatch
from holdfast.governance.ledger.imports.service import Importer, ImportOptions
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.store.store import Store
from holdfast.testing import FakeClock
from tests.unit.governance.ledger.conftest import opening, used
from tests.unit.governance.ledger.imports import reports as r

pytestmark = pytest.mark.anyio

DAYS = ("2026-10-01", "2026-10-31")
COSTS = r.openai_page(r.openai_cost(), r.openai_cost(api_key_id="key_2", amount={"value": 1, "currency": "usd"}))


async def spend(store: Store, *by: str) -> Any:
    return await LedgerReader(store).spend("default", *DAYS, by)


async def test_a_bill_is_in_no_sum(ledger: Ledger, store: Store) -> None:
    importer = Importer(ledger)
    batch, new = await importer.import_file(r.file(COSTS), ImportOptions(by="user:ann", name="costs.json"))
    assert new
    assert (batch.lines, batch.total_nano, batch.first_day, batch.last_day) == (
        2,
        1_060_000_000,
        "2026-10-05",
        "2026-10-05",
    )
    assert (await spend(store)).total.rows == 0
    found = await importer.bill("default", "openai", *DAYS)
    assert [line.amount_nano for line in found] == [60_000_000, 1_000_000_000]
    assert [line.id for line in found] == [f"{batch.id}-0000001", f"{batch.id}-0000002"]
    assert await importer.bill("default", "anthropic", *DAYS) == []
    assert await importer.bill("other", "openai", *DAYS) == []


async def test_a_file_is_imported_once(ledger: Ledger, store: Store) -> None:
    importer = Importer(ledger)
    first, _ = await importer.import_file(r.file(COSTS), ImportOptions(name="a"))
    second, new = await importer.import_file(r.file(COSTS), ImportOptions(name="b"))
    assert (second, new) == (first, False)
    assert len(await importer.bill("default", "openai", *DAYS)) == 2
    assert await importer.batches("default") == [first]
    _, new = await importer.import_file(r.file(COSTS), ImportOptions(tenant="other"))
    assert new


async def test_spend_becomes_rows_with_labels(ledger: Ledger, store: Store) -> None:
    options = ImportOptions(
        use="spend", labels={"workflow": "code"}, key_labels={"key_2": {"workflow": "mail", "team": "sales"}}
    )
    batch, _ = await Importer(ledger).import_file(r.file(COSTS), options)
    answer = await spend(store, "workflow", "team", "basis", "source")
    assert {group.values: group.figures.billed_nano for group in answer.groups} == {
        ("mail", "sales", "imported", "import"): 1_000_000_000, ("code", "", "imported", "import"): 60_000_000,
    }  # fmt: skip
    (row,) = await ledger.row("default", f"{batch.id}-0000001")
    assert (row.day, row.list_nano, row.effective_nano) == ("2026-10-05", None, 60_000_000)
    assert row.tags == {"account": "proj_1", "provider_key": "key_1"}


@pytest.mark.parametrize("requests", [0, 5])
async def test_usage_without_money_is_priced_by_our_catalogue(ledger: Ledger, store: Store, requests: int) -> None:
    report = r.openai_page(r.openai_usage(num_model_requests=requests))
    await Importer(ledger).import_file(r.file(report), ImportOptions(use="spend"))
    assert (await spend(store)).total.list_nano == 200 * 1_000 + 800 * 100 + 500 * 5_000


async def test_seats_belong_to_pseudonyms_and_bills_to_nobody(ledger: Ledger, store: Store) -> None:
    await Importer(ledger).import_file(r.file(r.SEATS), ImportOptions(use="spend"))
    answer = await spend(store, "team", "usage", "cost_centre", "kind")
    assert {group.values for group in answer.groups} == {
        ("sales", "seated", "cc1", "seat"),
        ("code", "seated", "cc2", "seat"),
    }
    await Importer(ledger).import_file(r.file(r.SEATS), ImportOptions(use="bill"))
    assert "example.com" not in str(await Importer(ledger).bill("default", "anthropic", *DAYS))


async def test_what_the_gateway_counted_is_not_imported_beside_it(ledger: Ledger, store: Store) -> None:
    at_ms = r.START * 1_000 + 3_600_000
    await ledger.open(opening(at_ms=at_ms))
    await ledger.settle(Served("a1", "served", [used()], at_ms=at_ms))
    importer = Importer(ledger)
    with pytest.raises(Refused) as refused:
        await importer.import_file(r.file(COSTS), ImportOptions(use="spend"))
    assert refused.value.code == "import.overlap"
    batch, _ = await importer.import_file(r.file(COSTS), ImportOptions(use="spend", leave_out=frozenset({"key_1"})))
    assert (batch.lines, batch.total_nano) == (1, 1_000_000_000)


async def test_two_reports_of_the_same_days_are_not_added_up(ledger: Ledger, store: Store) -> None:
    importer = Importer(ledger)
    await importer.import_file(r.file(COSTS), ImportOptions(use="spend", name="costs.json"))
    for other in (
        r.openai_page(r.openai_usage()),
        r.openai_page(r.openai_cost(amount={"value": 2, "currency": "usd"})),
    ):
        with pytest.raises(Refused, match=r"costs\.json"):
            await importer.import_file(r.file(other), ImportOptions(use="spend"))
    later = r.openai_page(r.openai_cost(), start=r.START + 86_400)
    await importer.import_file(r.file(later), ImportOptions(use="spend"))
    await importer.import_file(r.file(r.SEATS.replace("anthropic", "openai")), ImportOptions(use="spend"))
    assert (await spend(store)).total.rows == 5


@pytest.mark.parametrize("use", ["bill", "spend"])
async def test_an_import_that_was_cut_short_is_finished_by_the_next(
    ledger: Ledger, store: Store, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LEDGER_GROUP_ROWS", 1)
    real, writes = ledger.store.write, 0

    async def failing(work: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes == 3:
            raise Unavailable("store.unavailable")
        return await real(work)

    monkeypatch.setattr(ledger.store, "write", failing)
    importer = Importer(ledger)
    with pytest.raises(Unavailable):
        await importer.import_file(r.file(COSTS), ImportOptions(use=use))
    assert await importer.bill("default", "openai", *DAYS) == []
    _, new = await importer.import_file(r.file(COSTS), ImportOptions(use=use))
    assert new
    if use == "bill":
        assert len(await importer.bill("default", "openai", *DAYS)) == 2
    else:
        assert (await spend(store)).total.billed_nano == 1_060_000_000


async def test_a_file_with_a_wrong_line_changes_nothing(ledger: Ledger, store: Store) -> None:
    wrong = r.SEATS + "anthropic,team,,x,cc,2026-10,much,USD\n"
    with pytest.raises(Refused, match="line 4"):
        await Importer(ledger).import_file(r.file(wrong), ImportOptions(use="spend"))
    assert (await spend(store)).total.rows == 0


async def test_of_reports_that_overlap_the_newest_counts_for_each_day_and_account(
    ledger: Ledger, clock: FakeClock
) -> None:
    importer = Importer(ledger)

    async def bring(*pages: Any, **more: Any) -> ImportBatch:
        clock.advance(60)
        batch, new = await importer.import_file(r.file(list(pages)), ImportOptions(**more))
        assert new
        return batch

    def day(number: int, *results: Any) -> Any:
        return r.openai_page(*results, start=r.START + number * 86_400)

    def cost(value: float, project: str = "proj_1") -> Any:
        return r.openai_cost(amount={"value": value, "currency": "usd"}, project_id=project)

    week = await bring(day(0, cost(1), cost(2)), day(1, cost(3, "proj_2")), name="first.json")
    month = await bring(day(0, cost(5)), day(2, cost(7)), name="second.json")
    await bring(day(0, r.openai_usage()))  # units without money take the place of no amount
    found = await importer.bill("default", "openai", *DAYS)
    amounts = {(line.batch, line.day, line.account): line.amount_nano for line in found if line.amount_nano is not None}
    assert amounts == {
        (month.id, "2026-10-05", "proj_1"): 5 * 10**9, (week.id, "2026-10-06", "proj_2"): 3 * 10**9,
        (month.id, "2026-10-07", "proj_1"): 7 * 10**9,
    }  # fmt: skip
    assert [line.counts["output"] for line in found if line.amount_nano is None] == [500]
    assert week.notes == () and "first.json has some of these days" in month.notes[0]


async def test_amounts_in_another_currency_have_the_rate_of_their_day(ledger: Ledger, store: Store) -> None:
    rates = {"2026-10-05": "1.25", "2026-10-06": "1.5"}

    def convert(currency: str, at_ms: int) -> tuple[Fraction, str]:
        assert currency == "EUR"
        rate = rates[datetime.fromtimestamp(at_ms / 1_000, UTC).date().isoformat()]
        return Fraction(rate), rate

    euros = {"amount": {"value": 0.000000001, "currency": "eur"}}
    file = [r.openai_page(r.openai_cost(**euros), start=r.START + n * 86_400) for n in (0, 1)]
    importer = Importer(ledger, convert)
    batch, _ = await importer.import_file(r.file(file), ImportOptions(use="spend"))
    assert batch.total_nano == 1 + 2, "1.25 and 1.5 nano-dollars, each rounded half to even"
    rows = [(await ledger.row("default", f"{batch.id}-000000{n}"))[0] for n in (1, 2)]
    assert [(row.currency, row.rate, row.billed_nano) for row in rows] == [("EUR", "1.25", 1), ("EUR", "1.5", 2)]
    with pytest.raises(Refused, match=r"price\.currency"):
        await Importer(ledger).import_file(r.file(file), ImportOptions())
    lines, _, _ = importer.read(r.file(file))
    assert [line.amount_nano for line in lines] == [1, 2]


@pytest.mark.parametrize(
    ("tags", "counts", "expected"),
    [
        ({}, {"input": 10_000_000, "requests": 5_000}, 2_000),
        ({}, {"input": 10_000_000}, 0),
        ({"context_window": "0-200k"}, {"input": 10_000_000}, 0),
        ({"context_window": "200k-1M"}, {"input": 10_000_000, "requests": 500}, 200_001),
    ],
)
def test_a_line_of_many_requests_is_no_long_request(tags: Any, counts: Any, expected: int) -> None:
    row = Row(id="i", call="i", at_ms=0, day="2026-10-05", month="2026-10", source="import", tags=tags, counts=counts)
    assert settling.request_input(row) == expected
    assert settling.request_input(replace(row, source="gateway")) is None
