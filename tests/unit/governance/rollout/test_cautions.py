"""Warnings say what they saw, with numbers; what is not known is never clear."""

from __future__ import annotations

import pytest

from holdfast.governance.rollout.cautions import PILOT_DAYS, cautions
from holdfast.governance.rollout.doors import GateStatus
from holdfast.governance.workflows.model import CurrentWorkflow
from tests.unit.governance.rollout.conftest import DAY_MS, TENANT, Company

NOW = 400 * DAY_MS


def running(state: str = "pilot", owner: str = "ann", days: int = 10) -> CurrentWorkflow:
    return CurrentWorkflow(workflow="mail", state=state, owner=owner, since_ms=NOW - days * DAY_MS)  # type: ignore[arg-type]


def states(**facts: object) -> dict[str, str]:
    facts_ = {"workflows": (), "status": {}, "spend": (), "ideas": (), "now_ms": NOW} | facts
    return {one.name: one.state for one in cautions(**facts_)}  # type: ignore[arg-type]


def test_nothing_is_clear_of_what_is_not_known() -> None:
    found = states()
    assert {found[name] for name in ("budget_escape", "coding_template", "overhang", "long_contract")} == {"unknown"}


@pytest.mark.parametrize(("owned", "loose", "state"), [(80, 20, "clear"), (79, 21, "seen"), (0, 5, "seen")])
def test_money_that_nobody_answers_for(owned: int, loose: int, state: str) -> None:
    spend = ({"workflow": "mail", "nano": owned}, {"workflow": "unassigned", "nano": loose})
    assert states(workflows=(running(),), spend=spend)["budget_escape"] == state


def test_a_launch_before_access_is_proven_and_unknown_is_not_proven() -> None:
    one = running()
    passed = {
        name: GateStatus(gate=name, workflow="mail", verdict="pass", shown="pass") for name in ("2.a", "3.a", "3.b")
    }
    assert states(workflows=(one,), status={"mail": passed})["access_first"] == "clear"
    del passed["3.a"]
    assert states(workflows=(one,), status={"mail": passed})["access_first"] == "seen"
    assert states(workflows=(running("registered"),))["access_first"] == "clear"


def test_a_pilot_that_never_ends() -> None:
    assert states(workflows=(running(days=PILOT_DAYS),))["endless_pilot"] == "clear"
    assert states(workflows=(running(days=PILOT_DAYS + 1),))["endless_pilot"] == "seen"


@pytest.mark.anyio
async def test_the_plan_tells_them(company: Company) -> None:
    await company.manifest()
    assert {one.name: one.state for one in await company.plan.cautions(TENANT)}["budget_escape"] == "unknown"
