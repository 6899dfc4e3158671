"""Budgets over a real store, ledger and catalogue of prices; attempts are opened and settled as the gateway does."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from holdfast.gateway.port import Caller, Hold, ModelCall, Opening, Served
from holdfast.gateway.settings import GatewaySettings
from holdfast.governance.app import Governance
from holdfast.governance.budgets import store as statements
from holdfast.governance.budgets.model import Budget, BudgetAccount
from holdfast.governance.organisation.document import parse
from holdfast.providers.billing.model import BilledAttempt
from holdfast.testing import FakeClock
from tests.unit.governance.conftest import clock, database

__all__ = ["clock", "database"]
NANO = 1_000_000_000
INPUT_RATE, OUTPUT_RATE = 250, 2_000
"""Of gpt-5-mini, nano-USD for a token."""
COMPANY = parse(
    b"""
organisation: {name: Company, time_zone: UTC}
teams: [{name: care}, {name: support, team: care}]
workflows: [{name: refunds, team: support}]
""",
    "yaml",
)


class Desk:
    """What tests do with budgets."""

    def __init__(self, governance: Governance, clock: FakeClock) -> None:
        self.governance, self.budgets, self.clock = governance, governance.budgets, clock
        self._ids = itertools.count(1)

    async def set(self, name: str = "support-month", usd: float = 1.0, **more: Any) -> Budget:
        """A budget that is enforced, unless said otherwise."""
        facts = {"mode": "enforce", "decider": "user:ann"} | more
        budget = Budget(id=f"b-{name}", name=name, cap_nano=round(usd * NANO), **facts)

        def work(connection: Any) -> tuple[None, list[Budget]]:
            statements.put_budget(connection, budget)
            return None, [budget]

        await self.budgets.change(work)
        return budget

    def opening(self, input_bytes: int = 100, limit: int | None = None, **more: Any) -> Opening:
        """An attempt of the support team's refunds."""
        ident = more.pop("id", f"c{next(self._ids)}")
        wire = more.pop("wire", "openai.chat")
        labels = {"workflow": "refunds", "team": "support", "task": "answer"} | more.pop("labels", {})
        caller = Caller("k1", labels=tuple(sorted(labels.items())))
        call = ModelCall(
            ident, caller, wire, "gpt-5-mini", self.clock.wall_ms(), input_bytes, limit, **more
        )  # fmt: skip
        return Opening(f"{ident}.1", call, 1, "openai", "openai", "gpt-5-mini", self.clock.wall_ms())

    async def open(self, opening: Opening) -> Hold:
        return await self.budgets.open(opening)

    async def settle(self, opening: Opening, input_tokens: int = 10, output_tokens: int = 0, **more: Any) -> None:
        billed = BilledAttempt(model="gpt-5-mini", counts={"input": input_tokens, "output": output_tokens})
        await self.budgets.settle(
            Served(opening.id, "served", billed=(billed,), at_ms=more.pop("at_ms", self.clock.wall_ms()), **more)
        )

    async def account(self, name: str = "support-month") -> BudgetAccount:
        (found,) = await self.budgets.accounts("default", f"b-{name}")
        return found


Opened = Callable[[], Awaitable[Desk]]


@pytest.fixture
async def desk(database: str, clock: FakeClock) -> AsyncIterator[Desk]:
    governance = Governance(database, clock, GatewaySettings.of({"upstreams": []}, "test"))
    await governance.start()
    try:
        await governance.organisation.change(COMPANY, by="user:ann")
        yield Desk(governance, clock)
    finally:
        await governance.stop()
