"""Ledger and bill side by side: cells of a day, a model and a key, and what of each is not explained yet."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Final

from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.bills.compare.days import DAY_MS, bounds_ms, day_of, day_of_line, days_between
from holdfast.governance.ledger.bills.compare.keys import AccountNames
from holdfast.governance.ledger.bills.compare.model import (
    EVERYTHING,
    Cause,
    CauseShare,
    Cell,
    Context,
    Estimate,
    Slot,
)  # fmt: skip
from holdfast.governance.ledger.bills.compare.names import BillNames
from holdfast.providers.billing.model import BESIDE

CENT_NANO: Final = 10_000_000
_WIDE_MS: Final = DAY_MS + 3_600_000  # a day of 25 hours is still a day
_WORDS: Final = {"web_searches": ("web search", "web_search")}


@dataclasses.dataclass(slots=True)
class OpenCell:
    """A cell while causes are looked for.

    Attributes:
        rest: of bill minus ledger, what has no cause yet.
        scale: what the bill charges for a dollar of the ledger, as numerator and denominator.
        partial: it has fewer lines than its model and key usually have.
        closed: nothing more is looked for here.
    """

    day: str
    model: str
    key: str
    bill: int = 0
    ledger: int = 0
    lines: list[str] = dataclasses.field(default_factory=list)
    rows: int = 0
    unpriced: int = 0
    unassigned: int = 0
    fallback: int = 0
    agent: int = 0
    estimates: list[Estimate] = dataclasses.field(default_factory=list)
    bill_counts: dict[str, int] = dataclasses.field(default_factory=dict)
    ledger_counts: dict[str, int] = dataclasses.field(default_factory=dict)
    tolerance: int = 0
    rest: int = 0
    scale: tuple[int, int] = (1, 1)
    partial: bool = False
    closed: bool = False
    shares: list[CauseShare] = dataclasses.field(default_factory=list)

    @property
    def at(self) -> tuple[str, str, str]:
        """Where it stands."""
        return self.day, self.model, self.key

    @property
    def estimated(self) -> int:
        """What the ledger estimates in it, nano-USD."""
        return sum(estimate.amount_nano for estimate in self.estimates)

    @property
    def still_open(self) -> bool:
        """Whether there is more than rounding to explain."""
        return not self.closed and abs(self.rest) > self.tolerance

    def take(self, cause: Cause, amount: int, *, close: bool = False) -> None:
        """Give a part of the rest its name."""
        if amount:
            self.shares.append(CauseShare(cause, amount))
            self.rest -= amount
        self.closed = self.closed or close

    def cell(self) -> Cell:
        """As it is told."""
        return Cell(
            day=self.day, model=self.model, key=self.key, bill_nano=self.bill if self.lines else None,
            ledger_nano=self.ledger if self.rows else None, shares=tuple(self.shares), lines=tuple(self.lines),
            rows=self.rows, estimated=len(self.estimates),
        )  # fmt: skip


class Grid:
    """All cells of a comparison in one zone.

    Attributes:
        cells: by day, model and key.
        grain: what the report tells apart.
        days: all dates of the period; one span where lines span several days.
        step: what the report is rounded to, nano-USD.
        smallest: amount of the smallest line of each day.
        classes: how many lines a cell has: the most that one in five of them has.
    """

    def __init__(
        self, usage: Sequence[BillLine], slots: Sequence[Slot], estimates: Sequence[Estimate], *,
        names: BillNames, keys: AccountNames, context: Context, zone: str, counted: Sequence[BillLine] = (),
    ) -> None:  # fmt: skip
        self.names, self.keys, self.context = names, keys, context
        self.wide = any(line.until_ms - line.since_ms > _WIDE_MS for line in usage)
        self.named = any(line.model for line in usage)
        self.days = [f"{context.since}/{context.until}"] if self.wide else days_between(context.since, context.until)
        self.step = context.step_nano or rounded_to(line.amount_nano or 0 for line in usage)
        self.cells: dict[tuple[str, str, str], OpenCell] = {}
        self.smallest: dict[str, int] = {}
        self._zone = zone
        self._since, self._until = bounds_ms(context.since, context.until, zone)
        self._day: Callable[[int], str] = (lambda _: self.days[0]) if self.wide else (lambda at_ms: day_of(at_ms, zone))
        self._apart = {name for line in usage if (name := beside(line))} if self.named else set()
        for line in usage:
            self._line(line)
        silent = {at for at, cell in self.cells.items() if not cell.bill_counts}
        for line in counted:
            self._count(line, silent)
        for slot in slots:
            self._slot(slot)
        for estimate in estimates:
            if self._since <= estimate.at_ms < self._until:
                model = self.names.in_ledger(estimate.model) if self.named else EVERYTHING
                at = self._day(estimate.at_ms), model, keys.common(estimate.key)
                if at in self.cells:
                    self.cells[at].estimates.append(estimate)
        counts = sorted((len(cell.lines) for cell in self.cells.values() if cell.lines), reverse=True)
        self.classes = counts[len(counts) // 5] if counts else 1
        usual: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for cell in self.cells.values():
            usual[cell.model, cell.key][len(cell.lines)] += bool(cell.lines)
        for cell in self.cells.values():
            often = usual[cell.model, cell.key].most_common(1)
            cell.partial = bool(often) and len(cell.lines) < often[0][0]
            cell.rest = cell.bill - cell.ledger
            cell.tolerance = self.step * max(1, len(cell.lines)) + cell.rows

    @property
    def grain(self) -> tuple[str, ...]:
        """What the report tells apart."""
        return (
            *(() if self.wide else ("day",)),
            *(("model",) if self.named else ()),
            *(("key",) if self.keys.apart else ()),
        )

    def ordered(self) -> list[OpenCell]:
        """All cells, by day, key and model."""
        return sorted(self.cells.values(), key=lambda cell: (cell.day, cell.key, cell.model))

    def _at(self, day: str, model: str, key: str) -> OpenCell:
        found = self.cells.get((day, model, key))
        if found is None:
            found = self.cells[day, model, key] = OpenCell(day, model, key)
        return found

    def _line(self, line: BillLine) -> None:
        day = day_of_line(line, self._zone)
        if not self.wide and not self.context.since <= day <= self.context.until:
            return
        model = EVERYTHING
        if self.named:
            model = beside(line) or self.names.in_report(line.model) or f"({line.line})"
        cell = self._at(self.days[0] if self.wide else day, model, self.keys.in_report(line))
        amount = line.amount_nano or 0
        cell.bill += amount
        self.smallest[cell.day] = min(self.smallest.get(cell.day, amount), amount)
        cell.lines.append(line.id)
        for name, count in line.counts.items():
            cell.bill_counts[name] = cell.bill_counts.get(name, 0) + count

    def _count(self, line: BillLine, silent: Set[tuple[str, str, str]]) -> None:
        """Units of a report without money, for cells whose own lines say none."""
        day = self.days[0] if self.wide else day_of_line(line, self._zone)
        model = self.names.in_report(line.model) if self.named else EVERYTHING
        for key in self.keys.candidates(line):
            if (day, model, key) in silent:
                cell = self.cells[day, model, key]
                for name, count in line.counts.items():
                    cell.bill_counts[name] = cell.bill_counts.get(name, 0) + count
                return

    def _slot(self, slot: Slot) -> None:
        if not self._since <= slot.at_ms < self._until:
            return
        day, key = self._day(slot.at_ms), self.keys.common(slot.key)
        cell = self._at(day, self.names.in_ledger(slot.model) if self.named else EVERYTHING, key)
        amount = slot.amount_nano
        for name in self._apart:
            part = slot.beside_nano.get(name, 0)
            if part:
                other = self._at(day, name, key)
                other.ledger, other.rows, amount = other.ledger + part, other.rows + 1, amount - part
        cell.ledger += amount
        cell.rows += slot.rows
        cell.unpriced += slot.unpriced
        cell.unassigned += slot.unassigned_nano
        cell.fallback += slot.fallback_nano
        cell.agent += slot.agent_nano
        for name, count in slot.counts.items():
            cell.ledger_counts[name] = cell.ledger_counts.get(name, 0) + count


def beside(line: BillLine) -> str:
    """The class of a line that charges for something beside tokens and names no model; empty for any other line."""
    if line.model:
        return ""
    named = [name for name in line.counts if line.counts[name]]
    if len(named) == 1 and named[0] in BESIDE and named[0] != "requests":
        return named[0]
    words = f"{line.line} {line.unit}".lower()
    return next((name for name, spellings in _WORDS.items() if any(word in words for word in spellings)), "")


def rounded_to(amounts: Iterable[int]) -> int:
    """The largest power of ten, at most a cent, of which all amounts are multiples, nano-USD."""
    step = CENT_NANO
    for amount in amounts:
        while amount % step:
            step //= 10
    return step
