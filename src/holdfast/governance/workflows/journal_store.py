"""Statements of the journal: functions of a connection, each in the transaction of whoever calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select, update

from holdfast.governance import labels, limits
from holdfast.governance.ledger.store import add_once, reference_of, session_names, session_reference
from holdfast.governance.store.tables.ledger import ledger_rows
from holdfast.governance.store.tables.workflows import workflow_run_tools as run_tools
from holdfast.governance.store.tables.workflows import workflow_runs as runs
from holdfast.governance.store.tables.workflows import workflow_steps as steps
from holdfast.governance.workflows.journal_question import JournalQuestion
from holdfast.governance.workflows.run_record import JournalRun, RunCounts, below, run_id
from holdfast.governance.workflows.store import plain


class ListedRun(NamedTuple):
    """A row of the journal for people; ``name``: of its session, empty for one that was deleted."""

    run: JournalRun
    name: str


def add(connection: Connection, new: JournalRun, session: str, incarnation: str) -> bool:
    """Put a run on record, below its parent and under the version that held when it was queued; whether it was new.

    Args:
        session: its name; what is kept of it is a reference.
    """
    if find(connection, new.tenant, new.id) is not None:
        return False
    if new.parent:
        new = below(new, find(connection, new.tenant, run_id(incarnation, new.parent)))
    reference = reference_of(connection, new.tenant, session, new.queued_ms)
    version = version_at(connection, new.tenant, new.workflow, new.queued_ms)
    add_once(connection, runs, msgspec.structs.asdict(new) | {"session": reference, "version": version})
    return True


def find(connection: Connection, tenant: str, ident: str) -> JournalRun | None:
    """A run by its id, or None."""
    row = connection.execute(select(runs).where(runs.c.tenant == tenant, runs.c.id == ident)).first()
    return msgspec.convert(plain(row), JournalRun) if row is not None else None


def workflows_of_run(connection: Connection, tenant: str, session: str, run: str) -> list[str]:
    """The workflows of a run of a session and of the run above it all, in that order; none for a run that is not there.

    Args:
        run: empty for the run that people or programs began last.
    """
    reference = session_reference(connection, tenant, session)
    if not reference:
        return []
    wanted = select(runs.c.id, runs.c.root, runs.c.workflow).where(
        runs.c.tenant == tenant, runs.c.session == reference, runs.c.run == run if run else runs.c.parent == ""
    )
    row = connection.execute(wanted.order_by(runs.c.queued_ms.desc(), runs.c.id).limit(1)).first()
    if row is None:
        return []
    incarnation, _, _ = row.id.partition(":")
    top = find(connection, tenant, run_id(incarnation, row.root))
    return [row.workflow] if top is None else [row.workflow, top.workflow]


def version_at(connection: Connection, tenant: str, workflow: str, at_ms: int) -> str:
    """The version of a workflow's manifest that held at a moment; empty for none."""
    where = steps.c.tenant == tenant, steps.c.workflow == workflow, steps.c.what == "version", steps.c.at_ms <= at_ms
    return connection.scalar(select(steps.c.after).where(*where).order_by(steps.c.at_ms.desc()).limit(1)) or ""


def end(connection: Connection, tenant: str, ident: str, ended_ms: int, status: str, counts: RunCounts | None) -> bool:
    """A run has ended. Whether that is news.

    Args:
        counts: None where what it did cannot be read any more.
    """
    there = runs.c.tenant == tenant, runs.c.id == ident
    row = connection.execute(
        select(runs.c.counted, runs.c.ended_ms, runs.c.workflow, runs.c.queued_ms).where(*there)
    ).one()
    if row.counted:
        return False
    values: dict[str, Any] = {"ended_ms": ended_ms, "status": status, "lost": counts is None}
    if counts is not None:
        numbers = {name: getattr(counts, name) for name in ("tools", "side_effects", "unclassified", "memory")}
        values |= numbers | {"counted": True}
        for each in counts.by_tool:
            facts = msgspec.structs.asdict(each)
            key = {"tenant": tenant, "id": ident, "workflow": row.workflow, "queued_ms": row.queued_ms}
            add_once(connection, run_tools, facts | key)
    connection.execute(update(runs).where(*there).values(values))
    return row.ended_ms is None


def lose_open(connection: Connection, before_ms: int) -> int:
    """The feed has a gap: runs that are open may have ended in it. One whose end comes after all is counted then."""
    where = runs.c.ended_ms.is_(None), runs.c.queued_ms <= before_ms
    return connection.execute(update(runs).where(*where).values(lost=True)).rowcount


