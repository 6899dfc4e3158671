"""Money is exact: no float, one rounding, shares that sum."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Refused
from holdfast.governance import limits, money

NANOS = st.integers(-limits.MONEY_NANO, limits.MONEY_NANO)


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0), ("1", 10**9), ("-0.5", -5 * 10**8), (".25", 25 * 10**7), ("3.", 3 * 10**9), (" 0.00006375 ", 63_750),
        ("6.375e-5", 63_750), ("1E3", 10**12), ("+2", 2 * 10**9), (Decimal("0.1"), 10**8), (7, 7 * 10**9),
        ("0.0000000005", 0), ("0.0000000015", 2), ("0.0000000025", 2), ("-0.0000000015", -2), ("0.00000000250001", 3),
        ("9223372036.854775807", limits.MONEY_NANO),
    ],
)  # fmt: skip
def test_amounts_are_read_as_they_are_written(text: str | Decimal | int, nano: int) -> None:
    assert money.parse(text) == nano


@pytest.mark.parametrize(
    "text", ["", "1,5", "$1", "0x10", "nan", "inf", "1e9999", "1_000", "٣", "1 2", "1" * 65, "--1"]
)
def test_what_is_no_decimal_number_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        money.parse(text)
    assert refused.value.code == "input.malformed"


@pytest.mark.parametrize("text", ["9223372036.854775808", "-1e11", "1e999"])
def test_what_no_column_holds_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        money.parse(text)
    assert refused.value.code == "input.number_range"


@pytest.mark.parametrize("value", [0.1, True, None])
def test_a_float_is_no_money(value: object) -> None:
    with pytest.raises(TypeError):
        money.parse(value)  # type: ignore[arg-type]


@given(NANOS)
def test_what_is_shown_is_read_back(nano: int) -> None:
    assert money.parse(money.show(nano)) == nano
    assert money.parse(money.show(nano, places=0)) == nano


def test_amounts_are_shown_with_every_digit_that_counts() -> None:
    assert [money.show(n) for n in (0, 10**8, 63_750, -1, 12 * 10**9)] == [
        "0.00", "0.10", "0.00006375", "-0.000000001", "12.00",
    ]  # fmt: skip
    assert money.show(5 * 10**9, places=0) == "5"


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**11)), max_size=8))
def test_a_cost_is_rounded_once_and_half_to_even(lines: list[tuple[int, int]]) -> None:
    context = Context(prec=60)
    total = sum((context.multiply(Decimal(q), Decimal(p)) for q, p in lines), Decimal(0))
    expected = int((total / 1_000_000).quantize(Decimal(1), ROUND_HALF_EVEN, context)) if lines else 0
    if expected <= limits.MONEY_NANO:
        assert money.cost(lines) == expected


def test_a_cost_of_the_cases() -> None:
    flex = [(1_000, money.price("0.125")), (1_000, money.price("0.0125")), (500, money.price("1.00"))]
    assert money.cost(flex) == money.parse("0.0006375")  # gpt-5-mini, flex: 0.06375 ¢
    assert money.cost([(9_634, money.price("10"))]) == money.parse("0.09634")  # one-hour cache writes
    assert money.cost([(1, money.price("0.0375"))] * 3) == 112, "37.5 each: three of them are 112.5"


def test_a_price_is_whole_where_it_can_be() -> None:
    assert money.price("0.0375") == 37_500_000 and isinstance(money.price("0.0375"), int)
    assert money.price("0.00000000005") == Fraction(1, 20)


@given(NANOS, st.lists(st.integers(0, 10**6), min_size=1, max_size=20).filter(any))
def test_shares_sum_to_the_whole_and_are_within_one(nano: int, weights: list[int]) -> None:
    shares = money.split(nano, weights)
    assert sum(shares) == nano
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(nano) * weight / sum(weights)) < 1


def test_who_gets_the_rest_is_fixed() -> None:
    assert money.split(10, [1, 1, 1]) == [4, 3, 3]
    assert money.split(-10, [1, 1, 1]) == [-3, -3, -4]
    assert money.split(5, [0, 3]) == [0, 5]


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1], [2, -1]])
def test_shares_without_a_weight_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        money.split(1, weights)


def test_another_currency_has_a_dated_rate() -> None:
    rate = money.exchange_rate("EUR", "2026-03-31", "1.0823")
    assert money.to_usd("100.00", "EUR", rate) == money.parse("108.23")
    assert money.to_usd("0.000000001", "EUR", rate) == 1
    with pytest.raises(Refused, match="a rate of EUR says nothing of GBP"):
        money.to_usd("1", "GBP", rate)


@pytest.mark.parametrize(
    ("currency", "day", "usd"), [("eur", "2026-03-31", "1"), ("EUR", "31.3.", "1"), ("EUR", "2026-03-31", "0")]
)
def test_a_rate_that_is_none_is_refused(currency: str, day: str, usd: str) -> None:
    with pytest.raises(Refused):
        money.exchange_rate(currency, day, usd)
