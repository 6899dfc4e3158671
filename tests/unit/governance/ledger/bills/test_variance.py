"""Change = price + volume + mix + cache, exactly, whatever the rows."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from holdfast.errors import Refused
from holdfast.governance.ledger.bills.variance.decompose import decompose, shapley
from holdfast.governance.ledger.bills.variance.model import EFFECTS, Effects, Measure, Variance
from holdfast.governance.ledger.bills.variance.tally import Tally
from holdfast.governance.ledger.model import Row

CLASSES = ("input", "cache_read", "cache_write_5m", "output", "reasoning", "web_searches")


def row(number: int = 0, *, counts: dict[str, int], rates: dict[str, int], off: int = 0, **more: Any) -> Row:
    """A row at these rates, nano-USD a unit, ``off`` per cent below list."""
    parts = {name: count * rates.get(name, 0) for name, count in counts.items()}
    amount = sum(parts.values())
    billed = amount * (100 - off) // 100
    facts: dict[str, Any] = {
        "id": f"r{number}", "call": f"c{number}", "at_ms": 0, "day": "2026-09-01", "month": "2026-09", "model": "m",
        "provider": "p", "counts": counts, "parts": parts, "list_nano": amount, "contracted_nano": billed,
        "effective_nano": billed, "billed_nano": billed, **more,
    }  # fmt: skip
    return Row(**facts)


def variance(before: list[Row], after: list[Row], dimension: str = "", measure: Measure = "billed") -> Variance:
    tallies = Tally(measure, dimension), Tally(measure, dimension)
    for tally, rows in zip(tallies, (before, after), strict=True):
        for each in rows:
            tally.add(each)
    return decompose(*tallies)


RATES = {
    "input": 3_000,
    "cache_read": 300,
    "cache_write_5m": 3_750,
    "output": 15_000,
    "reasoning": 15_000,
    "web_searches": 10**7,
}


@st.composite
def some_rows(draw: st.DrawFn) -> list[Row]:
    found = []
    for number in range(draw(st.integers(0, 6))):
        counts = draw(st.dictionaries(st.sampled_from(CLASSES), st.integers(0, 10**6), max_size=4))
        rates = {name: rate * draw(st.integers(0, 5)) for name, rate in RATES.items()}
        found.append(
            row(
                number,
                counts=counts,
                rates=rates,
                off=draw(st.integers(0, 40)),
                model=draw(st.sampled_from("abc")),
                team=draw(st.sampled_from(["x", "y"])),
            )
        )
        if draw(st.booleans()) and draw(st.booleans()):
            found[-1] = replace(found[-1], billed_nano=draw(st.sampled_from([None, 0, 10**9])), parts={})
    return found


def check_sums(found: Variance, before: list[Row], after: list[Row]) -> None:
    cost = [sum(each.billed_nano or 0 for each in rows) for rows in (before, after)]
    assert (found.before_nano, found.after_nano) == tuple(cost)
    assert found.effects.total == cost[1] - cost[0]
    for group in found.groups:
        assert group.effects.total == group.after_nano - group.before_nano
        for product in group.products:
            assert product.effects.total == product.after_nano - product.before_nano
    for effect in EFFECTS:
        assert getattr(found.effects, effect) == sum(getattr(group.effects, effect) for group in found.groups)


@settings(deadline=None)
@given(some_rows(), some_rows(), st.sampled_from(["", "team", "model"]))
def test_effects_sum_to_the_change_exactly(before: list[Row], after: list[Row], dimension: str) -> None:
    found = variance(before, after, dimension)
    check_sums(found, before, after)
    assert found.unpriced == sum(each.billed_nano is None for each in [*before, *after])


@settings(deadline=None)
@given(some_rows(), some_rows(), st.sampled_from(["", "team"]))
def test_exchanging_the_periods_changes_the_signs_only(before: list[Row], after: list[Row], dimension: str) -> None:
    there, back = variance(before, after, dimension), variance(after, before, dimension)
    assert there.effects == Effects(*(-getattr(back.effects, effect) for effect in EFFECTS))


@settings(deadline=None)
@given(some_rows(), some_rows(), st.randoms(use_true_random=False))
def test_the_order_of_rows_is_nothing(before: list[Row], after: list[Row], order: random.Random) -> None:
    found = variance(before, after, "team")
    order.shuffle(before)
    order.shuffle(after)
    assert variance(before, after, "team") == found


@settings(deadline=None)
@given(some_rows(), st.sampled_from(["", "team"]))
def test_a_period_beside_itself_has_no_effects(rows: list[Row], dimension: str) -> None:
    assert variance(rows, rows, dimension).effects == Effects()


@settings(deadline=None)
@given(some_rows(), some_rows())
def test_two_equal_halves_are_as_the_whole(before: list[Row], after: list[Row]) -> None:
    """Calls that are split into two of half the units change nothing but the number of calls."""
    before, after = ([each for each in rows if any(each.parts.values())] for rows in (before, after))

    def doubled(rows: list[Row]) -> list[Row]:
        return [
            replace(
                each, counts={k: 2 * v for k, v in each.counts.items()}, parts={k: 2 * v for k, v in each.parts.items()},
                billed_nano=2 * (each.billed_nano or 0),
            )
            for each in rows
        ]  # fmt: skip

    whole, halves = variance(doubled(before), doubled(after)), variance(before * 2, after * 2)
    if {group.unit for group in whole.groups} <= {"tokens"}:
        for effect in EFFECTS:
            assert abs(getattr(whole.effects, effect) - getattr(halves.effects, effect)) <= 1


def test_twice_the_calls_are_volume() -> None:
    rows = [row(n, counts={"input": 1_000, "output": 100}, rates=RATES) for n in range(3)]
    assert variance(rows, rows * 2).effects == Effects(volume=3 * (3_000_000 + 1_500_000))


def test_another_price_is_price() -> None:
    before = [row(counts={"input": 1_000, "output": 100}, rates=RATES)]
    after = [row(counts={"input": 1_000, "output": 100}, rates={**RATES, "output": 20_000})]
    found = variance(before, after)
    assert found.effects == Effects(price=500_000)
    assert [(change.units, change.before_nano, change.after_nano) for change in found.prices] == [
        ("output", 15_000_000_000, 20_000_000_000)
    ]


def test_a_rate_card_is_price() -> None:
    before = [row(counts={"input": 1_000, "output": 100}, rates=RATES)]
    after = [row(counts={"input": 1_000, "output": 100}, rates=RATES, off=10)]
    assert variance(before, after).effects == Effects(price=-450_000)
    assert variance(before, after, measure="list").effects == Effects()


def test_reads_instead_of_plain_input_are_cache() -> None:
    before = [row(counts={"input": 10_000, "output": 100}, rates=RATES)]
    after = [row(counts={"input": 1_000, "cache_read": 9_000, "output": 100}, rates=RATES)]
    assert variance(before, after).effects == Effects(cache=-9_000 * 2_700)


def test_a_cheaper_model_is_mix() -> None:
    before = [row(counts={"input": 10_000}, rates=RATES, model="large")]
    after = [row(counts={"input": 10_000}, rates={"input": 500}, model="small")]
    found = variance(before, after)
    assert found.effects == Effects(mix=-10_000 * 2_500)
    assert (found.new, found.gone) == (("small",), ("large",))


def test_longer_answers_are_mix() -> None:
    before = [row(counts={"input": 1_000, "output": 1_000}, rates=RATES)]
    after = [row(counts={"input": 500, "output": 1_500}, rates=RATES)]
    assert variance(before, after).effects == Effects(mix=500 * 12_000)


def test_a_new_team_is_volume_even_with_a_price_of_its_own() -> None:
    before = [row(counts={"input": 1_000}, rates=RATES, team="old")]
    after = [*before, row(1, counts={"input": 2_000}, rates=RATES, team="new")]
    found = variance(before, after, "team")
    assert {group.name: group.effects for group in found.groups} == {"old": Effects(), "new": Effects(volume=6_000_000)}


def test_mixed_causes_keep_their_order_of_size() -> None:
    before = [row(n, counts={"input": 100_000, "output": 10_000}, rates=RATES) for n in range(10)]
    dearer = {name: rate * 2 for name, rate in RATES.items()}
    after = [row(n, counts={"input": 50_000, "cache_read": 50_000, "output": 10_000}, rates=dearer) for n in range(11)]
    found = variance(before, after)
    check_sums(found, before, after)
    assert found.effects.price > found.effects.volume > 0 > found.effects.cache


def test_the_four_shares_of_a_product_of_four_sum_to_its_change() -> None:
    factors = [
        (Fraction(1), Fraction(3)),
        (Fraction(2), Fraction(1)),
        (Fraction(5), Fraction(7)),
        (Fraction(1, 2), Fraction(4)),
    ]
    assert sum(shapley(factors)) == 3 * 1 * 7 * 4 - Fraction(1 * 2 * 5, 2)


def test_shapley_is_the_average_over_all_orders() -> None:
    import itertools

    factors = [
        (Fraction(1), Fraction(3)),
        (Fraction(2), Fraction(1)),
        (Fraction(5), Fraction(7)),
        (Fraction(1, 2), Fraction(4)),
    ]
    sums = [Fraction(0)] * 4
    for order in itertools.permutations(range(4)):
        state = [0, 0, 0, 0]
        for factor in order:
            one = Fraction(1)
            for n in range(4):
                one *= factors[n][state[n]]
            state[factor] = 1
            other = Fraction(1)
            for n in range(4):
                other *= factors[n][state[n]]
            sums[factor] += other - one
    assert shapley(factors) == tuple(total / 24 for total in sums)


@pytest.mark.parametrize("name", ["person", "billed_nano", "id"])
def test_what_is_no_dimension_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="no dimension"):
        Tally("billed", name)


def test_tags_are_dimensions() -> None:
    rows = [row(counts={"input": 10}, rates=RATES, tags={"project": "blue"})]
    assert [group.name for group in variance([], rows, "tag:project").groups] == ["blue"]
