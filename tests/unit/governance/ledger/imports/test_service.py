"""A file counts once, as what it was imported for, and never beside what is counted already."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import Refused, Unavailable
from holdfast.gateway.port import Served
from holdfast.governance import limits
from holdfast.governance.ledger.imports.service import Importer, ImportOptions
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.store.store import Store
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


async def test_usage_without_money_is_priced_by_our_catalogue(ledger: Ledger, store: Store) -> None:
    report = r.openai_page(r.openai_usage(num_model_requests=0))
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
