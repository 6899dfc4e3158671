"""The verifier agrees on every verdict of a company, with the file alone, with the store, and of the store itself; and it says so
when the store has moved on, a verdict has expired, or it is another store."""

from __future__ import annotations

import pytest

from holdfast.governance.directory.model import Person
from holdfast.governance.verifier.verify import PlanVerification
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW, Company
from tests.unit.governance.verifier.conftest import Auditor, of, said_of

pytestmark = pytest.mark.anyio


def agrees(found: PlanVerification) -> bool:
    assert found.outcome == "agree", [
        (one.subject, one.outcome, one.reason) for one in found.lines if one.outcome != "agree"
    ]
    return True


async def check(auditor: Auditor) -> None:
    auditor.company.clock.advance(60)
    plan = await auditor.exported()
    assert len(plan["verdicts"]) >= 3
    assert agrees(await auditor.alone(plan)) and agrees(await auditor.beside(plan)) and agrees(await auditor.recorded())


async def test_it_agrees_from_nothing_to_a_plan_that_passes(auditor: Auditor) -> None:
    company = auditor.company
    await check(auditor)
    assert company.plan.failing(TENANT, WORKFLOW) is None
    await auditor.runs(3, start=100, side_effects=1, unclassified=1)
    await check(auditor)
    await company.manifest(stage="pilot")
    await check(auditor)
    company.pass_days(3)  # the directory is silent: what stood stands
    await check(auditor)
    await company.people(Person("ann", unit="sales", active=False), Person("bob", unit="sales"))
    await check(auditor)
    await company.plan.waive(
        TENANT,
        "6.a",
        WORKFLOW,
        by="user:cem",
        reason="a week",
        until_ms=company.clock.wall_ms() + 7 * 86_400_000,
        may_waive=False,
    )
    await check(auditor)
    await company.plan.set_profile(TENANT, "startup", {"1.b": {"days": 3}}, by="user:risk", reason="small")
    await check(auditor)


async def test_it_agrees_on_what_is_not_there(company: Company, database: str) -> None:
    auditor = Auditor(company, database)
    empty = {**await auditor.exported(), "verdicts": []}
    assert (await auditor.alone(empty)).outcome == "cannot tell"  # of nothing nobody can tell anything
    await company.manifest(owner="", deputy="", stage="")
    await check(auditor)


async def test_where_the_store_has_moved_on_it_says_so_and_whether_it_says_the_same(auditor: Auditor) -> None:
    plan = await auditor.exported()
    auditor.company.pass_days(0.1)
    await auditor.company.people(Person("ann", unit="sales", display="Ann"), Person("bob", unit="sales"))
    found = await auditor.beside(plan)
    assert agrees(found)
    auditor.company.pass_days(0.1)
    await auditor.company.people(Person("ann", unit="sales", active=False), Person("bob", unit="sales"))
    found = await auditor.beside(plan)
    assert found.outcome == "cannot tell"
    assert (
        "the store has moved on since" in said_of(found, "6.a")["reason"]
        and "says fail now" in said_of(found, "6.a")["reason"]
    )


async def test_runs_that_were_journalled_later_are_told_from_runs_that_are_gone(auditor: Auditor) -> None:
    plan = await auditor.exported()
    await auditor.runs(5, start=50)
    assert agrees(await auditor.beside(plan))
    await auditor.sql("DELETE FROM workflow_runs WHERE id <> 'x:r1'")
    found = await auditor.beside(plan)
    assert said_of(found, "1.a") == {
        "outcome": "disagree",
        "reason": "deleted or changed: stage_runs counted 20 rows, and the store has 1",
    }


async def test_a_verdict_that_has_expired_is_nothing_to_go_by(auditor: Auditor) -> None:
    plan = await auditor.exported()
    auditor.company.pass_days(8)
    found = await auditor.alone(plan)
    assert found.outcome == "cannot tell" and "it has expired on" in said_of(found, "6.a")["reason"]


async def test_of_another_store_nobody_can_tell(auditor: Auditor) -> None:
    plan = await auditor.exported()
    await auditor.sql("UPDATE store_facts SET value = 'another' WHERE name = 'store.id'")
    found = await auditor.beside(plan)
    assert found.outcome == "cannot tell" and "in another store" in said_of(found, "6.a")["reason"]


async def test_an_unbuilt_or_newer_gate_is_not_believed(auditor: Auditor) -> None:
    plan = await auditor.exported()
    of(plan, "6.a")["gate"] = "12.z"
    found = await auditor.alone(plan)
    assert said_of(found, "12.z")["outcome"] == "cannot tell"
