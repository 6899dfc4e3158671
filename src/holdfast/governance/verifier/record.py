"""A plan beside the record of the store: verdicts that are not on it, waivers that are others, and rows that say they were there
before while earlier evidence had them not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from holdfast.governance.verifier.canonical import HASHED
from holdfast.governance.verifier.documents import Remark, Row, StatedPlan, StatedVerdict, StatedWaiver, against
from holdfast.governance.verifier.reader import NEWEST, PlanRows, stated_profiles, stated_verdicts, stated_waivers
from holdfast.governance.verifier.rerun import SLACK_MS
from holdfast.governance.verifier.rules.judgement import whole
from holdfast.governance.verifier.waiver_rules import Roles

WATCHED: Final = ("version", "state", "mode", "stage", "unit", "owner", "deputy", "sponsor", "payer")
"""What of a workflow has a step on record when it changes."""
EARLIER: Final = 200
"""Verdicts before one whose evidence is held against it."""
STEPS: Final = """SELECT what, after, at_ms FROM workflow_steps
WHERE tenant = :tenant AND workflow = :workflow AND at_ms <= :at_ms ORDER BY at_ms, id"""


async def on_record(store: PlanRows, verdict: StatedVerdict) -> list[Remark]:
    """Whether a verdict is on record as it is stated, and is the last of its gate.

    Raises:
        Unavailable: of the store.
    """
    found, broken = await stated_verdicts(store, "id = :id", {"id": verdict.id})
    if broken or not found:
        return [against("forged: no verdict of this id is on record")]
    row = found[0]
    names = [name for name in (*HASHED, "since_ms") if getattr(row, name) != getattr(verdict, name)]
    bare = [[msgspec.structs.replace(one, sql="") for one in some.answers] for some in (row, verdict)]
    if bare[0] != bare[1]:
        names.append("answers")
    if names:
        return [against(f"forged: on record it has another {', '.join(names)}")]
    return []


async def overtaken(store: PlanRows, verdict: StatedVerdict, plan: StatedPlan) -> list[Remark]:
    """Whether a newer verdict was on record when the plan was stated. One that stands while its source is down has such a one.

    Raises:
        Unavailable: of the store.
    """
    where = "tenant = :tenant AND gate = :gate AND workflow = :workflow AND computed_ms > :after AND computed_ms <= :until ORDER BY computed_ms DESC"
    params = {
        "tenant": verdict.tenant, "gate": verdict.gate, "workflow": verdict.workflow, "after": verdict.computed_ms,
        "until": plan.as_of_ms,
    }  # fmt: skip
    newer, _ = await stated_verdicts(store, where, params)
    real = [one for one in newer if one.cause != "stale"]
    if real:
        return [against(f"stale: {real[0].id} is on record since, and says {real[0].verdict}")]
    if newer and (verdict.status is None or not verdict.status.standing):
        return [against("stale: its source is down since, and it is not said to stand for that")]
    return []


async def left_out(store: PlanRows, plan: StatedPlan) -> list[str]:
    """Verdicts of the record that a plan leaves out. Raises ``store.unavailable``."""
    found, _ = await stated_verdicts(
        store, f"{NEWEST} AND computed_ms <= :until", {"tenant": plan.tenant, "until": plan.as_of_ms}
    )
    there = {one.place for one in plan.verdicts}
    return [f"{one.gate} {one.workflow}: {one.verdict} is on record" for one in found if one.place not in there]


async def steps_fit(store: PlanRows, verdict: StatedVerdict) -> list[Remark]:
    """Whether a workflow was as its steps on record left it. Raises ``store.unavailable``."""
    rows = verdict.rows("workflow")
    if not rows:
        return []
    params = {"tenant": verdict.tenant, "workflow": verdict.workflow, "at_ms": verdict.as_of_ms + SLACK_MS}
    steps = await store.rows(STEPS, params)
    found = []
    for name in WATCHED:
        own = [step for step in steps if step["what"] == name]
        last_ms = max(
            (whole(step["at_ms"]) for step in own if verdict.as_of_ms - whole(step["at_ms"]) >= SLACK_MS), default=0
        )
        allowed = {str(step["after"]) for step in own if whole(step["at_ms"]) >= last_ms}
        is_now = str(rows[0].get(name) or "")
        if own and name in rows[0] and is_now not in allowed:
            last = str(own[-1]["after"])
            found.append(against(f"changed: {name} was {is_now:.80}, and the last step on record made it {last:.80}"))
    return found


async def not_back_dated(store: PlanRows, verdict: StatedVerdict) -> list[Remark]:
    """Whether what the evidence dates back was in the evidence of verdicts before it. Raises ``store.unavailable``."""
    rows: Mapping[str, Sequence[Row]] = {
        name: verdict.rows(name) for name in ("acceptances", "stages") if verdict.rows(name)
    }
    if not rows:
        return []
    where = "tenant = :tenant AND gate = :gate AND workflow = :workflow AND as_of_ms < :before ORDER BY as_of_ms DESC"
    params = {"tenant": verdict.tenant, "gate": verdict.gate, "workflow": verdict.workflow, "before": verdict.as_of_ms}
    earlier, _ = await stated_verdicts(store, f"{where} LIMIT {EARLIER}", params)
    found = []
    for row in rows.get("acceptances", ()):
        key, at_ms = (row.get("role"), row.get("person")), whole(row.get("at_ms"))
        for one in earlier:
            if one.as_of_ms - at_ms >= SLACK_MS and not any(
                (other.get("role"), other.get("person")) == key and whole(other.get("at_ms")) >= at_ms
                for other in one.rows("acceptances")
            ):
                found.append(
                    against(
                        f"back-dated: that {key[1]!s:.80} accepted to be {key[0]!s:.20} was not there for {one.id}, which is later"
                    )
                )
                break
    for row in rows.get("stages", ()):
        start = (row.get("stage"), row.get("since_ms"))
        for one in earlier:
            if one.as_of_ms - whole(row.get("since_ms")) >= SLACK_MS and not any(
                (other.get("stage"), other.get("since_ms")) == start for other in one.rows("stages")
            ):
                found.append(
                    against(
                        f"back-dated: that the stage was {start[0]!s:.20} was not there for {one.id}, which is later"
                    )
                )
                break
    return found


async def passed_fits(store: PlanRows, verdict: StatedVerdict) -> list[Remark]:
    """Whether the verdicts of other gates that 1.b reads are on record. Raises ``store.unavailable``."""
    found = []
    for row in verdict.rows("passed"):
        there, _ = await stated_verdicts(store, "id = :id", {"id": row.get("id")})
        if not there or any(getattr(there[0], name) != row.get(name) for name in HASHED if name != "thresholds"):
            found.append(against(f"forged: the verdict of {row.get('gate')!s:.8} that it reads is not on record"))
    return found


async def waivers_fit(store: PlanRows, plan: StatedPlan) -> dict[str, list[Remark]]:
    """What is wrong with the waivers of a plan beside those on record, by id. Raises ``store.unavailable``."""
    recorded = {one.id: one for one in await stated_waivers(store, plan.tenant)}
    found: dict[str, list[Remark]] = {}
    for one in plan.waivers:
        row = recorded.get(one.id)
        if row is None:
            found[one.id] = [against("forged: no waiver of this id is on record")]
        elif _ended_later(row, one, plan.as_of_ms) != one:
            found[one.id] = [against("forged: on record it is another one")]
    return found


def _ended_later(row: StatedWaiver, stated: StatedWaiver, as_of_ms: int) -> StatedWaiver:
    """A waiver as it was when the plan was stated: it may have been taken back since."""
    if row.ended_ms is not None and row.ended_ms > as_of_ms:
        return msgspec.structs.replace(row, ended_ms=None, ended_by="")
    return row


async def profiles_fit(store: PlanRows, plan: StatedPlan) -> list[str]:
    """What is wrong with the numbers of a plan beside those on record. Raises ``store.unavailable``."""
    recorded = [one for one in await stated_profiles(store, plan.tenant) if one.at_ms <= plan.as_of_ms]
    if plan.profiles is not None and list(plan.profiles) != recorded:
        return ["forged: the versions of the numbers are not those on record"]
    return []


async def roles_at(store: PlanRows, tenant: str, at_ms: int) -> dict[str, Roles]:
    """Who answered for each workflow at a moment, by the steps on record. Raises ``store.unavailable``."""
    statement = """SELECT workflow, what, after FROM workflow_steps WHERE tenant = :tenant AND at_ms <= :at_ms
AND what IN ('owner', 'deputy', 'sponsor') ORDER BY at_ms, id"""
    facts: dict[str, dict[str, Any]] = {}
    for row in await store.rows(statement, {"tenant": tenant, "at_ms": at_ms}):
        facts.setdefault(str(row["workflow"]), {})[str(row["what"])] = str(row["after"])
    return {
        name: Roles(*(some.get(role, "") for role in ("owner", "deputy", "sponsor"))) for name, some in facts.items()
    }
