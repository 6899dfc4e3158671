"""Statements on batches and lines of bills, and on rows that were imported."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from holdfast.governance import limits
from holdfast.governance.ledger.bill_line import BillLine, ImportBatch
from holdfast.governance.store.tables.ledger import ledger_batches as batches
from holdfast.governance.store.tables.ledger import ledger_bill_lines as lines
from holdfast.governance.store.tables.ledger import ledger_rows as rows


def find_batch(connection: Connection, tenant: str, use: str, content: str) -> ImportBatch | None:
    """The import of a file, if there was one."""
    wanted = select(batches).where(
        batches.c.tenant == tenant, batches.c.use == use, batches.c.content == content
    )  # fmt: skip
    return next(map(_batch, connection.execute(wanted).all()), None)


def list_batches(connection: Connection, tenant: str) -> list[ImportBatch]:
    """Imports, newest first."""
    wanted = select(batches).where(batches.c.tenant == tenant).order_by(batches.c.at_ms.desc(), batches.c.id)
    return [_batch(found) for found in connection.execute(wanted.limit(limits.LEDGER_PAGE_ROWS)).all()]


def batches_named(connection: Connection, ids: Collection[str]) -> list[ImportBatch]:
    """Imports by their ids."""
    return [_batch(found) for found in connection.execute(select(batches).where(batches.c.id.in_(ids))).all()]


def add_batch(connection: Connection, batch: ImportBatch) -> None:
    """An import is whole."""
    connection.execute(insert(batches), msgspec.structs.asdict(batch) | {"notes": list(batch.notes)})


def add_lines(connection: Connection, new: Sequence[BillLine]) -> None:
    """Add lines of an import; they count once it is whole."""
    connection.execute(insert(lines), [msgspec.structs.asdict(line) for line in new])


def drop_lines(connection: Connection, batch: str) -> None:
    """Remove lines of an import that was not finished."""
    connection.execute(delete(lines).where(lines.c.batch == batch))


def bill_lines(
    connection: Connection, tenant: str, provider: str, since: str, until: str, after: str, limit: int
) -> list[BillLine]:
    """The next lines of whole imports between two days of UTC, both included, by id."""
    whole = select(batches.c.id).where(batches.c.tenant == tenant, batches.c.use == "bill")
    wanted = select(lines).where(
        lines.c.tenant == tenant, lines.c.provider == provider, lines.c.day >= since, lines.c.day <= until,
        lines.c.batch.in_(whole), lines.c.id > after,
    )  # fmt: skip
    return [_line(found) for found in connection.execute(wanted.order_by(lines.c.id).limit(limit)).all()]


def overlapping(connection: Connection, batch: ImportBatch) -> list[str]:
    """Names of other files of spend of the same provider and family, of which some days are the same."""
    wanted = select(batches.c.name).where(
        batches.c.tenant == batch.tenant, batches.c.use == "spend", batches.c.provider == batch.provider,
        batches.c.family == batch.family, batches.c.first_day <= batch.last_day, batches.c.last_day >= batch.first_day,
        batches.c.id != batch.id,
    )  # fmt: skip
    return list(connection.scalars(wanted.limit(10)))


def metered(connection: Connection, tenant: str, provider: str, since: str, until: str) -> int:
    """How many rows of a provider came from the gateway or from agents between two days."""
    wanted = select(func.count()).select_from(rows).where(
        rows.c.tenant == tenant, rows.c.provider == provider, rows.c.day >= since, rows.c.day <= until,
        rows.c.source != "import",
    )  # fmt: skip
    return connection.scalar(wanted) or 0


def _batch(found: Any) -> ImportBatch:
    facts = dict(found._mapping)
    return ImportBatch(**(facts | {"notes": tuple(facts["notes"])}))


def _line(found: Any) -> BillLine:
    return BillLine(**found._mapping)
