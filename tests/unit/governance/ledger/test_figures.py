"""Amounts are divided and rounded without a cent lost or made."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.governance.ledger.figures import CENT, csv_lines, decimal_text, rounded, shares, to_steps

AMOUNTS = st.integers(-(10**15), 10**15)
WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=20).filter(any)


@given(AMOUNTS, WEIGHTS)
def test_shares_sum_to_what_was_divided(amount: int, weights: list[int]) -> None:
    parts = shares(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        exact = Decimal(amount) * weight / sum(weights)
        assert abs(part - exact) < 1 or (not weight and part == 0)


@given(AMOUNTS, WEIGHTS)
def test_a_negative_amount_is_divided_as_its_opposite_is(amount: int, weights: list[int]) -> None:
    assert shares(-amount, weights) == [-part for part in shares(amount, weights)]


@given(st.lists(AMOUNTS, max_size=30))
def test_cents_sum_to_the_rounded_sum_and_are_less_than_a_cent_away(amounts: list[int]) -> None:
    cents = to_steps(amounts, CENT)
    assert sum(cents) == rounded(sum(amounts), CENT)
    assert all(cent % CENT == 0 and abs(cent - amount) < CENT for cent, amount in zip(cents, amounts, strict=True))


@given(AMOUNTS)
def test_decimal_text_is_exact(amount: int) -> None:
    assert Decimal(decimal_text(amount)) == Decimal(amount) / 10**9
    assert Decimal(decimal_text(rounded(amount, CENT), 2)) == Decimal(rounded(amount, CENT)) / 10**9


@pytest.mark.parametrize(
    ("amount", "expected"), [(5, 0), (15, 20), (25, 20), (-5, 0), (-15, -20), (6, 10), (-6, -10), (0, 0)]
)
def test_a_half_goes_to_the_even_side(amount: int, expected: int) -> None:
    assert rounded(amount, 10) == expected


def test_what_does_not_fit_is_not_cut_off() -> None:
    with pytest.raises(ValueError, match="more than 2 places"):
        decimal_text(1, 2)


def test_nothing_is_divided_by_nothing() -> None:
    assert shares(0, [0, 0]) == [0, 0]
    for weights in ([0, 0], [1, -1], []):
        with pytest.raises(ValueError, match="nothing to divide by"):
            shares(1, weights)


def test_text_is_no_formula_in_a_spreadsheet() -> None:
    assert csv_lines([["=1+1", "-x", "a,b", None, -3]]) == "'=1+1,'-x,\"a,b\",,-3\r\n"
