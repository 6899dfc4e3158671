"""Days of an organisation: where they begin in its time zone, also on days of 23 and 25 hours."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Final

from holdfast.errors import Refused

_MS: Final = 1_000


def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """The time zone of a name of the IANA database. Raises ``input.malformed``."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(
            "input.malformed", f"time_zone {name!r:.80}: there is no such zone", fix="Write it as Europe/Berlin."
        ) from None


def day_start_ms(day: datetime.date, zone: zoneinfo.ZoneInfo) -> int:
    """Unix ms of the first instant of a day; where the clock skips midnight, that of the skip."""
    return int(datetime.datetime.combine(day, datetime.time(), zone).timestamp()) * _MS


def day_at(at_ms: int, zone: zoneinfo.ZoneInfo) -> datetime.date:
    """The day in a time zone."""
    return datetime.datetime.fromtimestamp(at_ms // _MS, zone).date()


def parse_day(text: str, name: str) -> datetime.date:
    """A day as ``2026-03-31``. Raises ``input.malformed``, naming what was meant to be one."""
    try:
        if len(text) == 10:
            return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    raise Refused("input.malformed", f"{name} {text!r:.40} is no day", fix="Write it as 2026-03-31.")
