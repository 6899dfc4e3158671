"""Which budgets a piece of spending falls under, and on which account of each. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from holdfast.governance.budgets.model import LEVELS, Budget, Level


class Whereabouts(NamedTuple):
    """Where spending stands in the organisation; empty texts where it is of nothing.

    Attributes:
        teams: the team and those it is in, the innermost first.
        user: a pseudonym.
        run: the topmost one above it; of a call in no session the call itself.
    """

    organisation: str = ""
    teams: tuple[str, ...] = ()
    workflow: str = ""
    task: str = ""
    user: str = ""
    session: str = ""
    run: str = ""

    def names(self, level: Level) -> tuple[str, ...]:
        """What it is of on a level: several for teams within teams, none where it is of nothing."""
        found: str | tuple[str, ...] = self[LEVELS.index(level)]
        if isinstance(found, tuple):
            return found
        return (found,) if found else ()


class AccountName(NamedTuple):
    """One account: a budget, and the value of ``each`` where it has that."""

    budget: Budget
    subject: str


class BudgetSet:
    """The budgets that hold, found by what spending is of.

    Args:
        budgets: of all tenants.
        version: how often budgets had changed when they were read.
    """

    def __init__(self, budgets: Iterable[Budget] = (), version: int = -1) -> None:
        self.version = version
        self.by_id = {budget.id: budget for budget in budgets if budget.ended_ms is None}
        self._at: dict[tuple[str, str, str], list[Budget]] = {}
        for budget in self.by_id.values():
            self._at.setdefault((budget.tenant, *_place(budget)), []).append(budget)
        self._tenants = {budget.tenant for budget in self.by_id.values()}

    def of(self, tenant: str) -> list[Budget]:
        """The budgets of a tenant, the largest parts of the organisation first, then by name."""
        found = [budget for budget in self.by_id.values() if budget.tenant == tenant]
        return sorted(found, key=lambda budget: (LEVELS.index(budget.level), budget.name))

    def accounts(self, tenant: str, where: Whereabouts) -> list[AccountName]:
        """The accounts that spending counts on, the smallest part first: whose money is short is told of the smallest."""
        if tenant not in self._tenants:
            return []
        found = [account for budget in self._at.get((tenant, "", ""), ()) for account in _accounts(budget, where)]
        for level in LEVELS:
            for name in where.names(level):
                for budget in self._at.get((tenant, level, name), ()):
                    found += _accounts(budget, where)
        return sorted(found, key=lambda account: (-LEVELS.index(account.budget.level), account.budget.id))


def _place(budget: Budget) -> tuple[str, str]:
    """Under which name a budget is looked for: that of the smallest level its scope has."""
    named = [level for level in LEVELS if level in budget.scope]
    return (named[-1], budget.scope[named[-1]]) if named else ("", "")


def _accounts(budget: Budget, where: Whereabouts) -> Sequence[AccountName]:
    if len(budget.scope) > 1 and not _covers(budget.scope, where):  # by one name it was found
        return ()
    if not budget.each:
        return (AccountName(budget, ""),)
    return tuple(AccountName(budget, subject_of(budget.each, name)) for name in where.names(budget.each))


def _covers(scope: Mapping[str, str], where: Whereabouts) -> bool:
    return all(name in where.names(level) for level, name in scope.items())  # type: ignore[arg-type]


def subject_of(level: Level, name: str) -> str:
    """By what an account is kept for a name. A session's is a hash: nothing here leads to a session that was deleted."""
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest() if level == "session" else name
