"""What is spent, counted in the transaction that writes the ledger's rows: enforcement and ledger are one number.

A row counts on the bucket of its own time, on every account it falls under; one that replaces another takes the other's
amount back from where that stood. What an attempt held is given back in the same transaction, so that no instant sees it
twice, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from holdfast.governance.budgets import store, windows
from holdfast.governance.budgets.model import Budget
from holdfast.governance.budgets.store import SpentLine
from holdfast.governance.budgets.whereabouts import BudgetSet, Whereabouts
from holdfast.governance.ledger.model import Row
from holdfast.providers.billing.model import BilledAttempt


class TeamUnit(Protocol):
    """A team."""

    @property
    def name(self) -> str: ...


class TeamTree(Protocol):
    """The organisation's tree."""

    @property
    def timelines(self) -> Mapping[Any, Any]:
        """What it is made of: another one, when anything of it has changed."""
        ...

    def teams(self, team: str, at_ms: int) -> Sequence[TeamUnit]:
        """A team and those it is in, the innermost first."""
        ...


class OrganisationTeams(Protocol):
    """Who is who, in memory (``organisation``)."""

    @property
    def tree(self) -> Callable[[str], TeamTree]: ...

    def zone(self, tenant: str = "default", at_ms: int | None = None, /) -> ZoneInfo:
        """The time zone of a tenant's days."""
        ...


def whereabouts_of(row: Row, organisation: OrganisationTeams) -> Whereabouts:
    """Where a row of the ledger stands."""
    teams = tuple(unit.name for unit in organisation.tree(row.tenant).teams(row.team, row.at_ms)) if row.team else ()
    return Whereabouts(
        row.organisation, teams, row.workflow, row.task, row.person, row.session, row.parent_run or row.run or row.call
    )


def amount_of(row: Row) -> int:
    """What a row counts for: what the invoice will say, nano-USD. One without a price counts for nothing yet."""
    return row.billed_nano or 0


class SpendCount:
    """Counts; a ``ledger.port.RowWatch``.

    Attributes:
        budgets: as read last.
    """

    def __init__(self, organisation: OrganisationTeams, now_ms: Callable[[], int]) -> None:
        self.budgets = BudgetSet()
        self._organisation = organisation
        self._now_ms = now_ms

    def lock(self, connection: Connection) -> None:
        """See ``RowWatch``."""
        store.lock(connection)

    def count(
        self, connection: Connection, changes: Sequence[tuple[Row, Row | None]], ended: Sequence[str] = ()
    ) -> None:
        """See ``RowWatch``."""
        budgets = store.current(connection, self.budgets)
        lines: dict[tuple[str, str, int], SpentLine] = {}
        for row, replaced in changes:
            if replaced is not None:
                self._add(lines, budgets, replaced, -1)
            self._add(lines, budgets, row, 1)
        if ended:
            self._give_back(connection, lines, budgets, changes, ended)
        store.add_spent(connection, lines.values(), self._now_ms())

    def _add(self, lines: dict[tuple[str, str, int], SpentLine], budgets: BudgetSet, row: Row, sign: int) -> None:
        for budget, subject in budgets.accounts(row.tenant, whereabouts_of(row, self._organisation)):
            key = budget.id, subject, self._bucket(budget, row.at_ms)
            line = lines.get(key) or SpentLine(*key)
            lines[key] = line._replace(spent_nano=line.spent_nano + sign * amount_of(row), rows=line.rows + sign)

    def _give_back(
        self, connection: Connection, lines: dict[tuple[str, str, int], SpentLine], budgets: BudgetSet,
        changes: Iterable[tuple[Row, Row | None]], ended: Sequence[str],
    ) -> None:  # fmt: skip
        costs: dict[str, int] = {}
        for row, _ in changes:
            attempt = row.id.partition("/")[0].partition("~")[0]
            costs[attempt] = costs.get(attempt, 0) + amount_of(row)
        now_ms = self._now_ms()
        for hold in store.holds_of(connection, ended):
            budget = budgets.by_id.get(hold.budget)
            if budget is None:
                continue
            key = budget.id, hold.subject, self._bucket(budget, now_ms)
            line, cost = lines.get(key) or SpentLine(*key), costs.get(hold.attempt, 0)
            lines[key] = line._replace(
                settled_nano=line.settled_nano + cost, returned_nano=line.returned_nano + max(0, hold.nano - cost)
            )
        store.end_holds(connection, ended)

    def forget_session(self, connection: Connection, tenant: str, session: str) -> None:
        """See ``RowWatch``."""
        store.forget_session(connection, tenant, session)

    def most(self, connection: Connection, attempt: str) -> BilledAttempt | None:
        """See ``RowWatch``: what a lost attempt had reserved, which is the most that it used."""
        hold, *_ = [*store.holds_of(connection, [attempt]), None]  # all are read: see the store
        if hold is None:
            return None
        return BilledAttempt(counts={"input": hold.input_tokens, "output": hold.output_tokens}, reported=False)

    def _bucket(self, budget: Budget, at_ms: int) -> int:
        return windows.bucket_of(budget, at_ms, self._organisation.zone(budget.tenant, at_ms))
