"""The negotiated rates: a row of the catalogue under a rate card."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from holdfast.governance.pricing.cards import Discount, OwnPrices, Provision, RateCard
from holdfast.governance.pricing.model import matches
from holdfast.governance.pricing.resolving import INSTEAD, RowPrices, tabulate
from holdfast.providers.billing.model import INPUT, OUTPUT

_FOREVER: Final = 1 << 62
_CACHED: Final = frozenset({"cache_read", "cache_read_audio"})
_OUTPUT: Final = frozenset(OUTPUT)
_TOKENS: Final = frozenset((*INPUT, *OUTPUT))


def contracted(row: RowPrices | None, card: RateCard, model: str, tier: str, usd: Fraction) -> RowPrices | None:
    """The rates that were agreed; the row itself where the card says nothing; None where neither has a price.

    Args:
        row: of the catalogue; None when it has none.
        usd: US dollars for one unit of the card's currency.
    """
    own = card.own_prices(model, tier)
    discounts = [discount for discount in card.discounts if matches(discount.models, model)]
    if own is None and not discounts:
        return row
    usable = row if row is not None and not row.lacking else None
    if own is None and usable is None:
        return row
    return _combined(usable, discounts, own, usd, f"{card.id}/{model}")


def _combined(
    row: RowPrices | None, discounts: list[Discount], own: OwnPrices | None, usd: Fraction, name: str
) -> RowPrices:
    own_steps, own_tables, own_over = tabulate(own.rates, Fraction(1)) if own else ((), ({},), 1)
    steps = row.thresholds if row else ()
    thresholds = tuple(sorted({*steps, *own_steps}))
    exact: list[dict[str, Fraction]] = []
    for above in (-1, *thresholds):
        listed = _table(row.tables, steps, above) if row else {}
        ours = _table(own_tables, own_steps, above)
        rates = (
            {key: Fraction(value, row.over) * _factor(discounts, key) for key, value in listed.items()} if row else {}
        )
        for key, value in ours.items():
            if own and _is_own(key, own, listed):
                rates[key] = Fraction(value, own_over) * usd
        exact.append(rates)
    over = math.lcm(1, *(rate.denominator for table in exact for rate in table.values()))
    tables = tuple({key: int(rate * over) for key, rate in table.items()} for table in exact)
    if row is None:
        return RowPrices(name, "", -_FOREVER, _FOREVER, thresholds, tables, over, {})
    return RowPrices(row.id, row.tier, row.from_ms, row.until_ms, thresholds, tables, over, row.least)


def _is_own(name: str, own: OwnPrices, listed: Mapping[str, int]) -> bool:
    """Whether a class has the own price: it is named, or it costs what a named one costs, as reasoning does output."""
    if name in own.rates or name not in listed:
        return True
    return any(other in own.rates and listed.get(other) == listed[name] for other in INSTEAD.get(name, ()))


def _table(tables: tuple[dict[str, int], ...], steps: tuple[int, ...], above: int) -> dict[str, int]:
    return tables[bisect_left(steps, above + 1)]


def _factor(discounts: list[Discount], name: str) -> Fraction:
    found = (discount.factor(name) for discount in discounts)
    return next((factor for factor in found if factor is not None), Fraction(1))


def weighted(provision: Provision, counts: Mapping[str, int]) -> Fraction:
    """Tokens as a provision counts them."""
    output, cached = Fraction(provision.output_weight), Fraction(provision.cached_weight)
    total = Fraction(0)
    for name, count in counts.items():
        if name in _TOKENS:
            total += count * (output if name in _OUTPUT else cached if name in _CACHED else 1)
    return total


def amortised(provision: Provision, counts: Mapping[str, int], usd: Fraction) -> Fraction | None:
    """Nano-USD of the hourly price that usage takes of the capacity; None when nobody knows the capacity."""
    if not provision.capacity:
        return None
    return weighted(provision, counts) * provision.hourly_nano * usd / provision.capacity
