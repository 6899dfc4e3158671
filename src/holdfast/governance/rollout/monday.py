"""The Monday page as data: who must do what by when, may each workflow go on, what flipped in a week, which waivers are over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from holdfast.governance import limits
from holdfast.governance.rollout import overview
from holdfast.governance.rollout.cautions import Caution
from holdfast.governance.rollout.critical_path import NextAction, next_door
from holdfast.governance.rollout.doors import OPENS, GateStatus
from holdfast.governance.rollout.model import DAY_MS, VerdictRow
from holdfast.governance.rollout.port import WorkflowFacts
from holdfast.governance.rollout.registry import BY_NAME, GATES
from holdfast.governance.rollout.sentence import sentence
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.rollout.waivers import GateWaiver

WEEK_MS: Final = 7 * DAY_MS
Standing = Literal["fail", "unknown", "pass"]
"""Of a workflow: a gate that is red holds it up; nobody can tell; it may go on."""


class GateFlip(msgspec.Struct, frozen=True, kw_only=True):
    """A gate that says something else than a week ago.

    Attributes:
        workflow: empty for the organisation.
        before, after: verdicts.
        at_ms: since when it says so, Unix ms.
    """

    gate: str
    title: str
    workflow: str
    before: str
    after: str
    at_ms: int
    reason: str


class PersonsWork(msgspec.Struct, frozen=True):
    """What one person has to do, what opens the most first.

    Attributes:
        who: a person's name, or an office.
        due_ms: of the first that is due; 0 where none has a date.
    """

    who: str
    due_ms: int
    actions: tuple[NextAction, ...]


class WorkflowLine(msgspec.Struct, frozen=True):
    """A workflow in one sentence."""

    workflow: str
    stands: Standing
    sentence: str
    owner: str
    state: str
    mode: str

    @property
    def words(self) -> str:
        """How it stands, in words. What is only observed runs, whatever is red of it."""
        if self.stands == "fail" and self.mode == "observe" and self.state != "registered":
            return "red, only observed"
        return {"fail": "held up", "unknown": "nobody can tell", "pass": "may go on"}[self.stands]


class WaiverLine(msgspec.Struct, frozen=True):
    """A waiver that holds, or that is over while its gate still does not pass.

    Attributes:
        left_ms: until it is over; negative for one that is.
    """

    waiver: GateWaiver
    left_ms: int


class Monday(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        since_ms: a week ago.
        unbuilt: names of gates that nobody has built yet: they are unknown, in every workflow.
        cautions: what goes wrong before any gate is red.
    """

    as_of_ms: int
    since_ms: int
    zone: str
    people: tuple[PersonsWork, ...]
    workflows: tuple[WorkflowLine, ...]
    flips: tuple[GateFlip, ...]
    past: tuple[WaiverLine, ...]
    waived: tuple[WaiverLine, ...]
    gates: int
    unbuilt: tuple[str, ...]
    cautions: tuple[Caution, ...] = ()


async def monday(plan: Rollout, tenant: str) -> Monday:
    """The page of a tenant.

    Raises:
        Unavailable: of the store.
    """
    scope = plan.scope(tenant, "")
    some = plan.workflows(tenant)
    status = overview.status_by_gate(plan, tenant, some)
    todo = overview.actions(plan, tenant, some, status)
    lines = [_line(plan, tenant, one, status[one.workflow], todo) for one in some]
    history = await plan.history(tenant, None, None, limits.PLAN_HISTORY_ROWS)
    shown = {(gate.workflow, gate.gate): gate for own in status.values() for gate in own.values()}
    past, waived = waiver_lines(plan.waivers(tenant), shown, scope.as_of_ms)
    return Monday(
        as_of_ms=scope.as_of_ms, since_ms=scope.as_of_ms - WEEK_MS, zone=scope.zone, people=by_person(todo),
        workflows=tuple(sorted(lines, key=lambda one: ("fail", "unknown", "pass").index(one.stands))),
        flips=flips(history, scope.as_of_ms - WEEK_MS), past=past, waived=waived, gates=len(GATES),
        unbuilt=tuple(gate.name for gate in GATES if gate.decide is None), cautions=tuple(await plan.cautions(tenant)),
    )  # fmt: skip


