"""A company that spends: its ledger, budgets, bills, outcomes and routes, beside the plan that is computed of them."""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import pytest
from sqlalchemy import text

from holdfast.gateway.port import Caller, ModelCall, Opening, Served
from holdfast.governance.budgets.counting import SpendCount
from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.budgets.desk import BudgetDesk
from holdfast.governance.budgets.service import Budgets
from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.ledger.bills.service import Bills
from holdfast.governance.ledger.imports.service import Importer, ImportOptions
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.ledger.verify import LedgerVerifier
from holdfast.governance.outcomes.service import OutcomeRequest, OutcomeService
from holdfast.governance.rollout.evidence import EvidenceReader, Reckoning
from holdfast.governance.rollout.reckonings.money import money_reckonings
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.routing.service import Routing
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.model import ManifestModel
from holdfast.providers.billing.model import BilledAttempt
from holdfast.testing import FakeClock
from tests.unit.governance.ledger.conftest import FlatCost, FlatPrices
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW, Company

NANO = 1_000_000_000
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For tests of rules whose statements another test runs on both databases."""


class TillPrices(FlatPrices):
    """``cheap-*`` models cost a tenth; of ``bought-*`` ones, which were bought by the hour, nobody knows what is billed."""

    def price(self, billed: BilledAttempt, **more: Any) -> FlatCost:
        found = super().price(billed, **more)
        model = billed.model or more["asked"]
        if model.startswith("cheap"):
            nano = (found.list_nano or 0) // 10
            return FlatCost(nano, nano, nano, nano, {name: part // 10 for name, part in found.parts.items()})
        if model.startswith("bought"):
            return FlatCost(found.list_nano, found.contracted_nano, None, None, found.parts)
        return found


class Till(Company):
    """What happens to the money of a company."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        super().__init__(store, clock)
        count = SpendCount(self.organisation, clock.wall_ms)
        self.ledger = Ledger(store, TillPrices(), self.organisation, clock, watch=count)
        self.budgets = Budgets(store, self.ledger, self.organisation, clock, count)
        self.desk = BudgetDesk(self.budgets, self.organisation)
        self.importer = Importer(self.ledger)
        self.bills = Bills(self.ledger, self.importer)
        self.outcomes = OutcomeService(store, clock.wall_ms)
        self.routing = Routing(store, self.outcomes, clock.wall_ms)
        self.keys = GatewayKeys(store, self.organisation, clock.wall_ms)
        self.plan = Rollout(
            store, self.organisation, self.workflows, EvidenceReader(store, self.reckonings()), clock.wall_ms
        )
        self._ids = itertools.count(1)

    def reckonings(self) -> Mapping[str, Reckoning]:
        """As a server puts them together."""
        return money_reckonings(
            self.store, organisation=self.organisation, budgets=self.budgets, bills=self.bills,
            verifier=lambda: LedgerVerifier(self.ledger),
        )  # fmt: skip

    async def begin(self) -> None:
        await super().begin()
        await self.ledger.recorder.refresh()
        await self.budgets.refresh()
        await self.keys.refresh()

    # --- calls, as the gateway puts them on record
    def opening(self, model: str = "m1", *, labels: Mapping[str, str] | None = None, **more: Any) -> Opening:
        """An attempt of the workflow that begins now."""
        ident = f"a{next(self._ids)}"
        said = {"workflow": WORKFLOW, "task": "reply"} | dict(labels or {})
        caller = Caller("k1", TENANT, labels=tuple(sorted(said.items())))
        call = ModelCall(f"c-{ident}", caller, "openai.chat", model, self.clock.wall_ms(), 400, **more)
        return Opening(ident, call, 1, "up", "openai", model, self.clock.wall_ms())

    async def calls(
        self, n: int = 1, model: str = "m1", *, served: str | None = None, tokens: int = 100, outcome: Any = "served", **more: Any
    ) -> list[Opening]:  # fmt: skip
        """Calls that are asked for one model and served by another, or the same."""
        openings = [self.opening(model, **more) for _ in range(n)]
        for each in openings:
            await self.ledger.open(each)
        billed = BilledAttempt(model=model if served is None else served, counts={"input": tokens, "output": 10})
        now_ms = self.clock.wall_ms()
        await asyncio.gather(
            *(self.ledger.settle(Served(each.id, outcome, billed=(billed,), at_ms=now_ms)) for each in openings)
        )
        return openings

    async def calls_of(self, opening: Opening, tokens: int = 1) -> None:
        """A call that was opened at its budgets is served."""
        billed = BilledAttempt(model=opening.model, counts={"input": tokens})
        await self.budgets.settle(Served(opening.id, "served", billed=(billed,), at_ms=self.clock.wall_ms()))

    async def spend(
        self, nano: int, *, model: str = "m1", n: int = 1, labels: Mapping[str, str] | None = None, **more: Any
    ) -> list[Row]:  # fmt: skip
        """Rows of so much money each, as agents bring them: with their own amount."""
        said = {"workflow": WORKFLOW, "task": "reply"} | dict(labels or {})
        rows = []
        for _ in range(n):
            ident, now_ms = f"r{next(self._ids)}", self.clock.wall_ms()
            facts: dict[str, Any] = {
                "id": ident, "call": ident, "at_ms": now_ms, "day": "", "month": "", "upstream": "up", "provider": "openai",
                "asked": model, "model": model, "counts": {"input": max(1, nano // 1_000)}, "parts": {"input": nano},
                "list_nano": nano, "contracted_nano": nano, "effective_nano": nano, "billed_nano": nano, "source": "agent",
            } | more  # fmt: skip
            rows.append(self.ledger.complete(Row(**facts), said, price=False))
        await self.ledger.append(rows)
        return rows

    # --- the others
    async def models(self, *names: str, **more: Any) -> None:
        """The manifest names these models."""
        await self.manifest(models=tuple(map(ManifestModel, names)), **more)

    async def budget(self, name: str = "mail", *, by: str = "user:dee", **terms: Any) -> None:
        """Somebody sets a budget of the workflow."""
        facts: dict[str, Any] = {"scope": {"workflow": WORKFLOW}, "mode": "enforce", "per": "month"} | terms
        await self.desk.set(TENANT, name, BudgetTerms(**facts), by)

    async def bill(
        self, lines: Iterable[tuple[str, str, str, int]], *, provider: str = "openai", cut: bool = False
    ) -> None:
        """A report of a provider is imported: ``(day, key, model, nano-USD)``."""
        head = (
            "BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,x_Model,x_KeyId,SubAccountId\n"
        )
        text = head + "".join(
            f"{nano // NANO}.{nano % NANO:09},USD,{day}T00:00:00Z,{day}T23:59:59Z,Usage,{model},{key},acc\n"
            for day, key, model, nano in lines
        )
        await self.importer.import_file(io.BytesIO(text.encode()), ImportOptions(provider=provider, name=f"bill-{cut}"))

    async def said(self, calls: Iterable[str], verdict: str, by: str = "user:ann") -> None:
        """What became of calls."""
        for call in calls:
            await self.outcomes.record(OutcomeRequest(outcome=verdict, call=call), by=by, tenant=TENANT)

    async def judged(self, model: str, accepted: int, rejected: int = 0, *, nano: int = NANO, **more: Any) -> None:
        """A model does so much work, and somebody says what became of it."""
        calls = [row.call for row in await self.spend(nano, model=model, n=accepted + rejected, **more)]
        await self.said(calls[:accepted], "accepted")
        await self.said(calls[accepted:], "rejected")


async def sql(till: Till, statement: str) -> None:
    """Somebody with the database's own tools."""

    def work(connection: Any) -> None:
        connection.execute(text(statement))

    await till.store.write(work)
    till.pass_days(0.01)  # the next round of the plan


@pytest.fixture
async def till(store: Store, clock: FakeClock) -> AsyncIterator[Till]:
    made = Till(store, clock)
    await made.begin()
    yield made
    await made.budgets.stop()
    await made.ledger.stop()
