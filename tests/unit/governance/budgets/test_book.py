"""One decision: what is granted fits everywhere, and what fits is granted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.governance.budgets.book import Bound, Grant, Shortage, Standing, decide
from holdfast.providers.billing.model import BilledAttempt

bounds = st.builds(
    Bound,
    st.integers(0, 10_000),
    st.integers(0, 10**9),
    st.integers(0, 10**11),
    st.integers(0, 1_000),
    st.none() | st.integers(0, 5_000),
)
standings = st.builds(
    Standing, st.integers(0, 10**10), st.integers(0, 10**10), st.integers(0, 10**9), st.booleans()
)  # fmt: skip


@given(bounds, st.lists(standings, max_size=6), st.integers(0, 600), st.integers(0, 600))
def test_a_grant_fits_in_every_account_that_brakes(bound: Bound, found: list[Standing], least: int, more: int) -> None:
    decision = decide(found, bound, least, least + more)
    if isinstance(decision, Grant):
        assert least <= decision.tokens
        assert decision.nano == bound.cost(decision.tokens)
        assert all(decision.nano <= one.free for one in found if one.brakes)
        assert all(not found[place].brakes for place in decision.short)


@given(bounds, st.lists(standings, min_size=1, max_size=6), st.integers(0, 600), st.integers(0, 600))
def test_a_refusal_is_of_an_account_that_is_short(bound: Bound, found: list[Standing], least: int, more: int) -> None:
    decision = decide(found, bound, least, least + more)
    if isinstance(decision, Shortage):
        short = found[decision.place]
        assert short.brakes and decision.need == bound.cost(least) > short.free
        assert decision.waits == all(
            decision.need <= one.cap - one.spent for one in found if one.brakes and decision.need > one.free
        )


@given(bounds, st.integers(0, 10**10))
def test_what_is_affordable_is_the_most_that_the_money_pays(bound: Bound, nano: int) -> None:
    tokens = bound.affordable(nano)
    if tokens >= 0:
        assert bound.cost(tokens) <= nano
    if bound.limit is None and bound.output_rate > 10**6:
        assert bound.cost(max(0, tokens + 2)) > nano or tokens < -1


@given(bounds, st.integers(0, 10_000), st.integers(0, 10_000))
def test_an_answer_that_was_cut_counts_for_no_more_than_was_reserved_unless_more_was_seen(
    bound: Bound, granted: int, seen: int
) -> None:
    used = bound.with_tail(BilledAttempt(counts={"output": seen}), granted).total_output
    reserved = (bound.cost(granted) - bound.input_nano) * 10**6
    assert used == seen or used * bound.output_rate <= reserved
    if seen <= granted:
        most = seen + bound.tail_tokens
        assert used == max(seen, most if bound.limit is None else min(most, bound.limit)), "the tail counts"


def test_never_the_whole_worst_case() -> None:
    bound = Bound(100, 25_000, 10_000 * 10**6, 256)  # $10 a million tokens
    decision = decide([Standing(25 * 10**9, 0, 0, brakes=True)], bound, 64, 512)
    assert isinstance(decision, Grant) and decision.nano < 25 * 10**9 // 1_000, "a $25 budget, and one call holds cents"
