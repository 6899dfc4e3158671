"""What will have been spent by the end of a window: percentiles of what may come, beside how often such ones were right.

The days that are left are drawn from the account's own days, each from days of the same weekday, a thousand times. In each
draw the days themselves are drawn first, so that a short history counts as what it is. The draws are seeded by what goes in:
whoever has the same rows gets the same forecast. Pure; money is nano-USD.
"""

from __future__ import annotations

import datetime
import hashlib
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from holdfast.governance import limits

_DAY: Final = datetime.timedelta(days=1)
_LEAST_SAME: Final = 3
"""Days of the same weekday without which working days, or days off, stand for it."""
_MILLION: Final = 1_000_000


class BackTest(msgspec.Struct, frozen=True):
    """How such forecasts did from days that are past.

    Attributes:
        n: how many were made, each as far ahead as the one it stands beside; they overlap. ``separate``: how many of such a
            length fit into the history without that: so many are independent.
        horizon_days: how far ahead.
        inside: how many times the truth lay within P10 and P90; 8 of 10 are to be hoped for.
        error_ppm: median of how far P50 was from the truth, in millionths of it; ``naive_error_ppm``: the same of the
            straight line. None where the truth was nothing.
    """

    n: int
    separate: int
    horizon_days: int
    inside: int
    error_ppm: int | None
    naive_error_ppm: int | None


class Forecast(msgspec.Struct, frozen=True):
    """What an account will have spent when its window ends, nano-USD.

    Attributes:
        unknown: why there is none; empty where there is one.
        days: of history. ``left_days``: until the end, today among them.
        p10_nano, p50_nano, p90_nano: in one of ten, five of ten, nine of ten draws it was not more.
        naive_nano: a straight line: every day that is left like the mean of those that were.
        over_ppm: in how many of a million draws it was more than the cap.
        fan: the way there: for the end of each day that is left, P10, P50 and P90; the last is that of the window.
        back_test: None where no day of the past has enough before it and behind it.
        seed: of the draws.
    """

    unknown: str = ""
    days: int = 0
    left_days: int = 0
    p10_nano: int | None = None
    p50_nano: int | None = None
    p90_nano: int | None = None
    naive_nano: int | None = None
    over_ppm: int | None = None
    fan: tuple[tuple[int, int, int], ...] = ()
    back_test: BackTest | None = None
    seed: str = ""


def series(totals: Mapping[str, int], before: datetime.date) -> list[tuple[datetime.date, int]]:
    """Every day from the first with spending to the one before ``before``; a day without any is a day of nothing."""
    days = sorted(day for day in totals if day < before.isoformat())[:1]
    if not days:
        return []
    day = max(datetime.date.fromisoformat(days[0]), before - limits.FORECAST_DAYS * _DAY)
    found = []
    while day < before:
        found.append((day, max(0, totals.get(day.isoformat(), 0))))
        day += _DAY
    return found


def forecast(
    totals: Mapping[str, int], today: datetime.date, last: datetime.date, spent_nano: int, cap_nano: int
) -> Forecast:
    """The forecast of an account.

    Args:
        totals: nano-USD by day, as ``2026-03-31``; today's is what was spent of it by now.
        today: the day it is in the organisation. ``last``: the last day of the window.
        spent_nano: in this window by now.
        cap_nano: that may be spent in it.
    """
    history = series(totals, today)
    left = (last - today).days + 1
    if len(history) < limits.FORECAST_DAYS_LEAST:
        words = f"{len(history)} days of history; {limits.FORECAST_DAYS_LEAST} are the least"
        return Forecast(words, len(history), max(0, left))
    if not 1 <= left <= limits.FORECAST_HORIZON_DAYS:
        return Forecast(
            f"the window does not end within {limits.FORECAST_HORIZON_DAYS} days", len(history), max(0, left)
        )
    so_far = max(0, totals.get(today.isoformat(), 0))
    seed = _seed(history, today, left, so_far)
    ahead = _draws(history, today, left, so_far, seed, limits.FORECAST_DRAWS)
    by_day = [sorted(spent_nano + more for more in day) for day in zip(*ahead, strict=True)]
    ends = by_day[-1]
    mean = sum(nano for _, nano in history) // len(history)
    return Forecast(
        days=len(history),
        left_days=left,
        p10_nano=_percentile(ends, 10),
        p50_nano=_percentile(ends, 50),
        p90_nano=_percentile(ends, 90),
        naive_nano=spent_nano + max(0, mean - so_far) + mean * (left - 1),
        over_ppm=sum(end > cap_nano for end in ends) * _MILLION // len(ends),
        fan=tuple((_percentile(day, 10), _percentile(day, 50), _percentile(day, 90)) for day in by_day),
        back_test=back_test(history, left),
        seed=seed,
    )


