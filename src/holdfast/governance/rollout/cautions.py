"""Warnings of the framework that can be computed: what goes wrong in organisations before any gate is red. Pure.

Each is ``seen``, ``clear`` or ``unknown``; an unknown one says what is missing, and never counts as clear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from holdfast.governance.rollout.doors import OPENS, GateStatus
from holdfast.governance.rollout.model import DAY_MS, Rows
from holdfast.governance.rollout.port import WorkflowFacts

CautionState = Literal["seen", "clear", "unknown"]
ESCAPE_PERCENT: Final = 20
"""Of the spend of the window, without a workflow that has an owner."""
PILOT_DAYS: Final = 120
"""After which a pilot that is still one never ends by itself (gate 7.a has the same bound)."""
_ACCESS: Final = ("2.a", "3.a", "3.b")
"""Gates that say whether access is fixed."""


class Caution(msgspec.Struct, frozen=True):
    """One warning.

    Attributes:
        name: ``budget_escape``, ``coding_template``, ``access_first``, ``endless_pilot``, ``overhang``, ``long_contract``.
        text: in a sentence, with its numbers.
        workflows: that it is about.
    """

    name: str
    state: CautionState
    text: str
    workflows: tuple[str, ...] = ()


def cautions(
    workflows: Sequence[WorkflowFacts],
    status: Mapping[str, Mapping[str, GateStatus]],
    spend: Rows,
    ideas: Rows,
    now_ms: int,
) -> list[Caution]:
    """All of them.

    Args:
        spend: ``{workflow, nano}`` of the window.
        ideas: ``{name, template}``: ideas whose value was taken from coding though their work is not like it.
    """
    return [
        _escape(workflows, spend),
        _template(ideas),
        _access(workflows, status),
        _endless(workflows, now_ms),
        Caution("overhang", "unknown", "Which model releases a workflow has not been validated on is not known: nobody has built that yet."),
        Caution("long_contract", "unknown", "Terms of contracts are not known: nobody has built that yet."),
    ]  # fmt: skip


def _escape(workflows: Sequence[WorkflowFacts], spend: Rows) -> Caution:
    total = sum(int(row["nano"] or 0) for row in spend)
    if not total:
        return Caution("budget_escape", "unknown", "Nothing was spent in the window, or nothing of it is on record.")
    owned = {one.workflow for one in workflows if one.owner}
    loose = [row for row in spend if row["workflow"] not in owned and int(row["nano"] or 0) > 0]
    share = sum(int(row["nano"] or 0) for row in loose) * 100 // total
    names = tuple(str(row["workflow"]) for row in sorted(loose, key=lambda row: -int(row["nano"] or 0)))
    state: CautionState = "seen" if share > ESCAPE_PERCENT else "clear"
    return Caution(
        "budget_escape", state, f"{share} % of the spend of 28 days has no workflow with an owner.", names[:10]
    )


def _template(ideas: Rows) -> Caution:
    if not ideas:
        return Caution("coding_template", "unknown", "No idea was put through triage.")
    names = tuple(str(row["name"]) for row in ideas if row["template"])
    if not names:
        return Caution("coding_template", "clear", "No value was taken over from coding agents.")
    words = "expects what coding agents gained, without technical users or output that can be verified"
    return Caution("coding_template", "seen", f"{len(names)} of {len(ideas)} ideas: {names[0]} {words}.", names)


def _access(workflows: Sequence[WorkflowFacts], status: Mapping[str, Mapping[str, GateStatus]]) -> Caution:
    """Access that is not known to be fixed is not fixed: unknown blocks."""
    running = [one for one in workflows if one.state in ("pilot", "production")]
    if not running:
        return Caution("access_first", "clear", "Nothing was launched.")
    names = tuple(
        one.workflow for one in running if any(_shown(status, one.workflow, gate) not in OPENS for gate in _ACCESS)
    )
    state: CautionState = "seen" if names else "clear"
    return Caution(
        "access_first", state, f"{len(names)} of {len(running)} workflows run before their access was proven.", names
    )


def _shown(status: Mapping[str, Mapping[str, GateStatus]], workflow: str, gate: str) -> str:
    found = status.get(workflow, {}).get(gate)
    return found.shown if found is not None else "unknown"


def _endless(workflows: Sequence[WorkflowFacts], now_ms: int) -> Caution:
    pilots = [one for one in workflows if one.state == "pilot"]
    names = tuple(one.workflow for one in pilots if now_ms - one.since_ms > PILOT_DAYS * DAY_MS)
    if not names:
        return Caution("endless_pilot", "clear", f"None of {len(pilots)} pilots is older than {PILOT_DAYS} days.")
    return Caution(
        "endless_pilot", "seen", f"{len(names)} of {len(pilots)} pilots are older than {PILOT_DAYS} days.", names
    )
