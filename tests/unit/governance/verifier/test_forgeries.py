"""Every planted forgery is named: in the file with and without its hashes mended, and in the store behind everybody's back."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.unit.governance.rollout.conftest import DAY_MS, TENANT, WORKFLOW
from tests.unit.governance.verifier.conftest import Auditor, Plan, disagrees, evidence, mended, of, red, said_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(tmp_path: Path) -> str:
    """What is told from a file is told from it whatever the database."""
    return f"sqlite:///{tmp_path / 'store.db'}"


def _pass(verdict: Plan) -> None:
    verdict |= {"verdict": "pass", "n": 2, "fix": ""}
    verdict["status"] |= {"verdict": "pass", "shown": "pass"}


def _back(verdict: Plan) -> None:
    next(row for row in evidence(verdict, "people")["rows"] if row["user_name"] == "ann")["active"] = 1


# --- in the file alone -----------------------------------------------------------------------------------------------
async def test_another_word(auditor: Auditor) -> None:
    plan = await red(auditor)
    _pass(of(plan, "6.a"))
    reason = await disagrees(auditor, plan, "6.a")
    assert "its id is not that of its content" in reason and "the rows make it fail" in reason
    mended(of(plan, "6.a"))
    assert "the rows make it fail (the owner ann does not work here), and it says pass" in await disagrees(
        auditor, plan, "6.a"
    )


async def test_how_it_stands(auditor: Auditor) -> None:
    plan = await red(auditor)
    of(plan, "6.a")["status"] |= {"verdict": "pass", "shown": "pass"}  # which no hash has
    assert await disagrees(auditor, plan, "6.a") == "it is fail, and is said to stand as pass"
    of(plan, "6.a")["status"] |= {"verdict": "fail", "shown": "waived", "waiver": "w-1"}
    assert "no good waiver of it holds" in await disagrees(auditor, plan, "6.a")


async def test_another_reason(auditor: Auditor) -> None:
    plan = await red(auditor)
    of(plan, "6.a")["reason"] = "nothing to see here"
    assert "its id is not that of its content" in await disagrees(auditor, plan, "6.a")
    mended(of(plan, "6.a"))  # words prove nothing: only the record has the true ones
    assert (await auditor.alone(plan)).outcome == "agree"
    assert "no verdict of this id is on record" in await disagrees(auditor, plan, "6.a", store=True)


async def test_another_row_with_and_without_its_digest(auditor: Auditor) -> None:
    plan = await red(auditor)
    _back(of(plan, "6.a"))
    assert "the rows of people are not those of its digest" in await disagrees(auditor, plan, "6.a")
    row = evidence(of(plan, "6.a"), "people")
    before = of(plan, "6.a")["id"]
    mended(of(plan, "6.a"))
    of(plan, "6.a")["id"] = before
    reason = await disagrees(auditor, plan, "6.a")
    assert "digest" not in reason and "its id is not that of its content" in reason and row["rows"]


async def test_with_every_hash_mended_only_the_store_can_tell(auditor: Auditor) -> None:
    plan = await red(auditor)

    def forge(verdict: Plan) -> None:
        _pass(verdict)
        _back(verdict)
        verdict["cause"] = ""
        verdict["reason"] = "ann owns it, bob is deputy"
        verdict["valid_until_ms"] = verdict["as_of_ms"] + 7 * DAY_MS

    mended(of(plan, "6.a"), forge)
    assert (await auditor.alone(plan)).outcome == "agree"
    reason = await disagrees(auditor, plan, "6.a", store=True)
    assert "no verdict of this id is on record" in reason
    assert "changed: 1 rows of people are not in the store" in reason and "active was 1, is 0" in reason


@pytest.mark.parametrize("mend", [False, True])
async def test_another_query(auditor: Auditor, mend: bool) -> None:
    plan = await auditor.exported()
    evidence(of(plan, "1.a"), "stage_runs")["sql"] = "SELECT 1 AS interactive, 0 AS lost, 500 AS n"
    if mend:
        mended(of(plan, "1.a"))
    assert "the text of 'stage_runs' is not the published one" in await disagrees(auditor, plan, "1.a", store=True)


@pytest.mark.parametrize("query", ["../../gates/owner", "secrets", "workflow; DROP TABLE workflow_current"])
async def test_a_query_that_is_not_published_is_not_run(auditor: Auditor, query: str) -> None:
    plan = await auditor.exported()
    mended(
        of(plan, "1.a"),
        lambda verdict: evidence(verdict, "stage_runs").update(query=query, sql="DROP TABLE workflow_current"),
    )
    reason = await disagrees(auditor, plan, "1.a", store=True)
    assert "is no evidence of this gate" in reason and "the evidence stage_runs is missing" in reason
    assert (await auditor.recorded()).outcome == "agree"


FORGED: list[tuple[str, Callable[[Plan], Any], str]] = [
    ("6.a", lambda v: v["thresholds"].update(sign_in_days=3_000), "its numbers are not the published ones, and no profile says so"),
    ("6.a", lambda v: v.update(profile="team", thresholds={**v["thresholds"], "own_unit": 0, "accepted_days": 365}), "nobody chose the profile"),
    ("6.a", lambda v: v.update(version=7), "there is no version 7"),
    ("6.a", lambda v: v.update(profile="ours"), "there is no profile 'ours'"),
    ("6.a", lambda v: v.update(valid_until_ms=v["valid_until_ms"] + 400 * DAY_MS), "it stands for more than seven days"),
    ("6.a", lambda v: v.update(valid_until_ms=v["valid_until_ms"] - 1), "it stands shorter than its rows let it"),
    ("6.a", lambda v: v.update(computed_ms=v["computed_ms"] + DAY_MS), "it says of another time that it was made then"),
    ("6.a", lambda v: evidence(v, "people")["params"].update(workflow="another"), "people was asked with another workflow"),
    ("6.a", lambda v: evidence(v, "people")["params"].update(more=1), "people was not asked with its parameters"),
    ("6.a", lambda v: v["answers"].pop(0), "is missing"),
    ("6.a", lambda v: v["answers"].append(v["answers"][0]), "evidence is there twice"),
    ("6.a", lambda v: evidence(v, "people")["rows"][0].pop("unit"), "its rows have not the columns of its queries"),
    ("6.a", lambda v: v.update(workflow=""), "the gate is not asked of this"),
    ("1.a", lambda v: evidence(v, "stage_runs")["params"].update(until_ms=v["as_of_ms"] - 40 * DAY_MS), "is not of the last 28 days"),
    ("1.a", lambda v: v.update(n=v["n"] + 180), "the rows are about 20, and it says 200"),
    ("1.a", lambda v: v.update(tenant="other"), "it is of another tenant"),
    ("1.a", lambda v: evidence(v, "stage_runs")["positions"].update(workflows=10_000), "at change 10000 of workflows"),
    ("1.a", lambda v: evidence(v, "stage_runs").update(cut=True), "stage_runs has 1 rows"),
]  # fmt: skip


async def test_what_is_mended_in_every_hash_and_still_not_so(auditor: Auditor) -> None:
    whole = await auditor.exported()
    for gate, forge, why in FORGED:
        plan = deepcopy(whole)
        forged = of(plan, gate)
        mended(forged, forge)
        subject = f"{gate} {forged['workflow']}".strip()
        assert why in await disagrees(auditor, plan, subject, store="at change" in why), why


async def test_a_window_of_other_days(auditor: Auditor) -> None:
    plan = await auditor.exported()
    plan["zone"] = "Pacific/Kiritimati"
    found = said_of(await auditor.alone(plan), "1.a")
    assert found["outcome"] == "cannot tell" and "28 days that are not those of Pacific/Kiritimati" in found["reason"]


async def test_a_stale_verdict_passed_off_as_fresh(auditor: Auditor) -> None:
    company, old = auditor.company, await auditor.exported()
    company.pass_days(8)
    plan = {**old, "as_of_ms": company.clock.wall_ms()}
    assert "and is passed off as pass" in await disagrees(auditor, plan, "6.a")


async def test_a_verdict_that_another_one_has_overtaken(auditor: Auditor) -> None:
    old = await auditor.exported()
    auditor.company.clock.advance(3_600)
    new = await red(auditor)
    new["verdicts"] = [of(old, "6.a") if one["gate"] == "6.a" else one for one in new["verdicts"]]
    reason = await disagrees(auditor, new, "6.a", store=True)
    assert "is on record since, and says fail" in reason


async def test_a_verdict_that_is_left_out(auditor: Auditor) -> None:
    plan = await red(auditor)
    plan["verdicts"].remove(of(plan, "6.a"))
    assert (await auditor.alone(plan)).outcome == "cannot tell"
    assert await disagrees(auditor, plan, "the plan", store=True) == f"left out: 6.a {WORKFLOW}: fail is on record"
    plan["verdicts"].append({"gate": "6.a", "verdict": "pass"})
    assert "forged: 6.a: Object missing required field `id` is no verdict" in await disagrees(auditor, plan, "the plan")


async def test_no_skip_reads_what_others_say(auditor: Auditor) -> None:
    await auditor.company.manifest(stage="pilot")
    auditor.company.clock.advance(60)
    plan = await auditor.exported()
    auditor.company.clock.advance(60)
    await auditor.company.manifest(stage="stateful")
    plan = await auditor.exported()
    mended(
        of(plan, "1.a"),
        lambda verdict: verdict.update(
            verdict="fail", computed_ms=verdict["computed_ms"] - 1, as_of_ms=verdict["as_of_ms"] - 1
        ),
    )
    found = said_of(await auditor.alone(plan), "1.b")
    assert found == {"outcome": "cannot tell", "reason": "it depends on 1.a, which is not as it says"}

    plan = await auditor.exported()
    mended(
        of(plan, "1.b"),
        lambda verdict: verdict["answers"][2]["rows"].append({"gate": "5.b", "verdict": "pass", "waived": 0}),
    )
    assert "the verdict of 5.b that it reads is not on record" in await disagrees(auditor, plan, "1.b", store=True)


# --- waivers and numbers ---------------------------------------------------------------------------------------------
def _waiver(plan: Plan, **changes: Any) -> None:
    at_ms = plan["as_of_ms"] - DAY_MS
    plan["waivers"].append({
        "id": f"w-{len(plan['waivers'])}", "tenant": TENANT, "gate": "6.a", "workflow": WORKFLOW, "by": "user:cem", "office": "sponsor",
        "reason": "soon", "at_ms": at_ms, "until_ms": at_ms + 30 * DAY_MS, "renews": "", "ended_ms": None, "ended_by": "", **changes,
    })  # fmt: skip


NO_WAIVERS: list[tuple[dict[str, Any], str]] = [
    ({"by": "user:ann", "office": "risk"}, "it was given by user:ann, who answers for the workflow"),
    ({"by": "user:BOB", "office": "risk"}, "it was given by user:BOB, who answers for the workflow"),
    ({"by": "user:eve"}, "user:eve is not the sponsor"),
    ({"by": "agent:mailer", "office": "risk"}, "'agent:mailer' is nobody who may waive"),
    ({"office": "owner"}, "only sponsor and risk may"),
    ({"until_ms": 1 << 45}, "it lasts for longer than 30 days"),
    ({"reason": " "}, "it has no reason"),
    ({"renews": "w-9"}, "what it renews is not there"),
]


async def test_a_waiver_that_is_none(auditor: Auditor) -> None:
    whole = await red(auditor)
    for changes, why in NO_WAIVERS:
        plan = deepcopy(whole)
        _waiver(plan, **changes)
        of(plan, "6.a")["status"]["shown"] = "waived"
        assert why in await disagrees(auditor, plan, "waiver w-0")
        assert "no good waiver of it holds" in await disagrees(auditor, plan, "6.a")
        assert "no waiver of this id is on record" in await disagrees(auditor, plan, "waiver w-0", store=True)


async def test_a_third_waiver(auditor: Auditor) -> None:
    plan = await red(auditor)
    now_ms = plan["as_of_ms"]
    for number, (from_day, to_day) in enumerate(((-150, -120), (-60, -31), (-1, 29))):
        _waiver(
            plan,
            at_ms=now_ms + from_day * DAY_MS,
            until_ms=now_ms + to_day * DAY_MS,
            renews=f"w-{number - 1}" if number else "",
        )
    assert said_of(await auditor.alone(plan), "waiver w-1")["outcome"] == "agree"
    assert "it renews a waiver that was a renewal already" in await disagrees(auditor, plan, "waiver w-2")
    plan["waivers"][2]["renews"] = ""
    assert "it renews a waiver and does not say so" in await disagrees(auditor, plan, "waiver w-2")


async def test_numbers_that_the_owner_set_or_that_nobody_did(auditor: Auditor) -> None:
    company = auditor.company
    await company.plan.set_profile(
        TENANT, "enterprise", {"6.a": {"sign_in_days": 60}}, by="user:risk", reason="holidays"
    )
    company.clock.advance(600)
    plan = await auditor.exported()
    assert (await auditor.beside(plan)).outcome == "agree"
    plan["profiles"][0]["by"] = "user:ann"
    assert "was set by user:ann, who answers for the workflow" in await disagrees(auditor, plan, "6.a")
    assert "the versions of the numbers are not those on record" in await disagrees(
        auditor, plan, "the plan", store=True
    )
    plan["profiles"][0] |= {"by": "user:risk", "thresholds": {"6.a": {"sign_in_days": 90}}}
    assert "its numbers are not those of version 1: sign_in_days is 60, should be 90" in await disagrees(
        auditor, plan, "6.a"
    )
