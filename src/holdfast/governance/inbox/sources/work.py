"""What became of a workflow's answers in a week: edited or asked again, or ended by a failure, more often than is good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Row, and_, case, func, select

from holdfast.governance.inbox.model import DAY_MS, Condition
from holdfast.governance.inbox.port import Answerable, InboxPeople, responsible
from holdfast.governance.inbox.sources.people import Staffing
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.outcomes import outcome_proxies as proxies
from holdfast.governance.store.tables.workflows import workflow_runs as runs

WEEK_MS: Final = 7 * DAY_MS
LEAST: Final = 5
PERCENT: Final = 10
"""So many runs of a week, and at least so much of all of them, are worth a look."""


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
        counts = {row.workflow: row for row in rows}
        found = []
        for one in self._workflows.listed(tenant):
            row = counts.get(one.workflow)
            if row is None or one.state == "retired":
                continue
            for kind, bad, words in (
                ("work.again", row.again, "were edited or asked again"),
                ("work.failed", row.failed, "ended with a failure"),
            ):
                if bad is not None and bad >= LEAST and bad * 100 >= row.n * PERCENT:
                    found.append(self._condition(tenant, one, kind, f"{bad} of {row.n} runs of a week {words}", now_ms))
        return found

    def _condition(self, tenant: str, one: Answerable, kind: str, why: str, now_ms: int) -> Condition:
        return Condition(
            key=f"{kind}|{one.workflow}", kind=kind, workflow=one.workflow,
            person=responsible(self._people, tenant, one), title=f"{one.workflow}: look at its answers", why=why,
            what=f"Read some of them: holdfast workflow changes {one.workflow} says what is new since",
            link=f"/console/workflows/{one.workflow}", severity="normal", due_ms=now_ms + WEEK_MS,
        )  # fmt: skip


def _week(
    connection: Connection, tenant: str, since_ms: int, until_ms: int
) -> Sequence[Row[tuple[str, int, int, int]]]:
    same = and_(proxies.c.tenant == runs.c.tenant, proxies.c.session == runs.c.session, proxies.c.run == runs.c.run)
    again = func.sum(case((proxies.c.edited, 1), (proxies.c.regenerated, 1), else_=0)).label("again")
    failed = func.sum(case((runs.c.status == "failed", 1), else_=0)).label("failed")
    wanted = select(runs.c.workflow, func.count().label("n"), again, failed).select_from(runs.outerjoin(proxies, same))
    where = (
        runs.c.tenant == tenant, runs.c.queued_ms >= since_ms, runs.c.queued_ms < until_ms, runs.c.test.is_(False),
        runs.c.parent == "",
    )  # fmt: skip
    return connection.execute(wanted.where(*where).group_by(runs.c.workflow).order_by(runs.c.workflow)).all()
