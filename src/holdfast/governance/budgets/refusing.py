"""What somebody is told whose money is short: whose budget it is, what was spent, when there is more, who can raise it."""

from __future__ import annotations

import math

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.budgets.book import Standing
from holdfast.governance.budgets.model import IT, Budget
from holdfast.governance.money import show


def refusal_of(budget: Budget, standing: Standing, need: int, reopens_ms: int | None, now_ms: int) -> Refused:
    """The error: ``budget.exceeded`` where no time brings money, or the window's whole cap were not enough;
    ``budget.reopens`` where a window opens in a moment; else ``budget.spent``.

    Args:
        need: nano-USD that would have had to be free.
        reopens_ms: when the next window opens, Unix ms; None for never.
    """
    payer = "IT" if budget.payer == IT else budget.payer
    others = f", other calls under way hold ${show(standing.reserved)}" if standing.reserved > 0 else ""
    words = (
        f"the budget {budget.name!r} (paid by {payer}) has ${show(standing.cap)}: ${show(standing.spent)} are spent{others}"
        f"{f', and this would come to ${show(need)}' if need else ''}"
    )
    who = budget.decider.partition(":")[2] or budget.decider
    fields: dict[str, object] = {
        "budget": budget.name, "payer": budget.payer, "decider": budget.decider, "spent_usd": show(standing.spent),
        "held_usd": show(max(0, standing.reserved)), "cap_usd": show(standing.cap), "need_usd": show(need),
    }  # fmt: skip
    if reopens_ms is not None and need <= standing.cap:
        fields["reopens_ms"] = reopens_ms
        wait_s = max(0.0, (reopens_ms - now_ms) / 1_000)
        if wait_s <= limits.BUDGET_SOON_S:
            return Refused("budget.reopens", words, retry_after_s=max(1, math.ceil(wait_s)), **fields)
        return Refused("budget.spent", words, fix=_fix(who, budget.name, waits=True), **fields)
    return Refused("budget.exceeded", words, fix=_fix(who, budget.name, waits=False), **fields)


def _fix(who: str, name: str, *, waits: bool) -> str:
    ask = f"Ask {who or 'whoever pays'} to raise it: `holdfast budget request {name}`"
    return f"{ask}, or wait for its next window." if waits else f"{ask}."
