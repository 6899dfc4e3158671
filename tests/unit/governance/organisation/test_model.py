"""Whose a piece of work is, at which time."""

from __future__ import annotations

import datetime
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Refused
from holdfast.governance.organisation.dates import day_at, day_start_ms, parse_day, zone_of
from holdfast.governance.organisation.model import ROOT, Period, Tree, Unit, Workflow
from holdfast.governance.organisation.planning import Described, placed, plan

BEGIN, LATER, NOW = 1_000, 2_000, 3_000
ACME = Unit("organisation", ROOT, "Acme", zone="Europe/Berlin", currency="EUR")
SALES = Unit("team", "sales", cost_centre="4711", tags={"region": "emea", "unit": "front"})
INSIDE = Unit("team", "inside", parent="sales", tags={"unit": "inside"})
MARKETING = Unit("team", "marketing", cost_centre="4712")
MAIL = Unit("workflow", "answer-mail", parent="inside", tags={"tier": "gold"})
CENTRES = (Unit("cost_centre", "4711"), Unit("cost_centre", "4712"))


def tree(*units: Unit, since_ms: int = BEGIN) -> Tree:
    return Tree(Period(unit, since_ms) for unit in (*CENTRES, ACME, SALES, INSIDE, MARKETING, MAIL, *units))


def test_a_workflow_says_team_cost_centre_and_tags() -> None:
    whose = tree().whose({"workflow": "answer-mail", "team": "inside", "task": "draft", "usage": "seated"}, NOW)
    assert (whose.organisation, whose.team, whose.workflow) == ("Acme", "inside", "answer-mail")
    assert (whose.cost_centre, whose.usage) == ("4711", "seated")
    assert whose.tags == {"region": "emea", "unit": "inside", "tier": "gold"}


@pytest.mark.parametrize(
    ("said", "interactive"),
    [("100000", True), ("13600", True), ("13599", False), ("100005", True), ("100006", False), ("", False), ("-1", False),
     ("1e5", False), ("٣", False), ("9" * 5_000, False)],
)  # fmt: skip
def test_work_is_interactive_for_a_day_after_a_sign_in(said: str, interactive: bool) -> None:
    claims = {"sign_in": said, "interactive": "yes", "usage": "seated"}
    assert tree().whose(claims, 100_000_000).tags == ({"interactive": "yes"} if interactive else {})


def test_a_move_rewrites_nothing_that_was_before() -> None:
    before = tree()
    moved = Unit("workflow", "answer-mail", parent="marketing")
    after = plan(before, (), Described((moved,)), LATER, by="user:ann", now_ms=NOW)
    now = Tree(p for timeline in {**before.timelines, **after.timelines}.values() for p in timeline)
    labels = {"workflow": "answer-mail", "team": "inside"}
    assert now.whose(labels, LATER - 1) == before.whose(labels, LATER - 1)
    whose = now.whose(labels, LATER)
    assert (whose.team, whose.cost_centre) == ("marketing", "4712")
    assert whose.tags["label_team"] == "inside", "the key says what it said; the tree says where it is now"


def test_what_nobody_declared_is_unassigned_and_says_what_it_was_called() -> None:
    whose = tree().whose({"workflow": "typo", "team": "sales", "colour": "red"}, NOW)
    assert (whose.workflow, whose.team, whose.cost_centre) == ("unassigned", "sales", "4711")
    assert whose.tags["label_workflow"] == "typo" and whose.tags["colour"] == "red"
    forged = tree().whose({"workflow": "answer-mail", "label_workflow": "refunds", "label_team": "x"}, NOW)
    assert forged.workflow == "answer-mail" and "label_workflow" not in forged.tags and "label_team" not in forged.tags
    nothing = Tree().whose({}, NOW)
    assert (nothing.workflow, nothing.team, nothing.tags) == ("unassigned", "", {})
    before = tree().whose({"workflow": "answer-mail"}, BEGIN - 1)
    assert before.workflow == "unassigned", "before it was described it was not there"


def test_a_cost_centre_comes_from_the_label_the_workflow_or_the_nearest_team() -> None:
    labels = {"workflow": "answer-mail", "cost_centre": "4712"}
    assert tree().whose(labels, NOW).cost_centre == "4712"
    unknown = tree().whose({**labels, "cost_centre": "9999"}, NOW)
    assert (unknown.cost_centre, unknown.tags["label_cost_centre"]) == ("4711", "9999")
    bare = Tree([Period(Unit("workflow", "w"), BEGIN)])
    assert bare.whose({"workflow": "w", "cost_centre": "9999"}, NOW).cost_centre == "9999", "none are described"


def test_a_person_without_a_workflow_is_in_their_own_team() -> None:
    somebody = tree(Unit("user", "p-1", parent="marketing"))
    assert somebody.whose({"user": "ann"}, NOW, "p-1").team == "marketing"
    assert somebody.whose({"user": "ann", "workflow": "answer-mail"}, NOW, "p-1").team == "inside"
    assert somebody.whose({"user": "bob"}, NOW, "p-2").team == ""


def test_a_usage_is_seated_or_headless_or_not_said() -> None:
    assert tree().whose({"usage": "headless"}, NOW).usage == "headless"
    assert tree().whose({"usage": "lying down"}, NOW).usage == ""


NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(st.tuples(st.integers(0, 20), st.one_of(st.none(), NAMES)), max_size=12)


@given(STEPS)
def test_periods_never_overlap_and_what_was_said_last_of_a_moment_holds(steps: list[tuple[int, str | None]]) -> None:
    """An oracle: a moment belongs to the change with the latest beginning at or before it; of equal ones the last said."""
    timeline: tuple[Period, ...] = ()
    said: dict[int, str | None] = {}
    for since, team in steps:
        unit = None if team is None else Unit("workflow", "w", parent=team)
        if unit is None and not any(period.holds(since) for period in timeline):
            continue  # what is not there does not end
        timeline = placed(timeline, unit, since, "", 0)
        said[since] = team
        order = sorted(said)  # an end where nothing is before it says nothing
        said = {
            at: said[at] for n, at in enumerate(order) if said[at] is not None or (n and said[order[n - 1]] is not None)
        }
    for first, second in itertools.pairwise(timeline):
        assert first.until_ms is not None and first.since_ms < first.until_ms <= second.since_ms
    made = Tree(timeline)
    for moment in range(22):
        starts = [since for since in said if since <= moment]
        expected = said[max(starts)] if starts else None
        found = made.find("workflow", "w", moment)
        assert (found.parent if found else None) == expected


def test_a_later_statement_stays_when_an_earlier_one_is_made_afterwards() -> None:
    timeline = placed((), Unit("team", "t", "one"), 10, "", 0)
    timeline = placed(timeline, Unit("team", "t", "three"), 30, "", 0)
    timeline = placed(timeline, Unit("team", "t", "two"), 20, "", 0)
    assert [(p.unit.title, p.since_ms, p.until_ms) for p in timeline] == [
        ("one", 10, 20),
        ("two", 20, 30),
        ("three", 30, None),
    ]


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ((Unit("workflow", "w", parent="nowhere"),), "nowhere"),
        ((Unit("workflow", "w", cost_centre="0"),), "cost centre '0'"),
        ((Unit("team", "sales", parent="inside"),), "in itself"),
        ((Unit("team", " "),), "a name is"),
        ((Unit("team", "t\nu"),), "a name is"),
        ((Unit("team", "t"), Unit("team", "t")), "twice"),
        ((Unit("team", "t", tags={f"t{n}": "" for n in range(17)}),), "tags"),
    ],
)
def test_what_does_not_hold_together_is_refused(units: tuple[Unit, ...], words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        plan(tree(), (), Described(units), LATER, by="", now_ms=NOW)
    assert refused.value.code == "org.invalid"


def test_a_team_cannot_end_under_a_workflow_that_is_in_it() -> None:
    with pytest.raises(Refused, match=r"answer-mail.*inside"):
        plan(tree(), (), Described((*CENTRES, SALES, MARKETING, MAIL)), LATER, by="", now_ms=NOW, complete=True)


def test_a_change_that_breaks_what_was_said_for_later_is_refused_now() -> None:
    base = tree()
    planned = plan(base, (), Described((Unit("workflow", "w", parent="marketing"),)), NOW, by="", now_ms=NOW)
    later = Tree(p for timeline in {**base.timelines, **planned.timelines}.values() for p in timeline)
    everything = Described((*CENTRES, SALES, INSIDE, MAIL))
    with pytest.raises(Refused, match=r"'w'.*marketing"):
        plan(later, (), everything, LATER, by="", now_ms=NOW, complete=True)


def test_a_plan_says_every_difference_and_none_twice() -> None:
    wanted = Described((SALES, Unit("workflow", "new"), MAIL), (Workflow("new", "ann", "bob", "pilot"),))
    lines = plan(tree(), (), wanted, LATER, by="", now_ms=NOW).differences
    assert [(line.action, line.kind, line.name) for line in lines] == [("add", "workflow", "new")]
    with pytest.raises(Refused, match="own deputy"):
        plan(tree(), (), Described((), (Workflow("w", "ann", "ann"),)), LATER, by="", now_ms=NOW)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Tokyo", "2026-08-01", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/Sao_Paulo", "2018-11-04", 23),  # midnight itself is skipped
        ("Pacific/Apia", "2011-12-29", 24),  # the day after is not there at all
    ],
)
def test_days_begin_where_the_clock_says(zone: str, day: str, hours: int) -> None:
    where, date = zone_of(zone), parse_day(day, "day")
    start = day_start_ms(date, where)
    assert day_at(start, where) == date and day_at(start - 1_000, where) < date
    after = next(date + datetime.timedelta(days=n) for n in (1, 2) if _exists(date + datetime.timedelta(days=n), where))
    assert (day_start_ms(after, where) - start) // 3_600_000 == hours


def _exists(day: datetime.date, zone: ZoneInfo) -> bool:
    return day_at(day_start_ms(day, zone), zone) == day


def test_tokyo_turns_over_at_its_own_midnight() -> None:
    assert day_start_ms(parse_day("2026-08-01", "day"), zone_of("Asia/Tokyo")) == 1_785_510_000_000  # 07-31T15:00Z


@pytest.mark.parametrize("text", ["", "2026-3-1", "2026-02-30", "20260301", "2026-03-01T00:00", "heute"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="--from"):
        parse_day(text, "--from")
    with pytest.raises(Refused, match="time_zone"):
        zone_of(f"Nowhere/{text}")
