"""What holds of every cost, whatever is counted."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.governance.pricing.catalogue import Catalogue
from holdfast.governance.pricing.cost import cost, half_even, shares
from holdfast.governance.pricing.resolving import RowPrices
from holdfast.governance.pricing.source import bundled
from holdfast.providers.billing.model import INPUT, TOKEN_CLASSES
from tests.unit.governance.pricing.usages import NOW

CATALOGUE = Catalogue(bundled())
MODELS = (
    ("anthropic", "claude-opus-4-8"), ("anthropic", "claude-haiku-5-5"), ("openai", "gpt-5.6-sol"), ("google", "gemini-2.5-pro"),
    ("x-ai", "grok-4.6"), ("openrouter", "google/gemini-2.5-flash"), ("openai", "gpt-4o-realtime-preview"), ("groq", "whisper-large-v3"),
)  # fmt: skip


def row_of(provider: str, model: str, at_ms: int = NOW) -> RowPrices:
    row = CATALOGUE.row(provider, model, at_ms)
    assert row is not None
    return row


rows = st.sampled_from([row_of(*model) for model in MODELS])
numbers = st.integers(0, 2_000_000)


@st.composite
def counted(draw: st.DrawFn) -> tuple[RowPrices, dict[str, int]]:
    """A row, and counts of classes that it prices."""
    row = draw(rows)
    return row, draw(st.dictionaries(st.sampled_from(sorted(row.tables[0])), numbers, max_size=8))


def exact(row: RowPrices, counts: dict[str, int]) -> Fraction:
    """The cost without rounding, worked out in the plainest way."""
    total = sum(counts.get(name, 0) for name in INPUT)
    table = row.tables[sum(total > threshold for threshold in row.thresholds)]
    whole = sum(
        Fraction(table[name], row.over) * (max(n, row.least.get(name, 0)) if n else 0) for name, n in counts.items()
    )
    return Fraction(whole) + (
        Fraction(table["requests"], row.over) if "requests" in table and "requests" not in counts else 0
    )


@settings(deadline=None)
@given(counted())
def test_parts_sum_to_the_whole_which_is_the_exact_cost_rounded_once(case: tuple[RowPrices, dict[str, int]]) -> None:
    row, counts = case
    found = cost(row, counts)
    assert found.nano is not None and found.nano >= 0 and all(part >= 0 for part in found.parts.values())
    assert sum(found.parts.values()) == found.nano == round(exact(row, counts))


@settings(deadline=None)
@given(counted(), st.randoms(use_true_random=False))
def test_the_order_of_classes_changes_nothing(case: tuple[RowPrices, dict[str, int]], random: object) -> None:
    row, counts = case
    names = sorted(counts)
    random.shuffle(names)  # type: ignore[attr-defined]
    again = cost(row, {name: counts[name] for name in names})
    assert again.parts == cost(row, counts).parts


@settings(deadline=None)
@given(counted(), st.sampled_from(TOKEN_CLASSES), st.integers(1, 1_000_000))
def test_more_never_costs_less(case: tuple[RowPrices, dict[str, int]], name: str, more: int) -> None:
    row, counts = case
    before, after = cost(row, counts), cost(row, {**counts, name: counts.get(name, 0) + more})
    if after.nano is not None:
        assert before.nano is not None and after.nano >= before.nano
    else:
        assert after.unpriced == (name,), "what has no price is unknown, and not free"


@settings(deadline=None)
@given(counted())
def test_disjoint_classes_cost_what_they_cost_together(case: tuple[RowPrices, dict[str, int]]) -> None:
    row, counts = case
    total = sum(counts.get(name, 0) for name in INPUT)
    alone = [cost(row, {name: count, "requests": 0}, total).nano or 0 for name, count in counts.items()]
    together = cost(row, {**counts, "requests": counts.get("requests", 0)}, total).nano
    assert together is not None and abs(sum(alone) - together) <= len(alone), "each is rounded by itself"
    if row.over == 1:
        assert sum(alone) == together


@settings(deadline=None)
@given(st.sampled_from([row for model in MODELS if (row := row_of(*model)).thresholds]), st.data())
def test_a_step_is_above_its_number_and_of_the_whole_request(row: RowPrices, data: st.DataObject) -> None:
    threshold = data.draw(st.sampled_from(row.thresholds))
    cached = data.draw(st.integers(0, threshold))
    at = {"cache_read": cached, "input": threshold - cached, "output": 1_000}
    over = {**at, "input": at["input"] + 1}
    assert cost(row, at).context < threshold == cost(row, over).context
    index = row.thresholds.index(threshold)
    for counts, table in ((at, row.tables[index]), (over, row.tables[index + 1])):
        assert cost(row, counts).nano == round(sum(Fraction(table[n] * c, row.over) for n, c in counts.items()))


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.integers(-(10**12), 10**12), max_size=9), st.integers(1, 10**9))
def test_shares_are_whole_and_sum_to_the_rounded_sum(values: dict[str, int], over: int) -> None:
    found = shares(values, over)
    assert sum(found.values()) == half_even(sum(values.values()), over) == round(Fraction(sum(values.values()), over))
    assert all(abs(Fraction(value, over) - found[name]) < 1 for name, value in values.items())


def test_a_half_goes_to_the_even_number() -> None:
    assert [half_even(n, 2) for n in (1, 3, 5, -1, -3)] == [0, 2, 2, 0, -2]
    assert [half_even(n, 4) for n in (1, 3, 5, 7)] == [0, 1, 1, 2]
    assert shares({"a": 1, "b": 1, "c": 1}, 2) == {"a": 1, "b": 1, "c": 0}


DAY = 86_400_000


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*MODELS, ("deepseek", "deepseek-chat")]), st.integers(1_700_000_000_000, 1_800_000_000_000))
def test_a_row_holds_for_as_long_as_it_says(model: tuple[str, str], at_ms: int) -> None:
    row = row_of(*model, at_ms)
    assert row.from_ms <= at_ms < row.until_ms
    for other in (max(row.from_ms, at_ms - 400 * DAY), min(row.until_ms - 1, at_ms + 400 * DAY)):
        assert row_of(*model, other).tables == row.tables
