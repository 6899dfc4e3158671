"""What the desk, the alerts and the forecast ask of whoever keeps budgets (``service.py``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from holdfast.governance.budgets.model import Budget, BudgetAccount
from holdfast.governance.budgets.port import BudgetStore
from holdfast.governance.budgets.store import HoldLine
from holdfast.governance.ledger.port import WallClock

T = TypeVar("T")
Changing = Callable[[Connection], tuple[T, Sequence[Budget]]]
"""Work that changes what budgets are: what it answers, and the budgets whose spending is to be counted again, which is done
in the same transaction."""


class BudgetRegistry(Protocol):
    """Budgets, what is spent of them, and what is held."""

    @property
    def store(self) -> BudgetStore:
        """The database."""

    @property
    def clock(self) -> WallClock:
        """The time."""

    def definitions(self, tenant: str) -> Sequence[Budget]:
        """The budgets of a tenant that hold, in memory."""

    async def change(self, work: Changing[T]) -> T:
        """Change definitions and count again what they ask for, in one transaction; every process knows of it within a
        second, this one when it returns. Raises what the work raises, and ``Unavailable``."""

    async def accounts(self, tenant: str, budget: str = "", limit: int = ..., /) -> list[BudgetAccount]:
        """The money of a tenant's budgets now, of one of them where it is named. Raises ``Unavailable``."""

    async def reservations(self, tenant: str) -> Sequence[HoldLine]:
        """What attempts under way hold, the oldest first. Raises ``Unavailable``."""