def forget_session(connection: Connection, tenant: str, session: str) -> int:
    """A session was deleted: nothing leads to it any more, and what its uncounted runs did is lost. How many were its."""
    reference = session_reference(connection, tenant, session)
    if not reference:
        return 0
    mine = runs.c.tenant == tenant, runs.c.session == reference
    connection.execute(update(runs).where(*mine, runs.c.counted.is_(False)).values(lost=True))
    return connection.execute(update(runs).where(*mine).values(session="")).rowcount


def page(connection: Connection, tenant: str, question: JournalQuestion, limit: int) -> list[ListedRun]:
    """The runs that a question is about, the newest first."""
    if not question.recorded:
        return _unrecorded(connection, tenant, question, limit)
    where = [runs.c.tenant == tenant, runs.c.queued_ms >= question.since_ms, *_asked_for(question)]
    if question.after is not None:
        at_ms, ident = question.after
        where.append(or_(runs.c.queued_ms < at_ms, and_(runs.c.queued_ms == at_ms, runs.c.id > ident)))
    found = connection.execute(select(runs).where(*where).order_by(runs.c.queued_ms.desc(), runs.c.id).limit(limit))
    return _with_names(connection, [msgspec.convert(plain(row), JournalRun) for row in found])


def _asked_for(question: JournalQuestion) -> list[ColumnElement[bool]]:
    flags = (
        (question.top, runs.c.parent == ""),
        (question.interactive, runs.c.interactive),
        (question.seated, or_(runs.c.usage == labels.SEATED, runs.c.interactive)),
        (question.memory, runs.c.memory > 0),
        (question.side_effects, runs.c.side_effects > 0),
        (question.unclassified, runs.c.unclassified > 0),
        (question.lost, or_(runs.c.lost, not_(runs.c.counted))),
        (question.test, runs.c.test),
    )
    found = [condition if wanted else not_(condition) for wanted, condition in flags if wanted is not None]
    if question.workflow:
        found.append(runs.c.workflow == question.workflow)
    if question.until_ms is not None:
        found.append(runs.c.queued_ms < question.until_ms)
    return found


def _unrecorded(connection: Connection, tenant: str, question: JournalQuestion, limit: int) -> list[ListedRun]:
    """Runs that the ledger paid for, and the journal does not have; what they did is not known."""
    of = ledger_rows.c
    there = select(runs.c.id).where(
        runs.c.tenant == of.tenant, runs.c.run == of.run, runs.c.session.in_((of.session, ""))
    )
    first = func.min(of.at_ms)
    where = [of.tenant == tenant, of.run != "", of.session != "", of.at_ms >= question.since_ms, ~there.exists()]
    if question.workflow:
        where.append(of.workflow == question.workflow)
    if question.until_ms is not None:
        where.append(of.at_ms < question.until_ms)
    wanted = select(of.session, of.run, func.min(of.workflow), func.min(of.agent), first).where(*where)
    found = connection.execute(wanted.group_by(of.session, of.run).order_by(first.desc(), of.run).limit(limit))
    return _with_names(
        connection,
        [
            JournalRun(
                tenant=tenant, id=f":{run}", session=session, run=run, root=run, workflow=workflow, agent=agent,
                queued_ms=at_ms, lost=True,
            )
            for session, run, workflow, agent, at_ms in found
        ],
    )  # fmt: skip


def _with_names(connection: Connection, found: Sequence[JournalRun]) -> list[ListedRun]:
    names = session_names(connection, {one.session for one in found if one.session})
    return [ListedRun(one, names.get(one.session, "")) for one in found]


def tools_between(
    connection: Connection, tenant: str, workflow: str, since_ms: int, until_ms: int
) -> dict[str, tuple[int, int]]:
    """``(runs, calls)`` of each tool that runs of a workflow called which were queued in a time."""
    of = run_tools.c
    where = of.tenant == tenant, of.workflow == workflow, of.queued_ms >= since_ms, of.queued_ms < until_ms
    wanted = select(of.tool, func.count(), func.sum(of.calls)).where(*where).group_by(of.tool).order_by(of.tool)
    found = connection.execute(wanted.limit(limits.WORKFLOW_PAGE_ROWS))
    return {tool: (int(number), int(calls)) for tool, number, calls in found}


def agents_between(
    connection: Connection, tenant: str, workflow: str, since_ms: int, until_ms: int
) -> dict[str, tuple[int, int]]:
    """``(runs, the last one queued)`` of each agent that ran for a workflow in a time; test runs are none."""
    of = runs.c
    where = of.tenant == tenant, of.workflow == workflow, of.queued_ms >= since_ms, of.queued_ms < until_ms
    wanted = select(of.agent, func.count(), func.max(of.queued_ms)).where(*where, of.test.is_(False))
    found = connection.execute(wanted.group_by(of.agent).order_by(of.agent).limit(limits.WORKFLOW_PAGE_ROWS))
    return {agent: (int(number), int(last)) for agent, number, last in found}
