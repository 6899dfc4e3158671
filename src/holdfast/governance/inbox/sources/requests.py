"""Requests for more money that wait for whoever decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from holdfast.governance import limits
from holdfast.governance.budgets import request_store
from holdfast.governance.budgets.model import Budget
from holdfast.governance.inbox.model import DAY_MS, Condition
from holdfast.governance.money import show
from holdfast.governance.store.store import Store

DAYS: Final = 2
"""In which a request is to be decided that no answer waits for."""


class RequestConditions:
    """Requests of a store.

    Args:
        budgets: those of a tenant that hold.
    """

    name: Final = "requests"

    def __init__(self, database: Store, budgets: Callable[[str], Sequence[Budget]]) -> None:
        self._store = database
        self._budgets = budgets

    async def conditions(self, tenant: str, now_ms: int, /) -> Sequence[Condition]:
        """See ``ConditionSource``."""
        waiting = await self._store.read(
            lambda connection: request_store.list_requests(connection, tenant, "waiting", limits.INBOX_CONDITIONS)
        )
        budgets = {budget.id: budget for budget in self._budgets(tenant)} if waiting else {}
        found = []
        for one in waiting:
            budget = budgets.get(one.budget)
            if budget is None:
                continue  # it ended, and nobody can decide about it
            waits = one.until_ms is not None and one.until_ms > now_ms
            found.append(
                Condition(
                    key=f"request|{one.id}", kind="budget.request", workflow=budget.scope.get("workflow", ""), role="payer",
                    person=budget.decider.partition(":")[2],
                    title=f"{one.by} asks for ${show(one.to_nano)} of {budget.name} instead of ${show(one.from_nano)}",
                    why=f"{one.why or 'no reason given'}{'; an answer waits for it' if waits else ''}",
                    what=f"Decide: holdfast budget approve {one.id}, or deny", link="/console/budgets",
                    severity="high" if waits else "normal", stops=waits,
                    due_ms=one.until_ms if waits and one.until_ms else one.at_ms + DAYS * DAY_MS,
                )
            )  # fmt: skip
        return found
