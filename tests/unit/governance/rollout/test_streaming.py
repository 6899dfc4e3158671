"""Gate 9.b: from unknown over red to green by validating what serves, and each way to show another server's report stays red."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from sqlalchemy import update

from holdfast.audit.examine import PROBES
from holdfast.audit.finding import CAPABILITIES
from holdfast.errors import Refused
from holdfast.governance.store.tables.validations import rollout_validations
from holdfast.governance.workflows import journal_store
from holdfast.governance.workflows.run_record import JournalRun
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio
SERVING = "0.1.0+aaaa"


def report(
    company: Company, *, days: float = 1.0, verdicts: dict[str, str] | None = None, **facts: Any
) -> dict[str, Any]:
    """What ``holdfast validate --json`` writes."""
    began = datetime.datetime.fromtimestamp(company.clock.wall_ms() / 1_000 - days * 86_400, datetime.UTC)
    probes = [
        {"id": probe.id, "capability": probe.capability, "title": probe.title, "verdict": (verdicts or {}).get(probe.id, "pass"),
         "did": "", "expected": "", "saw": ""}
        for probe in PROBES
    ]  # fmt: skip
    made = {
        "capabilities": dict.fromkeys(CAPABILITIES, "pass"), "probes": probes, "build": SERVING, "driver": "holdfast",
        "target": "https://chat.acme.example", "began": began.isoformat(timespec="seconds"), "contact": {"state": "ok", "told": ""},
    }  # fmt: skip
    return {**made, **facts}


async def run(company: Company, **facts: Any) -> None:
    """Somebody who signed in asks, and waits."""
    at_ms = company.clock.wall_ms() - 2 * 86_400_000
    made = JournalRun(id=f"i:{at_ms}-{facts}", run="r1", root="r1", workflow=WORKFLOW, queued_ms=at_ms, **facts)
    await company.store.write(lambda connection: journal_store.add(connection, made, "s1", "i"))


@pytest.fixture
async def seated(company: Company) -> Company:
    await company.manifest()
    await run(company, usage="seated", interactive=True)
    return company


async def verdict(company: Company) -> tuple[str, str]:
    return await company.verdict("9.b")


async def record(company: Company, **facts: Any) -> None:
    await company.plan.validations.record(TENANT, report(company, **facts), "user:eve")


async def test_from_unknown_over_red_to_green(seated: Company) -> None:
    assert await verdict(seated) == ("unknown", "no server said within a day which build it runs")
    await seated.plan.validations.serve(SERVING)
    assert await verdict(seated) == ("unknown", f"the build that serves ({SERVING}) was not validated")
    await record(seated, verdicts={"resilient.keeps_generating": "fail"}, days=2)
    assert await verdict(seated) == ("fail", f"{SERVING} fails resilient")
    await record(seated)
    assert await verdict(seated) == ("pass", f"{SERVING} passes resilient, continuity, control")


async def test_no_seated_run_is_not_applicable_and_a_test_key_is_none(company: Company) -> None:
    await company.manifest()
    await run(company, usage="headless")
    await run(company, usage="seated", interactive=True, test=True)
    assert await verdict(company) == ("not_applicable", "nobody waited for an answer in 28 days")


async def test_calling_all_of_it_headless_makes_nobody_go_away(company: Company) -> None:
    await company.manifest()
    await run(company, usage="headless", interactive=True)
    assert (await verdict(company))[0] == "unknown"


async def test_a_report_of_staging_is_of_another_build(seated: Company) -> None:
    await seated.plan.validations.serve(SERVING)
    await record(seated, build="0.1.0+bbbb", target="https://staging.acme.example")
    assert await verdict(seated) == (
        "unknown", f"the build that serves ({SERVING}) was not validated; the newest report is of 0.1.0+bbbb",
    )  # fmt: skip


async def test_every_build_that_serves_is_judged(seated: Company) -> None:
    await seated.plan.validations.serve(SERVING)
    await record(seated)
    assert (await verdict(seated))[0] == "pass"
    await seated.plan.validations.serve("0.1.0+cccc")
    assert (await verdict(seated))[0] == "unknown"
    seated.pass_days(0.9)
    await seated.plan.validations.serve(SERVING)
    seated.pass_days(0.2)  # the other one is gone for a day
    assert (await verdict(seated))[0] == "pass"


async def test_what_is_inconclusive_or_left_out_never_passes(seated: Company) -> None:
    await seated.plan.validations.serve(SERVING)
    await record(seated, verdicts={"control.disconnect": "inconclusive"}, days=3)
    assert await verdict(seated) == ("unknown", f"{SERVING} is inconclusive about control")
    some = [one for one in report(seated)["probes"] if one["id"] != "control.disconnect"]
    await record(seated, probes=some, days=2)
    assert await verdict(seated) == ("unknown", f"the report of {SERVING} lacks 1 probes")
    await record(seated, probes=[], days=1)
    assert (await verdict(seated))[0] == "unknown"


async def test_what_a_report_says_of_itself_does_not_count(seated: Company) -> None:
    await seated.plan.validations.serve(SERVING)
    await record(seated, verdicts={"control.disconnect": "fail"}, capabilities=dict.fromkeys(CAPABILITIES, "pass"))
    assert await verdict(seated) == ("fail", f"{SERVING} fails control")


async def test_an_older_report_does_not_hide_a_newer_one(seated: Company) -> None:
    await seated.plan.validations.serve(SERVING)
    await record(seated, verdicts={"control.disconnect": "fail"}, days=1)
    await record(seated, days=5)  # recorded later, of an earlier test
    assert (await verdict(seated))[0] == "fail"


async def test_a_record_that_was_changed_is_none(seated: Company) -> None:
    await seated.plan.validations.serve(SERVING)
    await record(seated, verdicts={"control.disconnect": "fail"})
    await seated.store.write(lambda connection: connection.execute(update(rollout_validations).values(control="pass")))
    assert await verdict(seated) == ("unknown", f"the report of {SERVING} was changed after it was recorded")


async def test_a_report_is_good_for_thirty_days(seated: Company) -> None:
    await seated.plan.validations.serve(SERVING)
    await record(seated, days=29)
    assert (await verdict(seated))[0] == "pass"
    seated.pass_days(1.1)
    found = next(one for one in seated.plan.gates(TENANT, WORKFLOW) if one.gate == "9.b")
    assert found.shown == "unknown"
    await seated.plan.validations.serve(SERVING)
    assert await verdict(seated) == ("unknown", f"{SERVING} was validated more than 30 days ago")


@pytest.mark.parametrize(
    "facts",
    [
        {"build": ""}, {"driver": "openai"}, {"days": -1.0}, {"began": "yesterday"}, {"probes": "none"}, {"contact": None},
    ],
)  # fmt: skip
async def test_what_is_no_report_is_not_recorded(company: Company, facts: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="the report"):
        await record(company, **facts)
    assert await company.plan.validations.listed(TENANT, 10) == []
