"""Ideas: what their answers come to, and for how long they are believed."""

from __future__ import annotations

import datetime

import pytest

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.first_plan import PlanFacts, first_plan, working_day
from holdfast.governance.workflows.intake import Intake
from holdfast.governance.workflows.service import Workflows
from holdfast.governance.workflows.triage import CONDITIONS, TEMPLATE, Idea, TriageRequest, answered, triage
from holdfast.testing import FakeClock

NOW = 1_800_000_000_000
IDEA = Idea(id="i-1", name="mail", by="user:ann", at_ms=NOW)


def answers(**changed: str) -> TriageRequest:
    said: dict[str, str] = dict.fromkeys(CONDITIONS, "yes") | changed
    return TriageRequest(answers=said, risk="limited", data="internal", low_usd="1", high_usd="5")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "suits"),
        ({"one_context": "no"}, "suits_with_gaps"),
        ({"one_context": "no", "technical_users": "no"}, "suits_with_gaps"),
        ({"one_context": "no", "technical_users": "no", "trained_model": "no"}, "does_not_suit_yet"),
        ({"verifiable_output": "no"}, "does_not_suit_yet"),
    ],
)
def test_what_answers_come_to(changed: dict[str, str], verdict: str) -> None:
    result = triage(answered(IDEA, answers(**changed), "user:ann", NOW), NOW)
    assert result.verdict == verdict
    assert set(result.failing) == set(changed)
    for name in changed:
        assert name.replace("_", " ") in result.sentence
    assert (TEMPLATE in result.warnings) == bool({"technical_users", "verifiable_output"} & changed.keys())


def test_answers_are_believed_for_180_days() -> None:
    idea = answered(IDEA, answers(), "user:ann", NOW)
    assert triage(idea, NOW + limits.IDEA_ANSWER_MS - 1).verdict == "suits"
    late = triage(idea, NOW + limits.IDEA_ANSWER_MS)
    assert late.verdict == "does_not_suit_yet"
    assert set(late.open) == set(CONDITIONS)
    assert set(late.expired) == {*CONDITIONS, "risk", "data", "value"}
    assert (late.risk, late.value) == ("", "")


def test_nothing_that_nobody_answered_lets_anything_pass() -> None:
    assert triage(IDEA, NOW).verdict == "does_not_suit_yet"
    prohibited = answered(IDEA, TriageRequest(answers=answers().answers, risk="prohibited"), "user:ann", NOW)
    assert triage(prohibited, NOW).verdict == "does_not_suit_yet"
    for wrong in (TriageRequest(low_usd="1"), TriageRequest(low_usd="3", high_usd="2")):
        with pytest.raises(Refused, match=r"workflow\.invalid"):
            answered(IDEA, wrong, "user:ann", NOW)


@pytest.mark.anyio
async def test_the_way_of_an_idea(store: Store, workflows: Workflows, clock: FakeClock) -> None:
    intake = Intake(store, workflows, clock.wall_ms)
    await intake.add("mail", "Answer mail", by="user:ann")
    with pytest.raises(Refused, match="already"):
        await intake.add("mail", "", by="user:bob")
    with pytest.raises(Refused, match="does not suit yet"):
        await intake.register("mail", by="user:ann", unit="sales")
    await intake.answer("mail", answers(one_context="no"), by="user:ann")
    idea = (await intake.listed())[0]
    assert idea.answers["one_context"].by == "user:ann"
    done, one = await intake.register("mail", by="user:ann", owner="bob", unit="sales")
    assert (done.state, done.workflow, one.state, one.owner, one.manifest) == (
        "registered",
        "mail",
        "registered",
        "bob",
        None,
    )
    assert await intake.register("mail", by="user:ann", unit="sales") == (done, one)
    assert len([step for step in await workflows.steps("default", "mail") if step.what == "state"]) == 1
    await intake.add("score", "", by="user:ann")
    await intake.answer("score", TriageRequest(risk="prohibited"), by="user:ann")
    with pytest.raises(Refused, match="prohibited"):
        await intake.register("score", by="user:ann", reason="we want it")
    with pytest.raises(Refused, match=r"workflow\.not_found"):
        await intake.answer("nothing", answers(), by="user:ann")


def test_a_first_plan_has_dates_of_working_days_and_says_what_is_unknown() -> None:
    friday = datetime.date(2026, 3, 6)
    assert working_day(friday, 1) == datetime.date(2026, 3, 9)
    assert working_day(friday + datetime.timedelta(days=2), 1) == datetime.date(2026, 3, 9)
    plan = first_plan("mail", PlanFacts(today=friday))
    assert not any(one.done for one in plan.steps)
    assert all(datetime.date.fromisoformat(one.by).weekday() < 5 for one in plan.steps)
    told = next(one for one in plan.steps if one.what.startswith("Tell everybody"))
    days = datetime.date.fromisoformat(plan.launch) - datetime.date.fromisoformat(told.by)
    assert days.days >= 14
    pilot = datetime.date.fromisoformat(plan.production) - datetime.date.fromisoformat(plan.launch)
    assert pilot.days >= 28
    assert {"who owns it", "what is spent today: no bill was imported"} <= set(plan.unknown)
    more = first_plan("mail", PlanFacts(
        today=friday, triage="It suits.", suits=True, owner="ann", deputy="bob", payer="ann", manifest="v", keys=1, budget=True,
        bills=True, outcome=True, state="pilot", runs=3,
    ))  # fmt: skip
    assert [one.what[:9] for one in more.steps if not one.done] == ["Set a cap", "Tell ever", "Decide on"]
    assert more.launch == friday.isoformat()
