"""A budget that is spent when a test says so, for the clients of the dialects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from holdfast.errors import Refused
from holdfast.gateway.port import BrakeNews

SENTENCE: Final = "the budget 'support-month' (paid by Customer care) is spent: $25.00 of $25.00"
FIELDS: Final[dict[str, Any]] = {
    "budget": "support-month", "payer": "Customer care", "decider": "user:bea", "spent_usd": "25.00", "cap_usd": "25.00",
}  # fmt: skip
ASKED: Final = BrakeNews("asked", "ask", "budget.exceeded", SENTENCE, FIELDS)
RESUMED: Final = BrakeNews("resumed", "ask", "budget.exceeded", SENTENCE, FIELDS)


class Spent:
    """``Exhausted`` of ``governance/budgets/braked_agents.py``; ``out`` says whether the money is spent."""

    def __init__(self) -> None:
        self.out = False

    def age_s(self) -> float:
        """Known now."""
        return 0.0

    def any_spent(self) -> bool:
        """As long as it is."""
        return self.out

    def refusal(self, tenant: str, labels: Mapping[str, str], session: str, run: str) -> Refused | None:
        """The same budget for everybody."""
        return Refused("budget.exceeded", SENTENCE, **FIELDS) if self.out else None
