"""Gates that keep a door shut, and alarms of the plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.governance.inbox.model import Condition
from holdfast.governance.inbox.port import InboxPeople, responsible
from holdfast.governance.rollout.alarms import alarms
from holdfast.governance.rollout.critical_path import deadline_ms, missing
from holdfast.governance.rollout.doors import GateStatus
from holdfast.governance.rollout.port import WorkflowFacts
from holdfast.governance.rollout.registry import BY_NAME
from holdfast.governance.rollout.service import Rollout

WAITS: Final = frozenset({"unbuilt", "few"})
"""Causes of an unknown about which nobody can do anything but wait."""
OWN: Final = "6.b"
"""The gate that judges by these very items: it is the sponsor's to mend, with more hours or more people. An item of the owner's
would keep red what it is about."""


class PlanConditions:
    """Conditions of the plan.

    Args:
        plan: as it stands in memory.
        people: who is there.
    """

    name: Final = "plan"

    def __init__(self, plan: Rollout, people: InboxPeople) -> None:
        self._plan = plan
        self._people = people

    async def conditions(self, tenant: str, now_ms: int, /) -> Sequence[Condition]:
        """See ``ConditionSource``."""
        found: dict[str, Condition] = {}
        for facts in self._plan.workflows(tenant):
            status = {one.gate: one for one in self._plan.gates(tenant, facts.workflow)}
            loud = {one.gate for one in alarms(facts, status)}
            for gate in [*missing(facts, status), *sorted(loud)]:
                own = status[gate]
                if not (own.shown == "unknown" and (own.cause in WAITS or gate == OWN)):
                    one = self._condition(tenant, facts, own, loud=gate in loud)
                    found.setdefault(one.key, one)
        return list(found.values())

    def _condition(self, tenant: str, facts: WorkflowFacts, status: GateStatus, *, loud: bool) -> Condition:
        gate = BY_NAME[status.gate]
        place = facts.workflow if gate.span == "workflow" else ""
        who = self._plan.who(tenant, gate.name, facts.workflow)
        if gate.name == OWN:
            role, person = "sponsor", facts.sponsor
        elif gate.who == "owner":
            role, person = "owner", responsible(self._people, tenant, facts)
        else:
            role, person = gate.who, "" if who == gate.who else who
        stops = status.shown == "fail" and "R" in gate.holds and facts.mode == "enforce" and facts.state != "registered"
        word = "fails" if status.shown == "fail" else "cannot be told"
        return Condition(
            key=f"gate|{place}|{gate.name}", kind=f"{'alarm' if loud else 'gate'}:{gate.name}", workflow=place, role=role,
            person=person, sponsor=facts.sponsor if person != facts.sponsor else "",
            title=f"{place or 'The organisation'}: gate {gate.name} ({gate.title}) {word}",
            why=f"{'It begins nothing new: ' if stops else ''}{status.reason}", what=status.fix or f"Mend gate {gate.name}",
            link=f"/console/workflows/{facts.workflow}" if place else "/console/plan",
            severity="high" if loud or stops else "normal" if status.shown == "fail" else "low", stops=stops,
            due_ms=deadline_ms(gate, status),
        )  # fmt: skip
