"""Amounts as people read them, and shares that sum to what is divided."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.governance.ledger.bills.amounts import decimal, divide, dollars, percent


def test_dollars() -> None:
    nano = 10**9
    assert [dollars(each) for each in (0, 1_234 * nano + 567_000_000, -nano, 5_000_000, 12_345, 12)] == [
        "$0.00", "$1,234.57", "-$1.00", "$0.005", "$0.000012", "<$0.000001",
    ]  # fmt: skip
    assert [decimal(each) for each in (0, nano, -1_500_000_000, 1)] == ["0", "1", "-1.5", "0.000000001"]


def test_percent() -> None:
    assert [percent(*each) for each in ((1, 3), (-1, 8), (0, 5), (5, 0))] == ["33.3 %", "-12.5 %", "0.0 %", "?"]


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 1000), min_size=1, max_size=9))
def test_shares_sum_and_are_off_by_less_than_one(amount: int, weights: list[int]) -> None:
    shares = divide(amount, dict(enumerate(weights)))
    total = sum(weights)
    assert sum(shares.values()) == amount
    for number, weight in enumerate(weights):
        assert not total or abs(shares[number] * total - amount * weight) < total
    assert divide(-amount, dict(enumerate(weights))) == {number: -share for number, share in shares.items()}
