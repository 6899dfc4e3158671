"""Which account of a report belongs to which upstream of the ledger."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.bills.compare.days import day_of, day_of_line
from holdfast.governance.ledger.bills.compare.model import EVERYTHING, Context, Slot
from holdfast.governance.ledger.bills.compare.names import BillNames

FIT: Final = 0.5
"""Share of the money that must agree, day by day and model by model, before an account is taken for an upstream's."""
_NEAR: Final = 0.02
_STEADY: Final = 0.003

_Profile = dict[tuple[str, str], int]


class AccountNames:
    """One name for each account of a report and of the ledger: the upstream's.

    What ``context.keys`` says counts. BillNames that are equal mean the same. What is left is joined when there is one on either
    side, or when the amounts agree by day and model; such a join is listed in ``inferred`` for somebody to confirm. When
    nothing fits, keys are not told apart.

    Attributes:
        apart: whether keys are told apart.
        inferred: pairs (account, upstream) that nobody declared.
        missing: upstreams of the ledger that the report has no account for.
    """

    def __init__(self, lines: Sequence[BillLine], slots: Sequence[Slot], names: BillNames, context: Context) -> None:
        self._declared = context.keys
        ours = {self.in_ledger(slot.key) for slot in slots}
        self.inferred: list[tuple[str, str]] = []
        self.missing: set[str] = set()
        self.apart = False
        self._report: dict[str, str] = {}
        self._read: Callable[[BillLine], str] = _key
        best: tuple[int, dict[str, str], Callable[[BillLine], str]] | None = None
        for read in (_key, _account):
            theirs = {read(line) for line in lines}
            if theirs <= {""}:
                continue
            joined = self._join(theirs, ours, read, lines, slots, names, context)
            joins = len(ours & {joined.get(name, name) for name in theirs})
            if joins and (best is None or joins > best[0]):
                best = joins, joined, read
        if best is None:
            return
        self.apart = True
        _, self._report, self._read = best
        self.missing = ours - {self._report.get(self._read(line), self._read(line)) for line in lines}
        declared = set(self._declared)
        self.inferred = sorted(
            (name, key) for name, key in self._report.items() if name not in declared and name != key
        )

    def in_report(self, line: BillLine) -> str:
        """The common name of a line's account."""
        return self._report.get(self._read(line), self._read(line)) if self.apart else EVERYTHING

    def candidates(self, line: BillLine) -> list[str]:
        """What a line of another report of the same provider may be of: its key's account, else its account's."""
        if not self.apart:
            return [EVERYTHING]
        return [self._declared.get(name, self._report.get(name, name)) for name in (line.key, line.account)]

    def in_ledger(self, upstream: str) -> str:
        """The name of an upstream's account."""
        return self._declared.get(upstream, upstream)

    def common(self, upstream: str) -> str:
        """The common name of an upstream, where keys are told apart."""
        return self.in_ledger(upstream) if self.apart else EVERYTHING

    def _join(
        self, theirs: set[str], ours: set[str], read: Callable[[BillLine], str],
        lines: Sequence[BillLine], slots: Sequence[Slot], names: BillNames, context: Context,
    ) -> dict[str, str]:  # fmt: skip
        joined = {name: self._declared[name] for name in theirs if name in self._declared}
        open_theirs = {name for name in theirs if name not in joined and name not in ours}
        open_ours = ours - set(joined.values()) - theirs
        if not open_theirs or not open_ours:
            return joined
        if len(open_theirs) == len(open_ours) == 1:
            return joined | {open_theirs.pop(): open_ours.pop()}
        bill: dict[str, _Profile] = defaultdict(lambda: defaultdict(int))
        for line in lines:
            bill[read(line)][day_of_line(line, context.zone), names.in_report(line.model)] += line.amount_nano or 0
        ledger: dict[str, _Profile] = defaultdict(lambda: defaultdict(int))
        for slot in slots:
            ledger[self.in_ledger(slot.key)][day_of(slot.at_ms, context.zone), names.in_ledger(slot.model)] += (
                slot.amount_nano
            )
        scores = sorted(
            ((fit(bill[name], ledger[key]), name, key) for name in open_theirs for key in open_ours), reverse=True
        )
        for score, name, key in scores:
            if score >= FIT and name in open_theirs and key in open_ours:
                joined[name] = key
                open_theirs.discard(name)
                open_ours.discard(key)
        if len(open_ours) == 1 and open_theirs:
            together: _Profile = defaultdict(int)
            for name in open_theirs:
                for at, amount in bill[name].items():
                    together[at] += amount
            key = next(iter(open_ours))
            if fit(together, ledger[key]) >= FIT:
                joined |= dict.fromkeys(open_theirs, key)
        return joined


def fit(bill: Mapping[tuple[str, str], int], ledger: Mapping[tuple[str, str], int]) -> float:
    """Share of the greater side's money in (day, model) cells whose ratio is that of most cells within 2 %, or nearly that
    of the same model's cell before or after it: a price may change in between.

    Fewer than three such cells, or a ratio that no discount explains, prove nothing.
    """
    both = sorted((at for at in bill if bill[at] > 0 and ledger.get(at, 0) > 0), key=lambda at: (at[1], at[0]))
    if len(both) < 3:
        return 0.0
    ratios = [bill[at] / ledger[at] for at in both]
    usual = statistics.median(ratios)
    if not 0.3 <= usual <= 1.5:
        return 0.0
    near = 0
    for place, at in enumerate(both):
        around = [n for n in (place - 1, place + 1) if 0 <= n < len(both) and both[n][1] == at[1]]
        steady = any(abs(ratios[place] / ratios[n] - 1) <= _STEADY for n in around)
        if steady or abs(ratios[place] / usual - 1) <= _NEAR:
            near += bill[at]
    whole = max(_positive(bill.values()), _positive(ledger.values()) * usual)
    return near / whole


def _positive(amounts: Collection[int]) -> int:
    return sum(amount for amount in amounts if amount > 0)


def _key(line: BillLine) -> str:
    return line.key or line.account


def _account(line: BillLine) -> str:
    return line.account
