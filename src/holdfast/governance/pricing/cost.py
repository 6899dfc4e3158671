"""What counts cost at the rates of a row.

The rule of rounding: every class is multiplied exactly, the sum is rounded to whole nano-USD once, half to even. What the
classes show of it (``parts``) is rounded down, and the nano-USD that are missing go one each to the classes with the largest
remainder, so that parts sum to the whole exactly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance.pricing.resolving import RowPrices
from holdfast.providers.billing.model import INPUT

_INPUT: Final = frozenset(INPUT)
_FREE: Final = "requests"
"""How many requests there were is told by reports, and costs nothing where no price says otherwise."""


class CountedCost(msgspec.Struct, frozen=True):
    """The cost of counts.

    Attributes:
        nano: nano-USD; None when something has no price.
        parts: of it by class, also when the whole is unknown.
        unpriced: classes that have no price, sorted.
        context: the threshold of total input that was passed; 0 for none.
    """

    nano: int | None
    parts: dict[str, int]
    unpriced: tuple[str, ...] = ()
    context: int = 0


def cost(row: RowPrices, counts: Mapping[str, int], total_input: int | None = None) -> CountedCost:
    """The cost of one attempt.

    Args:
        row: its rates.
        counts: units by class. Zero costs nothing, priced or not.
        total_input: of one request, which chooses the step; None for the sum of ``counts``.

    Raises:
        Refused: ``price.counts`` for a count that is negative or no integer: whoever counted subtracted twice.
    """
    total = 0
    for name, count in counts.items():
        if type(count) is not int or count < 0:
            raise Refused("price.counts", f"{name} is {count!r}")
        if name in _INPUT:
            total += count
    passed = bisect_left(row.thresholds, total if total_input is None else total_input)
    table, over = row.tables[passed], row.over
    exact: dict[str, int] = {}
    unpriced: list[str] = []
    for name, count in counts.items():
        if count:
            rate = table.get(name)
            if rate is None and name == _FREE:
                exact[name] = 0
                continue
            if rate is None:
                unpriced.append(name)
                continue
            if row.least:
                count = max(count, row.least.get(name, 0))
            exact[name] = count * rate
        else:
            exact[name] = 0
    if "requests" in table and "requests" not in counts:
        exact["requests"] = table["requests"]
    context = row.thresholds[passed - 1] if passed else 0
    if row.lacking:
        return CountedCost(None, {}, row.lacking, context)
    parts = exact if over == 1 else shares(exact, over)
    if unpriced:
        return CountedCost(None, parts, tuple(sorted(unpriced)), context)
    return CountedCost(sum(parts.values()), parts, (), context)


def shares(exact: Mapping[str, int], over: int) -> dict[str, int]:
    """Whole nano-USD of numerators over ``over``, which sum to the rounded sum."""
    floors = {name: value // over for name, value in exact.items()}
    missing = half_even(sum(exact.values()), over) - sum(floors.values())
    if missing:
        order = sorted(exact, key=lambda name: (-(exact[name] % over), name))
        for name in order[:missing]:
            floors[name] += 1
    return floors


def half_even(numerator: int, over: int) -> int:
    """A fraction rounded to an integer, half to even."""
    whole, rest = divmod(numerator, over)
    return whole + (2 * rest > over or (2 * rest == over and whole % 2 == 1))
