"""Currencies beside the US dollar: a rate a day, from a table that somebody imports."""

from __future__ import annotations

import csv
import datetime
import io
import re
from bisect import bisect_right
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance.pricing.rates import invalid

OLDEST_DAYS: Final = 7  # a rate holds over a weekend and a holiday, not for ever
CSV_BYTES: Final = 1 << 20
_RATE: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,18})?")
_CODE: Final = re.compile(r"[A-Z]{3}")


class CurrencyRate(msgspec.Struct, frozen=True):
    """US dollars for one unit of a currency on a day.

    Attributes:
        currency: ISO 4217.
        day: ``2026-10-01``.
        usd: as decimal text.
        source: who says so.
    """

    currency: str
    day: str
    usd: str
    source: str = ""


class Currencies:
    """Rates by day, in memory."""

    def __init__(self, rates: Iterable[CurrencyRate] = ()) -> None:
        self._days: dict[str, list[str]] = {}
        self._rates: dict[str, list[CurrencyRate]] = {}
        for rate in sorted(rates, key=lambda rate: rate.day):
            self._days.setdefault(rate.currency, []).append(rate.day)
            self._rates.setdefault(rate.currency, []).append(rate)

    def rate(self, currency: str, at_ms: int) -> CurrencyRate:
        """The rate of a moment's day in UTC, else that of the newest day before it.

        Raises:
            Refused: ``price.currency`` when there is none, or none of the last ``OLDEST_DAYS`` days.
        """
        day = datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC).date()
        if currency == "USD":
            return CurrencyRate("USD", day.isoformat(), "1")
        index = bisect_right(self._days.get(currency, []), day.isoformat())
        found = self._rates[currency][index - 1] if index else None
        if found is None or (day - datetime.date.fromisoformat(found.day)).days > OLDEST_DAYS:
            raise Refused("price.currency", f"there is no rate of {currency} for {day}")
        return found

    def usd_nano(self, nano: int, currency: str, at_ms: int) -> int:
        """Nano-USD of nano-units of a currency, rounded half to even. Raises ``price.currency``."""
        exact = nano * Fraction(self.rate(currency, at_ms).usd)
        return round(exact)


def read_csv(text: str, source: str) -> list[CurrencyRate]:
    """Rates from CSV with the columns ``day,currency,usd`` (US dollars for one unit).

    Raises:
        Refused: ``price.invalid``, naming the line.
    """
    if len(text) > CSV_BYTES:
        raise invalid(f"the table has more than {CSV_BYTES:,} bytes", "Import it in parts.")
    lines = csv.DictReader(io.StringIO(text))
    if not {"day", "currency", "usd"} <= set(lines.fieldnames or ()):
        raise invalid("the table has not the columns day, currency and usd", "Name them in its first line.")
    return [_read_line(line, number, source) for number, line in enumerate(lines, 2)]


def _read_line(line: dict[str, str], number: int, source: str) -> CurrencyRate:
    day, currency, usd = (str(line.get(name) or "").strip() for name in ("day", "currency", "usd"))
    try:
        day = datetime.date.fromisoformat(day).isoformat()
    except ValueError:
        raise invalid(f"line {number}: {day!r} is no day", "Write 2026-10-01.") from None
    if not _CODE.fullmatch(currency) or currency == "USD":
        raise invalid(f"line {number}: {currency!r} is no foreign currency", "Write its ISO 4217 code, like EUR.")
    if not _RATE.fullmatch(usd) or not Decimal(usd):
        raise invalid(f"line {number}: {usd!r} is no rate", "Write US dollars for one unit, like 1.0842.")
    return CurrencyRate(currency, day, usd, source)
