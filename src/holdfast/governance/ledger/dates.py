"""Days, weeks and months of the ledger: dates in the organisation's time zone, as ISO 8601 text."""

from __future__ import annotations

import datetime
import re
from collections.abc import Container
from typing import Final
from zoneinfo import ZoneInfo

from holdfast.errors import Refused

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_MONTH: Final = re.compile(r"\d{4}-\d{2}")


def day_of(at_ms: int, zone: ZoneInfo) -> str:
    """The date of an instant."""
    return datetime.datetime.fromtimestamp(at_ms // 1_000, zone).date().isoformat()


def moment(at_ms: int) -> str:
    """A time as people read it, in UTC."""
    return datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC).isoformat(timespec="seconds")


def month_of(day: str) -> str:
    """The month of a date."""
    return day[:7]


def week_of(day: str) -> str:
    """The Monday on or before a date."""
    date = datetime.date.fromisoformat(day)
    return (date - datetime.timedelta(days=date.weekday())).isoformat()


def next_month(month: str) -> str:
    """The month after one."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12:04}-{number % 12 + 1:02}"


def open_period(month: str, closed: Container[str]) -> str:
    """The first month from ``month`` on that is not closed: in whose books a row of ``month`` stands."""
    while month in closed:
        month = next_month(month)
    return month


def start_ms(day: str, zone: ZoneInfo) -> int:
    """The instant at which a date begins, Unix ms; in a zone that skips midnight the first instant there is."""
    return int(datetime.datetime.fromisoformat(day).replace(tzinfo=zone).timestamp() * 1_000)


def next_day(day: str, days: int = 1) -> str:
    """The date so many days later."""
    return (datetime.date.fromisoformat(day) + datetime.timedelta(days=days)).isoformat()


def check_day(text: str, name: str) -> str:
    """A date that somebody wrote. Raises ``input.malformed``."""
    try:
        if _DAY.fullmatch(text):
            return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise Refused("input.malformed", f"{name} {text!r:.40} is no date", fix="Write it as 2026-11-30.")


def check_month(text: str, name: str = "period") -> str:
    """A month that somebody wrote. Raises ``input.malformed``."""
    if _MONTH.fullmatch(text) and 1 <= int(text[5:]) <= 12 and text[:4] != "0000":
        return text
    raise Refused("input.malformed", f"{name} {text!r:.40} is no month", fix="Write it as 2026-11.")
