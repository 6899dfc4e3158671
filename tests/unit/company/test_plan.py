"""What the company does on a day follows from its description, its plants and a seed."""

from __future__ import annotations

import datetime
import itertools
from collections import Counter

from holdfast.company.description import Staff, described
from holdfast.company.plan import PlannedTurn, Planner
from holdfast.company.plants import planted


def turns(day: datetime.date, seed: int = 7) -> list[PlannedTurn]:
    company = described()
    planner = Planner(company, Staff(company, seed), planted(), seed)
    return [turn for each in planner.rounds(day) for talk in each.talks for turn in talk]


def test_a_seed_gives_the_same_day_and_another_one_another() -> None:
    day = datetime.date(2026, 8, 24)
    assert turns(day) == turns(day) != turns(day, seed=8)


def test_a_day_has_rounds_in_order_and_conversations_that_begin_once() -> None:
    company, day = described(), datetime.date(2026, 9, 14)
    planner = Planner(company, Staff(company, 7), planted(), 7)
    rounds = list(planner.rounds(day))
    assert [each.at_ms for each in rounds] == sorted(each.at_ms for each in rounds)
    assert all(one.at_ms + one.most_ms <= two.at_ms for one, two in itertools.pairwise(rounds))
    opened = Counter(
        turn.session for each in rounds for talk in each.talks for turn in talk if turn.first and turn.session
    )
    assert set(opened.values()) == {1}
    assert sum(turn.plant == "runaway" for turn in turns(day)) == planted().runaway.runs


def test_plants_are_on_their_days_and_no_others() -> None:
    plants = planted()
    missed = turns(plants.missed_day.day)
    past = {turn.workflow for turn in missed if turn.past}
    assert past and {described().workflow(name).model for name in past}.isdisjoint(
        {"claude-sonnet-4-6", "claude-haiku-4-5"}
    )
    assert sum(turn.deed == "outside" for turn in turns(plants.outside.days[0])) == 2
    assert sum(turn.deed == "stranger" for turn in turns(plants.strangers.days[0])) == len(plants.strangers.programs)
    usual = turns(datetime.date(2026, 7, 7))
    assert not [turn for turn in usual if turn.plant or turn.past or turn.deed in ("outside", "stranger", "cut")]


def test_a_workflow_begins_on_its_day_and_people_rest_at_weekends() -> None:
    assert not [turn for turn in turns(datetime.date(2026, 8, 10)) if turn.workflow == "demand-notes"]
    assert len(turns(datetime.date(2026, 8, 22))) < len(turns(datetime.date(2026, 8, 21))) / 3
