"""Dates of instants in a zone, and which zones are tried."""

from __future__ import annotations

import datetime
import functools
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from holdfast.errors import Refused
from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.bills.compare.model import SLOT_MS

DAY_MS: Final = 86_400_000
_BETWEEN: Final = (
    "-03:30",
    "-09:30",
    "+03:30",
    "+04:30",
    "+05:30",
    "+05:45",
    "+06:30",
    "+08:45",
    "+09:30",
    "+10:30",
    "+12:45",
)
OFFSETS: Final = (
    *(f"UTC-{hours:02}:00" for hours in range(1, 13)),
    *(f"UTC+{hours:02}:00" for hours in range(1, 15)),
    *(f"UTC{offset}" for offset in _BETWEEN),
)
"""Every offset that some country has."""
ZONES: Final = ("America/Los_Angeles", "America/New_York", "Europe/London", "Europe/Berlin", "Australia/Sydney")
"""Zones with summer time in which providers and their customers are."""


@functools.lru_cache(maxsize=128)
def zone(name: str) -> datetime.tzinfo:
    """The zone of a name: IANA's, or ``UTC+05:30``.

    Raises:
        Refused: ``config.invalid``.
    """
    if name.startswith("UTC") and len(name) == 9:
        try:
            delta = datetime.timedelta(hours=int(name[4:6]), minutes=int(name[7:9]))
            return datetime.timezone(-delta if name[3] == "-" else delta)
        except ValueError:
            pass
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(
            "input.malformed", f"there is no time zone {name!r:.60}", fix="Use a name such as Europe/Berlin or UTC."
        ) from None


@functools.lru_cache(maxsize=1 << 18)
def _day_of_slot(slot: int, name: str) -> str:
    return datetime.datetime.fromtimestamp(slot * (SLOT_MS // 1000), zone(name)).date().isoformat()


def day_of(at_ms: int, name: str) -> str:
    """The date of an instant in a zone."""
    return _day_of_slot(at_ms // SLOT_MS, name)


def day_of_line(line: BillLine, name: str) -> str:
    """The date of a line of a bill whose days are those of a zone.

    A line that begins at midnight in UTC gives the date alone, whatever zone is meant by it: so most reports write days. One
    that begins at another hour says the instant, and which date that is the zone tells: a day of Berlin that is written as
    ``2026-10-31T23:00:00Z``, or hours.
    """
    return line.day if line.since_ms % DAY_MS == 0 else day_of(line.since_ms, name)


def days_between(since: str, until: str) -> list[str]:
    """All dates from the first to the last, both counted."""
    first, last = datetime.date.fromisoformat(since), datetime.date.fromisoformat(until)
    return [(first + datetime.timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def bounds_ms(since: str, until: str, name: str) -> tuple[int, int]:
    """The instants at which the first day begins and the last day has ended, Unix ms."""
    first = datetime.datetime.fromisoformat(since).replace(tzinfo=zone(name))
    last = datetime.datetime.fromisoformat(until) + datetime.timedelta(days=1)
    return int(first.timestamp() * 1000), int(last.replace(tzinfo=zone(name)).timestamp() * 1000)
