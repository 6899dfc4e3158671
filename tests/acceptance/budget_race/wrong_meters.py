"""Two meters that are wrong in the field's own ways: the race must catch both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from holdfast.errors import Refused
from holdfast.gateway.port import UNLIMITED, Hold, Opening, Served
from holdfast.governance.app import Governance
from holdfast.governance.budgets.bounds import bound_of
from holdfast.governance.money import MILLION

WHOLE_TOKENS: Final = 32_000
"""The most that a model writes: what a reservation of the worst case is for."""


class CheckThenRecord:
    """Looks whether the budget is spent, lets the call happen, records it afterwards."""

    def __init__(self, governance: Governance) -> None:
        self._governance = governance

    async def open(self, opening: Opening) -> Hold:
        """See ``Meter``."""
        budgets = self._governance.budgets
        for account in await budgets.accounts("default"):
            workflow = account.budget.scope.get("workflow")
            if workflow == opening.call.caller.label("workflow") and account.spent_nano >= account.budget.cap_nano:
                raise Refused("budget.exceeded")
        return await self._governance.ledger.open(opening)

    async def settle(self, served: Served) -> None:
        """See ``Meter``."""
        await self._governance.ledger.settle(served)


class WorstCase:
    """Reserves the most that a call could ever cost, before it begins."""

    def __init__(self, governance: Governance) -> None:
        self._governance = governance
        self._held: dict[str, tuple[str, int]] = {}
        self._lock = asyncio.Lock()

    async def open(self, opening: Opening) -> Hold:
        """See ``Meter``."""
        bound = bound_of(opening, self._governance.ledger.prices)
        need = bound.input_nano + WHOLE_TOKENS * bound.output_rate // MILLION
        workflow = opening.call.caller.label("workflow")
        async with self._lock:
            for account in await self._governance.budgets.accounts("default"):
                if account.budget.scope.get("workflow") == workflow:
                    held = sum(nano for name, nano in self._held.values() if name == workflow)
                    if need > account.budget.cap_nano - account.spent_nano - held:
                        raise Refused("budget.exceeded")
            self._held[opening.id] = workflow, need
        await self._governance.ledger.open(opening)
        return UNLIMITED

    async def settle(self, served: Served) -> None:
        """See ``Meter``."""
        await self._governance.ledger.settle(served)
        self._held.pop(served.id, None)


METERS: Final[dict[str, Callable[[Governance], Any]]] = {"check": CheckThenRecord, "worst": WorstCase}
