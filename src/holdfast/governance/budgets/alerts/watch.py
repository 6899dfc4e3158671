"""Looks at every account now and then, and has people told."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.governance import limits
from holdfast.governance.budgets import definition_store, request_store
from holdfast.governance.budgets.alerts import rules, store
from holdfast.governance.budgets.alerts.model import Alert
from holdfast.governance.budgets.alerts.telling import Teller
from holdfast.governance.budgets.model import BudgetAccount
from holdfast.governance.budgets.outlook import days_of
from holdfast.governance.budgets.places import filters_of
from holdfast.governance.budgets.registry import BudgetRegistry
from holdfast.governance.ledger.history import billed_between
from holdfast.governance.organisation.dates import day_at
from holdfast.governance.organisation.service import Organisation
from holdfast.visible import logger

log = logger("holdfast.budgets")


class AlertWatch:
    """Watches all accounts of a store.

    Args:
        registry: of the budgets.
        organisation: whose they are.
        teller: tells people.
    """

    def __init__(self, registry: BudgetRegistry, organisation: Organisation, teller: Teller) -> None:
        self._registry = registry
        self._organisation = organisation
        self._teller = teller
        self._burning: set[tuple[str, str]] = set()
        self._paced_ms: int | None = None
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def wake(self) -> None:
        """Look at once: somebody asks for more, and an answer may be waiting for it."""
        self._news.set()

    def start(self) -> None:
        """Begin to look now and then."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="holdfast alerts")

    async def stop(self) -> None:
        """End. What was not told is, after the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except HoldfastError as error:
                log.warning("alerts wait: %s", error.code)
            except Exception:  # the next look may do better
                log.exception("a look for alerts failed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.ALERT_EVERY_S):
                    await self._news.wait()
            self._news.clear()

    async def look(self) -> list[Alert]:
        """Look once, and tell what is to be told. Which alerts were new. Raises ``store.unavailable``."""
        now_ms = self._registry.clock.wall_ms()
        paced = self._paced_ms is None or now_ms - self._paced_ms >= limits.ALERT_PACE_S * 1_000
        fresh: list[Alert] = []
        for tenant in await self._registry.store.read(definition_store.tenants):
            accounts = await self._registry.accounts(tenant, "", limits.ALERT_ACCOUNTS)
            accounts = [one for one in accounts if one.budget.each != "run"]  # its ceiling ends a run; nobody need come
            found = await self._requests(tenant, now_ms)
            found += [alert for one in accounts if (alert := rules.threshold(one, now_ms)) is not None]
            for account in accounts if paced else ():
                found += await self._pace(account, now_ms)
            if found:
                fresh += await self._keep([self._teller.with_ways(alert) for alert in found])
        if paced:
            self._paced_ms = now_ms
        await self._teller.tell()
        return fresh

    async def _requests(self, tenant: str, now_ms: int) -> list[Alert]:
        """Requests that wait for whoever decides."""
        waiting = await self._registry.store.read(
            lambda connection: request_store.list_requests(connection, tenant, "waiting", limits.ALERT_ACCOUNTS)
        )
        budgets = {budget.id: budget for budget in self._registry.definitions(tenant)} if waiting else {}
        return [
            rules.requested(BudgetAccount(budgets[one.budget]), one, now_ms) for one in waiting if one.budget in budgets
        ]

    async def _keep(self, found: list[Alert]) -> list[Alert]:
        """Put on record what is new. Another process may have seen the same at the same moment: then the next look has it."""
        existing = await self._registry.store.read(
            lambda connection: store.existing(connection, [alert.id for alert in found])
        )
        new = [alert for alert in found if alert.id not in existing]
        return await self._registry.store.write(lambda connection: store.add(connection, new)) if new else []

    async def _pace(self, account: BudgetAccount, now_ms: int) -> list[Alert]:
        budget = account.budget
        filters = filters_of(budget, account.subject, self._organisation.tree(budget.tenant), now_ms)
        if filters is None:
            return []
        found, key, over_ms = list[Alert](), (budget.id, account.subject), rules.pace_ms(account)
        if over_ms is not None:
            lately = await self._registry.store.read(
                lambda connection: billed_between(connection, budget.tenant, filters, now_ms - over_ms, now_ms + 1)
            )
            comes_to = rules.projected(account, lately, over_ms, now_ms)
            if rules.burning(key in self._burning, comes_to, budget.cap_nano):
                self._burning.add(key)
                found.append(rules.burn(account, lately, over_ms, now_ms))
            else:
                self._burning.discard(key)
        today = day_at(now_ms, self._organisation.zone(budget.tenant))
        totals: Any = await days_of(self._registry, budget.tenant, filters, today)
        odd = rules.unusual(totals, today, budget.cap_nano)
        if odd.unusual:
            day_ms = self._organisation.start_of(today, budget.tenant)
            found.append(rules.anomaly(account, odd, today, day_ms, now_ms))
        return found
