"""Statements of ideas: functions of a connection, each in the transaction of whoever calls."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, func, select, update

from holdfast.governance import limits
from holdfast.governance.store.tables.workflows import workflow_ideas as ideas
from holdfast.governance.workflows.store import plain
from holdfast.governance.workflows.triage import Idea


def add(connection: Connection, idea: Idea) -> bool:
    """Put an idea on record; whether its name was free and there was room."""
    mine = ideas.c.tenant == idea.tenant
    if (connection.scalar(select(func.count()).select_from(ideas).where(mine)) or 0) >= limits.IDEAS:
        return False
    if find(connection, idea.tenant, idea.name) is not None:
        return False
    connection.execute(ideas.insert(), _facts(idea))
    return True


def put(connection: Connection, idea: Idea) -> None:
    """Let an idea stand so."""
    where = ideas.c.tenant == idea.tenant, ideas.c.id == idea.id
    connection.execute(update(ideas).where(*where).values(_facts(idea)))


def find(connection: Connection, tenant: str, name: str) -> Idea | None:
    """An idea by its name or its id, or None."""
    where = ideas.c.tenant == tenant, (ideas.c.name == name) | (ideas.c.id == name)
    row = connection.execute(select(ideas).where(*where).limit(1)).first()
    return _idea(row) if row is not None else None


def page(connection: Connection, tenant: str) -> list[Idea]:
    """The ideas of a tenant, the newest first."""
    wanted = select(ideas).where(ideas.c.tenant == tenant).order_by(ideas.c.at_ms.desc(), ideas.c.id)
    return [_idea(row) for row in connection.execute(wanted.limit(limits.WORKFLOW_PAGE_ROWS))]


def _facts(idea: Idea) -> dict[str, Any]:
    facts = msgspec.structs.asdict(idea)
    return facts | {"document": {"answers": msgspec.to_builtins(facts.pop("answers"))}}


def _idea(row: Any) -> Idea:
    facts = plain(row)
    return msgspec.convert(facts | {"answers": facts.pop("document")["answers"]}, Idea)
