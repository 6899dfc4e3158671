"""Statements on the books of a month."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, case, func, insert, literal, select

from holdfast.governance import limits
from holdfast.governance.ledger.books import ClosedPeriod, Part, Posting, SharedCost
from holdfast.governance.store.tables.ledger import ledger_allocations as allocations
from holdfast.governance.store.tables.ledger import ledger_periods as periods
from holdfast.governance.store.tables.ledger import ledger_rows as rows

MONEY: Final = ("list_nano", "contracted_nano", "effective_nano", "billed_nano")
_encoder: Final = msgspec.json.Encoder(order="sorted")


class Digest:
    """SHA-256 over the rows of a month by id, as the table has them, and its shared costs: for each the JSON of its
    columns, names sorted, and a line feed. The session stands there as its reference, so forgetting one changes nothing."""

    def __init__(self) -> None:
        self._hashed = hashlib.sha256()
        self.rows = 0

    def add(self, facts: dict[str, Any]) -> None:
        """The next one."""
        self._hashed.update(_encoder.encode(facts) + b"\n")
        self.rows += 1

    def hexdigest(self) -> str:
        """So far."""
        return self._hashed.hexdigest()


def raw_rows(connection: Connection, tenant: str, period: str, after: str, limit: int) -> list[dict[str, Any]]:
    """The next rows in a month's books by id, as the table has them."""
    wanted = select(rows).where(rows.c.tenant == tenant, rows.c.period == period, rows.c.id > after)
    return [dict(found._mapping) for found in connection.execute(wanted.order_by(rows.c.id).limit(limit)).all()]


def counts(connection: Connection, tenant: str, period: str) -> tuple[int, int]:
    """How many rows stand in a month's books, and how many of them have no cost."""
    unknown = func.sum(case((rows.c.billed_nano.is_(None), 1), else_=0))
    found = connection.execute(
        select(func.count(), unknown).where(rows.c.tenant == tenant, rows.c.period == period)
    ).one()  # fmt: skip
    return int(found[0]), int(found[1] or 0)


def sums(connection: Connection, tenant: str, period: str) -> dict[str, int]:
    """The sums of a month's books, what its rows replace taken back."""
    replaced = rows.alias("replaced")
    plus = select(*(func.sum(rows.c[name]) for name in MONEY)).where(rows.c.tenant == tenant, rows.c.period == period)
    joined = rows.join(replaced, replaced.c.id == rows.c.corrects)
    minus = select(*(func.sum(replaced.c[name]) for name in MONEY)).select_from(joined)
    minus = minus.where(rows.c.tenant == tenant, rows.c.period == period, rows.c.corrects != "")
    more, less = connection.execute(plus).one(), connection.execute(minus).one()
    return {name: int(a or 0) - int(b or 0) for name, a, b in zip(MONEY, more, less, strict=True)}


def postings(connection: Connection, tenant: str, period: str, measure: str) -> list[Posting]:
    """A month's books by cost centre, account and month of use."""
    replaced = rows.alias("replaced")
    found: dict[tuple[str, str, str], int] = {}
    of_rows = select(*_posting(rows.c), func.sum(rows.c[measure])).where(
        rows.c.tenant == tenant, rows.c.period == period
    )
    of_rows = of_rows.group_by(*_posting(rows.c))
    joined = rows.join(replaced, replaced.c.id == rows.c.corrects)
    back = select(*_posting(replaced.c), -func.sum(replaced.c[measure])).select_from(joined)
    back = back.where(rows.c.tenant == tenant, rows.c.period == period, rows.c.corrects != "")
    back = back.group_by(*_posting(replaced.c))
    for wanted in (of_rows, back):
        for each in connection.execute(wanted).all():
            centre, provider, kind, month, amount = tuple(each)
            key = (centre, f"{'seats' if kind == 'seat' else 'models'}:{provider}", month)
            found[key] = found.get(key, 0) + int(amount or 0)
    return [Posting(*key, amount) for key, amount in sorted(found.items())]


def _posting(columns: Any) -> Sequence[ColumnElement[Any]]:
    return columns.cost_centre, columns.provider, columns.kind, columns.month


def earlier_open(connection: Connection, tenant: str, period: str) -> str | None:
    """The first month before one that has rows and is not closed."""
    closed = select(periods.c.period).where(periods.c.tenant == tenant)
    wanted = select(func.min(rows.c.period)).where(
        rows.c.tenant == tenant, rows.c.period < period, rows.c.period.not_in(closed)
    )  # fmt: skip
    found: str | None = connection.scalar(wanted)
    return found


def find_period(connection: Connection, tenant: str, period: str) -> ClosedPeriod | None:
    """A closed month."""
    wanted = select(periods).where(periods.c.tenant == tenant, periods.c.period == period)
    return next((ClosedPeriod(**found._mapping) for found in connection.execute(wanted).all()), None)


def list_periods(connection: Connection, tenant: str | None) -> list[ClosedPeriod]:
    """Closed months, oldest first, of one tenant or of all."""
    wanted = select(periods).order_by(periods.c.tenant, periods.c.period)
    if tenant is not None:
        wanted = wanted.where(periods.c.tenant == tenant)
    return [ClosedPeriod(**found._mapping) for found in connection.execute(wanted).all()]


def open_periods(connection: Connection, tenant: str) -> list[str]:
    """Months with rows that are not closed, oldest first."""
    closed = select(periods.c.period).where(periods.c.tenant == tenant)
    wanted = select(rows.c.period).distinct().where(rows.c.tenant == tenant, rows.c.period.not_in(closed))
    return sorted(connection.scalars(wanted))


# --- shared costs
def weights(connection: Connection, tenant: str, period: str, dimension: str, key: str) -> list[tuple[str, str, int]]:
    """``(value, cost centre, weight)`` of everybody who shares a cost, of rows that nothing replaces."""
    replacing = rows.alias("replacing")
    measure: ColumnElement[Any] = {
        "tokens": func.sum(rows.c.input_tokens + rows.c.output_tokens), "spend": func.sum(rows.c.billed_nano),
        "calls": func.count(), "equal": literal(1),
    }[key]  # fmt: skip
    wanted = select(rows.c[dimension], rows.c.cost_centre, measure).where(
        rows.c.tenant == tenant, rows.c.period == period,
        rows.c.id.not_in(select(replacing.c.corrects).where(replacing.c.corrects != "")),
    )  # fmt: skip
    wanted = wanted.group_by(rows.c[dimension], rows.c.cost_centre).order_by(rows.c[dimension], rows.c.cost_centre)
    found = connection.execute(wanted.limit(limits.ALLOCATION_TARGETS + 1)).all()
    return [(value, centre, max(0, int(weight or 0))) for value, centre, weight in found]


def add_allocation(connection: Connection, allocation: SharedCost) -> None:
    """A shared cost was divided."""
    facts = msgspec.structs.asdict(allocation) | {"shares": msgspec.to_builtins(allocation.shares)}
    connection.execute(insert(allocations), facts)


def raw_allocations(connection: Connection, tenant: str, period: str) -> list[dict[str, Any]]:
    """Shared costs of a month by id, as the table has them."""
    wanted = select(allocations).where(allocations.c.tenant == tenant, allocations.c.period == period)
    return [dict(found._mapping) for found in connection.execute(wanted.order_by(allocations.c.id)).all()]


def list_allocations(connection: Connection, tenant: str, period: str) -> list[SharedCost]:
    """Shared costs of a month."""
    found = raw_allocations(connection, tenant, period)
    return [SharedCost(**(each | {"shares": tuple(Part(**part) for part in each["shares"])})) for each in found]
