"""What pages draw: series over days, and the steps of a waterfall. Amounts stay nano-USD; a page divides them."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import msgspec

from holdfast.governance.ledger.bills.compare.model import Cause, Reconciliation
from holdfast.governance.ledger.bills.variance.model import EFFECTS, Effects, Variance
from holdfast.governance.ledger.bills.waste.model import Waste


class DayOfBill(msgspec.Struct, frozen=True):
    """One day of a comparison: both sides, and absolute differences by cause."""

    day: str
    bill_nano: int
    ledger_nano: int
    causes: dict[Cause, int]


class WaterfallStep(msgspec.Struct, frozen=True):
    """One bar of a waterfall: from where to where."""

    name: str
    from_nano: int
    to_nano: int
    kind: Literal["whole", "effect"]


class WasteSeries(msgspec.Struct, frozen=True):
    """Waste by day: one value of each kind for each day; days without any are 0."""

    days: tuple[str, ...]
    kinds: dict[str, tuple[int, ...]]


def bill_by_day(found: Reconciliation) -> list[DayOfBill]:
    """Days in order; what has no day of its own (credits, fees, a report of whole months) stands under its span."""
    sides: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    causes: dict[str, dict[Cause, int]] = defaultdict(lambda: defaultdict(int))
    for cell in found.cells:
        sides[cell.day][0] += cell.bill_nano or 0
        sides[cell.day][1] += cell.ledger_nano or 0
        for share in cell.shares:
            causes[cell.day][share.cause] += abs(share.amount_nano)
    return [DayOfBill(day, sides[day][0], sides[day][1], dict(sorted(causes[day].items()))) for day in sorted(sides)]


def waterfall(found: Variance, group: str | None = None) -> list[WaterfallStep]:
    """From the one period's cost to the other's by the four effects; of one group, or of all."""
    if group is None:
        before, after, effects = found.before_nano, found.after_nano, found.effects
    else:
        each = next((each for each in found.groups if each.name == group), None)
        before, after, effects = (each.before_nano, each.after_nano, each.effects) if each else (0, 0, Effects())
    steps = [WaterfallStep("before", 0, before, "whole")]
    at = before
    for name in EFFECTS:
        steps.append(WaterfallStep(name, at, at + getattr(effects, name), "effect"))
        at = steps[-1].to_nano
    return [*steps, WaterfallStep("after", 0, after, "whole")]


def waste_by_day(found: Waste) -> WasteSeries:
    """Every kind of which something can be said."""
    told_of = [item for item in found.items if item.amount_nano is not None]
    days = tuple(sorted({day for item in told_of for day in item.by_day}))
    return WasteSeries(days, {item.kind: tuple(item.by_day.get(day, 0) for day in days) for item in told_of})
