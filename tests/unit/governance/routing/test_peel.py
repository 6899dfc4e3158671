"""Peel experiments on workflows whose truth is known: the stated error rates hold, however often one looks."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise

import pytest

from holdfast.governance.outcomes.intervals import confidence_above
from holdfast.governance.routing.peel import TRANSITIONS, PeelPlan, PeelVerdict, Seen, State, draw, judge
from tests.unit.governance.routing.simulated import most_within, plan, simulate

WORKFLOWS = int(os.environ.get("HOLDFAST_PEELS", "200"))
CASES = [(0.9, 0.05), (0.8, 0.1), (0.95, 0.03)]
Record = Callable[[str, object], None]


@pytest.mark.parametrize(("floor", "margin"), CASES)
def test_a_model_that_misses_the_floor_is_not_kept_beyond_the_stated_error(
    floor: float, margin: float, record_property: Record
) -> None:
    for truth, name in ((floor - margin, "worse by the margin"), (floor - 1e-9, "a hair below the floor")):
        ends = simulate(WORKFLOWS, floor, margin, truth, seed=int(floor * 1_000))
        record_property(
            f"{name}, floor {floor:g}", f"{ends.kept} of {WORKFLOWS} kept; at most {most_within(WORKFLOWS, 0.05)}"
        )
        assert ends.kept <= most_within(WORKFLOWS, 0.05)
        if name == "worse by the margin":
            assert ends.kept == 0, "never: it would happen once in ten thousand experiments at most"
        if truth < floor - margin / 2:
            assert ends.returned_by_evidence > 0.9 * WORKFLOWS, "it returns by itself"


@pytest.mark.parametrize(("floor", "margin"), CASES)
def test_a_model_that_reaches_the_floor_is_not_returned_beyond_the_stated_error(
    floor: float, margin: float, record_property: Record
) -> None:
    ends = simulate(WORKFLOWS, floor, margin, floor, seed=int(floor * 100))
    record_property(f"at the floor {floor:g}", f"{ends.returned_by_evidence} of {WORKFLOWS} returned by evidence")
    assert ends.returned_by_evidence <= most_within(WORKFLOWS, 0.05)
    good = simulate(WORKFLOWS, floor, margin, (1 + floor) / 2, seed=int(floor * 10))
    assert good.kept > 0.9 * WORKFLOWS, "and what is clearly better is kept: it does not merely never decide"


def test_the_same_bound_looked_at_again_and_again_would_not_hold() -> None:
    """The plausible wrong one: the bound of a fixed sample, read after every few outcomes."""

    def peeking(fixed: PeelPlan, state: State, seen: Seen) -> PeelVerdict:
        if confidence_above(seen.accepted, seen.outcomes, fixed.floor) >= 0.95:
            return PeelVerdict("kept")
        if seen.outcomes >= 500:
            return PeelVerdict("returned")
        return PeelVerdict(None)

    ends = simulate(200, 0.8, 0.1, 0.8, 7, peeking)
    assert ends.kept > most_within(200, 0.05)


def test_what_cannot_be_told_returns() -> None:
    fixed = plan(0.9, 0.05, most=40)
    assert judge(fixed, "share", Seen(0, 0, 40, 36)).to == "returned"
    assert judge(fixed, "share", Seen(0, 0, 39, 36)).to is None
    assert judge(fixed, "share", Seen()).to is None, "no outcome says nothing"


def test_a_shadow_has_to_answer_before_anybody_is_answered_by_it() -> None:
    fixed = plan(0.9, 0.05)
    assert judge(fixed, "shadow", Seen(49, 0)).to is None
    assert judge(fixed, "shadow", Seen(50, 0)).to == "share"
    assert judge(fixed, "shadow", Seen(20, 30)).to == "returned"
    assert judge(fixed, "shadow", Seen(46, 4)).to is None, "it is not told yet"
    assert judge(fixed, "shadow", Seen(184, 16)).to == "returned", "and some day it has to be"


def test_states_only_go_one_way() -> None:
    order = ("shadow", "share", "kept", "stopped")
    for before, after in pairwise(order):
        assert after in TRANSITIONS[before] and before not in TRANSITIONS[after]
    assert not TRANSITIONS["returned"] and not TRANSITIONS["stopped"]
    assert all(
        judge(plan(0.9, 0.05), state, Seen(50, 0, 500, 500)).to in (None, *TRANSITIONS[state]) for state in TRANSITIONS
    )


def test_a_draw_is_the_same_everywhere_and_even() -> None:
    drawn = [draw("share", "x-1", f"s{number}") for number in range(4_000)]
    assert drawn[7] == draw("share", "x-1", "s7") != draw("share", "x-2", "s7")
    share = sum(value < 0.2 for value in drawn)
    assert 800 - 4 * 25.3 < share < 800 + 4 * 25.3
