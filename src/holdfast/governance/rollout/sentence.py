"""One sentence for a workflow: may it go on, and who must do what by when. Pure."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Mapping, Sequence

from holdfast.governance.rollout.critical_path import NextAction, missing, next_door
from holdfast.governance.rollout.doors import GateStatus
from holdfast.governance.rollout.model import DAY_MS
from holdfast.governance.rollout.port import WorkflowFacts
from holdfast.governance.rollout.registry import BY_NAME


def sentence(
    facts: WorkflowFacts,
    status: Mapping[str, GateStatus],
    actions: Sequence[NextAction],
    zone: zoneinfo.ZoneInfo,
    now_ms: int,
) -> str:
    """May it go on; who must do what by when: of the gate that it names, where it names one."""
    wanted = missing(facts, status)
    may = _may(facts, status, wanted)
    first = _running(facts, status, wanted)[:1]
    mine = [one for one in actions if facts.workflow in one.workflows]
    own = next((one for one in mine if one.gate in first), mine[0] if mine else None)
    if own is None:
        return f"{may}."
    due = f" by {datetime.datetime.fromtimestamp(own.due_ms / 1_000, zone):%a %d %b}" if own.due_ms else ""
    if own.due_ms and (late := (now_ms - own.due_ms) // DAY_MS) > 0:
        due += f", {late} {'day' if late == 1 else 'days'} late"
    what = own.what[:1].lower() + own.what[1:]
    return f"{may}. {own.who or 'Somebody'} has to{due}: {what}."


def _running(facts: WorkflowFacts, status: Mapping[str, GateStatus], wanted: Sequence[str]) -> list[str]:
    """The gates of running that fail; none before the launch."""
    if facts.state == "registered":
        return []
    return [name for name in wanted if status[name].shown == "fail" and "R" in _holds(name)]


def _may(facts: WorkflowFacts, status: Mapping[str, GateStatus], wanted: Sequence[str]) -> str:
    running = _running(facts, status, wanted)
    name = facts.workflow
    if running:
        words = f"gate {running[0]} fails: {status[running[0]].reason}"
        return (
            f"{name} begins nothing new, {words}"
            if facts.mode == "enforce"
            else f"{name} runs, only observed, though {words}"
        )
    door = {"L": "may not be launched yet", "P": "may go on as a pilot, and not leave it", "R": "may go on"}[
        next_door(facts)
    ]
    if not wanted:
        door = {"L": "may be launched", "P": "may leave the pilot", "R": "may go on"}[next_door(facts)]
    elif next_door(facts) != "R":
        failing = sum(status[name].shown == "fail" for name in wanted)
        unknown = len(wanted) - failing
        parts = [f"{count} {word}" for count, word in ((failing, "red"), (unknown, "unknown")) if count]
        door += f" ({' and '.join(parts)})"
    return f"{name} {door}"


def _holds(gate: str) -> tuple[str, ...]:
    return BY_NAME[gate].holds
