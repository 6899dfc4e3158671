"""Which rows of the ledger are of an account, and which names an organisation has."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

from holdfast.governance import limits
from holdfast.governance.budgets.definitions import UnitNames
from holdfast.governance.budgets.model import Budget, BudgetAccount
from holdfast.governance.ledger.history import Filters
from holdfast.governance.organisation.dates import day_at
from holdfast.governance.organisation.model import Tree

_COLUMNS = {"team": "team", "workflow": "workflow", "task": "task", "user": "person", "session": "session"}


def described(tree: Tree, now_ms: int) -> UnitNames:
    """The names that there are at a moment."""
    names: dict[str, set[str]] = {"team": set(), "workflow": set(), "cost_centre": set()}
    for unit in tree.at(now_ms):
        if unit.kind in names:
            names[unit.kind].add(unit.name)
    teams, workflows, centres = (frozenset(names[kind]) for kind in ("team", "workflow", "cost_centre"))
    return UnitNames(bool(tree.timelines), teams, workflows, centres)


def filters_of(budget: Budget, subject: str, tree: Tree, now_ms: int) -> Filters | None:
    """The rows of an account, teams with the teams within them as they are now; None where rows do not lead to it: of one
    run, and of one session of several, which is kept as a hash."""
    names = dict(budget.scope)
    if budget.each in ("run", "session"):
        return None
    if budget.each:
        if not subject or budget.each in names:
            return None
        names[budget.each] = subject
    if not names.keys() <= _COLUMNS.keys():
        return None
    found: dict[str, list[str]] = {_COLUMNS[level]: [name] for level, name in names.items()}
    if "team" in names:
        found["team"] = _within(names["team"], tree, now_ms)
    return found


def rows_of(account: BudgetAccount, tree: Tree, zone: ZoneInfo, now_ms: int) -> dict[str, Any]:
    """Where the rows of an account are found, as the ledger's routes are asked.

    Returns:
        ``since`` and ``until``, days of the organisation; ``where``; and ``exact``: False where these are more rows than the
        account counts: of one run or person, which rows are not looked up by, of one session of several, or of a window that
        does not begin with a day of the organisation.
    """
    budget, first = account.budget, day_at(account.opens_ms, zone)
    names, person = dict(budget.scope), "user" in budget.scope or budget.each == "user"
    names.pop("user", None)
    if budget.each in _COLUMNS and budget.each not in ("user", "session") and account.subject:
        names.setdefault(budget.each, account.subject)
    where = [f"{level}:{name}" for level, name in names.items() if level != "team"]
    where += [f"team:{team}" for team in _within(names["team"], tree, now_ms)] if "team" in names else []
    today = day_at(now_ms, zone)
    since = max(first, today - datetime.timedelta(days=limits.LEDGER_DAYS - 1))
    same_days = budget.zone in ("", zone.key) and budget.span != "rolling" and since == first
    exact = same_days and not person and budget.each not in ("run", "session") and len(where) <= limits.LEDGER_FILTERS
    return {
        "since": since.isoformat(),
        "until": today.isoformat(),
        "where": where[: limits.LEDGER_FILTERS],
        "exact": exact,
    }


def _within(team: str, tree: Tree, now_ms: int) -> list[str]:
    all_teams = (unit.name for unit in tree.at(now_ms) if unit.kind == "team")
    below = [name for name in all_teams if any(unit.name == team for unit in tree.teams(name, now_ms))]
    return sorted({team, *below})
