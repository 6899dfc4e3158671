"""What was spent on a budget, read from the ledger's rows: where counting begins, and what it is held to.

A budget that is new, or covers something else from now on, is counted from the rows that are there, in the transaction that
makes it; from then on each row counts as it is written. ``differences`` does the same again and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from holdfast.gateway.port import Opening
from holdfast.governance import limits
from holdfast.governance.budgets import store, windows
from holdfast.governance.budgets.counting import OrganisationTeams, amount_of, whereabouts_of
from holdfast.governance.budgets.model import Budget
from holdfast.governance.budgets.port import OpeningBook
from holdfast.governance.budgets.store import SpentLine
from holdfast.governance.budgets.whereabouts import BudgetSet, Whereabouts
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
    opens_ms = windows.counted_window(budget, now_ms, organisation.zone).opens_ms
    since_ms = min([opens_ms, *(bucket for _, bucket in store.read_buckets(connection, budget.id))])
    store.clear_spent(connection, budget.id)
    lines = _sums(connection, budget, organisation, since_ms)
    store.add_spent(connection, lines.values(), now_ms)


def hold_again(
    connection: Connection, budgets: Sequence[Budget], openings: OpeningBook, where: Callable[[Opening], Whereabouts],
    now_ms: int,
) -> None:  # fmt: skip
    """Let the attempts under way hold money of budgets that are new, or cover something else from now on: what they come to
    will count there."""
    if not budgets:
        return
    attempts = store.attempts_holding(connection)
    holds = {line.attempt: line for line in store.holds_of(connection, attempts)}
    for budget in budgets:
        store.clear_holds(connection, budget.id)
    changed = BudgetSet(budgets)
    for first in range(0, len(attempts), limits.BUDGET_GROUP):
        some = openings.open_of(connection, attempts[first : first + limits.BUDGET_GROUP])
        lines = [
            holds[attempt]._replace(budget=budget.id, subject=subject, at_ms=now_ms)
            for attempt, opening in some.items()
            for budget, subject in changed.accounts(opening.call.caller.tenant, where(opening))
        ]
        store.add_holds(connection, lines)


def forgotten_of(budget: Budget, window: windows.Window, now_ms: int) -> dict[str, int] | None:
    """Which buckets of a budget are forgotten, as ``store.forget_spent`` takes it; None for none."""
    untouched_ms = now_ms - round(limits.BUDGET_TOUCHED_S * 1_000)
    if budget.span == "rolling":
        return {"before_ms": window.opens_ms}
    return {"untouched_since_ms": untouched_ms} if budget.each in ("run", "session") else None


def differences(
    connection: Connection, budget: Budget, organisation: OrganisationTeams, now_ms: int
) -> list[CountDifference]:
    """Where the count of a budget differs from the ledger, of the buckets that it has. Of sessions that were deleted nothing
    can be compared: no row leads to them. Nor is what may have been forgotten (``forgotten_of``)."""
    counted = store.read_buckets(connection, budget.id)
    if not counted:
        return []
    since_ms, young_ms = min(bucket for _, bucket in counted), 0
    if budget.span == "rolling":
        since_ms = windows.window_of(budget, now_ms, organisation.zone(budget.tenant, now_ms)).opens_ms
        counted = {key: nano for key, nano in counted.items() if key[1] >= since_ms}
    elif budget.each in ("run", "session"):
        young_ms = now_ms - round(limits.BUDGET_TOUCHED_S * 1_000)
    oldest: dict[tuple[str, int], int] = {}
    sums = _sums(connection, budget, organisation, since_ms, oldest)
    of_sessions = budget.each == "session" or "session" in budget.scope
    in_ledger = {(line.subject, line.bucket_ms) for line in sums.values()}
    found = []
    for subject, bucket in sorted(in_ledger if of_sessions else counted.keys() | in_ledger):
        if oldest.get((subject, bucket), now_ms) < young_ms:
            continue
        line = sums.get((budget.id, subject, bucket))
        nano = (counted.get((subject, bucket), 0), line.spent_nano if line is not None else 0)
        if nano[0] != nano[1]:
            found.append(CountDifference(budget.name, subject, bucket, *nano))
    return found


def spent_by_bucket(
    connection: Connection, budget: Budget, organisation: OrganisationTeams, since_ms: int, until_ms: int | None = None
) -> dict[tuple[str, int], int]:
    """Nano-USD by subject and bucket, as the ledger's rows of a time say: from, and before; None for no end."""
    sums = _sums(connection, budget, organisation, since_ms, until_ms=until_ms)
    return {(line.subject, line.bucket_ms): line.spent_nano for line in sums.values()}


def _sums(
    connection: Connection, budget: Budget, organisation: OrganisationTeams, since_ms: int,
    oldest: dict[tuple[str, int], int] | None = None, until_ms: int | None = None,
) -> dict[tuple[str, str, int], SpentLine]:  # fmt: skip
    alone = BudgetSet([budget])
    single = bool({"session", "run"} & {budget.each, *budget.scope})
    width = _width_ms(budget, organisation, since_ms)
    lines: dict[tuple[str, str, int], SpentLine] = {}
    for row, count in queries.placed_sums(connection, budget.tenant, since_ms, until_ms, width_ms=width, single=single):
        for _, subject in alone.accounts(row.tenant, whereabouts_of(row, organisation)):
            bucket = windows.bucket_of(budget, row.at_ms, organisation.zone(budget.tenant, row.at_ms))
            key = budget.id, subject, bucket
            line = lines.get(key) or SpentLine(*key)
            if oldest is not None:
                oldest[key[1:]] = min(row.at_ms, oldest.get(key[1:], row.at_ms))
            lines[key] = line._replace(spent_nano=line.spent_nano + amount_of(row), rows=line.rows + count)
    return lines


def _width_ms(budget: Budget, organisation: OrganisationTeams, since_ms: int) -> int:
    """Of which parts of time, shorter than a day, sums have to be told apart; 0 for none."""
    if budget.span == "rolling":
        return windows.bucket_width_ms(budget)
    if budget.zone or budget.span == "total":
        return _QUARTER_MS if budget.zone else 0
    moved = organisation.zone(budget.tenant, since_ms).key != organisation.zone(budget.tenant).key
    return 1 if moved else 0  # it moved to another time zone at any instant, and from then on buckets are others
