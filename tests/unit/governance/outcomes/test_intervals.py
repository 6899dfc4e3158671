"""The bounds of a share against sums of exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from holdfast.governance.outcomes.intervals import (
    confidence_above,
    log_above,
    log_below,
    lower_bound,
    phi,
    upper_bound,
)  # fmt: skip


def at_least(hits: int, n: int, p: float) -> float:
    """The probability of so many hits or more, without any rounding before the end."""
    exact = Fraction(p)
    return float(sum(math.comb(n, k) * exact**k * (1 - exact) ** (n - k) for k in range(hits, n + 1)))


@pytest.mark.parametrize(
    ("hits", "n"), [(1, 1), (1, 10), (5, 10), (10, 10), (90, 100), (99, 100), (180, 200), (3, 150)]
)
def test_the_bounds_are_clopper_and_pearsons(hits: int, n: int) -> None:
    assert at_least(hits, n, lower_bound(hits, n)) == pytest.approx(0.05, rel=1e-7)
    if hits < n:
        assert 1 - at_least(hits + 1, n, upper_bound(hits, n)) == pytest.approx(0.05, rel=1e-7)
    for floor in (0.5, 0.8, 0.95):
        assert confidence_above(hits, n, floor) == pytest.approx(1 - at_least(hits, n, floor), abs=1e-9)


def test_nothing_seen_is_unknown_and_not_zero_or_one() -> None:
    assert (lower_bound(0, 0), upper_bound(0, 0)) == (0.0, 1.0)
    assert lower_bound(0, 20) == 0.0 and upper_bound(20, 20) == 1.0
    assert confidence_above(0, 0, 0.5) == 0.0


def test_tails_stay_exact() -> None:
    assert log_below(90, 11, 0.1) == pytest.approx(math.log(at_least(90, 100, 0.1)), rel=1e-9)
    assert log_above(1, 2000, 0.5) == pytest.approx(2000 * math.log(0.5), rel=1e-9)
    assert math.exp(log_below(3, 4, 0.4)) + math.exp(log_above(3, 4, 0.4)) == pytest.approx(1.0)


def test_phi_of_what_never_varies_is_unknown() -> None:
    assert phi(10, 0, 0, 10) == (20, 1.0)
    assert phi(0, 10, 10, 0) == (20, -1.0)
    assert phi(5, 5, 5, 5) == (20, 0.0)
    assert phi(0, 0, 7, 13) == (20, None)
    assert phi(0, 0, 0, 0) == (0, None)
