"""Statements that read the ledger's rows in an order, page by page: only rows that no other row replaces."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, literal, select, tuple_

from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.queries import last_ones
from holdfast.governance.ledger.store import rows_from, with_sessions
from holdfast.governance.store.tables.ledger import ledger_batches as batches
from holdfast.governance.store.tables.ledger import ledger_rows as rows

Place = tuple[Any, ...]
"""Where a page ended; empty before the first."""


def rows_by_time(
    connection: Connection, tenant: str, since_ms: int, until_ms: int, provider: str, after: Place, limit: int
) -> tuple[list[Row], Place]:
    """Rows between two instants, the second excluded, oldest first; of one provider, or of all when it is empty."""
    wanted = with_sessions().where(
        rows.c.tenant == tenant, rows.c.at_ms >= since_ms, rows.c.at_ms < until_ms, last_ones()
    )  # fmt: skip
    if provider:
        wanted = wanted.where(rows.c.provider == provider)
    if after:
        wanted = wanted.where(tuple_(rows.c.at_ms, rows.c.id) > tuple_(*map(literal, after)))
    found = _read(connection, wanted.order_by(rows.c.at_ms, rows.c.id).limit(limit))
    return found, (found[-1].at_ms, found[-1].id) if len(found) == limit else ()


def rows_by_day(
    connection: Connection, tenant: str, since: str, until: str, after: Place, limit: int
) -> tuple[list[Row], Place]:
    """Rows of days of the organisation's zone, both included."""
    wanted = with_sessions().where(rows.c.tenant == tenant, rows.c.day >= since, rows.c.day <= until, last_ones())
    if after:
        wanted = wanted.where(tuple_(rows.c.day, rows.c.id) > tuple_(*map(literal, after)))
    found = _read(connection, wanted.order_by(rows.c.day, rows.c.id).limit(limit))
    return found, (found[-1].day, found[-1].id) if len(found) == limit else ()


def rows_by_session(
    connection: Connection, tenant: str, since: str, until: str, after: Place, limit: int
) -> tuple[list[Row], Place]:
    """The same rows, session by session; those without one come first."""
    wanted = with_sessions().add_columns(rows.c.session.label("reference"))
    wanted = wanted.where(rows.c.tenant == tenant, rows.c.day >= since, rows.c.day <= until, last_ones())
    if after:
        wanted = wanted.where(tuple_(rows.c.session, rows.c.id) > tuple_(*map(literal, after)))
    raw = connection.execute(wanted.order_by(rows.c.session, rows.c.id).limit(limit)).all()
    end = (raw[-1].reference, raw[-1].id) if len(raw) == limit else ()
    return list(rows_from(raw)), end


def fallback_calls(connection: Connection, tenant: str, since_ms: int, until_ms: int) -> set[str]:
    """Calls in which another model took over for one that declined."""
    wanted = select(rows.c.call).where(
        rows.c.tenant == tenant, rows.c.at_ms >= since_ms, rows.c.at_ms < until_ms, rows.c.kind == "fallback_message"
    )  # fmt: skip
    return set(connection.scalars(wanted.distinct()))


def providers(connection: Connection, tenant: str, since: str, until: str) -> list[str]:
    """Providers whose bills were imported for some of these days."""
    wanted = select(batches.c.provider).where(
        batches.c.tenant == tenant, batches.c.use == "bill", batches.c.first_day <= until, batches.c.last_day >= since
    )  # fmt: skip
    return sorted(set(connection.scalars(wanted)))


def _read(connection: Connection, wanted: Select[Any]) -> list[Row]:
    return list(rows_from(connection.execute(wanted).all()))
