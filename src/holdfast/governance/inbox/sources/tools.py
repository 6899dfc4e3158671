"""Tools of a workflow that failed too often in a week, as runs that ended called them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, func, select

from holdfast.governance import limits
from holdfast.governance.inbox.model import DAY_MS, Condition
from holdfast.governance.inbox.port import InboxPeople, responsible
from holdfast.governance.inbox.sources.people import Staffing
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.workflows import workflow_run_tools as tools
from holdfast.governance.store.tables.workflows import workflow_runs as runs
from holdfast.visible import visible

WEEK_MS: Final = 7 * DAY_MS


class ToolConditions:
    """Conditions of tools.

    Args:
        workflows: whose tools.
        people: who is there.
    """

    name: Final = "tools"

    def __init__(self, database: Store, workflows: Staffing, people: InboxPeople) -> None:
        self._store = database
        self._workflows = workflows
        self._people = people

    async def conditions(self, tenant: str, now_ms: int, /) -> Sequence[Condition]:
        """See ``ConditionSource``."""

        def work(connection: Connection) -> list[tuple[Row[Any], str]]:
            rows = _week(connection, tenant, now_ms - WEEK_MS, now_ms)
            return [(row, _last(connection, tenant, row, now_ms)) for row in rows]

        found = await self._store.read(work)
        living = {one.workflow: one for one in self._workflows.listed(tenant) if one.state != "retired"}
        return [
            Condition(
                key=f"tool.errors|{row.workflow}|{row.tool}", kind="tool.errors", workflow=row.workflow,
                person=responsible(self._people, tenant, living[row.workflow]),
                title=f"{row.workflow}: {visible(row.tool)} fails",
                why=f"{row.errors} of {row.calls} calls of a week failed, the last with {visible(code)}",
                what=f"Mend it, or have the agent do without: holdfast workflow changes {row.workflow} says what is new since",
                link=f"/console/workflows/{row.workflow}", due_ms=now_ms + WEEK_MS,
            )
            for row, code in found
            if row.workflow in living
        ]  # fmt: skip


def _week(connection: Connection, tenant: str, since_ms: int, until_ms: int) -> Sequence[Row[Any]]:
    """Workflow, tool, calls and errors of those that failed too often. Rows in which errors were not counted say nothing."""
    of, calls, errors = tools.c, func.sum(tools.c.calls), func.sum(tools.c.errors)
    same = and_(runs.c.tenant == of.tenant, runs.c.id == of.id)
    wanted = (
        select(of.workflow, of.tool, calls.label("calls"), errors.label("errors"))
        .select_from(tools.join(runs, same))
        .where(of.tenant == tenant, of.queued_ms >= since_ms, of.queued_ms < until_ms, of.errors.is_not(None))
        .where(runs.c.test.is_(False))
        .group_by(of.workflow, of.tool)
        .having(errors >= limits.INBOX_WEEK_LEAST, errors * 100 >= calls * limits.INBOX_WEEK_PERCENT)
    )
    wanted = wanted.order_by(errors.desc(), of.workflow, of.tool).limit(limits.INBOX_WEEK_TASKS)
    return list[Any](connection.execute(wanted))


def _last(connection: Connection, tenant: str, row: Row[Any], now_ms: int) -> str:
    of = tools.c
    here = of.tenant == tenant, of.workflow == row.workflow, of.tool == row.tool, of.errors > 0, of.queued_ms < now_ms
    wanted = select(of.error).where(*here, of.queued_ms >= now_ms - WEEK_MS).order_by(of.queued_ms.desc(), of.id.desc())
    return connection.scalar(wanted.limit(1)) or "error"