def _line(
    plan: Rollout, tenant: str, facts: WorkflowFacts, own: dict[str, GateStatus], todo: Sequence[NextAction]
) -> WorkflowLine:
    doors = {one.door: one for one in plan.doors(tenant, facts.workflow)}
    ahead, running = doors[next_door(facts)], doors["R"]
    stands: Standing = "pass" if ahead.open else "fail" if ahead.shut_by else "unknown"
    if facts.state != "registered" and running.shut_by:
        stands = "fail"
    words = sentence(facts, own, todo, plan.zone(tenant), plan.scope(tenant, "").as_of_ms)
    return WorkflowLine(facts.workflow, stands, words, facts.owner, facts.state, facts.mode)


def by_person(actions: Iterable[NextAction]) -> tuple[PersonsWork, ...]:
    """Actions by who has to do them: whoever is first in the list of all actions comes first. Pure."""
    found: dict[str, list[NextAction]] = {}
    for one in actions:
        found.setdefault(one.who, []).append(one)
    return tuple(
        PersonsWork(who, min((one.due_ms for one in some if one.due_ms), default=0), tuple(some))
        for who, some in found.items()
    )


def flips(history: Sequence[VerdictRow], since_ms: int) -> tuple[GateFlip, ...]:
    """What says something else than at a moment, what turned red first. Where nothing is that old, the first verdict counts.
    Pure.

    Args:
        history: verdicts, the newest first.
    """
    by_place: dict[tuple[str, str], list[VerdictRow]] = {}
    for row in history:
        by_place.setdefault((row.workflow, row.gate), []).append(row)
    found = []
    for (workflow, gate), rows in by_place.items():
        now = rows[0]
        before = next((row for row in rows if row.computed_ms <= since_ms), rows[-1])
        if gate in BY_NAME and now.verdict != before.verdict:
            found.append(
                GateFlip(
                    gate=gate, title=BY_NAME[gate].title, workflow=workflow, before=before.verdict, after=now.verdict,
                    at_ms=now.since_ms or now.computed_ms, reason=now.reason,
                )
            )  # fmt: skip
    return tuple(
        sorted(
            found, key=lambda one: (_RANK.get(one.after, 2), -one.at_ms, one.workflow, list(BY_NAME).index(one.gate))
        )
    )


def waiver_lines(
    waivers: Iterable[GateWaiver], shown: dict[tuple[str, str], GateStatus], now_ms: int
) -> tuple[tuple[WaiverLine, ...], tuple[WaiverLine, ...]]:
    """Those that are over while their gate still does not pass, and those that hold; the longest over, and the first to end,
    come first. One that was renewed, or taken back, is neither. Pure."""
    last: dict[tuple[str, str], GateWaiver] = {}
    for one in sorted(waivers, key=lambda one: (one.at_ms, one.until_ms)):
        last[one.gate, one.workflow] = one
    past, holding = [], []
    for one in last.values():
        line = WaiverLine(one, one.until_ms - now_ms)
        if one.holds(now_ms):
            holding.append(line)
        elif one.ended_ms is None and not _passes(shown, one):
            past.append(line)
    return tuple(sorted(past, key=_left)), tuple(sorted(holding, key=_left))


def _passes(shown: dict[tuple[str, str], GateStatus], waiver: GateWaiver) -> bool:
    found = shown.get((waiver.workflow, waiver.gate)) or shown.get(("", waiver.gate))
    return found is not None and found.shown in OPENS


def _left(line: WaiverLine) -> int:
    return line.left_ms


_RANK: Final[dict[str, int]] = {"fail": 0, "unknown": 1}


async def answer(plan: Rollout, tenant: str) -> dict[str, Any]:
    """The page as plain values, as REST and commands give it. Raises ``Unavailable``."""
    found: dict[str, Any] = msgspec.to_builtins(await monday(plan, tenant))
    return found
