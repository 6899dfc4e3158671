"""Forecasts of the accounts of a tenant, from the days that the ledger has of them."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.governance import limits
from holdfast.governance.budgets import shown
from holdfast.governance.budgets.forecast import Forecast, forecast
from holdfast.governance.budgets.model import BudgetAccount
from holdfast.governance.budgets.places import filters_of
from holdfast.governance.budgets.registry import BudgetRegistry
from holdfast.governance.ledger.history import Filters, billed_by_day
from holdfast.governance.money import show
from holdfast.governance.organisation.dates import day_at
from holdfast.governance.organisation.service import Organisation


async def outlook(
    registry: BudgetRegistry,
    organisation: Organisation,
    tenant: str,
    budget_id: str = "",
    limit: int = limits.BUDGET_ROWS,
) -> dict[str, Any]:
    """The forecast of each account, or why there is none. Days are those of the organisation, also where a budget's window
    is of another time zone. ``first_day`` and ``today`` are the first of the window and the present one."""
    lines = []
    for account in await registry.accounts(tenant, budget_id, limit):
        found = await of_account(registry, organisation, account)
        amounts = {name.replace("_nano", "_usd"): _usd(getattr(found, name)) for name in _AMOUNTS}
        facts: dict[str, Any] = msgspec.to_builtins(found)
        zone = organisation.zone(tenant)
        days = {
            "first_day": day_at(account.opens_ms, zone).isoformat(),
            "today": organisation.today(tenant).isoformat(),
        }
        lines.append({"account": shown.of_account(account), **days, **facts, **amounts})
    return {"forecasts": lines}


async def of_account(registry: BudgetRegistry, organisation: Organisation, account: BudgetAccount) -> Forecast:
    """The forecast of one account. Raises ``store.unavailable``."""
    budget, now_ms = account.budget, registry.clock.wall_ms()
    if account.closes_ms is None:
        return Forecast("its window does not end")
    filters = filters_of(budget, account.subject, organisation.tree(budget.tenant), now_ms)
    if filters is None:
        return Forecast("runs and sessions have no days of their own")
    zone = organisation.zone(budget.tenant)
    today, last = day_at(now_ms, zone), day_at(account.closes_ms - 1, zone)
    totals = await days_of(registry, budget.tenant, filters, today)
    return await asyncio.to_thread(forecast, totals, today, last, account.spent_nano, budget.cap_nano)


async def days_of(registry: BudgetRegistry, tenant: str, filters: Filters, today: datetime.date) -> Mapping[str, int]:
    """What was billed by day, as far back as forecasts look, today among them."""
    since = (today - datetime.timedelta(days=limits.FORECAST_DAYS)).isoformat()
    return await registry.store.read(
        lambda connection: billed_by_day(connection, tenant, filters, since, today.isoformat())
    )


_AMOUNTS = ("p10_nano", "p50_nano", "p90_nano", "naive_nano")


def _usd(nano: int | None) -> str | None:
    return None if nano is None else show(nano)
