"""How budgets, their money and what was asked are shown: plain values, amounts as nano-USD and as decimal text. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.governance.budgets.model import IT, Budget, BudgetAccount, BudgetRefusal, RaiseRequest
from holdfast.governance.budgets.refusals import stranded_ppm
from holdfast.governance.money import show


def of_budget(budget: Budget) -> dict[str, Any]:
    """A budget, with ``cap_usd`` and whether the payer has agreed to the cap as it stands."""
    facts: dict[str, Any] = msgspec.to_builtins(budget)
    return facts | {
        "cap_usd": show(budget.cap_nano), "level": budget.level, "approved": bool(budget.approved_by),
    }  # fmt: skip


def of_account(account: BudgetAccount) -> dict[str, Any]:
    """An account; ``stranded_ppm``: of what settled attempts of its window had reserved, the share they did not need."""
    facts: dict[str, Any] = msgspec.to_builtins(account)
    amounts = ("spent_nano", "reserved_nano", "returned_nano", "settled_nano")
    texts = {name.replace("_nano", "_usd"): show(facts[name]) for name in amounts}
    return facts | texts | {
        "budget": of_budget(account.budget), "free_nano": account.free_nano, "free_usd": show(account.free_nano),
        "stranded_ppm": stranded_ppm(account.returned_nano, account.settled_nano),
    }  # fmt: skip


def of_request(request: RaiseRequest, budget: Budget | None) -> dict[str, Any]:
    """A request, with the name of its budget and who decides."""
    named = {"name": budget.name, "payer": budget.payer, "decider": budget.decider} if budget else {"name": ""}
    amounts = {"from_usd": show(request.from_nano), "to_usd": show(request.to_nano)}
    facts: dict[str, Any] = msgspec.to_builtins(request)
    return facts | named | amounts


def of_refusal(refusal: BudgetRefusal, budget: Budget | None) -> dict[str, Any]:
    """A refusal, with the name of its budget."""
    amounts = {f"{name}_usd": show(getattr(refusal, f"{name}_nano")) for name in ("need", "cap", "spent", "reserved")}
    facts: dict[str, Any] = msgspec.to_builtins(refusal)
    return facts | amounts | {"name": budget.name if budget else ""}


def notes_of(budget: Budget, before: Budget | None) -> list[str]:
    """What whoever has set a budget should know."""
    notes: list[str] = []
    if not budget.approved_by:
        payer = "IT" if budget.payer == IT else budget.payer
        who = budget.decider or f"somebody of {payer}"
        lost = "not any more" if before is not None and before.approved_by else "not yet"
        notes.append(f"The payer ({payer}) has {lost} approved this cap: {who} does, or say --approved-by.")
    if budget.mode == "observe":
        notes.append("It observes: what does not fit is counted and let through. --enforce refuses it.")
    elif budget.strength == "soft":
        notes.append("It is soft: passing it is told, and nothing is refused.")
    return notes
