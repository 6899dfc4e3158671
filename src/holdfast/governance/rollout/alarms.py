"""Alarms: what fails of a workflow in production without stopping it, each with a date. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from holdfast.governance.rollout.critical_path import deadline_ms
from holdfast.governance.rollout.doors import GateStatus
from holdfast.governance.rollout.port import WorkflowFacts
from holdfast.governance.rollout.registry import BY_NAME


class GateAlarm(msgspec.Struct, frozen=True):
    """A gate of a workflow in production that fails, and holds no run.

    Attributes:
        since_ms: since when; ``due_ms``: by when it is to be mended. Past that the sponsor is told.
    """

    gate: str
    workflow: str
    reason: str
    fix: str
    since_ms: int
    due_ms: int


def alarms(facts: WorkflowFacts, status: Mapping[str, GateStatus]) -> list[GateAlarm]:
    """The alarms of a workflow, in the order of the plan; none before production."""
    if facts.state != "production":
        return []
    return [
        GateAlarm(name, facts.workflow, one.reason, one.fix, one.since_ms, deadline_ms(gate, one))
        for name, gate in BY_NAME.items()
        if "R" not in gate.holds and (one := status.get(name)) is not None and one.shown == "fail"
    ]
