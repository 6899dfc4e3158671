"""How the commands of budgets say things."""

from __future__ import annotations

import datetime
from typing import Any

import typer

from holdfast.errors import Refused
from holdfast.governance.asking import Asker
from holdfast.governance.budgets import actions
from holdfast.governance.budgets.desk import BudgetDesk


def window(budget: dict[str, Any]) -> str:
    """When its money is counted."""
    span = budget["span"]
    if span == "rolling":
        return f"in {budget['rolling_s']:,} s"
    return "in all" if span == "total" else f"a {span}"


def of(budget: dict[str, Any]) -> str:
    """Whose spending it bounds."""
    parts = [f"{level} {name}" for level, name in budget["scope"].items()]
    if budget["each"]:
        parts.append(f"each {budget['each']}")
    return ", ".join(parts) or "everything"


def manner(budget: dict[str, Any]) -> str:
    """What it does with what does not fit."""
    return "soft" if budget["strength"] == "soft" else "enforced" if budget["mode"] == "enforce" else "observed"


def share(ppm: int | None) -> str:
    """Millionths as a percentage."""
    return "–" if ppm is None else f"{ppm // 10_000} %"


def moment(at_ms: int) -> str:
    """A moment, to the minute, in UTC."""
    return datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def id_of(asker: Asker[BudgetDesk], name: str) -> str:
    """A name that can stand in an address: the id where the name has a slash."""
    if "/" not in name:
        return name
    for one in asker.ask(actions.LIST)["accounts"]:
        if one["budget"]["name"] == name:
            return str(one["budget"]["id"])
    raise Refused("budget.not_found", f"there is no budget {name!r:.80}")


def asker_of(ctx: typer.Context) -> Asker[BudgetDesk]:
    """Who asks the desk."""
    found: Asker[BudgetDesk] = ctx.meta["budget"]
    return found
