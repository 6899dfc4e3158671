"""Days and hours of the company: when work is done, and how much of it."""

from __future__ import annotations

import datetime
import math
import random
from typing import Final
from zoneinfo import ZoneInfo

_WEEK: Final = (1.05, 1.15, 1.1, 1.0, 0.75)
"""Monday to Friday."""
_OFFICE: Final = (8.6, 9.9, 11.2, 13.6, 15.0, 16.4)
"""Hours of the day around which people work, local time."""
_SHARE: Final = (0.13, 0.2, 0.19, 0.18, 0.18, 0.12)
NIGHT: Final = 2.5
"""When programs work that nobody waits for."""
_SUMMER: Final = 0.85
_GROWTH: Final = 0.25
"""By how much use grows over the whole time."""


def at(day: datetime.date, hour: float, zone: ZoneInfo) -> int:
    """Unix ms of an hour of a day, local time."""
    midnight = datetime.datetime.combine(day, datetime.time(), zone)
    return round((midnight.timestamp() + hour * 3_600) * 1_000)


def works(day: datetime.date) -> bool:
    """Whether it is Monday to Friday."""
    return day.weekday() < 5


def load_of(day: datetime.date, number: int, days: int, weekend: float) -> float:
    """How much is done on a day beside a usual weekday.

    Args:
        number: of the day, from 0; of ``days``.
        weekend: how much of it is done on a Saturday or Sunday.
    """
    week = _WEEK[day.weekday()] if works(day) else weekend
    summer = _SUMMER if day.month == 8 and day.day < 22 else 1.0
    month_end = 1.1 if (day + datetime.timedelta(days=3)).month != day.month else 1.0
    return week * summer * month_end * (1 + _GROWTH * number / days)


def count(chance: random.Random, mean: float) -> int:
    """A number around a mean (Poisson, Knuth's way)."""
    limit, product, number = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        number += 1
    return number


def office_slot(chance: random.Random, day: datetime.date) -> int:
    """In which part of a day somebody begins; at the weekend there is one."""
    return chance.choices(range(len(_OFFICE)), _SHARE)[0] if works(day) else 2


def slot_hours(day: datetime.date, chance: random.Random) -> list[float]:
    """When the parts of a day begin, in order: another minute each day."""
    return [hour + chance.uniform(-0.25, 0.25) for hour in _OFFICE]
