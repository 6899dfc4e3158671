"""What was changed in the store behind everybody's back is named, whatever the hashes say."""

from __future__ import annotations

import pytest

from tests.unit.governance.rollout.conftest import DAY_MS, TENANT, WORKFLOW
from tests.unit.governance.verifier.conftest import Auditor, disagrees, of, red, said_of

pytestmark = pytest.mark.anyio

STORE: list[tuple[str, str, str]] = [
    ("6.a", "DELETE FROM workflow_acceptances WHERE person = 'ann'", "deleted: acceptances of owner ann is not in the store any more"),
    ("6.a", "DELETE FROM directory_sign_ins WHERE person = 'bob'", "deleted: sign_ins of bob is not in the store any more"),
    ("6.a", "DELETE FROM directory_people WHERE user_name = 'bob'", "changed: 1 rows of people are not in the store"),
    ("6.a", "UPDATE workflow_current SET owner = 'eve'", "owner was ann, is eve"),
    ("1.a", "DELETE FROM workflow_runs WHERE id = 'x:r3'", "stage_runs counted 20 rows, and the store has 19"),
    ("1.a", "UPDATE workflow_runs SET side_effects = 0", "stage_runs counted 4 rows with side_effects, and the store has 0"),
    ("1.a", "UPDATE workflow_runs SET interactive = (1 = 1)", "stage_runs counted 2 rows with no interactive, and the store has 0"),
]  # fmt: skip


@pytest.mark.parametrize(("gate", "statement", "why"), STORE, ids=[statement for _, statement, _ in STORE])
async def test_rows_that_somebody_changed_in_the_store(auditor: Auditor, gate: str, statement: str, why: str) -> None:
    await auditor.sql("UPDATE workflow_runs SET side_effects = 1 WHERE id IN ('x:r1', 'x:r2', 'x:r3', 'x:r4')")
    await auditor.sql("UPDATE workflow_runs SET interactive = (1 = 0) WHERE id IN ('x:r5', 'x:r6')")
    plan = await auditor.exported()
    assert (await auditor.beside(plan)).outcome == "agree"
    await auditor.sql(statement)
    reason = await disagrees(auditor, plan, gate, store=True)
    assert why in reason or ("changed: owner was ann" in reason and "eve" in statement)
    assert said_of(await auditor.recorded(), gate)["outcome"] == "disagree"


async def test_a_verdict_that_is_rewritten_in_the_store_with_all_its_hashes(auditor: Auditor) -> None:
    plan = await red(auditor)
    await auditor.sql("UPDATE rollout_verdicts SET verdict = 'pass' WHERE gate = '6.a'")
    assert "its id is not that of its content" in said_of(await auditor.recorded(), "6.a")["reason"]
    assert "on record it has another verdict" in await disagrees(auditor, plan, "6.a", store=True)


async def test_a_back_dated_acceptance(auditor: Auditor) -> None:
    company = auditor.company
    await auditor.sql("DELETE FROM workflow_acceptances WHERE person = 'bob'")
    company.clock.advance(60)
    plan = await auditor.exported()
    assert of(plan, "6.a")["verdict"] == "fail"
    at_ms = company.clock.wall_ms() - 3 * DAY_MS
    await auditor.sql(
        "INSERT INTO workflow_acceptances (tenant, workflow, role, person, at_ms) VALUES (:tenant, :workflow, 'deputy', 'bob', :at_ms)",
        tenant=TENANT, workflow=WORKFLOW, at_ms=at_ms,
    )  # fmt: skip
    why = await disagrees(auditor, plan, "6.a", store=True)
    assert "back-dated: acceptances of deputy bob says it was there before the verdict, and was not" in why
    company.clock.advance(60)
    plan = await auditor.exported()  # the gate believes the store, and passes
    assert of(plan, "6.a")["verdict"] == "pass" and (await auditor.alone(plan)).outcome == "agree"
    assert "back-dated: that bob accepted to be deputy was not there for v-" in await disagrees(
        auditor, plan, "6.a", store=True
    )


async def test_an_owner_whom_no_step_on_record_made_one(auditor: Auditor) -> None:
    await auditor.sql("UPDATE workflow_current SET stage = 'stateful'")
    await auditor.sql("UPDATE store_changes SET number = number + 1")  # and counted, as if it were a change like others
    auditor.company.clock.advance(60)
    await auditor.exported()
    assert (
        "changed: stage was stateful, and the last step on record made it chat"
        in said_of(await auditor.recorded(), "1.a")["reason"]
    )
