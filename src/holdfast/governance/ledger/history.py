"""What was billed of a part of the organisation over time, and what attempts came to: for budgets, their alerts and their
forecasts. Only rows that count; one without a price counts for nothing yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select

from holdfast.governance.ledger.queries import Where, filtered, last_ones
from holdfast.governance.store.tables.ledger import ledger_openings as openings
from holdfast.governance.store.tables.ledger import ledger_rows as rows

Filters = Mapping[str, Sequence[str]]
"""Values by column of a row: one of each."""


def billed_by_day(connection: Connection, tenant: str, filters: Filters, since: str, until: str) -> dict[str, int]:
    """Nano-USD by day of the organisation, both included; days without rows are absent."""
    where = [*_where(connection, tenant, filters), rows.c.day >= since, rows.c.day <= until]
    found = connection.execute(select(rows.c.day, func.sum(rows.c.billed_nano)).where(*where).group_by(rows.c.day))
    return {day: int(nano or 0) for day, nano in found}


def billed_between(connection: Connection, tenant: str, filters: Filters, since_ms: int, until_ms: int) -> int:
    """Nano-USD of what ended from one instant on and before another, Unix ms."""
    where = [*_where(connection, tenant, filters), rows.c.at_ms >= since_ms, rows.c.at_ms < until_ms]
    return int(connection.execute(select(func.sum(rows.c.billed_nano)).where(*where)).scalar() or 0)


def costs_of(connection: Connection, attempts: Sequence[str]) -> dict[str, int | None]:
    """Nano-USD that each attempt came to, with all its rows; None while it is not settled. One that is not open and has no
    row was never asked of anybody, and costs nothing."""
    wanted = list(dict.fromkeys(attempts))
    costs: dict[str, int | None] = dict.fromkeys(wanted, 0)
    calls = select(rows.c.call).where(rows.c.id.in_(wanted), rows.c.call != "")
    found = connection.execute(select(rows.c.id, rows.c.billed_nano).where(rows.c.call.in_(calls), last_ones()))
    for ident, nano in found:
        attempt = ident.partition("/")[0].partition("~")[0]
        if attempt in costs:
            costs[attempt] = (costs[attempt] or 0) + (nano or 0)
    for (ident,) in connection.execute(select(openings.c.id).where(openings.c.id.in_(wanted))):
        costs[ident] = None
    return costs


def _where(connection: Connection, tenant: str, filters: Filters) -> Where:
    return [rows.c.tenant == tenant, last_ones(), *filtered(connection, tenant, filters)]
