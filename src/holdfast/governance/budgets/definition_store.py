"""Statements about what budgets are, what was changed of them, and what becomes of running answers."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select

from holdfast.governance.budgets.model import BrakeRule, Budget
from holdfast.governance.budgets.store import budget_from, put_budget
from holdfast.governance.store.tables.budgets import budget_brakes as brakes
from holdfast.governance.store.tables.budgets import budget_changes as changes
from holdfast.governance.store.tables.budgets import budgets


class BudgetChange(msgspec.Struct, frozen=True):
    """One change: ``what`` was done by whom, and the budget before and after; None where there was none."""

    id: str
    tenant: str
    budget: str
    what: str
    by: str
    at_ms: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def new_id(kind: str) -> str:
    """An id that nothing has, such as ``b-5d1f…``."""
    return f"{kind}-{secrets.token_hex(8)}"


def find(connection: Connection, tenant: str, name_or_id: str) -> Budget | None:
    """A budget that holds by name, or any by id; None where there is none."""
    wanted = select(budgets).where(budgets.c.tenant == tenant)
    named = wanted.where(budgets.c.name == name_or_id, budgets.c.ended_ms.is_(None))
    row = connection.execute(named).mappings().first()
    if row is None:
        row = connection.execute(wanted.where(budgets.c.id == name_or_id)).mappings().first()
    return None if row is None else budget_from({**row})


def tenants(connection: Connection) -> list[str]:
    """Who has budgets that hold."""
    wanted = select(budgets.c.tenant).where(budgets.c.ended_ms.is_(None)).distinct().order_by(budgets.c.tenant)
    return list(connection.execute(wanted).scalars())


def by_ids(connection: Connection, ids: Collection[str]) -> dict[str, Budget]:
    """Budgets by id, those that have ended too."""
    found = connection.execute(select(budgets).where(budgets.c.id.in_(ids))).mappings()
    return {row["id"]: budget_from({**row}) for row in found}


def count(connection: Connection, tenant: str) -> int:
    """How many budgets of a tenant hold."""
    wanted = select(func.count()).select_from(budgets).where(budgets.c.tenant == tenant, budgets.c.ended_ms.is_(None))
    return connection.execute(wanted).scalar_one()


def put(connection: Connection, budget: Budget, what: str, by: str, at_ms: int, before: Budget | None) -> None:
    """Keep a budget as it is now, and the change."""
    put_budget(connection, budget)
    facts = {
        "id": new_id("bc"), "tenant": budget.tenant, "budget": budget.id, "what": what, "by": by, "at_ms": at_ms,
        "before": None if before is None else msgspec.to_builtins(before), "after": msgspec.to_builtins(budget),
    }  # fmt: skip
    connection.execute(changes.insert(), facts)


def changes_of(connection: Connection, tenant: str, budget: str, limit: int) -> list[BudgetChange]:
    """What was changed of a budget, the newest first."""
    wanted = select(changes).where(changes.c.tenant == tenant, changes.c.budget == budget)
    wanted = wanted.order_by(changes.c.at_ms.desc(), changes.c.id.desc()).limit(limit)
    return [BudgetChange(**row) for row in connection.execute(wanted).mappings()]


def put_brake(connection: Connection, tenant: str, rule: BrakeRule) -> None:
    """Let a workflow's rule be this one."""
    connection.execute(delete(brakes).where(brakes.c.tenant == tenant, brakes.c.workflow == rule.workflow))
    connection.execute(brakes.insert(), {"tenant": tenant, **msgspec.structs.asdict(rule)})
