"""What to do next: the actions that gates ask for, those first that open the most. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from holdfast.governance.rollout import doors
from holdfast.governance.rollout.doors import GateStatus
from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import DAY_MS, DoorName
from holdfast.governance.rollout.port import WorkflowFacts
from holdfast.governance.rollout.registry import BY_NAME, GATES

NEXT_DOOR: Final[dict[str, DoorName]] = {"registered": "L", "pilot": "P", "production": "R"}
"""The door that a workflow stands before, by its state."""
DEADLINE_DAYS: Final[dict[DoorName, int]] = {"R": 1, "L": 7, "P": 14, "O": 30}
"""In which a red gate is to be mended, by the strictest door that it holds."""


def deadline_ms(gate: Gate, status: GateStatus) -> int:
    """By when a gate is to be mended, by the strictest door that it holds; 0 where it is not known since when it is red."""
    strictest = min(gate.holds, key=lambda door: DEADLINE_DAYS[door])
    return status.since_ms + DEADLINE_DAYS[strictest] * DAY_MS if status.since_ms else 0


class NextAction(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody has to do.

    Attributes:
        gate: that asks for it; ``workflows`` of which it does.
        what: it, beginning with a verb; ``why`` in a sentence.
        who: a person's name, or an office.
        opens: workflows whose next door this alone opens; ``stopped`` those that begin nothing until it is done.
        effect: what comes of it, in a sentence.
        due_ms: by when, Unix ms.
    """

    gate: str
    what: str
    why: str
    who: str
    workflows: tuple[str, ...]
    opens: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    effect: str = ""
    due_ms: int = 0


def next_door(facts: WorkflowFacts) -> DoorName:
    """The door that a workflow stands before."""
    return NEXT_DOOR.get(facts.state, "L")


def missing(facts: WorkflowFacts, status: Mapping[str, GateStatus]) -> list[str]:
    """The gates that keep the next door of a workflow shut, and those of running that fail."""
    name = next_door(facts)
    shut = doors.door(name, GATES, status)
    found = [*shut.shut_by, *shut.unknown]
    if facts.state != "registered":
        found += [gate for gate in doors.door("R", GATES, status).shut_by if gate not in found]
    return sorted(found, key=_place)


def _place(gate: str) -> int:
    return list(BY_NAME).index(gate)


def _place_last(gate: str) -> tuple[bool, int]:
    """What waits for a gate to be built comes after everything that somebody can do this week."""
    return BY_NAME[gate].decide is None, _place(gate)


def next_actions(
    workflows: Sequence[WorkflowFacts],
    status: Mapping[str, Mapping[str, GateStatus]],
    who: Mapping[tuple[str, str], str],
) -> list[NextAction]:
    """What has to be done, by whom and by when; what lets something run again first, then what opens a door by itself, then in
    the order of the plan. The same thing that several workflows want from the same person is one action.

    Args:
        status: by workflow and gate.
        who: by workflow and gate.
    """
    grouped: dict[tuple[str, str, str], list[tuple[WorkflowFacts, GateStatus, bool, bool]]] = {}
    for facts in workflows:
        own = status[facts.workflow]
        wanted = missing(facts, own)
        for name in wanted:
            gate = own.get(name)
            if gate is None:
                continue
            stops = gate.shown == "fail" and "R" in BY_NAME[name].holds and facts.mode == "enforce"
            key = (name, gate.fix or gate.reason, who[facts.workflow, name])
            grouped.setdefault(key, []).append((facts, gate, len(wanted) == 1, stops))
    actions = [_action(key, some) for key, some in grouped.items()]
    return sorted(actions, key=lambda one: (-len(one.stopped), -len(one.opens), *_place_last(one.gate), one.what))


def _action(key: tuple[str, str, str], some: list[tuple[WorkflowFacts, GateStatus, bool, bool]]) -> NextAction:
    name, what, who = key
    gate = BY_NAME[name]
    opens = tuple(facts.workflow for facts, _, alone, _ in some if alone)
    stopped = tuple(facts.workflow for facts, _, _, stops in some if stops)
    dates = [deadline_ms(gate, one) for _, one, _, _ in some if one.since_ms]
    return NextAction(
        gate=name, what=what, why=some[0][1].reason, who=who, workflows=tuple(facts.workflow for facts, _, _, _ in some),
        opens=opens, stopped=stopped, effect=_effect(gate.title, opens, stopped),
        due_ms=min(dates, default=0),
    )  # fmt: skip


def _effect(title: str, opens: Sequence[str], stopped: Sequence[str]) -> str:
    if stopped:
        return f"{_several(stopped)} may run again"
    if opens:
        return f"the next door of {_several(opens)} opens"
    return f"{title} is no longer in the way"


def _several(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
