"""Adds rows up to what a variance needs: units and cost by group, product and class."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from holdfast.errors import Refused
from holdfast.governance.ledger.bills.amounts import divide
from holdfast.governance.ledger.bills.variance.model import Measure, Product
from holdfast.governance.ledger.model import Row
from holdfast.providers.billing.model import INPUT, OUTPUT

DIMENSIONS: Final = (
    "organisation", "team", "workflow", "task", "cost_centre", "usage", "key", "agent", "upstream", "provider", "model",
    "asked", "tier", "region", "kind", "source", "outcome",
)  # fmt: skip
"""What rows can be told apart by; beside them ``tag:NAME``. Persons are none of them: nobody is ranked."""
WHOLE: Final = "whole"
"""Class of what has a cost and no parts: its units are rows."""
TOKENS: Final = frozenset((*INPUT, *OUTPUT))


class ProductUsage:
    """Units and costs of one product in one group."""

    __slots__ = ("_amount", "_counts", "_opaque", "_parts", "_whole", "calls")

    def __init__(self) -> None:
        self.calls = 0
        self._amount = self._whole = self._opaque = 0
        self._counts: dict[str, int] = defaultdict(int)
        self._parts: dict[str, int] = defaultdict(int)

    def add(self, row: Row, amount: int) -> None:
        """Count a row. A contracted cost is shared among classes as the list cost is."""
        self.calls += 1
        if not any(row.parts.get(name, 0) for name, count in row.counts.items() if count):
            self._whole += amount
            self._opaque += 1
            return
        self._amount += amount
        for name, count in row.counts.items():
            self._counts[name] += count
        for name, part in row.parts.items():
            self._parts[name if row.counts.get(name) else WHOLE] += part

    @property
    def units(self) -> dict[str, int]:
        """Units by class."""
        found = {name: count for name, count in self._counts.items() if count}
        if self._opaque or self._parts.get(WHOLE):
            found[WHOLE] = self._opaque or self.calls
        return found

    @property
    def costs(self) -> dict[str, int]:
        """Cost by class, nano-USD; they sum to what the rows cost, and none is of a class without units."""
        found = divide(self._amount, dict(sorted(self._parts.items())))
        if self._opaque:
            found[WHOLE] = found.get(WHOLE, 0) + self._whole
        return found


class Tally:
    """Rows of one period. Rows that another one replaces must not be added.

    Args:
        measure: which cost counts.
        dimension: one of ``DIMENSIONS``, ``tag:NAME``, or empty for none.

    Raises:
        Refused: ``input.malformed`` for another dimension.
    """

    def __init__(self, measure: Measure, dimension: str = "") -> None:
        if dimension and dimension not in DIMENSIONS and not dimension.startswith("tag:"):
            fix = f"Use one of {', '.join(DIMENSIONS)} or tag:NAME."
            raise Refused("input.malformed", f"there is no dimension {dimension!r:.60}", fix=fix)
        self.measure, self.dimension = measure, dimension
        self.lines: dict[str, dict[Product, ProductUsage]] = defaultdict(dict)
        self.unpriced: dict[str, int] = defaultdict(int)

    def add(self, row: Row) -> None:
        """Count a row."""
        group = self._group(row)
        amount: int | None = getattr(row, f"{self.measure}_nano")
        if amount is None:
            self.unpriced[group] += 1
            return
        product = Product(row.provider, row.upstream, row.model or row.asked, row.tier, row.region, row.speed)
        line = self.lines[group].get(product)
        if line is None:
            line = self.lines[group][product] = ProductUsage()
        line.add(row, amount)

    def _group(self, row: Row) -> str:
        if not self.dimension:
            return ""
        if self.dimension.startswith("tag:"):
            return row.tags.get(self.dimension[4:], "")
        return str(getattr(row, self.dimension))
