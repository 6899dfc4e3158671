"""Gate 5.a goes from unknown over red to green by work that is judged and shared out, and no floor or label protects a dear model."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import Refused
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW
from tests.unit.governance.rollout.till import NANO, ON_SQLITE, Till, till

__all__ = ["till"]
pytestmark = pytest.mark.anyio


async def floor(till: Till, share: float, **more: Any) -> None:
    """The route of the task asks for a share of accepted outcomes."""
    route = {"name": "reply", "workflow": WORKFLOW, "task": "reply", "candidates": ["m2", "m1"], "floor": share} | more
    await till.routing.set_document({"routes": [route]}, by="user:ann", tenant=TENANT)


async def few(till: Till) -> None:
    """Forty outcomes are enough here, so that these tests take less time."""
    await till.plan.set_profile(TENANT, "enterprise", {"5.a": {"n": 40}}, by="user:risk", reason="a small team")
    await till.manifest()


async def idle(till: Till, **more: Any) -> None:
    """A cheaper model was judged well enough, and for a month nothing but the dear one does the work."""
    await few(till)
    await till.judged("m1", 40)
    await till.judged("m2", 40, nano=NANO // 3)
    till.pass_days(30)
    await till.spend(NANO, n=20, **more)
    till.pass_days(1)


async def test_from_unknown_over_red_to_green(till: Till) -> None:
    assert (await till.verdict("5.a"))[0] == "unknown"
    await till.manifest()
    assert await till.verdict("5.a") == ("unknown", "the workflow spent nothing in the window")
    await till.spend(NANO)
    till.pass_days(1)
    assert await till.verdict("5.a") == ("unknown", "task 'reply': nobody said what became of the work of m1")
    await till.judged("m1", 99)
    till.pass_days(1)
    assert await till.verdict("5.a") == ("unknown", "task 'reply': 99 outcomes of m1, of 100")
    await till.judged("m1", 1)
    assert (await till.verdict("5.a"))[1] == "task 'reply': no model at half the price was judged beside m1"
    await till.judged("m2", 50, nano=NANO // 3)
    assert (await till.verdict("5.a"))[1] == "task 'reply': 50 outcomes of a model at half the price, of 100"
    await till.judged("m2", 50, nano=NANO // 3)
    till.pass_days(1)
    assert (await till.verdict("5.a"))[0] == "pass", "it was shown only now, and is used"
    till.pass_days(30)
    await till.spend(NANO, n=20)
    till.pass_days(1)
    shown, reason = await till.verdict("5.a")
    assert shown == "fail" and reason.startswith("task 'reply': m2 costs less than m1, at least 97.0% of its work")
    await till.spend(NANO // 3, model="m2", n=10)
    till.pass_days(1)
    assert (await till.verdict("5.a"))[0] == "pass"


@ON_SQLITE
async def test_a_floor_that_the_usual_model_does_not_reach_itself_protects_nobody(till: Till) -> None:
    await idle(till)
    await floor(till, 0.999)
    assert (await till.verdict("5.a"))[0] == "fail"


@ON_SQLITE
async def test_a_cheaper_one_below_the_floor_may_lie_idle_and_one_that_is_called_incumbent_is_none(till: Till) -> None:
    await few(till)
    await till.judged("m1", 40)
    await till.judged("m2", 36, 4, nano=NANO // 3)
    till.pass_days(30)
    await till.spend(NANO, n=20)
    till.pass_days(1)
    assert (await till.verdict("5.a"))[0] == "pass"
    await floor(till, 0.75, incumbent="m2")  # what spends most is the usual one, whatever the document says
    assert (await till.verdict("5.a"))[0] == "fail"


@ON_SQLITE
async def test_one_call_a_month_is_no_use_and_neither_are_those_of_a_test_key(till: Till) -> None:
    await idle(till)
    await till.spend(NANO, n=200)
    await till.spend(NANO // 3, model="m2")
    await till.spend(NANO // 3, model="m2", n=50, labels={"test": "yes"})
    till.pass_days(1)
    assert (await till.verdict("5.a"))[0] == "fail"


@ON_SQLITE
async def test_outcomes_of_a_test_key_and_of_whoever_did_the_work_count_for_nothing(till: Till) -> None:
    await few(till)
    await till.judged("m1", 40, labels={"test": "yes"})
    await till.spend(NANO, n=2)
    till.pass_days(1)
    assert (await till.verdict("5.a"))[1] == "task 'reply': nobody said what became of the work of m1"
    (row,) = await till.spend(NANO)
    with pytest.raises(Refused, match="own_work"):
        await till.said([row.call], "accepted", by="agent:mailer")


@ON_SQLITE
async def test_no_label_hides_a_task(till: Till) -> None:
    await till.manifest()
    await till.spend(NANO, n=5, labels={"task": ""})
    till.pass_days(1)
    assert (await till.verdict("5.a"))[1].startswith("work without a task: nobody said")
    await till.spend(2 * NANO, n=5, labels={"task": "experiment:x-1"})
    till.pass_days(1)
    assert (await till.verdict("5.a"))[1].startswith("task 'experiment:x-1': nobody said")
    for number in range(40):
        await till.spend(20 * NANO, labels={"task": f"part-{number}"})
    till.pass_days(1)
    assert await till.verdict("5.a") == ("unknown", "most of the spend is of tasks below 5 %")


@ON_SQLITE
async def test_old_outcomes_are_none_and_an_old_verdict_expires(till: Till) -> None:
    await few(till)
    await till.judged("m1", 40)
    await till.judged("m2", 40, nano=NANO // 3)
    till.pass_days(1)
    assert (await till.verdict("5.a"))[0] == "pass"
    till.pass_days(7.1)
    found = next(one for one in till.plan.gates(TENANT, WORKFLOW) if one.gate == "5.a")
    assert (found.shown, found.cause) == ("unknown", "stale")
    till.pass_days(90)
    await till.spend(NANO)
    till.pass_days(1)
    assert (await till.verdict("5.a"))[0] == "unknown"
