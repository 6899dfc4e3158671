"""Change of cost = price + volume + mix + cache, exactly. See ``model.DEFINITION`` for what the words mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

from holdfast.governance import limits
from holdfast.governance.ledger.bills.variance.model import (
    EFFECTS,
    Effects,
    GroupChange,
    PriceMove,
    Product,
    ProductChange,
    Variance,
)
from holdfast.governance.ledger.bills.variance.tally import TOKENS, WHOLE, ProductUsage, Tally

_CACHED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "input",
            "cache_read",
            "cache_write",
            "cache_write_5m",
            "cache_write_30m",
            "cache_write_1h",
            "cache_write_12h",
        ),
        "input",
    ),
    **dict.fromkeys(("input_audio", "cache_read_audio"), "input_audio"),
}
"""Classes between which a cache moves tokens; every other class is by itself."""
_FINE: Final = 10**9
"""Effects of single terms are added up in so many parts of a nano-USD, and rounded once."""

Prices = dict[tuple[Product, str], Fraction]
_Pair = tuple[Fraction, Fraction]
_NOTHING: Final = Fraction(0)


def shapley(factors: Sequence[_Pair]) -> tuple[Fraction, ...]:
    """What each of four factors contributes to the change of their product: its change times the others, averaged over all
    orders in which they may change. The contributions sum to the change."""
    found = []
    for number, (before, after) in enumerate(factors):
        a, b, c = (pair for other, pair in enumerate(factors) if other != number)
        none, all_three = a[0] * b[0] * c[0], a[1] * b[1] * c[1]
        one = a[1] * b[0] * c[0] + a[0] * b[1] * c[0] + a[0] * b[0] * c[1]
        two = a[1] * b[1] * c[0] + a[1] * b[0] * c[1] + a[0] * b[1] * c[1]
        found.append((after - before) * (3 * (none + all_three) + one + two) / 12)
    return tuple(found)


def decompose(before: Tally, after: Tally) -> Variance:
    """The change from one period to the other, by the dimension of both tallies."""
    prices = _prices(before), _prices(after)
    names = {*before.lines, *after.lines, *before.unpriced, *after.unpriced}
    groups = []
    for name in sorted(names):
        one, other = before.lines.get(name, {}), after.lines.get(name, {})
        unpriced = before.unpriced.get(name, 0) + after.unpriced.get(name, 0)
        groups.append(_group(name, one, other, prices, unpriced))
    groups.sort(key=lambda group: (-abs(group.after_nano - group.before_nano), group.name))
    models = _models(before), _models(after)
    return Variance(
        measure=before.measure,
        dimension=before.dimension,
        before_nano=sum(group.before_nano for group in groups),
        after_nano=sum(group.after_nano for group in groups),
        effects=Effects(*(sum(getattr(group.effects, effect) for group in groups) for effect in EFFECTS)),
        groups=tuple(groups),
        prices=_changed(prices, after),
        new=tuple(sorted(models[1] - models[0])),
        gone=tuple(sorted(models[0] - models[1])),
        unpriced=sum(group.unpriced for group in groups),
    )


def _group(
    name: str,
    before: Mapping[Product, ProductUsage],
    after: Mapping[Product, ProductUsage],
    prices: tuple[Prices, Prices],
    unpriced: int,
) -> GroupChange:
    volumes, unit = _volumes(before, after)
    whole = [0, 0, 0, 0]
    products = []
    cost_before = cost_after = 0
    for product in sorted({*before, *after}):
        fine, costs = _product(
            product, before.get(product), after.get(product), prices, volumes, (bool(before), bool(after))
        )
        for number in range(4):
            whole[number] += fine[number]
        cost_before, cost_after = cost_before + costs[0], cost_after + costs[1]
        products.append(
            ProductChange(
                product=product,
                state="kept" if product in before and product in after else "new" if product in after else "gone",
                before_nano=costs[0],
                after_nano=costs[1],
                effects=_rounded(fine),
            )
        )
    products.sort(key=lambda change: (-abs(change.after_nano - change.before_nano), change.product))
    return GroupChange(
        name=name, before_nano=cost_before, after_nano=cost_after, effects=_rounded(whole), unit=unit,
        before_volume=volumes[0], after_volume=volumes[1], unpriced=unpriced, products=tuple(products[: limits.BILLS_SESSIONS]),
    )  # fmt: skip


def _volumes(
    before: Mapping[Product, ProductUsage], after: Mapping[Product, ProductUsage]
) -> tuple[tuple[int, int], str]:
    tokens = tuple(
        sum(count for line in lines.values() for name, count in line.units.items() if name in TOKENS)
        for lines in (before, after)
    )
    if all(tokens[n] or not lines for n, lines in enumerate((before, after))):
        return (tokens[0], tokens[1]), "tokens"
    calls = [sum(line.calls for line in lines.values()) for lines in (before, after)]
    return (calls[0], calls[1]), "calls"


def _product(
    product: Product, before: ProductUsage | None, after: ProductUsage | None, prices: tuple[Prices, Prices], volumes: tuple[int, int],
    present: tuple[bool, bool],
) -> tuple[list[int], tuple[int, int]]:  # fmt: skip
    """Effects of one product, in fine units, and its costs."""
    units = [dict(line.units) if line else {} for line in (before, after)]
    costs = [line.costs if line else {} for line in (before, after)]
    sets: dict[str, set[str]] = defaultdict(set)
    for name in {*units[0], *units[1], *costs[0], *costs[1]}:
        sets[_CACHED.get(name, name)].add(name)
    total = [0, 0, 0, 0]
    for names in sets.values():
        sums = [sum(units[n].get(name, 0) for name in names) for n in (0, 1)]
        volume = Fraction(volumes[0]), Fraction(volumes[1])
        mix = _filled(tuple(Fraction(sums[n], volumes[n]) if volumes[n] else None for n in (0, 1)), present)
        for name in sorted(names):
            cache = _filled(
                tuple(Fraction(units[n].get(name, 0), sums[n]) if sums[n] else None for n in (0, 1)),
                (bool(sums[0]), bool(sums[1])),
            )
            price = _filled(tuple(_price(product, name, units[n], costs[n], prices[n]) for n in (0, 1)), (True, True))
            change = costs[1].get(name, 0) - costs[0].get(name, 0)
            effects = shapley((price, volume, mix, cache))
            for number, fine in enumerate(_whole([effect * _FINE for effect in effects], change * _FINE)):
                total[number] += fine
    return total, (sum(costs[0].values()), sum(costs[1].values()))


def _price(
    product: Product, name: str, units: Mapping[str, int], costs: Mapping[str, int], elsewhere: Prices
) -> Fraction | None:
    if units.get(name):
        return Fraction(costs.get(name, 0), units[name])
    return elsewhere.get((product, name))


def _filled(values: tuple[Fraction | None, ...], present: tuple[bool, bool]) -> _Pair:
    """What one period lacks is as in the other, so that it does not change."""
    before, after = values[0] if present[0] else None, values[1] if present[1] else None
    if before is None:
        before = after
    if after is None:
        after = before
    return (before if before is not None else _NOTHING), (after if after is not None else _NOTHING)


def _whole(parts: Sequence[Fraction], total: int) -> list[int]:
    """Parts rounded to integers that sum to the total. Exchanged periods give the same with the other sign."""
    rounded = [round(part) for part in parts]
    left = total - sum(rounded)
    sign = 1 if left > 0 else -1
    errors = sorted(range(len(parts)), key=lambda n: (-sign * (parts[n] - rounded[n]), n))
    for place in range(abs(left)):
        rounded[errors[place % len(parts)]] += sign
    return rounded


def _rounded(fine: Sequence[int]) -> Effects:
    total = sum(fine)
    return Effects(*_whole([Fraction(part, _FINE) for part in fine], round(Fraction(total, _FINE))))


def _prices(tally: Tally) -> Prices:
    """Average cost of a unit by product and class, over all groups."""
    units: dict[tuple[Product, str], int] = defaultdict(int)
    costs: dict[tuple[Product, str], int] = defaultdict(int)
    for lines in tally.lines.values():
        for product, line in lines.items():
            for name, count in line.units.items():
                units[product, name] += count
            for name, cost in line.costs.items():
                costs[product, name] += cost
    return {at: Fraction(costs.get(at, 0), count) for at, count in units.items() if count}


def _changed(prices: tuple[Prices, Prices], after: Tally) -> tuple[PriceMove, ...]:
    """Prices of a million units that changed by more than rounding, largest effect first."""
    units: dict[tuple[Product, str], int] = defaultdict(int)
    for lines in after.lines.values():
        for product, line in lines.items():
            for name, count in line.units.items():
                units[product, name] += count
    found = []
    for at in prices[0].keys() & prices[1].keys():
        one, other = (round(of[at] * 1_000_000) for of in prices)
        if at[1] != WHOLE and abs(one - other) * 100_000 > abs(one):
            effect = abs((prices[1][at] - prices[0][at]) * units[at])
            found.append((effect, PriceMove(product=at[0], units=at[1], before_nano=one, after_nano=other)))
    found.sort(key=lambda entry: (-entry[0], entry[1].product, entry[1].units))
    return tuple(change for _, change in found[: limits.BILLS_SESSIONS])


def _models(tally: Tally) -> set[str]:
    return {product.model for lines in tally.lines.values() for product in lines}
