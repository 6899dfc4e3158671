"""What was spent on a budget, read from the ledger's rows: where counting begins, and what it is held to.

A budget that is new, or covers something else from now on, is counted from the rows that are there, in the transaction that
makes it; from then on each row counts as it is written. ``differences`` does the same again and compares.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Connection

from holdfast.governance.budgets import store, windows
from holdfast.governance.budgets.counting import OrganisationTeams, amount_of, whereabouts_of
from holdfast.governance.budgets.model import Budget
from holdfast.governance.budgets.store import SpentLine
from holdfast.governance.budgets.whereabouts import BudgetSet
from holdfast.governance.ledger import queries

_QUARTER_MS: Final = 900_000
"""In every time zone midnight is at a quarter of an hour: where a budget's days are not the organisation's."""


class CountDifference(NamedTuple):
    """A bucket of which the count is not what the ledger says, nano-USD."""

    budget: str
    subject: str
    bucket_ms: int
    counted_nano: int
    ledger_nano: int


def recount(connection: Connection, budget: Budget, organisation: OrganisationTeams, now_ms: int) -> None:
    """Count a budget anew: in the window that is open, and in those before it that it has counts of."""
    opens_ms = windows.window_of(budget, now_ms, organisation.zone(budget.tenant, now_ms)).opens_ms
    since_ms = min([opens_ms, *(bucket for _, bucket in store.read_buckets(connection, budget.id))])
    store.clear_spent(connection, budget.id)
    lines = _sums(connection, budget, organisation, since_ms)
    store.add_spent(connection, lines.values(), now_ms)


def differences(connection: Connection, budget: Budget, organisation: OrganisationTeams) -> list[CountDifference]:
    """Where the count of a budget differs from the ledger, of the buckets that it has. Of sessions that were deleted nothing
    can be compared: no row leads to them."""
    counted = store.read_buckets(connection, budget.id)
    if not counted:
        return []
    sums = _sums(connection, budget, organisation, min(bucket for _, bucket in counted))
    of_sessions = budget.each == "session" or "session" in budget.scope
    in_ledger = {(line.subject, line.bucket_ms) for line in sums.values()}
    found = []
    for subject, bucket in sorted(in_ledger if of_sessions else counted.keys() | in_ledger):
        line = sums.get((budget.id, subject, bucket))
        nano = (counted.get((subject, bucket), 0), line.spent_nano if line is not None else 0)
        if nano[0] != nano[1]:
            found.append(CountDifference(budget.name, subject, bucket, *nano))
    return found


def _sums(
    connection: Connection, budget: Budget, organisation: OrganisationTeams, since_ms: int
) -> dict[tuple[str, str, int], SpentLine]:
    alone = BudgetSet([budget])
    single = bool({"session", "run"} & {budget.each, *budget.scope})
    width = windows.bucket_width_ms(budget) if budget.span == "rolling" else _QUARTER_MS if budget.zone else 0
    lines: dict[tuple[str, str, int], SpentLine] = {}
    for row, count in queries.placed_sums(connection, budget.tenant, since_ms, None, width_ms=width, single=single):
        for _, subject in alone.accounts(row.tenant, whereabouts_of(row, organisation)):
            bucket = windows.bucket_of(budget, row.at_ms, organisation.zone(budget.tenant, row.at_ms))
            key = budget.id, subject, bucket
            line = lines.get(key) or SpentLine(*key)
            lines[key] = line._replace(spent_nano=line.spent_nano + amount_of(row), rows=line.rows + count)
    return lines
