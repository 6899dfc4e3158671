"""Gate 1.b: a stage follows the one before it, which was lived through; and each way to skip it stays shut."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.store import add_rows
from holdfast.governance.rollout.registry import BY_NAME
from holdfast.governance.store.tables.rollout import rollout_verdicts
from holdfast.governance.workflows import journal_store
from holdfast.governance.workflows.run_record import JournalRun
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio
WANTED = str(BY_NAME["1.b"].thresholds["gates"]).split(",")


async def runs(company: Company, count: int, **facts: Any) -> None:
    """So many runs, a moment ago."""
    at_ms = company.clock.wall_ms() - 1_000

    def work(connection: Any) -> None:
        for number in range(count):
            ident = f"{at_ms}-{number}"
            made = JournalRun(
                **{"id": f"i:{ident}", "run": ident, "root": ident, "workflow": WORKFLOW, "queued_ms": at_ms, **facts}
            )
            journal_store.add(connection, made, "s1", "i")

    await company.store.write(work)


async def waived(company: Company, *gates: str) -> None:
    """The sponsor passes gates over."""
    until_ms = company.clock.wall_ms() + 20 * 86_400_000
    for gate in gates:
        await company.plan.waive(
            TENANT, gate, WORKFLOW, by="user:cem", reason="not built", until_ms=until_ms, may_waive=False
        )


async def lived(company: Company, count: int = 200, days: float = 28.0, **facts: Any) -> None:
    """It was chat for a while, with runs, and wants to be a pilot now."""
    await company.manifest()
    company.pass_days(days)
    await runs(company, count, **facts)
    company.clock.advance(60)
    await company.manifest(stage="pilot")


async def test_from_unknown_over_red_to_green(company: Company) -> None:
    await company.manifest(stage="")
    assert await company.verdict("1.b") == ("unknown", "no stage is declared")
    await company.manifest(stage="pilot")
    assert await company.verdict("1.b") == ("fail", "pilot was declared and chat never was")
    await company.manifest()
    assert await company.verdict("1.b") == ("not_applicable", "chat is the first stage")
    company.pass_days(27)
    await runs(company, 199)
    company.clock.advance(60)
    await company.manifest(stage="pilot")
    assert await company.verdict("1.b") == ("unknown", "it was chat for 27 days and 199 runs, of 28 days and 200 runs")
    await company.manifest()
    company.pass_days(1)
    await runs(company, 1)
    company.clock.advance(60)
    await company.manifest(stage="pilot")
    shown, reason = await company.verdict("1.b")
    assert shown == "unknown" and reason.startswith("chat has not passed ")
    await waived(company, *WANTED)
    assert await company.verdict("1.b") == ("pass", "it was chat for 28 days and 200 runs, and passed its gates")


async def test_runs_under_a_test_key_are_none(company: Company) -> None:
    await lived(company, test=True)
    await waived(company, *WANTED)
    assert await company.verdict("1.b") == ("unknown", "it was chat for 28 days and 0 runs, of 28 days and 200 runs")


async def test_sub_runs_are_of_the_run_that_began_them(company: Company) -> None:
    await lived(company, parent="r0")
    await waived(company, *WANTED)
    assert await company.verdict("1.b") == ("unknown", "it was chat for 28 days and 0 runs, of 28 days and 200 runs")


async def test_declaring_and_taking_back_is_no_time(company: Company) -> None:
    await company.manifest()
    company.clock.advance(60)
    await company.manifest(stage="pilot")
    company.pass_days(28)
    await runs(company, 200)
    await waived(company, *WANTED)
    assert await company.verdict("1.b") == ("unknown", "it was chat for 0 days and 0 runs, of 28 days and 200 runs")


async def starving(company: Company) -> None:
    """Gate 9.a fails: a program sits in a person's seat."""
    row = Row(id="a1", call="c1", at_ms=company.clock.wall_ms() - 2 * 86_400_000, day="2025-06-10", month="2025-06",
              period="2025-06", workflow=WORKFLOW, usage="seated")  # fmt: skip
    await company.store.write(lambda connection: add_rows(connection, [row]))


async def test_a_gate_that_fails_is_red_whatever_else_there_is(company: Company) -> None:
    await company.manifest()
    company.clock.advance(60)
    await company.manifest(stage="pilot")
    await starving(company)
    await waived(company, *(gate for gate in WANTED if gate != "9.a"))
    assert await company.verdict("1.b") == ("fail", "gate 9.a fails, which chat has to pass")


async def test_a_verdict_that_was_forged_counts_for_nothing(company: Company) -> None:
    await lived(company)
    await starving(company)
    await waived(company, *(gate for gate in WANTED if gate != "9.a"))
    assert (await company.verdict("1.b"))[0] == "fail"
    mine = rollout_verdicts.c.gate == "9.a"
    forge = update(rollout_verdicts).where(mine).values(verdict="pass")
    await company.store.write(lambda connection: connection.execute(forge))
    gate = await company.plan.preview(TENANT, WORKFLOW, "1.b")
    assert (gate[0].verdict, gate[0].reason) == ("unknown", "chat has not passed 9.a")


async def test_a_gate_that_the_stage_before_does_not_need_is_not_in_the_way(company: Company) -> None:
    await lived(company)
    await company.manifest(stage="pilot", deputy="")  # 6.a fails, and holds the launch by itself
    await waived(company, *WANTED)
    assert (await company.verdict("6.a"))[0] == "fail"
    assert (await company.verdict("1.b"))[0] == "pass"


async def test_a_waiver_that_ends_counts_no_more(company: Company) -> None:
    await lived(company)
    await waived(company, *WANTED)
    assert (await company.verdict("1.b"))[0] == "pass"
    company.pass_days(20.1)
    assert (await company.verdict("1.b"))[0] == "unknown"
