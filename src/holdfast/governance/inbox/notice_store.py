"""Statements about what people were told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from holdfast.governance.inbox.notices import InboxNotice
from holdfast.governance.store.tables.inbox import inbox_notices as notices


def digests_since(connection: Connection, tenant: str, since_ms: int) -> set[str]:
    """Ids of digests since a moment."""
    where = notices.c.tenant == tenant, notices.c.kind == "digest", notices.c.at_ms >= since_ms
    return set(connection.execute(select(notices.c.id).where(*where)).scalars())


def new(connection: Connection, found: Sequence[InboxNotice]) -> list[InboxNotice]:
    """Those that are not there yet."""
    wanted = select(notices.c.id).where(notices.c.id.in_([one.id for one in found]))
    there = set(connection.execute(wanted).scalars())
    return [one for one in found if one.id not in there]


def add(connection: Connection, found: Sequence[InboxNotice]) -> list[InboxNotice]:
    """Keep those that are not there yet; which these were."""
    fresh = new(connection, found)
    if fresh:
        connection.execute(notices.insert(), [msgspec.to_builtins(one) for one in fresh])
    return fresh


def listed(connection: Connection, tenant: str, names: Collection[str] | None, limit: int) -> list[InboxNotice]:
    """What was told, the newest first; to whoever has one of these names, or to all."""
    wanted = select(notices).where(notices.c.tenant == tenant)
    if names is not None:
        wanted = wanted.where(func.lower(notices.c.person).in_(sorted(names)))
    rows = connection.execute(wanted.order_by(notices.c.at_ms.desc(), notices.c.id).limit(limit)).mappings()
    return [notice_of(row) for row in rows]


def notice_of(row: Mapping[Any, Any]) -> InboxNotice:
    """The notice that a row is."""
    return msgspec.convert({name: row[name] for name in InboxNotice.__struct_fields__}, InboxNotice)
