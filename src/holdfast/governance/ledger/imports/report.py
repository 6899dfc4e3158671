"""What a format makes of a file: lines, and what is known of the whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, BinaryIO, Final, Literal

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.imports.reading import malformed, nano, utc_day

_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
Family = Literal["use", "seats"]
Convert = Callable[[str, int], tuple[Fraction, str]]
"""US dollars for one unit of a currency at an instant (Unix ms), exactly, and the rate as decimal text."""


def no_currency(currency: str, at_ms: int) -> tuple[Fraction, str]:
    """Dollars only. Raises ``price.currency``."""
    raise Refused("price.currency", f"there is no rate of {currency!r:.10} here")


class ImportReport:
    """Collects what is known of a file while it is read.

    Attributes:
        complete: whether it says that it is whole.
        notes: what its reader should know of it.
        provider: whose report it is, by the format or by whoever imports it.
    """

    def __init__(self, provider: str = "", convert: Convert = no_currency) -> None:
        self.provider = provider
        self.complete = True
        self.notes: list[str] = []
        self._convert = convert

    def note(self, words: str) -> None:
        """Remember something, once."""
        if words not in self.notes and len(self.notes) < 50:
            self.notes.append(words[: limits.LEDGER_WORDS])

    def line(
        self, where: str, since_ms: int, until_ms: int, currency: str = "USD",
        amounts: Mapping[str, Fraction | None] | None = None, **facts: Any,
    ) -> BillLine:  # fmt: skip
        """A line with its amounts in nano-USD, at the rate of the day on which it begins. Raises ``import.malformed``,
        ``price.currency``."""
        if until_ms < since_ms:
            raise malformed(where, "it ends before it begins")
        currency, rate, factor = currency.upper() or "USD", "", Fraction(1)
        if currency != "USD":
            if not _CURRENCY.fullmatch(currency):
                raise malformed(where, f"{currency:.20} is no currency of ISO 4217, such as EUR")
            factor, rate = self._convert(currency, since_ms)
        money = {
            f"{name}_nano": None if amount is None else nano(amount * factor, where)
            for name, amount in (amounts or {}).items()
        }
        texts = {name: value[: limits.LEDGER_WORDS] for name, value in facts.items() if isinstance(value, str)}
        facts = facts | texts | money
        facts.setdefault("provider", self.provider)
        return BillLine(
            id="", batch="", day=utc_day(since_ms), since_ms=since_ms, until_ms=until_ms, currency=currency, rate=rate, **facts
        )  # fmt: skip


Read = Callable[[BinaryIO, ImportReport], Iterator[BillLine]]
