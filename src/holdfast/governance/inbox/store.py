"""Statements of the inbox: functions of a connection, each in the transaction of whoever calls."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, select, update

from holdfast.governance import limits
from holdfast.governance.inbox.model import InboxItem
from holdfast.governance.store.changes import count_change
from holdfast.governance.store.tables.inbox import inbox_items as items
from holdfast.governance.store.tables.inbox import inbox_looks as looks

DOMAIN: Final = "inbox"
_FIELDS: Final = [items.c[name] for name in InboxItem.__struct_fields__]


def open_items(connection: Connection, tenant: str) -> list[InboxItem]:
    """Everything that is open."""
    where = items.c.tenant == tenant, items.c.closed_ms.is_(None)
    return _items(connection.execute(select(*_FIELDS).where(*where).order_by(items.c.opened_ms, items.c.id)))


def last_closed(connection: Connection, tenant: str, since_ms: int) -> dict[str, InboxItem]:
    """The last item of each key that was closed since a moment."""
    where = items.c.tenant == tenant, items.c.closed_ms >= since_ms
    found = _items(connection.execute(select(*_FIELDS).where(*where).order_by(items.c.closed_ms, items.c.id)))
    return {item.key: item for item in found}


def find(connection: Connection, tenant: str, ident: str) -> InboxItem | None:
    """An item by id; None where there is none."""
    where = items.c.tenant == tenant, items.c.id == ident
    return next(iter(_items(connection.execute(select(*_FIELDS).where(*where)))), None)


def opened_since(connection: Connection, tenant: str, workflow: str, role: str, since_ms: int) -> list[InboxItem]:
    """Items of a workflow and role that were opened since a moment."""
    where = (
        items.c.tenant == tenant, items.c.workflow == workflow, items.c.role == role, items.c.opened_ms >= since_ms,
    )  # fmt: skip
    return _items(connection.execute(select(*_FIELDS).where(*where).order_by(items.c.opened_ms, items.c.id)))


def handled_since(connection: Connection, tenant: str, since_ms: int) -> list[InboxItem]:
    """Closed items of a tenant that were opened by their person, the newest first."""
    where = items.c.tenant == tenant, items.c.closed_ms >= since_ms, items.c.seen_ms > 0
    wanted = select(*_FIELDS).where(*where).order_by(items.c.closed_ms.desc(), items.c.id)
    return _items(connection.execute(wanted.limit(limits.INBOX_HANDLED)))


def history(
    connection: Connection,
    tenant: str,
    names: Collection[str] | None,
    workflow: str,
    limit: int,
    before_ms: int | None = None,
) -> list[InboxItem]:
    """Closed items, the last first, of whoever has one of these names, or of all."""
    wanted = select(*_FIELDS).where(items.c.tenant == tenant, items.c.closed_ms.is_not(None))
    if names is not None:
        wanted = wanted.where(func.lower(items.c.person).in_(sorted(names)))
    if workflow:
        wanted = wanted.where(items.c.workflow == workflow)
    if before_ms is not None:
        wanted = wanted.where(items.c.closed_ms < before_ms)
    return _items(connection.execute(wanted.order_by(items.c.closed_ms.desc(), items.c.id).limit(limit)))


def put(connection: Connection, opened: Iterable[InboxItem], others: Iterable[InboxItem]) -> None:
    """Have items as they are: those that may be new, and those that are there."""
    for item in opened:
        if not _update(connection, item):
            connection.execute(items.insert(), _row(item))
    for item in others:
        _update(connection, item)
    note_change(connection)


def note_change(connection: Connection) -> None:
    """The inbox changed: whoever follows it looks again."""
    count_change(connection, DOMAIN)


def _update(connection: Connection, item: InboxItem) -> bool:
    row = _row(item)
    return connection.execute(update(items).where(items.c.id == row.pop("id")).values(row)).rowcount == 1


def _row(item: InboxItem) -> dict[str, Any]:
    return {**msgspec.structs.asdict(item), "marks": list(item.marks)}


def _items(found: Iterable[Any]) -> list[InboxItem]:
    return [msgspec.convert({str(name): value for name, value in row._mapping.items()}, InboxItem) for row in found]


def look(connection: Connection, tenant: str, failures: Mapping[str, str], now_ms: int) -> None:
    """Note which sources were computed, and which were not: ``failures`` by source, empty for none."""
    for source, failure in failures.items():
        where = looks.c.tenant == tenant, looks.c.source == source
        values: dict[str, Any] = {"failure": failure} if failure else {"failure": "", "at_ms": now_ms}
        if not connection.execute(update(looks).where(*where).values(values)).rowcount:
            connection.execute(looks.insert(), {"tenant": tenant, "source": source, "at_ms": 0, **values})


def looked(connection: Connection, tenant: str) -> dict[str, tuple[int, str]]:
    """When each source was computed last, and why it was not since."""
    rows = connection.execute(select(looks.c.source, looks.c.at_ms, looks.c.failure).where(looks.c.tenant == tenant))
    return {row.source: (row.at_ms, row.failure) for row in rows}
