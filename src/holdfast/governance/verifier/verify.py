"""Verifies a plan: every verdict is computed again from what it states, and, with the store at hand, from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from holdfast.governance.verifier import content, record, rerun, validity
from holdfast.governance.verifier.documents import (
    Outcome,
    Remark,
    StatedPlan,
    StatedVerdict,
    StatedWaiver,
    against,
    unsure,
)
from holdfast.governance.verifier.published import PUBLISHED, published_text
from holdfast.governance.verifier.reader import PlanRows
from holdfast.governance.verifier.waiver_rules import Roles, roles_now, waiver_remarks

EXITS: Final[dict[Outcome, int]] = {"agree": 0, "disagree": 1, "cannot tell": 3}
"""What ``plan verify`` exits with."""


class VerifiedLine(NamedTuple):
    """What is said of one verdict, waiver, or of the plan.

    Attributes:
        subject: gate and workflow; a waiver; ``the plan``.
        says: what the verdict says.
    """

    subject: str
    says: str
    outcome: Outcome
    remarks: Sequence[Remark]

    @property
    def reason(self) -> str:
        """Why, in a sentence; empty where nothing is to be said."""
        return "; ".join(one.text for one in self.remarks if one.outcome == self.outcome)


class PlanVerification(NamedTuple):
    """What came of it."""

    lines: Sequence[VerifiedLine]

    @property
    def outcome(self) -> Outcome:
        """Of all together; of nothing nobody can tell anything."""
        return worst([one.outcome for one in self.lines]) if self.lines else "cannot tell"

    def count(self, outcome: Outcome) -> int:
        """How many lines came to this."""
        return sum(1 for one in self.lines if one.outcome == outcome)


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """A disagreement is one whatever cannot be told beside it."""
    if "disagree" in outcomes:
        return "disagree"
    return "cannot tell" if "cannot tell" in outcomes else "agree"


def _line(subject: str, says: str, remarks: Sequence[Remark]) -> VerifiedLine:
    return VerifiedLine(subject, says, worst([one.outcome for one in remarks]), list(dict.fromkeys(remarks)))


async def verify(plan: StatedPlan, store: PlanRows | None, now_ms: int, *, recorded: bool = False) -> PlanVerification:
    """Verify a plan.

    Args:
        store: None where only what is stated is at hand.
        recorded: the plan was read from that very store: it need not be held against it.

    Raises:
        Unavailable: of the store.
    """
    beside = None if recorded else store
    roles = roles_now({one.workflow: one.rows("workflow") for one in plan.verdicts if one.rows("workflow")})
    waivers = await _waivers(plan, beside, store, roles)
    good = [one for one in plan.waivers if worst([x.outcome for x in waivers[one.id]]) != "disagree"]
    remarks: dict[str, list[Remark]] = {}
    for verdict in plan.verdicts:
        own = list(_alone(verdict, plan, good, roles, now_ms))
        if store is not None and verdict.gate in PUBLISHED:
            own += await _with_store(verdict, plan, store, now_ms, recorded=recorded)
        remarks.setdefault(_subject(verdict), []).extend(own)
    _dependent(plan, remarks)
    lines = [_line("the plan", "", found) for found in [await _whole(plan, beside)] if found]
    says = {_subject(one): one.verdict for one in plan.verdicts}
    lines += [_line(subject, says[subject], found) for subject, found in remarks.items()]
    lines += [
        _line(_of_waiver(one), "waived", waivers[one.id]) for one in {one.id: one for one in plan.waivers}.values()
    ]
    return PlanVerification(lines)


def _subject(verdict: StatedVerdict) -> str:
    return f"{verdict.gate:.8} {verdict.workflow or 'the organisation':.140}"


def _of_waiver(waiver: StatedWaiver) -> str:
    return f"waiver {waiver.id:.40} of {waiver.gate:.8} {waiver.workflow or 'the organisation':.140}"


def _alone(
    verdict: StatedVerdict, plan: StatedPlan, good: Sequence[StatedWaiver], roles: Mapping[str, Roles], now_ms: int
) -> list[Remark]:
    """What can be told from what is stated."""
    if verdict.gate not in PUBLISHED:
        return [unsure("this version has no rule of its own for this gate")]
    found = [*content.hashes(verdict), *content.questions(verdict, plan), *content.recomputed(verdict)]
    if verdict.tenant != plan.tenant:
        found.append(against("forged: it is of another tenant"))
    if PUBLISHED[verdict.gate].of_organisation != (verdict.workflow == ""):
        found.append(against("forged: the gate is not asked of this"))
    people = [name for one in roles.values() for name in one[:2]]
    found += validity.numbers(verdict, plan.profiles, people)
    found += validity.times(verdict, plan, now_ms)
    found += validity.standing(verdict, plan, good)
    return found


async def _with_store(
    verdict: StatedVerdict, plan: StatedPlan, store: PlanRows, now_ms: int, *, recorded: bool
) -> list[Remark]:
    """What the store says beside it."""
    found = await rerun.positions(store, verdict)
    if any(one.outcome == "cannot tell" for one in found):  # another store says nothing of this one
        return found[:1]
    if not recorded:
        found += await record.on_record(store, verdict)
        found += await record.overtaken(store, verdict, plan)
    found += await record.steps_fit(store, verdict)
    found += await record.not_back_dated(store, verdict)
    found += await record.passed_fits(store, verdict)
    moved, now = [], {}
    for answer in verdict.answers:
        if published_text(answer.query) and answer.query in PUBLISHED[verdict.gate].queries:
            try:
                compared = await rerun.asked_again(store, verdict, answer, now_ms)
            except KeyError:
                return [*found, against(f"forged: {answer.query} has not the columns of its query")]
            found += compared.remarks
            now[answer.query] = compared.now
            if compared.moved and not compared.remarks:
                moved.append(answer.query)
    if moved:
        again = content.judged(verdict, {**{one.query: one.rows for one in verdict.answers}, **now}, now_ms)
        found.append(rerun.moved_on(verdict, moved, again))
    return found


async def _waivers(
    plan: StatedPlan, beside: PlanRows | None, store: PlanRows | None, roles: Mapping[str, Roles]
) -> dict[str, list[Remark]]:
    found = await record.waivers_fit(beside, plan) if beside is not None else {}
    for one in plan.waivers:
        then: Mapping[str, Roles] = await record.roles_at(store, plan.tenant, one.at_ms) if store is not None else roles
        own = [then[one.workflow]] if one.workflow in then else None if one.workflow else list(then.values())
        found.setdefault(one.id, []).extend(waiver_remarks(one, plan.waivers, own))
    return found


async def _whole(plan: StatedPlan, beside: PlanRows | None) -> list[Remark]:
    """What is wrong with a plan as a whole."""
    found = [against(f"forged: {words:.300} is no verdict") for words in plan.unreadable]
    places = [one.place for one in plan.verdicts]
    found += [
        against(f"forged: {gate:.8} {workflow:.140} is there twice")
        for gate, workflow in sorted({p for p in places if places.count(p) > 1})
    ]
    if beside is not None:
        found += [against(f"left out: {words:.200}") for words in await record.left_out(beside, plan)]
        found += [against(words) for words in await record.profiles_fit(beside, plan)]
        return found
    for workflow in sorted({workflow for _, workflow in places if workflow}):
        missing = [
            gate for gate, one in PUBLISHED.items() if not one.of_organisation and (gate, workflow) not in places
        ]
        if missing:
            found.append(unsure(f"{', '.join(missing)} of {workflow:.140} is not in it"))
    return found


def _dependent(plan: StatedPlan, remarks: dict[str, list[Remark]]) -> None:
    """1.b passes by verdicts of other gates: it holds no better than they do, and no worse than they say."""
    by_place = {one.place: one for one in plan.verdicts}
    for verdict in plan.verdicts:
        if verdict.gate != "1.b":
            continue
        for row in verdict.rows("passed"):
            gate = str(row.get("gate"))
            other = by_place.get((gate, verdict.workflow)) or by_place.get((gate, ""))
            if other is None or (other.status is not None and other.status.standing):
                continue
            own = remarks[_subject(verdict)]
            if worst([one.outcome for one in remarks[_subject(other)]]) == "disagree":
                own.append(unsure(f"it depends on {gate}, which is not as it says"))
            elif other.computed_ms < verdict.as_of_ms and other.verdict != row.get("verdict"):
                own.append(against(f"it reads {gate} as {row.get('verdict')!s:.20}, and that says {other.verdict}"))


def shown(found: PlanVerification) -> dict[str, Any]:
    """As JSON."""
    return {
        "outcome": found.outcome,
        "agree": found.count("agree"), "disagree": found.count("disagree"), "cannot_tell": found.count("cannot tell"),
        "lines": [
            {
                "subject": one.subject, "says": one.says, "outcome": one.outcome,
                "remarks": msgspec.to_builtins([{"outcome": x.outcome, "text": x.text} for x in one.remarks]),
            }
            for one in found.lines
        ],
    }  # fmt: skip
