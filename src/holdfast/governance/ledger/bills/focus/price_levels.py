"""Finds the list price of a unit in rounded costs: several rows narrow it down until it is exact."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Final

_SCALE: Final = 10**18
"""Bounds are whole numbers of so many parts of a nano-dollar: far finer than any price, and faster than fractions."""


class PriceLevels:
    """List prices by product and class. A product has more than one where tiers or catalogues differ.

    A row's cost is its units times the price, rounded to the nano-dollar, so each row says between which bounds the price
    lies; rows whose bounds overlap are of one price.
    """

    def __init__(self) -> None:
        self._bounds: dict[tuple[str, ...], list[tuple[int, int]]] = {}

    def learn(self, at: tuple[str, ...], units: int, cost: int) -> None:
        """Learn from one row's class: ``units`` of it, above 0, cost so many nano-USD."""
        low, high = _bounds_of(units, cost)
        levels = self._bounds.setdefault(at, [])
        for number, (lowest, highest) in enumerate(levels):
            if low <= highest and lowest <= high:
                levels[number] = max(low, lowest), min(high, highest)
                return
        levels.append((max(low, 0), high))

    def price(self, at: tuple[str, ...], units: int, cost: int) -> Fraction:
        """The price of a unit for such a row, nano-USD: the shortest decimal between the bounds."""
        low, high = _bounds_of(units, cost)
        for lowest, highest in self._bounds.get(at, ()):
            if low <= highest and lowest <= high:
                return _shortest(lowest, highest)
        return Fraction(cost, units)


def _bounds_of(units: int, cost: int) -> tuple[int, int]:
    """Between which prices half a nano-dollar of rounding leaves a cost."""
    return -((1 - 2 * cost) * _SCALE // (2 * units)), (2 * cost + 1) * _SCALE // (2 * units)


@functools.lru_cache(maxsize=10_000)
def _shortest(low: int, high: int) -> Fraction:
    return shortest(Fraction(low, _SCALE), Fraction(high, _SCALE))


def shortest(low: Fraction, high: Fraction) -> Fraction:
    """The decimal with the fewest digits between two bounds that are not negative, nearest to their middle."""
    for digits in range(-9, 30):
        scale = Fraction(10) ** digits
        first, last = -(-low * scale // 1), high * scale // 1
        if first <= last:
            middle = round((low + high) / 2 * scale)
            return Fraction(min(max(middle, first), last)) / scale
    return (low + high) / 2
