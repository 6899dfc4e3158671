"""Statements about requests to raise a budget, and about what did not fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, update

from holdfast.governance.budgets.model import BudgetRefusal, RaiseRequest
from holdfast.governance.store.tables.budgets import budget_refusals as refusals
from holdfast.governance.store.tables.budgets import budget_requests as requests

_REFUSAL: Final = BudgetRefusal.__struct_fields__


# --- requests
def add_request(connection: Connection, request: RaiseRequest) -> None:
    """Somebody asks."""
    connection.execute(requests.insert(), msgspec.structs.asdict(request))


def find_request(connection: Connection, tenant: str, ident: str) -> RaiseRequest | None:
    """A request by id; None where there is none."""
    wanted = select(requests).where(requests.c.tenant == tenant, requests.c.id == ident)
    row = connection.execute(wanted).mappings().first()
    return None if row is None else RaiseRequest(**row)


def waiting_of(connection: Connection, tenant: str, by: str) -> list[RaiseRequest]:
    """The requests of one person that nobody has decided."""
    wanted = select(requests).where(requests.c.tenant == tenant, requests.c.by == by, requests.c.state == "waiting")
    return [RaiseRequest(**row) for row in connection.execute(wanted.order_by(requests.c.at_ms)).mappings()]


def waiting_for(connection: Connection, tenant: str, budget: str, above_nano: int) -> RaiseRequest | None:
    """The oldest request for more of a budget than so much that nobody has decided; None where there is none."""
    wanted = select(requests).where(
        requests.c.tenant == tenant, requests.c.budget == budget, requests.c.state == "waiting",
        requests.c.to_nano > above_nano,
    )  # fmt: skip
    row = connection.execute(wanted.order_by(requests.c.at_ms).limit(1)).mappings().first()
    return None if row is None else RaiseRequest(**row)


def list_requests(
    connection: Connection, tenant: str, state: str, limit: int, by: str | None = None, budgets: Collection[str] = ()
) -> list[RaiseRequest]:
    """Requests, those that wait first and the newest first among equals.

    Args:
        state: of all of them; empty for any.
        by: only those of one person, and those about ``budgets``; None for all.
    """
    wanted = select(requests).where(requests.c.tenant == tenant)
    if state:
        wanted = wanted.where(requests.c.state == state)
    if by is not None:
        wanted = wanted.where(or_(requests.c.by == by, requests.c.budget.in_(budgets)))
    decided = requests.c.state != "waiting"
    wanted = wanted.order_by(decided, requests.c.at_ms.desc(), requests.c.id).limit(limit)
    return [RaiseRequest(**row) for row in connection.execute(wanted).mappings()]


def decide(connection: Connection, request: RaiseRequest) -> bool:
    """Put a decision on record; False where there is one already."""
    where = and_(requests.c.id == request.id, requests.c.state == "waiting")
    facts = {
        "state": request.state, "decided_by": request.decided_by, "decided_ms": request.decided_ms, "note": request.note
    }  # fmt: skip
    return connection.execute(update(requests).where(where).values(facts)).rowcount == 1


# --- what did not fit
def list_refusals(
    connection: Connection, tenant: str, limit: int, budget: str = "", since_ms: int = 0
) -> list[BudgetRefusal]:
    """What did not fit: false refusals first, then those of which it is not known yet, the newest first among equals."""
    order = case((refusals.c.false.is_(True), 0), (refusals.c.false.is_(None), 1), else_=2)
    wanted = select(refusals).where(*_of(tenant, budget, since_ms))
    wanted = wanted.order_by(order, refusals.c.at_ms.desc(), refusals.c.id).limit(limit)
    return [_refusal(row) for row in connection.execute(wanted).mappings()]


def unjudged(connection: Connection, tenant: str, limit: int, budget: str = "") -> list[BudgetRefusal]:
    """Those of which it is not known yet whether they were false, the oldest first."""
    wanted = select(refusals).where(*_of(tenant, budget, 0), refusals.c.false.is_(None))
    return [_refusal(row) for row in connection.execute(wanted.order_by(refusals.c.at_ms).limit(limit)).mappings()]


def reasons(connection: Connection, tenant: str, budget: str = "", since_ms: int = 0) -> list[dict[str, Any]]:
    """How many did not fit, by reason and mode, and of how many it is known that they were false, or right."""
    false = func.sum(case((refusals.c.false.is_(True), 1), else_=0))
    unknown = func.sum(case((refusals.c.false.is_(None), 1), else_=0))
    keys = (refusals.c.reason, refusals.c.mode)
    wanted = select(*keys, func.count(), false, unknown).where(*_of(tenant, budget, since_ms))
    found = connection.execute(wanted.group_by(*keys)).all()
    lines = [
        {"reason": reason, "mode": mode, "refused": int(n), "false": int(wrong or 0), "unknown": int(open_ or 0)}
        for reason, mode, n, wrong, open_ in found
    ]
    return sorted(lines, key=lambda line: (-line["false"], -line["refused"], line["reason"], line["mode"]))


def judge(connection: Connection, verdicts: Mapping[str, bool]) -> None:
    """Put on record which refusals were false."""
    for ident, false in verdicts.items():
        connection.execute(update(refusals).where(refusals.c.id == ident).values(false=false))


def _of(tenant: str, budget: str, since_ms: int) -> list[ColumnElement[bool]]:
    where = [refusals.c.tenant == tenant, refusals.c.at_ms >= since_ms]
    return [*where, refusals.c.budget == budget] if budget else where


def _refusal(row: Mapping[Any, Any]) -> BudgetRefusal:
    return BudgetRefusal(**{name: row[name] for name in _REFUSAL} | {"in_flight": tuple(row["in_flight"])})
