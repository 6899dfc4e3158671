"""Gate 10.a goes from unknown over red to green by what is spent week after week, and by nothing that is said of it."""

from __future__ import annotations

import datetime

import pytest

from holdfast.governance.rollout.gates import accounts
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW
from tests.unit.governance.rollout.till import NANO, ON_SQLITE, Till, sql, till

__all__ = ["till"]
pytestmark = pytest.mark.anyio
MONDAY = datetime.datetime(2025, 7, 7, 10, tzinfo=datetime.UTC)


async def says(till: Till) -> tuple[str, str]:
    """What the gate of the organisation says in the next round."""
    till.pass_days(0.01)
    return await till.verdict("10.a", "")


async def weeks(till: Till, count: int) -> None:
    """So many weeks, each with a little more than the one before, begun on a Monday."""
    await till.manifest(unit_of_work="a mail")
    till.clock.advance(MONDAY.timestamp() - till.clock.wall_ms() / 1_000)
    for number in range(count):
        await till.spend((number + 1) * NANO, model=f"m{number % 3}")
        till.pass_days(7)


async def test_from_unknown_over_red_to_green(till: Till) -> None:
    assert (await says(till))[0] == "unknown"
    await weeks(till, 12)
    assert await says(till) == ("unknown", "12 complete weeks have anything, of 13")
    rows = await till.spend(5 * NANO, billed_nano=None)  # bought by the hour: nobody knows what is billed of it
    await till.spend(13 * NANO)
    till.pass_days(7)
    shown, reason = await says(till)
    assert shown == "fail" and reason.endswith("$5.00 of a change of $6.00 have no reason")
    await till.ledger.correct(TENANT, rows[0].id, why="the card says so", billed_nano=5 * NANO)
    assert await says(till) == ("pass", "13 weeks: every change is price, volume, mix and cache")
    till.pass_days(7)
    assert await says(till) == ("unknown", "12 complete weeks have anything, of 13"), "a week without anything is a gap"


@ON_SQLITE
async def test_less_than_a_dollar_is_borne(till: Till) -> None:
    await weeks(till, 13)
    till.pass_days(-7)
    await till.spend(NANO * 9 // 10, billed_nano=None)
    till.pass_days(7)
    assert (await says(till))[0] == "pass"


@ON_SQLITE
async def test_what_costs_nobody_knows_what_is_unknown(till: Till) -> None:
    await weeks(till, 13)
    till.pass_days(-7)
    await till.spend(1, list_nano=None, contracted_nano=None, effective_nano=None, billed_nano=None)
    till.pass_days(7)
    shown, reason = await says(till)
    assert shown == "unknown" and reason == "what 1 rows of these weeks cost is not known"


@ON_SQLITE
async def test_another_unit_of_work_breaks_the_series_however_it_is_brought_in(till: Till) -> None:
    await weeks(till, 7)
    await till.manifest(unit_of_work="")
    till.pass_days(0.01)
    await till.manifest(unit_of_work="a batch")
    for _ in range(7):
        await till.spend(NANO)
        till.pass_days(7)
    shown, reason = await says(till)
    assert shown == "unknown" and reason.startswith(f"the unit of work of {WORKFLOW} became 'a batch' on ")
    for _ in range(8):
        await till.spend(NANO)
        till.pass_days(7)
    assert (await says(till))[0] == "pass", "from then on there are thirteen weeks again"


@ON_SQLITE
async def test_an_old_verdict_expires_and_no_row_of_it_can_be_changed(till: Till) -> None:
    await weeks(till, 13)
    assert (await says(till))[0] == "pass"
    with pytest.raises(Exception, match="append_only"):
        await sql(till, "UPDATE ledger_rows SET billed_nano = 1")
    till.pass_days(7.1)
    found = next(one for one in till.plan.gates(TENANT, WORKFLOW) if one.gate == "10.a")
    assert (found.shown, found.cause) == ("unknown", "stale")


def test_a_dollar_or_half_a_percent_whichever_is_more() -> None:
    assert accounts.GATE.thresholds == {"weeks": 13, "usd": 1, "ppm": 5_000}
