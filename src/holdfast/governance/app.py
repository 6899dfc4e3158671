"""Everything of governance in one process, put together: each domain gets what it needs handed in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from holdfast.engines.port import Engine
from holdfast.extensions import ExtensionRoute
from holdfast.gateway.app import Gateway
from holdfast.gateway.port import People
from holdfast.gateway.sessions import LocalSessions, RemoteSessions
from holdfast.gateway.settings import GatewaySettings
from holdfast.governance.actions import routes_of
from holdfast.governance.budgets import actions as budget_actions
from holdfast.governance.budgets.alerts.telling import Teller
from holdfast.governance.budgets.alerts.watch import AlertWatch
from holdfast.governance.budgets.counting import SpendCount
from holdfast.governance.budgets.desk import DOMAIN as REQUESTS
from holdfast.governance.budgets.desk import BudgetDesk
from holdfast.governance.budgets.payer import PayerAsked
from holdfast.governance.budgets.service import Budgets
from holdfast.governance.directory.desk import ACTIONS as DIRECTORY_ACTIONS
from holdfast.governance.directory.desk import ROOT as DIRECTORY
from holdfast.governance.directory.service import Directory
from holdfast.governance.directory.token_sign_ins import TokenSignIns
from holdfast.governance.inbox import desk as inbox_desk
from holdfast.governance.inbox.assembly import inbox_of
from holdfast.governance.inbox.desk import InboxDesk
from holdfast.governance.inbox.succession import Succession
from holdfast.governance.inbox.watch import InboxWatch
from holdfast.governance.keys import routes as key_routes
from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.ledger import routes as ledger_routes
from holdfast.governance.ledger.agent_usage import AgentUsage
from holdfast.governance.ledger.bills import routes as bill_routes
from holdfast.governance.ledger.bills.month_charges import MonthCharges
from holdfast.governance.ledger.bills.service import Bills
from holdfast.governance.ledger.cost_tree import SessionRuns
from holdfast.governance.ledger.desk import ACTIONS, LedgerDesk
from holdfast.governance.ledger.desk import ROOT as LEDGER
from holdfast.governance.ledger.hub_sessions import SessionSweep
from holdfast.governance.ledger.imports.service import Importer
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.ledger.used import UsedModels
from holdfast.governance.ledger.verify import LedgerVerifier
from holdfast.governance.messages.outbox import Way
from holdfast.governance.monday_parts import MondayParts
from holdfast.governance.operations.admission import RuleAdmission
from holdfast.governance.operations.desk import ACTIONS as OPERATION_ACTIONS
from holdfast.governance.operations.desk import ROOT as OPERATIONS
from holdfast.governance.operations.desk import OperationsDesk
from holdfast.governance.operations.hub_stops import HubStops
from holdfast.governance.operations.moves import WorkflowMoves
from holdfast.governance.operations.rules import StartBook
from holdfast.governance.operations.service import Operations
from holdfast.governance.organisation import routes as organisation_routes
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.outcomes.desk import ACTIONS as OUTCOME_ACTIONS
from holdfast.governance.outcomes.desk import ROOT as OUTCOMES
from holdfast.governance.outcomes.feed import OutcomeFeed
from holdfast.governance.outcomes.service import OutcomeService
from holdfast.governance.pricing import routes as price_routes
from holdfast.governance.pricing.desk import PriceDesk
from holdfast.governance.pricing.service import Prices
from holdfast.governance.rollout import desk as plan_desk
from holdfast.governance.rollout.evidence import EvidenceReader
from holdfast.governance.rollout.monday_post import MondayPost
from holdfast.governance.rollout.reckonings.money import money_reckonings
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.rollout.watch import PlanWatch
from holdfast.governance.routing.desk import ACTIONS as ROUTING_ACTIONS
from holdfast.governance.routing.desk import ROOT as ROUTING
from holdfast.governance.routing.router import MemoryRouter
from holdfast.governance.routing.service import Routing
from holdfast.governance.store import pairing
from holdfast.governance.store.changes import Changes
from holdfast.governance.store.store import Store
from holdfast.governance.upstream_desk import ACTIONS as UPSTREAM_ACTIONS
from holdfast.governance.upstream_desk import ROOT as UPSTREAMS
from holdfast.governance.upstream_desk import UpstreamDesk
from holdfast.governance.workflows import actions as workflow_actions
from holdfast.governance.workflows.approving import RadiusBook
from holdfast.governance.workflows.desk import WorkflowDesk
from holdfast.governance.workflows.journal import RunJournal
from holdfast.governance.workflows.observing import WorkflowSources
from holdfast.governance.workflows.service import Workflows
from holdfast.hub.hub import Hub


class GovernanceClock(Protocol):
    """Time: one for hub, gateway, ledger and evidence."""

    def wall_ms(self) -> int:
        """Unix ms."""

    def monotonic(self) -> float:
        """Seconds that never run backwards."""

    def elapsed(self) -> float:
        """The same, by which an upstream rests after it failed."""


class Governance:
    """All domains of one process, and the gateway that they meter.

    Args:
        url: of the store.
        clock: the time.
        gateway: which upstreams there are.
        sessions: where calls may name sessions; None for nowhere.
        operator_tenant: that looks after the server.
        runs: who knows the runs of sessions, for the trees of their costs; None for nobody.
        hub: whose runs stops end; None where there are no sessions.
        ways: by which alerts of budgets are told; None for a process that looks for none, and leaves that to others.
        people: reads the tokens of people that callers send along; None for nobody.
        operator_tenant: whose operators see what belongs to no tenant, such as unknown callers.

    Raises:
        HoldfastError: ``config.invalid``.
    """

    def __init__(
        self, url: str, clock: GovernanceClock, gateway: GatewaySettings, sessions: LocalSessions | RemoteSessions | None = None,
        *, operator_tenant: str = "default", runs: SessionRuns | None = None, ways: Sequence[Way] | None = None,
        people: People | None = None,
        hub: Hub | None = None,
    ) -> None:  # fmt: skip
        self.clock = clock
        self._operator_tenant = operator_tenant
        self.store = Store(url, clock.wall_ms)
        self.changes = Changes(self.store)
        self.organisation = Organisation(self.store, clock.wall_ms)
        self.directory = Directory(self.store, clock.wall_ms)
        self.sign_ins = TokenSignIns(self.directory, clock.wall_ms)
        self.workflows = Workflows(self.store, self.organisation, clock.wall_ms)
        self.keys = GatewayKeys(
            self.store, self.organisation, clock.wall_ms, self.changes, operator_tenant=operator_tenant
        )
        self.prices = Prices(self.store, clock.wall_ms, used=UsedModels(self.store))
        sole = not url.startswith("postgres")
        count = SpendCount(self.organisation, clock.wall_ms)
        self.ledger = Ledger(self.store, self.prices, self.organisation, clock, sole=sole, watch=count)
        self.budgets = Budgets(self.store, self.ledger, self.organisation, clock, count)
        self.budgets.asking = PayerAsked(self.store, clock.wall_ms, self.budgets.brake_rule)
        self.budget_desk = BudgetDesk(self.budgets, self.organisation, RadiusBook(self.store, self.workflows))
        self.alerts: AlertWatch | None = None
        if ways is not None:
            self.alerts = AlertWatch(self.budgets, self.organisation, Teller(self.store, clock.wall_ms, ways))
        importer = Importer(self.ledger, self.prices.convert)
        self.desk = LedgerDesk(self.ledger, importer, self.prices.book_of, runs)
        self.bills = Bills(self.ledger, importer, charges=MonthCharges(self.store, self.prices, clock))
        self.outcomes = OutcomeService(self.store, clock.wall_ms)
        sources = WorkflowSources(
            self.store, self.workflows, self.organisation, self.keys, self.prices, self.budgets, importer, self.outcomes,
            clock.wall_ms,
        )  # fmt: skip
        self.workflow_desk = WorkflowDesk(sources, operator_tenant)
        reckonings = money_reckonings(
            self.store, organisation=self.organisation, budgets=self.budgets, bills=self.bills,
            verifier=lambda: LedgerVerifier(self.ledger, self.prices.book_of), operator_tenant=operator_tenant,
        )  # fmt: skip
        self.plan = Rollout(
            self.store, self.organisation, self.workflows, EvidenceReader(self.store, reckonings), clock.wall_ms
        )
        self.plan.ideas = self.workflow_desk.intake.templates
        self.workflows.same = self.plan.same = self.directory.same
        self.workflows.launch_check = self.plan.launch_check
        self.workflows.production_check = self.plan.production_check
        self.plan_watch = PlanWatch(self.plan)
        self.inbox = inbox_of(
            self.store, self.organisation, self.directory, self.workflows, self.plan, self.budgets.definitions, clock.wall_ms,
            ways or (),
        )  # fmt: skip
        self.plan.before_compute = Succession(self.workflows, self.directory, self.inbox).settle
        self.inbox_watch = InboxWatch(self.inbox, self.plan.tenants)
        self.rules = StartBook(self.workflows, self.plan, self.budgets, self.changes.age_s)
        admission = RuleAdmission(self.rules)
        stops = HubStops(hub, self.rules) if hub is not None else None
        self.operations = Operations(self.store, clock.wall_ms, self.rules, admission, stops)
        moves = WorkflowMoves(self.operations, self.workflows, self.keys)
        self.operations_desk = OperationsDesk(self.operations, moves)
        router = MemoryRouter(gateway.upstreams, self.organisation.resolve, clock.wall_ms, admission.stopped)
        self.routing = Routing(self.store, self.outcomes, clock.wall_ms, router)
        more = MondayParts(self.desk.reader, self.routing, self.operations, self.organisation)
        self.monday = MondayPost(self.plan, self.store, clock.wall_ms, ways or (), more)
        self.gateway = Gateway(
            gateway, self.keys, self.budgets, now_ms=clock.wall_ms, monotonic=clock.elapsed, sessions=sessions,
            router=router, people=people, admission=admission,
        )  # fmt: skip
        self._running = AsyncExitStack()

    async def start(self, engine: Engine | None = None, listen: Callable[[], asyncio.Event] | None = None) -> None:
        """Open the store and begin. What was started before something failed is stopped again.

        Args:
            engine: the open log that the store belongs to; None for a gateway without one.
            listen: gives an event of one's own that is set whenever its feed grows: then what agents say that they used, and
                what is said of their work, becomes rows.

        Raises:
            HoldfastError: of the store, and ``store.mismatch`` when log and store do not belong together.
        """
        async with AsyncExitStack() as running:
            await self.store.start()
            running.push_async_callback(self.store.close)
            if engine is not None:
                await pairing.pair(self.store, engine)
            await self.prices.open()
            await self.organisation.refresh()
            await self.directory.refresh()
            await self.workflows.refresh()
            await self.keys.refresh()
            await self.budgets.refresh()
            await self.operations.refresh()
            for domain, refresh in (
                ("organisation", self._judged_by(self.organisation.refresh)),
                ("directory", self._judged_by(self.directory.refresh)),
                ("workflows", self._judged_by(self.workflows.refresh)),
                ("keys", self._judged_by(self.keys.refresh)),
                ("prices", self.prices.refresh),
                ("budgets", self._judged_by(self.budgets.refresh)),
                ("operations", self.operations.refresh),
                ("routing", self.routing.refresh),
                ("outcomes", self.routing.refresh),
                ("rollout", self._plan_changed),
                ("inbox", self.inbox_watch.wake),
            ):
                self.changes.follow(domain, refresh)
            await self.changes.start()
            running.push_async_callback(self.changes.stop)
            self.sign_ins.start()
            running.push_async_callback(self.sign_ins.stop)
            self.organisation.start()
            running.push_async_callback(self.organisation.stop)
            self.keys.start()
            running.push_async_callback(self.keys.stop)
            await self.ledger.start()
            running.push_async_callback(self.ledger.stop)
            await self.budgets.start()
            running.push_async_callback(self.budgets.stop)
            if self.alerts is not None:
                self.changes.follow(REQUESTS, self.alerts.wake)
                self.alerts.start()
                running.push_async_callback(self.alerts.stop)
            running.callback(self.desk.let_go)
            for task in self._reading(engine, listen):
                running.push_async_callback(_ended, task)
            await self.plan.refresh()
            self.plan_watch.start(serves=engine is not None)
            running.push_async_callback(self.plan_watch.stop)
            self.inbox_watch.start()
            running.push_async_callback(self.inbox_watch.stop)
            await self.routing.start()
            running.push_async_callback(self.routing.stop)
            self.operations.start()
            running.push_async_callback(self.operations.close)
            self.monday.start()
            running.push_async_callback(self.monday.stop)
            await self.gateway.start()
            running.push_async_callback(self.gateway.stop)
            self._running = running.pop_all()

    def _judged_by(self, refresh: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Gates judge by what a domain knows: whatever changes there, such as who left or who accepted, is judged soon."""

        async def changed() -> None:
            await refresh()
            await self.plan_watch.wake()

        return changed

    async def _plan_changed(self) -> None:
        await self.plan.refresh()
        await self.inbox_watch.wake()

    def _reading(self, engine: Engine | None, listen: Callable[[], asyncio.Event] | None) -> list[asyncio.Task[None]]:
        """Those who read the log."""
        if engine is None:
            return []
        journal = RunJournal(engine, self.store, self.workflows)
        readers = {"deleted sessions": SessionSweep(engine, self.ledger, [journal.forget_session]).run()}
        if listen is not None:
            readers["agent usage"] = AgentUsage(engine, self.ledger, self.workflows.claims_of).run(listen())
            readers["journal"] = journal.run(listen())
            readers["outcomes"] = OutcomeFeed(engine, self.store, self.clock.wall_ms).run(listen())
        return [asyncio.create_task(reader, name=f"holdfast {name}") for name, reader in readers.items()]

    async def stop(self) -> None:
        """End, the gateway first: what it served is on record when the store closes."""
        await self._running.aclose()

    def routes(self) -> Sequence[ExtensionRoute]:
        """The REST routes of all domains."""
        return [
            *organisation_routes.routes(self.organisation),
            *routes_of(DIRECTORY, DIRECTORY_ACTIONS, self.directory),
            *key_routes.routes(self.keys),
            *price_routes.routes(PriceDesk(self.prices, self.clock.wall_ms)),
            *routes_of(LEDGER, ACTIONS, self.desk),
            *ledger_routes.routes(self.ledger, self.desk.reader),
            *bill_routes.routes(self.bills),
            *routes_of(OUTCOMES, OUTCOME_ACTIONS, self.outcomes),
            *routes_of(OPERATIONS, OPERATION_ACTIONS, self.operations_desk),
            *routes_of(ROUTING, ROUTING_ACTIONS, self.routing),
            *routes_of(UPSTREAMS, UPSTREAM_ACTIONS, UpstreamDesk(self.gateway.load, self._operator_tenant)),
            *routes_of(plan_desk.ROOT, plan_desk.ACTIONS, self.plan),
            *routes_of(workflow_actions.ROOT, workflow_actions.ACTIONS, self.workflow_desk),
            *routes_of(inbox_desk.ROOT, inbox_desk.ACTIONS, InboxDesk(self.inbox, self.workflows)),
            *routes_of(budget_actions.ROOT, budget_actions.ACTIONS, self.budget_desk),
        ]


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
