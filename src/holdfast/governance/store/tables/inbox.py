"""The tables of the inbox: items, when each source was looked at, and what people were told."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, default="")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, default=0)


inbox_items: Final = Table(
    "inbox_items",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "key", "source", "kind", "workflow", "role", "person", "sponsor")),
    *map(_text, ("title", "why", "what", "link", "severity")),
    Column("stops", Boolean, nullable=False, default=False),
    Column("minutes", Integer, nullable=False, default=0),
    *map(_number, ("opened_ms", "due_ms", "computed_ms", "seen_ms", "done_ms")),
    *map(_text, ("seen_by", "done_by")),
    Column("closed_ms", BigInteger),
    _text("closed_by"),
    Column("in_time", Boolean),
    Column("reopened", Integer, nullable=False, default=0),
    Column("marks", Json, nullable=False),
)
"""Items (``inbox/model.py``). None is ever deleted. ``due_ms`` is the first one: it never moves. ``marks``: of what people were
told."""
_of = inbox_items.c
Index("ix_inbox_items_open", _of.tenant, _of.closed_ms, _of.person)
Index("ix_inbox_items_key", _of.tenant, _of.key, _of.opened_ms)
Index("ix_inbox_items_due", _of.tenant, _of.workflow, _of.due_ms)

inbox_looks: Final = Table(
    "inbox_looks",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    _text("failure"),
)
"""When each source was computed last without a failure; ``failure`` of a later one, empty for none."""

inbox_notices: Final = Table(
    "inbox_notices",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "person", "kind", "text")),
    Column("lines", Json, nullable=False),
    Column("items", Json, nullable=False),
    _number("at_ms"),
    Column("sent", Json, nullable=False),
)
"""Who was told of which items: ``id`` says of what and whom, so that nobody is told twice; ``sent`` is what became of each way."""
Index("ix_inbox_notices_time", inbox_notices.c.tenant, inbox_notices.c.at_ms)
