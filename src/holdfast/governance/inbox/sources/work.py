"""What became of a workflow's answers in a week, by the type of task: edited or asked again, or ended by a failure, more often
than is good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, case, func, select

from holdfast.governance import limits
from holdfast.governance.inbox.model import DAY_MS, Condition
from holdfast.governance.inbox.port import Answerable, InboxPeople, responsible
from holdfast.governance.inbox.sources.people import Staffing
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.outcomes import outcome_proxies as proxies
from holdfast.governance.store.tables.workflows import workflow_runs as runs
from holdfast.visible import visible

WEEK_MS: Final = 7 * DAY_MS


class WorkConditions:
    """Conditions of work.

    Args:
        workflows: whose work.
        people: who is there.
    """

    name: Final = "work"

    def __init__(self, database: Store, workflows: Staffing, people: InboxPeople) -> None:
        self._store = database
        self._workflows = workflows
        self._people = people

    async def conditions(self, tenant: str, now_ms: int, /) -> Sequence[Condition]:
        """See ``ConditionSource``."""
        rows = await self._store.read(lambda connection: _week(connection, tenant, now_ms - WEEK_MS, now_ms))
        living = {one.workflow: one for one in self._workflows.listed(tenant) if one.state != "retired"}
        found = []
        for row in rows:
            if row.workflow not in living:
                continue
            for kind, bad, words in (
                ("work.again", row.again, "were edited or asked again"),
                ("work.failed", row.failed, "ended with a failure"),
            ):
                if bad >= limits.INBOX_WEEK_LEAST and bad * 100 >= row.n * limits.INBOX_WEEK_PERCENT:
                    why = f"{bad} of {row.n} runs of a week {words}"
                    found.append(self._condition(tenant, living[row.workflow], kind, visible(row.task), why, now_ms))
        return found

    def _condition(self, tenant: str, one: Answerable, kind: str, task: str, why: str, now_ms: int) -> Condition:
        return Condition(
            key=f"{kind}|{one.workflow}{f'|{task}' if task else ''}", kind=kind, workflow=one.workflow,
            person=responsible(self._people, tenant, one),
            title=f"{one.workflow}: look at its answers{f' to {task}' if task else ''}", why=why,
            what=f"Read some of them: holdfast workflow changes {one.workflow} says what is new since",
            link=f"/console/workflows/{one.workflow}", severity="normal", due_ms=now_ms + WEEK_MS,
        )  # fmt: skip


def _week(connection: Connection, tenant: str, since_ms: int, until_ms: int) -> Sequence[Row[Any]]:
    """Workflow, task, runs, and how many of them were asked again or failed; those of which there were most."""
    same = and_(proxies.c.tenant == runs.c.tenant, proxies.c.session == runs.c.session, proxies.c.run == runs.c.run)
    again = func.sum(case((proxies.c.edited, 1), (proxies.c.regenerated, 1), else_=0)).label("again")
    failed = func.sum(case((runs.c.status == "failed", 1), else_=0)).label("failed")
    task, n = func.coalesce(runs.c.task, "").label("task"), func.count().label("n")
    wanted = select(runs.c.workflow, task, n, again, failed).select_from(runs.outerjoin(proxies, same))
    where = (
        runs.c.tenant == tenant, runs.c.queued_ms >= since_ms, runs.c.queued_ms < until_ms, runs.c.test.is_(False),
        runs.c.parent == "",
    )  # fmt: skip
    group = wanted.where(*where).group_by(runs.c.workflow, task).order_by(n.desc(), runs.c.workflow, task)
    return connection.execute(group.limit(limits.INBOX_WEEK_TASKS)).all()
