"""Approvals that wait in sessions of a workflow: of each tool the one that waits longest, with how many wait behind it.

An item is about one approval, so that its date is that one's: when it is decided its item closes, and the next one has an
item of its own. Most are decided by whoever sits in the session; only one that has waited for a while is somebody else's
business, and only one that may wait long enough for them to come.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Row, func, select

from holdfast.governance import limits
from holdfast.governance.inbox.model import HOUR_MS, Condition, Severity
from holdfast.governance.inbox.port import InboxPeople, responsible
from holdfast.governance.inbox.sources.people import Staffing
from holdfast.governance.ledger.store import session_names
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.workflows import workflow_approvals as approvals
from holdfast.governance.workflows.model import CurrentWorkflow, ToolEffect
from holdfast.visible import visible

HOURS: Final[Mapping[ToolEffect, int]] = {"write": 2, "memory": 4, "read": 8}
"""In which an approval is to be decided, by what its tool does: what acts on the world first."""
SEVERITY: Final[Mapping[ToolEffect, Severity]] = {"write": "high", "memory": "normal", "read": "low"}
_DOES: Final[Mapping[ToolEffect, str]] = {
    "write": "it acts on the world, or nobody classed it", "memory": "it writes the agent's memory", "read": "it only reads",
}  # fmt: skip


class ToolWorkflows(Staffing, Protocol):
    """The workflows, and what their tools do (``workflows``)."""

    def effect_of(self, tenant: str, tool: str, /) -> ToolEffect:
        """What a tool counts as."""


class ApprovalConditions:
    """Conditions of approvals.

    Args:
        workflows: whose approvals.
        people: who is there.
        zone: of a tenant's days.
    """

    name: Final = "approvals"

    def __init__(
        self, database: Store, workflows: ToolWorkflows, people: InboxPeople, zone: Callable[[str], zoneinfo.ZoneInfo]
    ) -> None:
        self._store = database
        self._workflows = workflows
        self._people = people
        self._zone = zone

    async def conditions(self, tenant: str, now_ms: int, /) -> Sequence[Condition]:
        """See ``ConditionSource``."""

        def work(connection: Connection) -> tuple[Sequence[Row[Any]], dict[str, str]]:
            rows = _oldest(connection, tenant, now_ms)
            return rows, session_names(connection, {row.session for row in rows})

        rows, names = await self._store.read(work)
        living = {one.workflow: one for one in self._workflows.listed(tenant) if one.state != "retired"}
        return [
            self._condition(tenant, living[row.workflow], row, names.get(row.session, ""))
            for row in rows
            if row.workflow in living
        ]

    def _condition(self, tenant: str, one: CurrentWorkflow, row: Row[Any], session: str) -> Condition:
        tool, effect = visible(row.tool), self._workflows.effect_of(tenant, row.tool)
        person = responsible(self._people, tenant, one)
        where = f"session {visible(session)[:140]}" if session else "a session that is gone"
        count = f"{row.n} approvals of {tool} wait" if row.n > 1 else f"an approval of {tool} waits"
        since, until = (_moment(at_ms, self._zone(tenant)) for at_ms in (row.at_ms, row.deadline_ms))
        return Condition(
            key=f"approval|{row.workflow}|{row.id}", kind="approval.waits", workflow=row.workflow, person=person,
            sponsor=one.sponsor if one.sponsor != person else "", title=f"{row.workflow}: {count}",
            why=f"the first waits since {since} in {where}, and expires {until}; {_DOES[effect]}",
            what=f"Decide it in {where}", link=f"/console/workflows/{row.workflow}", severity=SEVERITY[effect],
            due_ms=due_ms(row.at_ms, row.deadline_ms, effect),
        )  # fmt: skip


def due_ms(at_ms: int, deadline_ms: int, effect: ToolEffect) -> int:
    """When an approval is to be decided: some hours after it was asked for, and well before it expires. One that nobody
    decided until it expired was not done in time."""
    return at_ms + min(HOURS[effect] * HOUR_MS, (deadline_ms - at_ms) * 3 // 4)


def _oldest(connection: Connection, tenant: str, now_ms: int) -> Sequence[Row[Any]]:
    """The one that waits longest of each workflow and tool, with how many wait."""
    of = approvals.c
    group = [of.workflow, of.tool]
    place = func.row_number().over(partition_by=group, order_by=(of.at_ms, of.id)).label("place")
    some = select(
        of.id, of.workflow, of.tool, of.session, of.at_ms, of.deadline_ms, func.count().over(partition_by=group).label("n"), place,
    ).where(
        of.tenant == tenant, of.at_ms <= now_ms - limits.INBOX_APPROVAL_AFTER_MS, of.deadline_ms > now_ms,
        of.deadline_ms - of.at_ms >= limits.INBOX_APPROVAL_LEAST_MS,
    ).subquery()  # fmt: skip
    wanted = select(some).where(some.c.place == 1).order_by(some.c.at_ms, some.c.id)
    return connection.execute(wanted.limit(limits.INBOX_CONDITIONS)).all()


def _moment(at_ms: int, zone: zoneinfo.ZoneInfo) -> str:
    return f"{datetime.datetime.fromtimestamp(at_ms / 1_000, zone):%a %d %b %H:%M}"
