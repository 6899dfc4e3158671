"""Adds the waste of sessions up. Sessions come one after another, so a month of any size fits."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from holdfast.governance import limits
from holdfast.governance.ledger.bills.compare.gather import bill_amount
from holdfast.governance.ledger.bills.waste.model import (
    DEFINITIONS,
    Outcomes,
    ReadMarks,
    SessionWaste,
    Waste,
    WasteItem,
    WasteKind,
)
from holdfast.governance.ledger.bills.waste.sessions import (
    Loss,
    cache_losses,
    context_losses,
    regenerated_losses,
    retry_losses,
    unread_losses,
)
from holdfast.governance.ledger.bills.waste.tenths import Tenths
from holdfast.governance.ledger.bills.waste.unit_prices import UnitPrices
from holdfast.governance.ledger.model import Row

_WHY: Final[dict[WasteKind, str]] = {
    "cache": "no row shows what reading from the cache costs for these models",
    "unread": "no reader of these sessions sends read marks",
}


class _KindSums:
    """Sums of one kind."""

    def __init__(self) -> None:
        self.amount = self.rows = self.unknown = 0
        self.parts: dict[str, int] = defaultdict(int)
        self.by_day: dict[str, int] = defaultdict(int)
        self.worst: list[tuple[int, str, int, str]] = []

    def add(self, session: str, losses: Sequence[Loss]) -> None:
        """Count what one session lost."""
        whole, rows, notes = 0, 0, set()
        for loss in losses:
            if loss.amount is None:
                self.unknown += bill_amount(loss.row) or 0
                continue
            whole, rows = whole + loss.amount, rows + 1
            notes.add(loss.what)
            self.parts[loss.what if not loss.what.startswith("answered") else "answered again"] += loss.amount
            self.by_day[loss.row.day] += loss.amount
        self.amount, self.rows = self.amount + whole, self.rows + rows
        if whole and session:
            entry = whole, session, rows, ", ".join(sorted(notes))
            if len(self.worst) < limits.BILLS_SESSIONS:
                heapq.heappush(self.worst, entry)
            else:
                heapq.heappushpop(self.worst, entry)

    def item(self, kind: WasteKind, *, can_tell: bool) -> WasteItem:
        """As it is shown."""
        shown = [
            SessionWaste(name, amount, rows, note) for amount, name, rows, note in sorted(self.worst, reverse=True)
        ]
        return WasteItem(
            kind=kind,
            amount_nano=self.amount if can_tell else None,
            rows=self.rows,
            unknown_nano=self.unknown,
            why=_WHY.get(kind, "") if self.unknown else "",
            parts=dict(sorted(self.parts.items())),
            by_day=dict(sorted(self.by_day.items())),
            sessions=tuple(shown),
            definition=DEFINITIONS[kind],
        )


class WasteFinder:
    """Finds waste, session by session.

    Args:
        prices: learnt from the same rows: ``add`` for all of them, then ``add_size`` for all of them.
        marks: what people read; None where nobody sends read marks.
        outcomes: what became of sessions; None where nobody records it.
    """

    def __init__(self, prices: UnitPrices, *, marks: ReadMarks | None = None, outcomes: Outcomes | None = None) -> None:
        self._prices, self._marks = prices, marks
        self._kinds: dict[WasteKind, _KindSums] = {kind: _KindSums() for kind in DEFINITIONS}
        self._tenths = Tenths(outcomes)
        self._cost = self._any = self._unpriced = self._answers = 0

    def session(self, rows: Iterable[Row]) -> None:
        """Look at all rows of one session, or of none (``session`` empty). Rows that another one replaces must not be
        among them."""
        ordered = sorted(rows, key=lambda row: (row.at_ms, row.call, row.number, row.id))
        if not ordered:
            return
        name = ordered[0].session
        found: dict[WasteKind, list[Loss]] = {
            "cache": cache_losses(ordered, self._prices) if name else [],
            "retries": retry_losses(ordered),
            "context": context_losses(ordered, self._prices),
            "regenerated": regenerated_losses(ordered) if name else [],
            "unread": unread_losses(ordered, self._marks),
        }
        lost: dict[str, int] = defaultdict(int)
        costs = {row.id: bill_amount(row) for row in ordered}
        for kind, losses in found.items():
            self._kinds[kind].add(name, losses)
            for loss in losses:
                lost[loss.row.id] += loss.amount or 0
        self._cost += sum(cost or 0 for cost in costs.values())
        self._unpriced += sum(cost is None for cost in costs.values())
        self._any += sum(min(amount, costs[row] or 0) for row, amount in lost.items())
        if self._marks is not None:
            self._answers += sum(self._marks.read(row.session, row.run) is not None for row in ordered if row.run)
        if name:
            self._tenths.add(name, ordered)

    def result(self, since: str, until: str) -> Waste:
        """What was found in the period."""
        items = tuple(
            sums.item(kind, can_tell=kind != "unread" or self._answers > 0) for kind, sums in self._kinds.items()
        )
        return Waste(
            since=since, until=until, cost_nano=self._cost, any_nano=self._any, items=items,
            tenths=self._tenths.result(), unpriced=self._unpriced,
        )  # fmt: skip


def find_waste(
    rows: Sequence[Row],
    since: str = "",
    until: str = "",
    *,
    marks: ReadMarks | None = None,
    outcomes: Outcomes | None = None,
) -> Waste:
    """The same for rows that are all at hand."""
    prices = UnitPrices()
    for row in rows:
        prices.add(row)
    for row in rows:
        prices.add_size(row)
    finder = WasteFinder(prices, marks=marks, outcomes=outcomes)
    for session in by_session(rows):
        finder.session(session)
    return finder.result(since, until)


def by_session(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows of one session after another; those without one together."""
    sessions: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sessions[row.session].append(row)
    yield from sessions.values()
