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
from holdfast.governance.ledger.verify import LedgerVerifier
from holdfast.governance.operations.desk import OperationsDesk
from holdfast.governance.operations.moves import WorkflowMoves
from holdfast.governance.operations.rules import StartBook
from holdfast.governance.operations.service import Operations
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.outcomes.service import OutcomeService
from holdfast.governance.pricing.service import Prices
from holdfast.governance.rollout.evidence import EvidenceReader
from holdfast.governance.rollout.reckonings.money import money_reckonings
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.approving import RadiusBook
from holdfast.governance.workflows.desk import WorkflowDesk
from holdfast.governance.workflows.intake import Intake
from holdfast.governance.workflows.observing import WorkflowSources
from holdfast.governance.workflows.service import Workflows
from holdfast.hub.clock import Clock


class OpenedStore:
    """What the domains of a store are made of, each read once.

    Args:
        store: open.
        now_ms: the clock, Unix ms.
        clock: of ledger and budgets, where it is not this machine's.
    """

    def __init__(self, store: Store, now_ms: Callable[[], int], clock: Clock | None = None) -> None:
        self.store = store
        self.now_ms = now_ms
        self.prices = Prices(store, now_ms)
        self.organisation = Organisation(store, now_ms)
        self.directory = Directory(store, now_ms)
        self.workflows = Workflows(store, self.organisation, now_ms)
        self.keys = GatewayKeys(store, self.organisation, now_ms)
        count, clock = SpendCount(self.organisation, now_ms), clock or Clock()
        self.ledger = Ledger(store, self.prices, self.organisation, clock, watch=count)
        self.budgets = Budgets(store, self.ledger, self.organisation, clock, count)
        self.importer = Importer(self.ledger, self.prices.convert)
        self.bills = Bills(self.ledger, self.importer, charges=MonthCharges(store, self.prices, clock))
        reckonings = money_reckonings(
            store, organisation=self.organisation, budgets=self.budgets, bills=self.bills,
            verifier=lambda: LedgerVerifier(self.ledger, self.prices.book_of),
        )  # fmt: skip
        self.plan = Rollout(store, self.organisation, self.workflows, EvidenceReader(store, reckonings), now_ms)
        self.plan.ideas = Intake(store, self.workflows, now_ms).templates
        self.workflows.same = self.plan.same = self.directory.same
        self.workflows.launch_check = self.plan.launch_check
        self.workflows.production_check = self.plan.production_check

    @classmethod
    async def read(cls, store: Store, now_ms: Callable[[], int]) -> OpenedStore:
        """All of it, read. Raises ``store.unavailable``."""
        made = cls(store, now_ms)
        await made.refresh()
        return made

    async def refresh(self) -> None:
        """Read all of it. Raises ``store.unavailable``."""
        await self.prices.open()
        for one in (self.organisation, self.directory, self.workflows, self.keys, self.budgets, self.plan):
            await one.refresh()
        await self.ledger.recorder.refresh()

    def inbox_desk(self) -> InboxDesk:
        """The inbox. Who is to be told of what a command finds is told by the server that has the ways."""
        inbox = inbox_of(
            self.store,
            self.organisation,
            self.directory,
            self.workflows,
            self.plan,
            self.budgets.definitions,
            self.now_ms,
        )
        self.plan.before_compute = Succession(self.workflows, self.directory, inbox).settle
        return InboxDesk(inbox, self.workflows)


async def ledger_desk(store: Store, now_ms: Callable[[], int]) -> LedgerDesk:
    """The ledger of a store."""
    made = await OpenedStore.read(store, now_ms)
    return LedgerDesk(made.ledger, made.importer, made.prices.book_of)


async def budget_desk(store: Store, now_ms: Callable[[], int]) -> BudgetDesk:
    """The budgets of a store."""
    made = await OpenedStore.read(store, now_ms)
    return BudgetDesk(made.budgets, made.organisation, RadiusBook(store, made.workflows))


async def plan(store: Store, now_ms: Callable[[], int]) -> Rollout:
    """The plan of a store."""
    made = await OpenedStore.read(store, now_ms)
    made.inbox_desk()
    return made.plan


async def inbox_desk(store: Store, now_ms: Callable[[], int]) -> InboxDesk:
    """The inbox of a store."""
    return (await OpenedStore.read(store, now_ms)).inbox_desk()


async def workflow_desk(store: Store, now_ms: Callable[[], int]) -> WorkflowDesk:
    """The workflows of a store, with all that is known of them elsewhere."""
    made = await OpenedStore.read(store, now_ms)
    return WorkflowDesk(
        WorkflowSources(
            store, made.workflows, made.organisation, made.keys, made.prices, made.budgets, made.importer,
            OutcomeService(store, now_ms), now_ms,
        )
    )  # fmt: skip


async def operations_desk(store: Store, now_ms: Callable[[], int]) -> OperationsDesk:
    """The stops and incidents of a store: whoever has its sessions carries them out."""
    made = await OpenedStore.read(store, now_ms)
    operations = Operations(store, now_ms, StartBook(made.workflows, made.plan, None, lambda: 0.0))
    return OperationsDesk(operations, WorkflowMoves(operations, made.workflows, made.keys))


@contextlib.asynccontextmanager
async def bills_of(url: str) -> AsyncIterator[Bills]:
    """The bills of a store by its address, while the context lasts."""
    clock = Clock()
    store = await Store.open(url, clock.wall_ms)
    try:
        yield (await OpenedStore.read(store, clock.wall_ms)).bills
    finally:
        await store.close()
