"""The services of a store that a command has opened for itself, put together as ``app.py`` does for a server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from holdfast.governance.budgets.counting import SpendCount
from holdfast.governance.budgets.desk import BudgetDesk
from holdfast.governance.budgets.service import Budgets
from holdfast.governance.ledger.bills.month_charges import MonthCharges
from holdfast.governance.ledger.bills.service import Bills
from holdfast.governance.ledger.desk import LedgerDesk
from holdfast.governance.ledger.imports.service import Importer
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.ledger.verify import LedgerVerifier
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.pricing.service import Prices
from holdfast.governance.rollout.evidence import EvidenceReader
from holdfast.governance.rollout.reckonings.money import money_reckonings
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.service import Workflows
from holdfast.hub.clock import Clock


async def ledger_desk(store: Store, now_ms: Callable[[], int]) -> LedgerDesk:
    """The ledger of a store."""
    return await _desk(store, now_ms, await _prices(store, now_ms))


async def budget_desk(store: Store, now_ms: Callable[[], int]) -> BudgetDesk:
    """The budgets of a store."""
    organisation = Organisation(store, now_ms)
    await organisation.refresh()
    budgets, _ = await _budgets(store, now_ms, await _prices(store, now_ms), organisation)
    return BudgetDesk(budgets, organisation)


async def plan(store: Store, now_ms: Callable[[], int]) -> Rollout:
    """The plan of a store."""
    organisation = Organisation(store, now_ms)
    await organisation.refresh()
    workflows = Workflows(store, organisation, now_ms)
    await workflows.refresh()
    prices = await _prices(store, now_ms)
    budgets, ledger = await _budgets(store, now_ms, prices, organisation)
    await ledger.recorder.refresh()
    bills = Bills(ledger, Importer(ledger, prices.convert), charges=MonthCharges(store, prices, ledger.clock))
    reckonings = money_reckonings(
        store, organisation=organisation, budgets=budgets, bills=bills,
        verifier=lambda: LedgerVerifier(ledger, prices.book_of),
    )  # fmt: skip
    found = Rollout(store, organisation, workflows, EvidenceReader(store, reckonings), now_ms)
    await found.refresh()
    return found


async def _budgets(
    store: Store, now_ms: Callable[[], int], prices: Prices, organisation: Organisation
) -> tuple[Budgets, Ledger]:
    count, clock = SpendCount(organisation, now_ms), Clock()
    ledger = Ledger(store, prices, organisation, clock, watch=count)
    budgets = Budgets(store, ledger, organisation, clock, count)
    await budgets.refresh()
    return budgets, ledger


async def _prices(store: Store, now_ms: Callable[[], int]) -> Prices:
    prices = Prices(store, now_ms)
    await prices.open()
    return prices


async def _desk(store: Store, now_ms: Callable[[], int], prices: Prices) -> LedgerDesk:
    organisation = Organisation(store, now_ms)
    await organisation.refresh()
    ledger = Ledger(store, prices, organisation, Clock())
    await ledger.recorder.refresh()
    return LedgerDesk(ledger, Importer(ledger, prices.convert), prices.book_of)


@contextlib.asynccontextmanager
async def bills_of(url: str) -> AsyncIterator[Bills]:
    """The bills of a store by its address, while the context lasts."""
    clock = Clock()
    store = await Store.open(url, clock.wall_ms)
    try:
        prices = await _prices(store, clock.wall_ms)
        desk = await _desk(store, clock.wall_ms, prices)
        yield Bills(desk.ledger, desk.importer, charges=MonthCharges(store, prices, clock))
    finally:
        await store.close()
