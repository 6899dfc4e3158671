"""The verifier agrees on the gates of money of a company that spends, and names what is forged in their rows."""

from __future__ import annotations

import pytest

from tests.unit.governance.rollout.conftest import WORKFLOW
from tests.unit.governance.rollout.till import NANO, ON_SQLITE, Till, till
from tests.unit.governance.verifier.conftest import Auditor, disagrees, evidence, mended, of, said_of

__all__ = ["till"]
pytestmark = pytest.mark.anyio


async def check(auditor: Auditor) -> dict[str, str]:
    """The verifier agrees, with the file, beside the store and on the record; what each gate says."""
    auditor.company.clock.advance(60)
    plan = await auditor.exported()
    for found in (await auditor.alone(plan), await auditor.beside(plan), await auditor.recorded()):
        assert found.outcome == "agree", [(one.subject, one.reason) for one in found.lines if one.outcome != "agree"]
    return {one["gate"]: one["verdict"] for one in plan["verdicts"]}


async def test_it_agrees_on_money_from_nothing_to_a_cap_that_holds(till: Till, database: str) -> None:
    auditor = Auditor(till, database)
    await till.models("m1")
    says = await check(auditor)
    assert (says["4.a"], says["4.b"], says["5.b"]) == ("unknown", "fail", "unknown")
    await till.budget(usd="100", run_usd="1", decider="user:dee")
    await till.calls(3)
    await till.spend(2 * NANO, n=3)
    till.pass_days(2)
    says = await check(auditor)
    assert (says["4.b"], says["5.b"]) == ("pass", "pass")
    await till.calls(1, served="m2")
    till.pass_days(2)
    assert (await check(auditor))["5.b"] == "fail"


@ON_SQLITE
async def test_what_is_forged_of_money_is_named(till: Till, database: str) -> None:
    auditor = Auditor(till, database)
    await till.models("m1")
    await till.budget(usd="100", run_usd="1", decider="user:dee")
    await till.calls(3)
    till.pass_days(2)
    await till.calls(1, served="m2")
    till.pass_days(2)
    plan = await auditor.exported()

    def unseen(verdict: dict[str, object]) -> None:
        rows = evidence(verdict, "served")["rows"]
        rows[:] = [row for row in rows if row["model"] == "m1"]
        verdict |= {"verdict": "pass", "fix": "", "n": 3}
        verdict["status"] |= {"verdict": "pass", "shown": "pass"}  # type: ignore[operator]

    mended(of(plan, "5.b"), unseen)
    assert said_of(await auditor.alone(plan), "5.b")["outcome"] == "agree"
    assert "no verdict of this id is on record" in await disagrees(auditor, plan, "5.b", store=True)
    plan = await auditor.exported()
    mended(of(plan, "4.b"), lambda verdict: evidence(verdict, "caps")["rows"][0].update(approved_by="user:ann"))
    assert "the rows make it fail" in await disagrees(auditor, plan, f"4.b {WORKFLOW}")
