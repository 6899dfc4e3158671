"""What holds for all gates: what was changed afterwards is unknown, a waiver has its rules, numbers are not set by who is judged,
and unknown opens no door."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.directory.model import Person
from holdfast.governance.rollout import doors
from holdfast.governance.rollout.doors import GateStatus
from holdfast.governance.rollout.registry import GATES
from holdfast.governance.store.tables.rollout import rollout_verdicts as verdicts
from tests.unit.governance.rollout.conftest import DAY_MS, TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio
BOB = Person("bob", unit="sales")


async def shown(company: Company, gate: str = "6.a") -> str:
    return next(one for one in company.plan.gates(TENANT, WORKFLOW) if one.gate == gate).shown


async def red(company: Company) -> None:
    await company.manifest()
    await company.staffed()
    await company.people(Person("ann", unit="sales", active=False), BOB)
    await company.plan.compute(TENANT)


async def change(company: Company, **values: object) -> None:
    where = (verdicts.c.gate == "6.a") & verdicts.c.newest
    await company.store.write(lambda connection: connection.execute(update(verdicts).where(where).values(**values)))
    await company.plan.refresh()


@pytest.mark.parametrize(
    "forgery",
    [
        {"verdict": "pass", "reason": "ann owns it"},
        {"valid_until_ms": 1 << 50},
        {"reason": "all is well"},
        {"version": 7},
    ],
)
async def test_a_verdict_that_was_changed_afterwards_is_unknown_until_it_is_computed_again(
    company: Company, forgery: dict[str, object]
) -> None:
    await red(company)
    await change(company, **forgery)
    assert await shown(company) == "unknown"
    assert (await company.verdict("6.a"))[0] == "fail"


async def test_evidence_that_was_changed_afterwards_says_nothing(company: Company) -> None:
    await red(company)
    status, row, answers = await company.plan.explain(TENANT, "6.a", WORKFLOW)
    assert status.shown == "fail" and row is not None and {one.query for one in answers} >= {"people", "directory"}
    await change(company, answers=[])
    status, _, _ = await company.plan.explain(TENANT, "6.a", WORKFLOW)
    assert (status.shown, status.cause) == ("unknown", "changed")


async def test_a_verdict_expires(company: Company) -> None:
    await company.manifest()
    await company.staffed()
    assert (await company.verdict("6.a"))[0] == "pass"
    company.pass_days(7.1)
    assert await shown(company) == "unknown"


async def test_an_organisation_without_workflows_is_computed_too(company: Company) -> None:
    await company.plan.compute(TENANT)
    assert company.plan.workflows(TENANT) == []


# --- waivers
async def waive(
    company: Company, by: str = "user:cem", days: float = 30, *, risk: bool = False, reason: str = "hiring"
) -> str:
    until = company.clock.wall_ms() + int(days * DAY_MS)
    given_ = await company.plan.waive(TENANT, "6.a", WORKFLOW, by=by, reason=reason, until_ms=until, may_waive=risk)
    return given_.id


async def test_a_waived_gate_is_shown_as_waived_and_never_as_pass(company: Company) -> None:
    await red(company)
    assert company.plan.failing(TENANT, WORKFLOW) is not None
    ident = await waive(company)
    assert await shown(company) == "waived" and company.plan.failing(TENANT, WORKFLOW) is None
    await company.plan.end_waiver(TENANT, ident, "user:cem")
    assert await shown(company) == "fail"


async def test_a_waiver_ends_by_itself(company: Company) -> None:
    await red(company)
    await waive(company, days=2)
    company.pass_days(2.01)
    assert await shown(company) == "fail"


@pytest.mark.parametrize(
    ("by", "days", "risk", "reason"),
    [("user:ann", 30, True, "x"), ("user:bob", 1, True, "x"), ("user:eve", 30, False, "x"), ("user:cem", 31, False, "x"),
     ("user:cem", 30, False, " "), ("user:cem", -1, False, "x"), ("user:ANN", 30, True, "x"),
     ("agent:cem", 30, False, "x"), ("system:rita", 30, True, "x")],
)  # fmt: skip
async def test_nobody_waives_their_own_gate_nor_for_ever_nor_without_a_reason(
    company: Company, by: str, days: float, risk: bool, reason: str
) -> None:
    await red(company)
    with pytest.raises(Refused) as refused:
        await waive(company, by, days, risk=risk, reason=reason)
    assert refused.value.code == "waiver.invalid"


async def test_an_owner_who_waived_as_the_sponsor_between_two_manifests_waived_nothing(company: Company) -> None:
    await red(company)
    await company.manifest(owner="eve", sponsor="ann")
    await waive(company, "user:ann")
    assert await shown(company) == "waived"
    await company.manifest()
    assert await shown(company) == "fail" and company.plan.failing(TENANT, WORKFLOW) is not None


async def test_a_waiver_is_renewed_once(company: Company) -> None:
    await red(company)
    await waive(company, "user:rita", risk=True)
    company.pass_days(29)
    await waive(company)
    company.pass_days(29)
    with pytest.raises(Refused):
        await waive(company)
    assert [one.office for one in company.plan.waivers(TENANT)] == ["risk", "sponsor"]
    assert company.plan.waivers(TENANT)[1].renews == company.plan.waivers(TENANT)[0].id


# --- numbers
async def test_other_numbers_are_set_by_somebody_who_is_not_judged_by_them_and_old_ones_stand_beside(
    company: Company,
) -> None:
    await company.manifest()
    await company.staffed()
    company.pass_days(40)
    await company.people(Person("ann", unit="sales"), BOB)
    assert (await company.verdict("6.a"))[0] == "fail"
    numbers = {"6.a": {"sign_in_days": 60}}
    with pytest.raises(Refused):
        await company.plan.set_profile(TENANT, "enterprise", numbers, by="user:bob", reason="lax")
    with pytest.raises(Refused):
        await company.plan.set_profile(
            TENANT, "enterprise", {"6.a": {"sign_in_days": "60"}}, by="user:rita", reason="x"
        )
    profile = await company.plan.set_profile(TENANT, "enterprise", numbers, by="user:rita", reason="summer")
    assert profile.version == 1
    assert (await company.verdict("6.a"))[0] == "pass"
    assert (await company.plan.beside(TENANT, "6.a", WORKFLOW)).startswith(
        "fail under version 0: ann signed in not for 40"
    )
    company.pass_days(91)
    assert await company.plan.beside(TENANT, "6.a", WORKFLOW) == ""


# --- doors
_VERDICTS = ["pass", "fail", "unknown", "not_applicable", "waived"]


@given(st.dictionaries(st.sampled_from([gate.name for gate in GATES]), st.sampled_from(_VERDICTS)))
def test_a_door_opens_by_what_is_known_alone(words: dict[str, str]) -> None:
    status = {
        name: GateStatus(gate=name, workflow="w", verdict="unknown", shown=word)  # type: ignore[arg-type]
        for name, word in words.items()
    }
    for name in ("L", "P", "O", "R"):
        found = doors.door(name, GATES, status)
        holding = [gate.name for gate in GATES if name in gate.holds]
        closed = [one for one in holding if words.get(one, "unknown") in ("fail", "unknown")]
        assert found.open == (not closed)
        assert sorted((*found.shut_by, *found.unknown)) == sorted(closed)


async def test_gates_that_nobody_has_built_are_unknown_and_keep_doors_shut(company: Company) -> None:
    await company.manifest()
    await company.staffed()
    await company.plan.compute(TENANT)
    unbuilt = [one for one in company.plan.gates(TENANT, WORKFLOW) if one.cause == "unbuilt"]
    assert unbuilt and all(one.shown == "unknown" for one in unbuilt)
    with pytest.raises(Refused) as refused:
        await company.workflows.launch(TENANT, WORKFLOW, by="user:cem")
    assert refused.value.code == "workflow.launch" and "2.a" in refused.value.detail


# --- bounds
async def test_evidence_that_is_too_large_is_cut_and_nothing_passes_by_it(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    await company.manifest()
    await company.staffed()
    assert (await company.verdict("6.a"))[0] == "pass"
    monkeypatch.setattr(limits, "EVIDENCE_BYTES", 100)
    status, _, answers = await company.plan.explain(TENANT, "6.a", WORKFLOW)
    assert status.shown == "pass" and not any(one.cut for one in answers)
    assert await company.verdict("6.a") != ("pass", status.reason)
    await company.plan.compute(TENANT)
    _, _, answers = await company.plan.explain(TENANT, "6.a", WORKFLOW)
    assert any(one.cut for one in answers)


async def test_verdicts_that_nothing_stands_on_are_forgotten_in_time_and_those_that_count_never(
    company: Company,
) -> None:
    await company.manifest()
    await company.staffed()
    await company.verdict("6.a")
    first = await company.plan.history(TENANT, WORKFLOW, "6.a", 10)
    company.pass_days(1)
    await company.manifest(deputy="")
    await company.verdict("6.a")
    assert await company.plan.forget() == 0
    company.pass_days(limits.PLAN_KEEP_MS / DAY_MS + 1)
    assert await company.plan.forget() > 0
    left = await company.plan.history(TENANT, WORKFLOW, "6.a", 10)
    assert left and first[0].id not in {one.id for one in left}
    assert await company.plan.forget() == 0, "it looks once a day"
