"""Gate 9.a: from unknown over red to green by what people waited for, and each way to hide programs in their seats stays red."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from sqlalchemy import update

from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.store import add_rows
from holdfast.governance.store.tables.validations import rollout_validations
from tests.unit.governance.rollout.conftest import DAY_MS, TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio
HALF = 30  # minutes without programs, and as many with them


@pytest.fixture
async def served(company: Company) -> Company:
    await company.manifest()
    return company


async def calls(
    company: Company, *, calm_ms: int, busy_ms: int, each: int = 20, programs: int = 10, half: int = HALF, **facts: Any
) -> None:
    """People use the workflow for an hour of three days ago; in its second half programs are at work, too."""
    start = (company.clock.wall_ms() - 3 * DAY_MS) // 60_000 * 60_000
    base = {"day": "2025-06-10", "month": "2025-06", "period": "2025-06", "workflow": WORKFLOW, "tenant": TENANT}
    rows = list[Row]()
    for minute in range(2 * half):
        busy, at_ms = minute >= half, start + minute * 60_000
        for number in range(each):
            who = {"usage": "seated", "tags": {"interactive": "yes"}, "first_ms": busy_ms if busy else calm_ms, **facts}
            ident = f"s{len(rows)}-{number}-{company.clock.wall_ms()}"
            rows.append(Row(id=ident, call=ident, at_ms=at_ms + number, took_ms=5_000, **{**base, **who}))
        for number in range(programs if busy else 0):
            ident = f"h{minute}-{number}-{company.clock.wall_ms()}"
            more = {"usage": "headless", "workflow": "night-job", "first_ms": 9_000}
            rows.append(Row(id=ident, call=ident, at_ms=at_ms + number, took_ms=9_000, **{**base, **more}))
    await company.store.write(lambda connection: add_rows(connection, rows))


def load_test(company: Company, *, days: float = 1.0, **facts: Any) -> dict[str, Any]:
    began = datetime.datetime.fromtimestamp(company.clock.wall_ms() / 1_000 - days * 86_400, datetime.UTC)
    made = {
        "load_test": 1,
        "build": "b1",
        "began": began.isoformat(),
        "calls": 600,
        "unloaded_p99_ms": 100,
        "loaded_p99_ms": 140,
    }
    return {**made, **facts}


async def test_from_unknown_over_red_to_green(served: Company) -> None:
    await calls(served, calm_ms=200, busy_ms=900, each=10)
    shown, reason = await served.verdict("9.a")
    assert (shown, reason) == (
        "unknown", "300 seated calls beside much headless load and 300 beside little, of 500 each",
    )  # fmt: skip
    await calls(served, calm_ms=200, busy_ms=900, each=10, programs=0)
    served.clock.advance(1)
    await calls(served, calm_ms=200, busy_ms=900, each=10, programs=0)
    shown, reason = await served.verdict("9.a")
    assert shown == "fail" and reason.endswith("the first token comes within 900 ms (p99), else within 200 ms")
    served.pass_days(30)  # a month later people have slots of their own
    await calls(served, calm_ms=200, busy_ms=290)
    assert (await served.verdict("9.a"))[0] == "pass"


async def test_nothing_at_all_is_not_green(served: Company) -> None:
    assert await served.verdict("9.a") == ("not_applicable", "no calls at all")


async def test_people_alone_need_no_protection(served: Company) -> None:
    await calls(served, calm_ms=200, busy_ms=900, programs=0)
    assert await served.verdict("9.a") == ("not_applicable", "only seated calls")


async def test_a_program_in_a_persons_seat_is_red(served: Company) -> None:
    await calls(served, calm_ms=200, busy_ms=200)
    assert (await served.verdict("9.a"))[0] == "pass"
    served.clock.advance(1)
    await calls(served, calm_ms=200, busy_ms=200, each=1, programs=0, tags={})
    shown, reason = await served.verdict("9.a")
    assert (shown, reason) == ("fail", "60 of 1260 seated calls have nobody behind them who signed in")


async def test_all_programs_in_seats_are_red_though_only_one_kind_is_left(served: Company) -> None:
    await calls(served, calm_ms=200, busy_ms=200, programs=0, tags={})
    assert (await served.verdict("9.a"))[0] == "fail"


async def test_one_in_a_hundred_without_a_sign_in_is_let_pass(served: Company) -> None:
    await calls(served, calm_ms=200, busy_ms=200, each=20)
    served.clock.advance(1)
    await calls(served, calm_ms=200, busy_ms=200, each=1, programs=0, half=6, tags={})
    assert (await served.verdict("9.a"))[0] == "pass"


async def test_answers_without_a_stream_began_when_they_were_there(served: Company) -> None:
    """Who does not stream cannot hide what people waited for."""
    await calls(served, calm_ms=200, busy_ms=250)
    assert (await served.verdict("9.a"))[0] == "pass"
    served.pass_days(30)
    await calls(served, calm_ms=200, busy_ms=250, first_ms=None)
    shown, reason = await served.verdict("9.a")
    assert shown == "pass" and "within 5000 ms (p99), else within 5000 ms" in reason


async def test_load_that_never_varies_shows_nothing(served: Company) -> None:
    await calls(served, calm_ms=200, busy_ms=900, each=20, programs=10)
    start = (served.clock.wall_ms() - 3 * DAY_MS) // 60_000 * 60_000
    rows = [  # every calm minute gets as many programs as the busy ones
        Row(id=f"x{minute}-{number}", call=f"x{minute}-{number}", at_ms=start + minute * 60_000, day="2025-06-10",
            month="2025-06", period="2025-06", workflow="night-job", usage="headless", took_ms=9_000)
        for minute in range(HALF) for number in range(10)
    ]  # fmt: skip
    await served.store.write(lambda connection: add_rows(connection, rows))
    assert (await served.verdict("9.a"))[0] == "unknown"


async def test_a_load_test_counts_for_thirty_days_where_there_are_few_calls(served: Company) -> None:
    await calls(served, calm_ms=200, busy_ms=900, each=1)
    assert (await served.verdict("9.a"))[0] == "unknown"
    await served.plan.validations.record(TENANT, load_test(served, loaded_p99_ms=151), "user:eve")
    assert (await served.verdict("9.a"))[0] == "fail"
    await served.plan.validations.record(TENANT, load_test(served, days=0.5), "user:eve")
    assert await served.verdict("9.a") == (
        "pass",
        "in a load test the first token comes within 140 ms (p99), else within 100 ms",
    )
    await served.plan.validations.record(TENANT, load_test(served, days=0.4, calls=499), "user:eve")
    assert await served.verdict("9.a") == ("unknown", "the load test has 499 calls, of 500 at least")


async def test_an_old_load_test_and_a_changed_one_never_pass(served: Company) -> None:
    await calls(served, calm_ms=200, busy_ms=900, each=1)
    await served.plan.validations.record(TENANT, load_test(served, days=31), "user:eve")
    shown, reason = await served.verdict("9.a")
    assert shown == "unknown" and reason.endswith("and the last load test is too old")
    await served.plan.validations.record(TENANT, load_test(served, loaded_p99_ms=900), "user:eve")
    assert (await served.verdict("9.a"))[0] == "fail"
    await served.store.write(lambda connection: connection.execute(update(rollout_validations).values(loaded_ms=100)))
    assert await served.verdict("9.a") == ("unknown", "the load test was changed after it was recorded")


async def test_a_pass_expires_with_its_load_test(served: Company) -> None:
    await calls(served, calm_ms=200, busy_ms=900, each=1)
    await served.plan.validations.record(TENANT, load_test(served, days=29), "user:eve")
    assert (await served.verdict("9.a"))[0] == "pass"
    served.pass_days(1.1)
    found = next(one for one in served.plan.gates(TENANT, WORKFLOW) if one.gate == "9.a")
    assert (found.shown, found.reason) == ("unknown", "the last verdict has expired")