def back_test(history: Sequence[tuple[datetime.date, int]], horizon: int) -> BackTest | None:
    """Make the forecast again from past days, of nothing but what was known on each, and hold it beside what came."""
    first, end = limits.FORECAST_DAYS_LEAST, len(history) - horizon
    if end < first:
        return None
    step = max(1, -(-(end - first + 1) // limits.FORECAST_TESTS))
    inside, errors, naive_errors = 0, list[int](), list[int]()
    origins = range(end, first - 1, -step)
    for origin in origins:
        before, day = history[:origin], history[origin][0]
        truth = sum(nano for _, nano in history[origin : origin + horizon])
        seed = _seed(before, day, horizon, 0)
        drawn = sorted(way[-1] for way in _draws(before, day, horizon, 0, seed, limits.FORECAST_TEST_DRAWS))
        inside += _percentile(drawn, 10) <= truth <= _percentile(drawn, 90)
        if truth:
            errors.append(abs(_percentile(drawn, 50) - truth) * _MILLION // truth)
            straight = sum(nano for _, nano in before) * horizon // len(before)
            naive_errors.append(abs(straight - truth) * _MILLION // truth)
    separate = (len(history) - first) // horizon
    return BackTest(len(origins), separate, horizon, inside, _median(errors), _median(naive_errors))


def _draws(
    history: Sequence[tuple[datetime.date, int]], today: datetime.date, left: int, so_far: int, seed: str, times: int
) -> list[list[int]]:
    """What the days that are left come to, up to the end of each, in so many draws. Of today, what is left of it: never below
    nothing."""
    chance = random.Random(seed)
    pools = [_pool(history, weekday) for weekday in range(7)]
    weekdays = [(today.weekday() + ahead) % 7 for ahead in range(left)]
    drawn = []
    for _ in range(times):
        own = [chance.choices(pool, k=len(pool)) for pool in pools]
        rest = max(0, chance.choice(own[weekdays[0]]) - so_far)
        drawn.append(
            list(itertools.accumulate((chance.choice(own[weekday]) for weekday in weekdays[1:]), initial=rest))
        )
    return drawn


def _pool(history: Sequence[tuple[datetime.date, int]], weekday: int) -> list[int]:
    same = [nano for day, nano in history if day.weekday() == weekday]
    if len(same) >= _LEAST_SAME:
        return same
    alike = [nano for day, nano in history if (day.weekday() < 5) == (weekday < 5)]
    return alike or [nano for _, nano in history]


def _seed(history: Sequence[tuple[datetime.date, int]], day: datetime.date, left: int, so_far: int) -> str:
    facts = [[one.isoformat(), nano] for one, nano in history]
    return hashlib.sha256(json.dumps([facts, day.isoformat(), left, so_far]).encode()).hexdigest()


def _percentile(ordered: Sequence[int], percent: int) -> int:
    return sorted(ordered)[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _median(values: Sequence[int]) -> int | None:
    return sorted(values)[len(values) // 2] if values else None
