"""What units cost in the ledger's own rows: so that waste needs no catalogue, and is in the money that was paid."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import Final

from holdfast.governance.ledger.bills.compare.gather import bill_amount
from holdfast.governance.ledger.model import Row
from holdfast.providers.billing.model import INPUT

PriceKey = tuple[str, str, str, str, str, str]
WRITES: Final = ("cache_write", "cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h")


def price_key(row: Row) -> PriceKey:
    """Rows of one key have one price list."""
    return row.provider, row.model or row.asked, row.tier, row.region, row.speed, row.catalogue


def total_input(row: Row) -> int:
    """Tokens of all input."""
    return sum(row.counts.get(name, 0) for name in INPUT)


def paid_share(row: Row) -> Fraction:
    """What was paid of the list cost."""
    listed, amount = sum(row.parts.values()), bill_amount(row)
    return Fraction(amount or 0, listed) if listed else Fraction(0)


class UnitPrices:
    """List prices of single units, as rows show them; of several the lowest, which is the one below any tier.

    Attributes:
        largest: the largest input that was charged at the lowest price, tokens.
    """

    def __init__(self) -> None:
        self._lowest: dict[tuple[PriceKey, str], Fraction] = {}
        self.largest: dict[PriceKey, int] = defaultdict(int)

    def add(self, row: Row) -> None:
        """Learn from a row."""
        key = price_key(row)
        for name, part in row.parts.items():
            count = row.counts.get(name, 0)
            if count > 0 and part > 0:
                price, at = Fraction(part, count), (key, name)
                lowest = self._lowest.get(at)
                if lowest is None or price < lowest:
                    self._lowest[at] = price

    def add_size(self, row: Row) -> None:
        """Learn how large an input is at the lowest price; after all rows were added."""
        if not self.excess(row):
            key = price_key(row)
            self.largest[key] = max(self.largest[key], total_input(row))

    def of(self, row: Row, name: str) -> Fraction | None:
        """The list price of a unit for such a row; None where no row shows it."""
        return self._lowest.get((price_key(row), name))

    def write(self, row: Row) -> Fraction | None:
        """The list price of writing a token to the cache, the shortest lifetime that rows show."""
        found = [price for name in WRITES if (price := self.of(row, name)) is not None]
        return min(found) if found else None

    def excess(self, row: Row) -> int:
        """What a row's units cost more than at the lowest price, list nano-USD; 0 unless its input is dearer by 15 %."""
        priced = [
            (name, part, count, lowest)
            for name, part in row.parts.items()
            if part > 0 and (count := row.counts.get(name, 0)) > 0 and (lowest := self.of(row, name)) is not None
        ]
        if not any(
            100 * part * lowest.denominator >= 115 * count * lowest.numerator
            for name, part, count, lowest in priced
            if name in INPUT
        ):
            return 0
        return round(sum((part - lowest * count for _, part, count, lowest in priced), Fraction(0)))
