"""Waivers that end soon, of gates that would fail without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.governance.inbox.model import DAY_MS, Condition
from holdfast.governance.inbox.port import InboxPeople, responsible
from holdfast.governance.rollout.doors import GateStatus
from holdfast.governance.rollout.registry import BY_NAME
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.rollout.waivers import GateWaiver

SOON_MS: Final = 7 * DAY_MS


def _what(status: GateStatus, waiver: GateWaiver) -> str:
    if status.cause == "unbuilt":
        return f"Ask {waiver.by.partition(':')[2]}, who gave it, to renew it: whoever has this cannot"
    return status.fix or f"Mend gate {waiver.gate}, or ask for a renewal"


class WaiverConditions:
    """Conditions of waivers. See ``PlanConditions``."""

    name: Final = "waivers"

    def __init__(self, plan: Rollout, people: InboxPeople) -> None:
        self._plan = plan
        self._people = people

    async def conditions(self, tenant: str, now_ms: int, /) -> Sequence[Condition]:
        """See ``ConditionSource``."""
        workflows = {one.workflow: one for one in self._plan.workflows(tenant)}
        found = []
        for waiver in self._plan.waivers(tenant):
            facts = workflows.get(waiver.workflow)
            if not waiver.holds(now_ms) or waiver.until_ms - now_ms > SOON_MS or (waiver.workflow and facts is None):
                continue
            status = {one.gate: one for one in self._plan.gates(tenant, waiver.workflow)}[waiver.gate]
            if status.shown != "waived":
                continue  # it passes by itself
            gate = BY_NAME[waiver.gate]
            person = responsible(self._people, tenant, facts) if facts is not None else ""
            found.append(
                Condition(
                    key=f"waiver|{waiver.id}", kind="waiver.ends", workflow=waiver.workflow,
                    role="owner" if facts is not None else gate.who, person=person,
                    sponsor=facts.sponsor if facts is not None and facts.sponsor != person else "",
                    title=f"{waiver.workflow or 'The organisation'}: the waiver of gate {waiver.gate} ends soon",
                    why=f"then {gate.title} is {status.verdict}: {status.reason}",
                    what=_what(status, waiver), link="/console/waivers",
                    severity="high" if "R" in gate.holds else "normal", due_ms=waiver.until_ms,
                )
            )  # fmt: skip
        return found
