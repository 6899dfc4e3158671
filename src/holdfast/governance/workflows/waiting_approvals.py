"""Approvals that wait for somebody in sessions: kept while they wait, from the notices of the feed.

A row is there from when an approval was requested until it was decided, it expired, or its run ended; with what a gap of the
feed has swallowed it is there until its deadline. What a program answers, and no person, is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete

from holdfast.engines.port import Notice
from holdfast.governance import labels, limits
from holdfast.governance.ledger.store import add_once, reference_of, session_reference
from holdfast.governance.store.tables.workflows import workflow_approvals as approvals
from holdfast.governance.workflows.run_record import run_id
from holdfast.protocol import events as e

TYPES: Final = frozenset({e.APPROVAL_REQUESTED, e.APPROVAL_RESOLVED, e.APPROVAL_EXPIRED, e.RUN_ENDED})
"""Notices that begin or end the waiting of one."""


def take(connection: Connection, notices: Sequence[Notice], workflow_of: Callable[[Notice], str]) -> None:
    """Have what waits after these notices, in their order. A page may come twice: what it ends it ends again.

    Args:
        workflow_of: whose the run of a notice is.
    """
    newest_ms = 0
    for notice in notices:
        facts, here = notice.data, approvals.c.tenant == notice.key.tenant
        if facts["type"] == e.APPROVAL_REQUESTED:
            if row := _row(connection, notice, workflow_of):
                add_once(connection, approvals, row)
                newest_ms = max(newest_ms, facts["ts"])
        elif facts["type"] == e.RUN_ENDED and facts.get("run"):
            run = run_id(facts["incarnation"], facts["run"])
            connection.execute(delete(approvals).where(here, approvals.c.run == run))
        elif facts.get("approval"):
            ident = run_id(facts["incarnation"], facts["approval"])
            connection.execute(delete(approvals).where(here, approvals.c.id == ident))
    if newest_ms:
        connection.execute(delete(approvals).where(approvals.c.deadline_ms < newest_ms - limits.WORKFLOW_APPROVAL_MS))


def _row(connection: Connection, notice: Notice, workflow_of: Callable[[Notice], str]) -> dict[str, Any] | None:
    facts, tenant = notice.data, notice.key.tenant
    claims = facts.get("labels") or {}
    workflow = workflow_of(notice)
    if facts.get("purpose") != "decision" or not facts.get("run") or claims.get(labels.TEST) == "yes":
        return None
    if workflow == labels.UNASSIGNED:
        return None  # it is nobody's to decide of whom anybody knows
    return {
        "tenant": tenant, "id": run_id(facts["incarnation"], facts["approval"]),
        "session": reference_of(connection, tenant, notice.key.session, facts["ts"]),
        "run": run_id(facts["incarnation"], facts["run"]), "workflow": workflow, "agent": facts.get("agent") or "",
        "tool": str(facts.get("tool") or "")[: limits.ORG_NAME_CHARS], "at_ms": facts["ts"],
        "deadline_ms": int(facts.get("deadline") or facts["ts"]),
    }  # fmt: skip


def forget_session(connection: Connection, tenant: str, session: str) -> None:
    """A session was deleted: nothing waits in it."""
    reference = session_reference(connection, tenant, session)
    if reference:
        connection.execute(delete(approvals).where(approvals.c.tenant == tenant, approvals.c.session == reference))
