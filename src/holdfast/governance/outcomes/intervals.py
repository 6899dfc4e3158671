"""Exact bounds of a share, and how two yes-or-no facts go together. Plain Python; tests hold it against scipy.

The bounds are Clopper and Pearson's (1934): a one-sided bound of 95 % is above, or below, the truth in at least 95 % of
samples whose size was fixed beforehand, whatever the truth is. They come from the regularised incomplete beta function, by
the continued fraction of Didonato and Morris (DLMF 8.17.22), kept as a logarithm so that tails stay exact.
"""

from __future__ import annotations

import functools
import math
from typing import Final, NamedTuple

ERROR: Final = 0.05
"""One in twenty: of one-sided bounds, here and wherever nothing else is said."""
_TINY: Final = 1e-300
_STEPS: Final = 500
_HALVINGS: Final = 60


def log_beta(a: float, b: float) -> float:
    """Logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction, by Lentz's method."""
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    value = d
    for m in range(1, _STEPS):
        for top in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + top * d
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = 1.0 + top / c
            c = c if abs(c) > _TINY else _TINY
            value *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return value


def log_below(a: float, b: float, x: float) -> float:
    """Logarithm of the probability that a Beta(a, b) variable is below x."""
    if x <= 0.0:
        return -math.inf
    if x >= 1.0:
        return 0.0
    front = a * math.log(x) + b * math.log1p(-x) - log_beta(a, b)
    if x < (a + 1.0) / (a + b + 2.0):
        return front + math.log(_fraction(a, b, x)) - math.log(a)
    above = math.exp(front + math.log(_fraction(b, a, 1.0 - x)) - math.log(b))
    return math.log1p(-above) if above < 1.0 else -math.inf


def log_above(a: float, b: float, x: float) -> float:
    """Logarithm of the probability that a Beta(a, b) variable is above x."""
    return log_below(b, a, 1.0 - x)


def _solve(a: float, b: float, wanted: float) -> float:
    """The x below which a Beta(a, b) variable is with the wanted probability."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if math.exp(log_below(a, b, middle)) < wanted:
            low = middle
        else:
            high = middle
    return low


@functools.lru_cache(maxsize=4_096)  # asked for every call that a route has, of counts that seldom change
def lower_bound(hits: int, n: int, error: float = ERROR) -> float:
    """The one-sided lower bound of a share of which ``hits`` of ``n`` were seen; 0 where nothing was."""
    return 0.0 if hits <= 0 or n <= 0 else _solve(hits, n - hits + 1, error)


@functools.lru_cache(maxsize=4_096)
def upper_bound(hits: int, n: int, error: float = ERROR) -> float:
    """The one-sided upper bound; 1 where nothing was seen."""
    return 1.0 if n <= 0 or hits >= n else _solve(hits + 1, n - hits, 1.0 - error)


def confidence_above(hits: int, n: int, floor: float) -> float:
    """The largest confidence with which the lower bound still clears a floor: one minus the probability of so many hits, or
    more, at the floor itself. 0 where nothing was seen."""
    if n <= 0 or hits <= 0:
        return 0.0
    return -math.expm1(log_below(hits, n - hits + 1, floor))


class Together(NamedTuple):
    """How two facts go together in the same pieces of work.

    Attributes:
        n: pieces of work of which both are known.
        phi: Pearson's correlation of both; None where one of them never varies, which is unknown and not zero.
    """

    n: int
    phi: float | None


def phi(both: int, first: int, second: int, neither: int) -> Together:
    """Of the counts of a table of two by two: both facts, only the first, only the second, neither."""
    n = both + first + second + neither
    sides = (both + first) * (second + neither) * (both + second) * (first + neither)
    return Together(n, (both * neither - first * second) / math.sqrt(sides) if sides else None)
