"""Ideas that nobody has judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from holdfast.governance import limits
from holdfast.governance.inbox.model import DAY_MS, Condition
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.workflows import workflow_ideas as ideas

DAYS: Final = 14
"""In which whoever has an idea hears what becomes of it."""


class IdeaConditions:
    """Ideas of a store."""

    name: Final = "ideas"

    def __init__(self, database: Store) -> None:
        self._store = database

    async def conditions(self, tenant: str, now_ms: int, /) -> Sequence[Condition]:
        """See ``ConditionSource``."""
        wanted = select(ideas.c.id, ideas.c.name, ideas.c.title, ideas.c.by, ideas.c.at_ms)
        wanted = wanted.where(ideas.c.tenant == tenant, ideas.c.state == "new").order_by(ideas.c.at_ms, ideas.c.id)
        rows = await self._store.read(
            lambda connection: list(connection.execute(wanted.limit(limits.INBOX_CONDITIONS)))
        )
        return [
            Condition(
                key=f"idea|{row.id}", kind="idea.triage", role="risk", title=f"The idea {row.title or row.name} waits",
                why=f"{row.by} had it, and nobody said yet what becomes of it",
                what=f"Judge it: holdfast workflow triage {row.name}", link="/console/inventory", severity="low",
                due_ms=row.at_ms + DAYS * DAY_MS,
            )
            for row in rows
        ]  # fmt: skip
