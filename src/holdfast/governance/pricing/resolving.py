"""From what a catalogue says of a model to the rates of one moment, as integers over one denominator."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

import msgspec

from holdfast.governance.pricing.additions import REGION_FACTORS
from holdfast.governance.pricing.model import STANDARD, ModelEntry, Span, UnitRate
from holdfast.governance.pricing.tiers import PROVISIONED
from holdfast.providers.billing.model import INPUT, OUTPUT, TOKEN_CLASSES

DAY_MS: Final = 86_400_000
_FOREVER: Final = 1 << 62
_TOKENS: Final = frozenset((*INPUT, *OUTPUT))
INSTEAD: Final[dict[str, tuple[str, ...]]] = {
    "reasoning": ("output",),
    "input_image": ("input",),
    "input_audio": ("input",),
    "cache_read": ("input",),
    "cache_write": ("cache_write_5m", "input"),
    "cache_write_5m": ("cache_write", "input"),
    "cache_write_30m": ("cache_write", "input"),
}
"""Whose price a class has that the row does not price: the class it is a part of. Input that was read from or written to a
cache is input; who publishes no other price for it bills it as such. Audio and images that a model *writes* have no such
price: text is several times cheaper."""


class RowPrices(msgspec.Struct, frozen=True):
    """The rates of one model at one moment.

    Attributes:
        id: names the row: provider, model, since when, tier, speed, region.
        tier: at which it is.
        from_ms, until_ms: between which it holds.
        thresholds: of total input, ascending.
        tables: for each number of thresholds passed, the numerators by class; the denominator is ``over``.
        over: nano-USD × units × ``over`` is what a numerator counts.
        least: units that are billed at least when any is used.
        lacking: why there is no price although there is a row: ``tier:…``, ``speed:…``, ``region:…``.
    """

    id: str
    tier: str
    from_ms: int
    until_ms: int
    thresholds: tuple[int, ...]
    tables: tuple[dict[str, int], ...]
    over: int
    least: Mapping[str, int]
    lacking: tuple[str, ...] = ()


def resolve(entry: ModelEntry, at_ms: int, tier: str = STANDARD, speed: str = "", region: str = "") -> RowPrices:
    """The rates of an entry at a moment, for a tier, a speed and a region as ``tiers.py`` names them."""
    index, standard = _standing(entry.spans, at_ms)
    wanted = {"tier": tier, "speed": speed}
    special = {name: value for name, value in wanted.items() if value not in (STANDARD, PROVISIONED, "")}
    rates, lacking = dict(standard.rates), list[str]()
    if special:
        chosen = _variants(entry, index, special, at_ms)
        if chosen is None:
            lacking = [f"{name}:{value}" for name, value in special.items()]
        else:
            rates |= chosen
    factor = Fraction(1)
    if region:
        region_factor = REGION_FACTORS.get(entry.provider, {}).get(region)
        if region_factor is None:
            lacking.append(f"region:{region}")
        else:
            factor = region_factor
    dated = f"@{day_of(standard.since_ms)}" if standard.since_ms else ""
    name = "/".join([f"{entry.provider}:{entry.model}{dated}", *special.values(), *([region] if region else [])])
    since, until = _holds(entry, at_ms)
    thresholds, tables, over = tabulate({} if lacking else rates, factor)
    return RowPrices(name, tier, since, until, thresholds, tables, over, entry.least, tuple(lacking))


def day_of(at_ms: int) -> str:
    """The date of a moment in UTC."""
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=at_ms // DAY_MS)).isoformat()


def tabulate(
    rates: Mapping[str, UnitRate], factor: Fraction = Fraction(1)
) -> tuple[tuple[int, ...], tuple[dict[str, int], ...], int]:
    """Rates as integers: the thresholds, a table for each number of thresholds passed, and the denominator."""
    found = dict(rates)
    for name, others in INSTEAD.items():
        if name not in found:
            other = next((other for other in others if other in found), None)
            if other is not None and not (name == "cache_read" and "input" not in found):
                found[name] = found[other]
    if "cache_read_audio" not in found and "input_audio" not in rates and "cache_read" in found:
        found["cache_read_audio"] = found["cache_read"]  # audio is priced as any other input here
    if "cache_write" not in rates and "cache_write_5m" not in rates:
        for name in ("cache_write_1h", "cache_write_12h"):  # writing costs what input costs, however long it is kept
            if name not in found and "input" in found:
                found[name] = found["input"]
    exact = {
        name: (_scaled(rate.base, name, factor), [(above, _scaled(step, name, factor)) for above, step in rate.steps])
        for name, rate in found.items()
        if name in TOKEN_CLASSES
    }
    thresholds = tuple(sorted({above for _, steps in exact.values() for above, _ in steps}))
    over = math.lcm(1, *(rate.denominator for base, steps in exact.values() for rate in (base, *(s for _, s in steps))))
    tables = tuple(
        {name: int(_at(base, steps, above) * over) for name, (base, steps) in exact.items()}
        for above in (-1, *thresholds)
    )
    return thresholds, tables, over


def _scaled(rate: str, name: str, factor: Fraction) -> Fraction:
    exact = Fraction(rate)
    return exact * factor if name in _TOKENS else exact


def _at(base: Fraction, steps: list[tuple[int, Fraction]], threshold: int) -> Fraction:
    found = base
    for above, rate in steps:
        if above <= threshold:
            found = rate
    return found


def _standing(spans: tuple[Span, ...], at_ms: int) -> tuple[int, Span]:
    for index in range(len(spans) - 1, -1, -1):
        if _active(spans[index], at_ms):
            return index, spans[index]
    return 0, spans[0]


def _active(span: Span, at_ms: int) -> bool:
    if span.since_ms is not None and at_ms < span.since_ms:
        return False
    if span.daily is None:
        return True
    start, end = span.daily
    now = at_ms % DAY_MS
    return start <= now < end if start <= end else now >= start or now < end


def _variants(entry: ModelEntry, index: int, special: Mapping[str, str], at_ms: int) -> dict[str, UnitRate] | None:
    """The rates of a tier or speed; None when the entry has none for exactly what is special.

    A catalogue dates a tier's price by the day on which somebody looked. It is taken to reach back as far as the standard
    price beside which it was seen: before that it is not known.
    """
    spans = [span for span in entry.variants if dict(span.when) == special]
    active = [span for span in spans if _active(span, at_ms)] or [
        span for span in spans if span.since_ms is not None and _standing(entry.spans, span.since_ms)[0] == index
    ]
    rates: dict[str, UnitRate] = {}
    for span in active:
        rates = {**span.rates, **rates}
    return rates if active else None


def _holds(entry: ModelEntry, at_ms: int) -> tuple[int, int]:
    """Between which moments around this one nothing of the entry begins or ends."""
    since, until = -_FOREVER, entry.until_ms if entry.until_ms is not None else _FOREVER
    edges = {span.since_ms for span in (*entry.spans, *entry.variants) if span.since_ms is not None}
    midnight = at_ms - at_ms % DAY_MS
    for span in (*entry.spans, *entry.variants):
        if span.daily is not None:
            edges |= {midnight + DAY_MS * day + moment for day in (-1, 0, 1) for moment in span.daily}
    for edge in edges:
        if edge <= at_ms:
            since = max(since, edge)
        else:
            until = min(until, edge)
    return since, until
