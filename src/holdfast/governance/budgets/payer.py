"""Asks the payer for more while an answer is held open, and waits for the decision."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Connection

from holdfast.errors import Refused
from holdfast.gateway.port import Opening
from holdfast.governance import limits
from holdfast.governance.budgets import definition_store, request_store
from holdfast.governance.budgets.desk import DOMAIN
from holdfast.governance.budgets.model import BrakeRule, Budget, RaiseRequest
from holdfast.governance.budgets.port import BudgetStore
from holdfast.governance.money import parse
from holdfast.governance.store.changes import count_change


class Named(Protocol):
    """Where an attempt stands: of it, the workflow."""

    @property
    def workflow(self) -> str: ...


class PayerAsked:
    """Asks for one attempt; all that wait for the same budget wait for one decision.

    Args:
        database: where requests stand.
        now_ms: the clock, Unix ms.
        rule_of: what was said of a workflow (tenant, workflow): for how long a person is waited for.
    """

    def __init__(
        self, database: BudgetStore, now_ms: Callable[[], int], rule_of: Callable[[str, str], BrakeRule]
    ) -> None:  # fmt: skip
        self._store = database
        self._now_ms = now_ms
        self._rule_of = rule_of

    async def __call__(self, opening: Opening, where: Named, refused: Refused) -> None:
        """Answered when the cap is another; raises ``refused`` when it was denied, or nobody has decided in time."""
        tenant = opening.call.caller.tenant
        wait_s = self._rule_of(tenant, where.workflow).wait_s
        until_ms = self._now_ms() + wait_s * 1_000
        request = await self._store.write(lambda connection: self._request(connection, opening, refused, until_ms))
        if request is None:  # raised, or ended, since it refused
            return
        try:
            async with asyncio.timeout(wait_s):
                while request.state == "waiting":
                    await asyncio.sleep(limits.BUDGET_DECISION_S)
                    request = await self._look(request)
        except TimeoutError:
            raise refused from None
        if request.state != "approved":
            raise refused

    async def _look(self, request: RaiseRequest) -> RaiseRequest:
        found = await self._store.read(
            lambda connection: request_store.find_request(connection, request.tenant, request.id)
        )
        return found or request

    def _request(
        self, connection: Connection, opening: Opening, refused: Refused, until_ms: int
    ) -> RaiseRequest | None:
        call = opening.call
        tenant, named = call.caller.tenant, str(refused.fields.get("budget", ""))
        budget = definition_store.find(connection, tenant, named)
        if budget is None or budget.ended_ms is not None or budget.cap_nano > _cap_then(refused, budget):
            return None
        waiting = request_store.waiting_for(connection, tenant, budget.id, budget.cap_nano)
        if waiting is not None:
            return waiting
        request = RaiseRequest(
            id=definition_store.new_id("br"), tenant=tenant, budget=budget.id, from_nano=budget.cap_nano,
            to_nano=_enough(refused, budget), by=call.caller.actor or f"key:{call.caller.key}",
            why="an answer waits for it", at_ms=self._now_ms(), call=call.id, session=call.session, run=call.run,
            until_ms=until_ms,
        )  # fmt: skip
        request_store.add_request(connection, request)
        count_change(connection, DOMAIN)
        return request


def _cap_then(refused: Refused, budget: Budget) -> int:
    return parse(str(refused.fields["cap_usd"])) if "cap_usd" in refused.fields else budget.cap_nano


def _enough(refused: Refused, budget: Budget) -> int:
    """A quarter more than the cap, and what the answer needs at least."""
    need = parse(str(refused.fields.get("need_usd", "0")))
    return budget.cap_nano + max(need, budget.cap_nano // 4, 1)
