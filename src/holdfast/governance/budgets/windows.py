"""When a budget's money is counted: windows of the calendar in a time zone, windows that roll, and always. Pure.

A window of the calendar begins at local midnight, so a day of 23 or 25 hours is one day; where the clock skips midnight it
begins at the first instant there is. A window that rolls is counted in parts (``bucket_ms``): the part in which it begins is
counted whole, so that a little more is taken for spent than was, and never less.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from holdfast.governance import limits
from holdfast.governance.budgets.model import Budget, Span

_QUARTER_MS: Final = 900_000
_ALWAYS_MS: Final = 0
"""The one bucket of a budget that has no window."""


class Window(NamedTuple):
    """Between which instants money counts, Unix ms; ``closes_ms`` None where it never ends by itself."""

    opens_ms: int
    closes_ms: int | None


def window_of(budget: Budget, at_ms: int, zone: ZoneInfo) -> Window:
    """The window that an instant lies in.

    Args:
        zone: of the organisation, for a budget without one of its own.
    """
    if budget.span == "total":
        return Window(_ALWAYS_MS, None)
    if budget.span == "rolling":
        width = bucket_width_ms(budget)
        return Window((at_ms - budget.rolling_s * 1_000) // width * width, None)
    return _of_calendar(budget.span, budget.zone or zone.key, at_ms // _QUARTER_MS)


def counted_window(budget: Budget, at_ms: int, zone_at: Callable[[str, int], ZoneInfo]) -> Window:
    """The window that an instant lies in, from the first bucket that counts in it. Where the organisation has moved to another
    time zone meanwhile, its bucket of before counts as well: a little more is taken for spent, and nothing is forgotten.

    Args:
        zone_at: the time zone of a tenant's days at a time.
    """
    zone = zone_at(budget.tenant, at_ms)
    window = window_of(budget, at_ms, zone)
    if budget.zone or window.closes_ms is None:
        return window
    before = zone_at(budget.tenant, window.opens_ms)
    if before.key == zone.key:
        return window
    return window._replace(opens_ms=min(window.opens_ms, window_of(budget, at_ms, before).opens_ms))


def bucket_of(budget: Budget, at_ms: int, zone: ZoneInfo) -> int:
    """The bucket in which something of an instant is counted, by its beginning, Unix ms."""
    if budget.span == "rolling":
        width = bucket_width_ms(budget)
        return at_ms // width * width
    return window_of(budget, at_ms, zone).opens_ms


def bucket_width_ms(budget: Budget) -> int:
    """Length of the parts in which a window that rolls is counted."""
    return max(1_000, -(-budget.rolling_s * 1_000 // limits.BUDGET_ROLLING_PARTS))


def freeing_part(parts: Iterable[tuple[int, int]], missing_nano: int) -> int | None:
    """Of the parts of a window that rolls, ``(beginning, spent)`` from the oldest on, the one with whose end enough is free;
    None without any."""
    last = None
    for last, nano in parts:  # noqa: B007
        missing_nano -= nano
        if missing_nano <= 0:
            break
    return last


def reopens_ms(budget: Budget, window: Window, now_ms: int, oldest_ms: int | None) -> int | None:
    """When there is money again, at the earliest: Unix ms; None where no time brings any.

    Args:
        oldest_ms: of a window that rolls, the part with which enough leaves it (``freeing_part``).
    """
    if budget.span == "total":
        return None
    if budget.span == "rolling":
        begin = oldest_ms if oldest_ms is not None else window.opens_ms
        return max(now_ms + 1, begin + bucket_width_ms(budget) + budget.rolling_s * 1_000)
    return window.closes_ms


@functools.lru_cache(maxsize=4_096)
def _of_calendar(span: Span, zone_name: str, quarter: int) -> Window:
    """The window that a quarter of an hour lies in: in every time zone midnight is at one."""
    zone = ZoneInfo(zone_name)
    first = _first_day(span, datetime.datetime.fromtimestamp(quarter * _QUARTER_MS // 1_000, zone).date())
    return Window(_midnight_ms(first, zone), _midnight_ms(_next_first_day(span, first), zone))


def _first_day(span: Span, day: datetime.date) -> datetime.date:
    match span:
        case "week":
            return day - datetime.timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "year":
            return day.replace(month=1, day=1)
        case _:
            return day


def _next_first_day(span: Span, first: datetime.date) -> datetime.date:
    match span:
        case "week":
            return first + datetime.timedelta(days=7)
        case "month":
            return _months_later(first, 1)
        case "quarter":
            return _months_later(first, 3)
        case "year":
            return first.replace(year=first.year + 1)
        case _:
            return first + datetime.timedelta(days=1)


def _months_later(first: datetime.date, months: int) -> datetime.date:
    month = first.month - 1 + months
    return first.replace(year=first.year + month // 12, month=month % 12 + 1)


def _midnight_ms(day: datetime.date, zone: ZoneInfo) -> int:
    return int(datetime.datetime.combine(day, datetime.time(), zone).timestamp()) * 1_000
