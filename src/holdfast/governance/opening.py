"""The services of a store that a command has opened for itself, put together as ``app.py`` does for a server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from holdfast.governance.budgets.counting import SpendCount
from holdfast.governance.budgets.desk import BudgetDesk
from holdfast.governance.budgets.service import Budgets
from holdfast.governance.directory.service import Directory
from holdfast.governance.inbox.assembly import inbox_of
from holdfast.governance.inbox.desk import InboxDesk
from holdfast.governance.inbox.succession import Succession
from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.ledger.bills.month_charges import MonthCharges
from holdfast.governance.ledger.bills.service import Bills
from holdfast.governance.ledger.desk import LedgerDesk
from holdfast.governance.ledger.imports.service import Importer
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.operations.desk import OperationsDesk
from holdfast.governance.operations.moves import WorkflowMoves
from holdfast.governance.operations.port import NoGates
from holdfast.governance.operations.rules import StartBook
from holdfast.governance.operations.service import Operations
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.outcomes.service import OutcomeService
from holdfast.governance.pricing.service import Prices
from holdfast.governance.rollout.evidence import EvidenceReader
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.desk import WorkflowDesk
from holdfast.governance.workflows.observing import WorkflowSources
from holdfast.governance.workflows.service import Workflows
from holdfast.hub.clock import Clock


async def ledger_desk(store: Store, now_ms: Callable[[], int]) -> LedgerDesk:
    """The ledger of a store."""
    return await _desk(store, now_ms, await _prices(store, now_ms))


async def budget_desk(store: Store, now_ms: Callable[[], int]) -> BudgetDesk:
    """The budgets of a store."""
    organisation = Organisation(store, now_ms)
    await organisation.refresh()
    return BudgetDesk(await _budgets(store, organisation, now_ms), organisation)


async def _budgets(store: Store, organisation: Organisation, now_ms: Callable[[], int]) -> Budgets:
    count, clock = SpendCount(organisation, now_ms), Clock()
    ledger = Ledger(store, await _prices(store, now_ms), organisation, clock, watch=count)
    budgets = Budgets(store, ledger, organisation, clock, count)
    await budgets.refresh()
    return budgets


async def plan(store: Store, now_ms: Callable[[], int]) -> Rollout:
    """The plan of a store."""
    found, _ = await _plan_and_inbox(store, now_ms)
    return found


async def workflow_desk(store: Store, now_ms: Callable[[], int]) -> WorkflowDesk:
    """The workflows of a store, with all that is known of them elsewhere."""
    prices, organisation = await _prices(store, now_ms), Organisation(store, now_ms)
    await organisation.refresh()
    workflows, keys = Workflows(store, organisation, now_ms), GatewayKeys(store, organisation, now_ms)
    await workflows.refresh()
    await keys.refresh()
    count, clock = SpendCount(organisation, now_ms), Clock()
    ledger = Ledger(store, prices, organisation, clock, watch=count)
    budgets = Budgets(store, ledger, organisation, clock, count)
    await budgets.refresh()
    importer, outcomes = Importer(ledger, prices.convert), OutcomeService(store, now_ms)
    return WorkflowDesk(
        WorkflowSources(store, workflows, organisation, keys, prices, budgets, importer, outcomes, now_ms)
    )


async def operations_desk(store: Store, now_ms: Callable[[], int]) -> OperationsDesk:
    """The stops and incidents of a store: whoever has its sessions carries them out."""
    organisation = Organisation(store, now_ms)
    await organisation.refresh()
    workflows, keys = Workflows(store, organisation, now_ms), GatewayKeys(store, organisation, now_ms)
    await workflows.refresh()
    await keys.refresh()
    operations = Operations(store, now_ms, StartBook(workflows, NoGates(), None, lambda: 0.0))
    return OperationsDesk(operations, WorkflowMoves(operations, workflows, keys))


async def inbox_desk(store: Store, now_ms: Callable[[], int]) -> InboxDesk:
    """The inbox of a store. Who is to be told of what a command finds is told by the server that has the ways."""
    _, desk = await _plan_and_inbox(store, now_ms)
    return desk


async def _plan_and_inbox(store: Store, now_ms: Callable[[], int]) -> tuple[Rollout, InboxDesk]:
    organisation, directory = Organisation(store, now_ms), Directory(store, now_ms)
    workflows = Workflows(store, organisation, now_ms)
    found = Rollout(store, organisation, workflows, EvidenceReader(store, {}), now_ms)
    for one in (organisation, directory, workflows, found):
        await one.refresh()
    budgets = await _budgets(store, organisation, now_ms)
    inbox = inbox_of(store, organisation, directory, workflows, found, budgets.definitions, now_ms)
    found.before_compute = Succession(workflows, directory, inbox).settle
    return found, InboxDesk(inbox, workflows)


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
