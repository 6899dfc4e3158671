"""Finds out at which hour a report's days begin, when it is not the hour that was declared."""

from __future__ import annotations

import dataclasses
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.bills.compare.days import DAY_MS, OFFSETS, ZONES, day_of, day_of_line
from holdfast.governance.ledger.bills.compare.grid import rounded_to
from holdfast.governance.ledger.bills.compare.keys import AccountNames
from holdfast.governance.ledger.bills.compare.model import EVERYTHING, Context, Slot
from holdfast.governance.ledger.bills.compare.names import BillNames

WORTH_PPM: Final = 2_000
"""Differences below this share of the bill are not worth another zone."""
_BETTER: Final = 0.5
_DAYS: Final = 0.6
_AGREE: Final = 0.5
_MORE: Final = 0.3
_NEAR_DAYS: Final = 4

_Series = dict[tuple[str, str], dict[str, int]]


@dataclasses.dataclass(frozen=True, slots=True)
class ZoneFound:
    """A zone in which ledger and bill agree better.

    Attributes:
        zone: its name.
        before, after: what differs by day in the zone that was declared and in this one, nano-USD, each (model, key) at its
            own usual ratio of bill to ledger.
        days: how many days agree better.
    """

    zone: str
    before: int
    after: int
    days: int


def find_zone(
    usage: Sequence[BillLine], slots: Sequence[Slot], *, names: BillNames, keys: AccountNames, context: Context
) -> ZoneFound | None:
    """The zone in which the days agree, where it is another one than ``context.zone`` and the difference is plain.

    It must at least halve what differs, on most of the days; or make most cells agree that did not: so a few large
    differences of another cause do not hide it. Nor does a discount: every model and key is compared at the usual ratio of
    bill to ledger of the days around.
    """
    named = any(line.model for line in usage)
    dated = all(line.since_ms % DAY_MS == 0 for line in usage)  # then its days are the same in every zone

    def days_in(zone: str) -> _Series:
        found: _Series = defaultdict(lambda: defaultdict(int))
        for line in usage:
            day = day_of_line(line, zone)
            if context.since <= day <= context.until and line.amount_nano:
                model = names.in_report(line.model) if named else EVERYTHING
                found[model, keys.in_report(line)][day] += line.amount_nano
        return found

    bill = days_in(context.zone)
    whole = sum(amount for days in bill.values() for amount in days.values())
    quarters: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for slot in slots:
        at = (names.in_ledger(slot.model) if named else EVERYTHING), keys.common(slot.key)
        if at in bill:
            quarters[at][slot.at_ms] += slot.amount_nano
    slack = 3 * rounded_to(line.amount_nano or 0 for line in usage)
    declared = _gaps(bill, quarters, context.zone, context, slack)
    before = sum(declared.gaps.values())
    if whole <= 0 or before * 1_000_000 < whole * WORTH_PPM:
        return None
    best = context.zone
    found = declared
    for name in (*OFFSETS, "UTC", *ZONES):
        there = _gaps(bill if dated else days_in(name), quarters, name, context, slack)
        if (there.agree, -sum(there.gaps.values())) > (found.agree, -sum(found.gaps.values())):
            best, found = name, there
    after = sum(found.gaps.values())
    differing = sum(1 for gap in declared.gaps.values() if gap)
    better = sum(found.gaps.get(day, 0) < gap for day, gap in declared.gaps.items() if gap)
    halved = after <= before * _BETTER and better >= max(2, differing * _DAYS)
    agreed = (
        found.agree >= found.cells * _AGREE and found.agree - declared.agree >= found.cells * _MORE and found.cells > 10
    )
    return ZoneFound(best, before, after, better) if best != context.zone and (halved or agreed) else None


@dataclasses.dataclass(slots=True)
class _Fit:
    """How a zone fits: what differs by day, nano-USD, and how many of its cells agree."""

    gaps: dict[str, int] = dataclasses.field(default_factory=lambda: defaultdict(int))
    cells: int = 0
    agree: int = 0


def _gaps(
    bill: _Series, quarters: Mapping[tuple[str, str], Mapping[int, int]], zone: str, context: Context, slack: int
) -> _Fit:
    """How days of a zone fit, every (model, key) at the usual ratio of the days around."""
    fit = _Fit()
    for at, days in bill.items():
        ledger: dict[str, int] = defaultdict(int)
        for at_ms, amount in quarters.get(at, {}).items():
            day = day_of(at_ms, zone)
            if context.since <= day <= context.until:
                ledger[day] += amount
        both = sorted(day for day in days if days[day] > 0 and ledger.get(day, 0) > 0)
        ratios = [days[day] / ledger[day] for day in both]
        for place, day in enumerate(both):  # a day that one side lacks says nothing of the hour at which days begin
            usual = statistics.median(ratios[max(0, place - _NEAR_DAYS) : place + _NEAR_DAYS + 1])
            gap = abs(days[day] - round(ledger[day] * usual))
            fit.gaps[day] += gap
            fit.cells += 1
            fit.agree += gap <= max(slack, days[day] // 1_000)
    return fit
