"""Forecasts: the same rows give the same one, it is unknown without history, and it is right about as often as it says."""

from __future__ import annotations

import datetime
import itertools
import random
from collections.abc import Callable

import pytest

from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.budgets.forecast import back_test, forecast, series
from holdfast.governance.budgets.outlook import outlook
from tests.unit.governance.budgets.conftest import Desk

TODAY = datetime.date(2026, 3, 16)  # a Monday
DAY = datetime.timedelta(days=1)
USD = 10**9


def days(count: int, of: Callable[[datetime.date], int], until: datetime.date = TODAY) -> dict[str, int]:
    return {(until - ahead * DAY).isoformat(): of(until - ahead * DAY) for ahead in range(1, count + 1)}


def working(day: datetime.date) -> int:
    return 10 * USD if day.weekday() < 5 else 0


def test_less_than_two_weeks_are_unknown() -> None:
    found = forecast(days(13, working), TODAY, TODAY + 5 * DAY, 0, USD)
    assert found.unknown == "13 days of history; 14 are the least" and found.p50_nano is None
    assert not forecast(days(14, working), TODAY, TODAY + 5 * DAY, 0, USD).unknown
    assert forecast({}, TODAY, TODAY, 0, USD).days == 0
    assert "end" in forecast(days(14, working), TODAY, TODAY + 400 * DAY, 0, USD).unknown


def test_weekends_are_weekends() -> None:
    """From Monday to the Sunday after next there are ten working days; the straight line counts fourteen days."""
    found = forecast(days(56, working), TODAY, TODAY + 13 * DAY, 7 * USD, 100 * USD)
    assert found.p10_nano == found.p50_nano == found.p90_nano == 107 * USD
    assert found.naive_nano is not None and found.naive_nano == 7 * USD + 14 * (400 * USD // 56)
    assert found.over_ppm == 1_000_000 and found.left_days == 14
    assert forecast(days(56, working), TODAY, TODAY + 13 * DAY, 7 * USD, 107 * USD).over_ppm == 0


def test_the_way_there_never_falls_and_ends_where_the_forecast_does() -> None:
    found = forecast(noisy(5), TODAY, TODAY + 9 * DAY, 3 * USD, USD)
    assert len(found.fan) == found.left_days == 10
    assert found.fan[-1] == (found.p10_nano, found.p50_nano, found.p90_nano)
    assert all(low <= middle <= high for low, middle, high in found.fan)
    for before, after in itertools.pairwise(found.fan):
        assert all(one <= other for one, other in zip(before, after, strict=True))
    assert found.fan[0][0] >= 3 * USD, "what was spent is spent"


def test_of_today_only_the_rest_is_to_come() -> None:
    totals = days(56, working) | {TODAY.isoformat(): 4 * USD}
    assert forecast(totals, TODAY, TODAY, 4 * USD, USD).p50_nano == 10 * USD
    totals[TODAY.isoformat()] = 30 * USD
    assert forecast(totals, TODAY, TODAY, 30 * USD, USD).p50_nano == 30 * USD, "what was spent is spent"


def test_the_same_rows_give_the_same_forecast_and_others_another() -> None:
    chance = random.Random(1)
    totals = days(40, lambda _: chance.randrange(USD))
    first, again = (forecast(dict(sorted(totals.items())), TODAY, TODAY + 9 * DAY, 0, USD) for _ in range(2))
    assert first == again and len(first.seed) == 64
    totals[(TODAY - DAY).isoformat()] += 1
    assert forecast(totals, TODAY, TODAY + 9 * DAY, 0, USD).seed != first.seed


def test_days_without_rows_are_days_of_nothing_and_none_is_before_the_first() -> None:
    totals = {(TODAY - 3 * DAY).isoformat(): 5, TODAY.isoformat(): 7, (TODAY - 9 * DAY).isoformat(): 1}
    assert [nano for _, nano in series(totals, TODAY)] == [1, 0, 0, 0, 0, 0, 5, 0, 0]
    assert series({TODAY.isoformat(): 7}, TODAY) == []


def noisy(seed: int) -> dict[str, int]:
    chance = random.Random(seed)
    return days(120, lambda day: int(chance.lognormvariate(0, 0.5) * USD * (4 if day.weekday() < 5 else 1)))


def test_it_is_right_about_as_often_as_it_says() -> None:
    """Eight of ten truths are to lie within P10 and P90; 60 companies whose days are drawn alike, a week ahead each."""
    inside, end = 0, TODAY + 6 * DAY
    for seed in range(60):
        found = forecast(noisy(seed), TODAY, end, 0, USD)
        truth = random.Random(1_000 + seed)
        spent = sum(
            int(truth.lognormvariate(0, 0.5) * USD * (4 if (TODAY + ahead * DAY).weekday() < 5 else 1))
            for ahead in range(7)
        )
        assert found.p10_nano is not None and found.p90_nano is not None
        inside += found.p10_nano <= spent <= found.p90_nano
    assert 38 <= inside <= 57, "within what chance leaves of 48 (99.9 %)"


def test_the_back_test_knows_nothing_of_what_came_after() -> None:
    history = series(noisy(3), TODAY)
    found = back_test(history, 7)
    assert found is not None and found.n >= 30 and found.separate == 15 and found.inside <= found.n
    assert 0.55 < found.inside / found.n < 0.99
    assert found.error_ppm is not None and found.naive_error_ppm is not None
    assert back_test(history[:20], 7) is None, "14 days before, and 7 behind, are the least"
    changed = [*history[:60], *((day, nano * 50) for day, nano in history[60:])]
    after = back_test(changed, 7)
    assert after is not None and after.inside < found.inside, "a jump that no history held is missed, and that is said"


def test_a_jump_is_missed_by_every_forecast_made_before_it_and_by_no_other() -> None:
    """Of 24 forecasts, a week ahead each, the last four reach into the week in which everything cost a hundred times more."""
    first = TODAY - 67 * DAY
    found = back_test([(first + day * DAY, USD if day < 60 else 100 * USD) for day in range(67)], 7)
    assert found is not None and (found.n, found.inside) == (24, 20)


def test_weekdays_beat_the_straight_line_where_a_window_is_short_of_weeks() -> None:
    found = back_test(series(days(90, lambda day: working(day) + USD), TODAY), 3)
    assert found is not None and found.error_ppm == 0 and found.naive_error_ppm is not None
    assert found.naive_error_ppm > 100_000 and found.inside == found.n


@pytest.mark.anyio
async def test_an_account_is_forecast_from_its_own_rows(desk: Desk) -> None:
    asked = desk.governance.budget_desk
    await asked.set("default", "care", BudgetTerms(usd="25", per="year", scope={"team": "care"}), "user:ann")
    await asked.set("default", "runs", BudgetTerms(usd="25", each="run"), "user:ann")
    await asked.set("default", "ever", BudgetTerms(usd="25", per="total"), "user:ann")
    for _ in range(16):
        desk.clock.advance(86_400)
        opening = desk.opening()
        await desk.open(opening)
        await desk.settle(opening, input_tokens=0, output_tokens=1_000)
    found = {
        one["account"]["budget"]["name"]: one
        for one in (await outlook(desk.budgets, desk.governance.organisation, "default"))["forecasts"]
    }
    assert found["care"]["days"] == 15 and found["care"]["unknown"] == "", "teams within teams count"
    assert found["care"]["p50_nano"] == found["care"]["account"]["spent_nano"] + 2_000_000 * (
        found["care"]["left_days"] - 1
    )
    assert "runs" in found["runs"]["unknown"] or "does not end" in found["runs"]["unknown"]
    assert "does not end" in found["ever"]["unknown"]
