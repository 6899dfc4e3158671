"""Gate 4.a goes from unknown over red to green by the bills that are imported, and no sum hides a cell."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Sequence

import pytest

from holdfast.governance.ledger.bookkeeping import Bookkeeper
from holdfast.governance.ledger.imports.service import ImportOptions
from tests.unit.governance.rollout.conftest import TENANT
from tests.unit.governance.rollout.till import NANO, ON_SQLITE, Till, sql, till

__all__ = ["till"]
pytestmark = pytest.mark.anyio
ORGANISATION = ""
FIRST = datetime.datetime(2025, 7, 1, 10, tzinfo=datetime.UTC)
Line = tuple[str, str, str, int]


async def says(till: Till) -> tuple[str, str]:
    """What the gate of the organisation says in the next round."""
    till.pass_days(0.01)
    return await till.verdict("4.a", ORGANISATION)


async def month(till: Till, card: str = "card-1") -> list[Line]:
    """Ten days of two models, each $1, and then the month is over; what the bill says of it."""
    await till.manifest()
    lines = []
    till.clock.advance(FIRST.timestamp() - till.clock.wall_ms() / 1e3)
    for day in range(1, 11):
        for model in ("m1", "m2"):
            await till.spend(NANO, model=model, card=card)
            lines.append((f"2025-07-{day:02}", "up", model, NANO))
        till.pass_days(1)
    till.pass_days(25)
    return lines


def off(lines: Sequence[Line], *changes: tuple[int, int]) -> list[Line]:
    """The same with other amounts in some places."""
    found = list(lines)
    for place, more in changes:
        day, key, model, nano = found[place]
        found[place] = day, key, model, nano + more
    return found


async def test_from_unknown_over_red_to_green(till: Till) -> None:
    assert (await says(till))[0] == "unknown"
    lines = await month(till)
    assert await says(till) == ("unknown", "no bill of openai for 2025-07 was imported")
    await till.bill(off(lines, (3, NANO // 2)))
    shown, reason = await says(till)
    assert shown == "fail" and reason == "$0.50 of $20.50 of 2025-07 differ (2.4 %)", "at most 2 % may differ"
    await till.bill(lines)
    assert await says(till) == ("pass", "$20.00 of 2025-07: 0.0 % differ, in 20 cells")


@ON_SQLITE
async def test_what_cancels_in_a_sum_counts_twice(till: Till) -> None:
    lines = await month(till)
    await till.bill(off(lines, (0, NANO // 3), (1, -NANO // 3)))
    shown, reason = await says(till)
    assert shown == "fail" and reason.startswith("$0.67"), "the sums are the same, to the cent"


@ON_SQLITE
async def test_a_line_that_is_off_fails_though_the_whole_is_near(till: Till) -> None:
    lines = await month(till)
    await till.bill(off(lines, (5, NANO * 15 // 100)))  # 0.7 % of the whole
    shown, reason = await says(till)
    assert shown == "fail" and reason.startswith("m2 at up on 2025-07-03 differs by")


@ON_SQLITE
async def test_what_is_of_nobody_is_bounded(till: Till) -> None:
    lines = await month(till)
    till.clock.advance(-25 * 86_400)
    await till.spend(2 * NANO, model="m1", card="card-1", labels={"workflow": "nobody"})
    till.pass_days(25)
    await till.bill([*lines, ("2025-07-11", "up", "m1", 2 * NANO)])
    shown, reason = await says(till)
    assert shown == "fail" and "unassigned, unknown or rounding" in reason


@ON_SQLITE
async def test_what_is_missing_is_unknown_and_a_proven_violation_fails_beside_it(till: Till) -> None:
    lines = await month(till)
    await till.bill([line for line in lines if line[0] != "2025-07-04"])
    shown, reason = await says(till)
    assert shown == "unknown" and "2025-07-04" in reason
    await till.bill(off([line for line in lines if line[0] != "2025-07-05"], (0, 4 * NANO)))
    assert (await says(till))[0] == "fail"


@ON_SQLITE
async def test_a_provider_without_a_bill_is_unknown_and_proves_nothing(till: Till) -> None:
    lines = await month(till)
    till.clock.advance(-25 * 86_400)
    await till.spend(80 * NANO, model="m3", provider="anthropic", upstream="other", card="card-1")
    till.pass_days(25)
    await till.bill(off(lines, (3, NANO // 2)))  # 2.4 % of one bill, and 0.5 % of both
    assert await says(till) == ("fail", "m2 at up on 2025-07-02 differs by 33.3 % of its $1.50")
    await till.bill(off(lines, (3, NANO // 20), (4, NANO // 20), (5, NANO // 20), (6, NANO // 20)))
    assert (await says(till)) == ("unknown", "no bill of anthropic for 2025-07 was imported")


@ON_SQLITE
async def test_rows_without_a_price_and_prices_without_a_card_are_unknown(till: Till) -> None:
    lines = await month(till)
    await till.bill(lines)
    assert (await says(till))[0] == "pass"
    till.clock.advance(-26 * 86_400)
    await till.calls(1, "m9", served="unpriced-m9")
    till.pass_days(26)
    shown, reason = await says(till)
    assert shown == "unknown" and "no price" in reason


@ON_SQLITE
async def test_a_bill_in_one_ratio_to_prices_without_a_rate_card_is_unknown(till: Till) -> None:
    lines = await month(till, card="")
    await till.bill([(*line[:3], NANO * 9 // 10) for line in lines])
    shown, reason = await says(till)
    assert shown == "unknown" and "it has no rate card" in reason


@ON_SQLITE
async def test_a_report_that_was_cut_is_unknown(till: Till) -> None:
    await till.bill(await month(till))
    start = int(FIRST.timestamp()) // 86_400 * 86_400 + 86_400 * 20
    result = {
        "object": "organization.costs.result",
        "amount": {"value": 0.001, "currency": "usd"},
        "line_item": "m1, input",
    }
    page = {"data": [{"start_time": start, "end_time": start + 86_400, "results": [result]}], "has_more": True}
    await till.importer.import_file(io.BytesIO(json.dumps(page).encode()), ImportOptions(name="cut"))
    shown, reason = await says(till)
    assert shown == "unknown" and "not whole" in reason


@ON_SQLITE
async def test_a_bill_that_was_changed_to_fit_is_unknown(till: Till) -> None:
    lines = await month(till)
    await till.bill(off(lines, (3, NANO)))
    assert (await says(till))[0] == "fail"
    await sql(till, f"UPDATE ledger_bill_lines SET amount_nano = {NANO}")
    shown, reason = await says(till)
    assert shown == "unknown" and reason.endswith("is not as it was imported")


@ON_SQLITE
async def test_where_months_are_closed_the_last_one_has_to_be(till: Till) -> None:
    lines = await month(till)
    await till.bill(lines)
    keeper = Bookkeeper(till.ledger)
    await keeper.close(TENANT, "2025-06", "user:fin")
    assert await says(till) == ("unknown", "2025-07 is not closed yet")
    await keeper.close(TENANT, "2025-07", "user:fin")
    assert (await says(till))[0] == "pass"


@ON_SQLITE
async def test_while_the_next_bill_is_late_the_verdict_stands_for_seven_days(till: Till) -> None:
    lines = await month(till)
    till.clock.advance(-2 * 86_400)
    await till.bill(lines)
    till.pass_days(24)  # the end of August
    assert (await says(till))[0] == "pass"
    till.pass_days(6)
    shown, reason = await says(till)
    assert shown == "pass" and "stands, for no bill of openai for 2025-08 was imported" in reason
    till.pass_days(4)
    assert (await says(till))[0] == "unknown"
