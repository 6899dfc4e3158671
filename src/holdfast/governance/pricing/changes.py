"""Changes of prices: what is proposed, and the difference that it would make, shown before anybody approves it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, Literal, Protocol

import msgspec

from holdfast.governance.pricing.book import PriceBook
from holdfast.governance.pricing.catalogue import Catalogue
from holdfast.governance.pricing.model import STANDARD, ModelEntry, Span, UnitRate, UsedModel
from holdfast.governance.pricing.rates import written
from holdfast.governance.pricing.resolving import INSTEAD, day_of

ChangeKind = Literal["override", "withdraw", "catalogue", "card", "end_card"]
"""A price of our own; taking one back; another published catalogue; a rate card; the end of one."""
ChangeState = Literal["proposed", "approved", "rejected"]
LINES: Final = 500  # of a difference that are shown; how many there are is said
USED_DAYS: Final = 30
_Part = tuple[str, str]
"""A tier, with its dates, and a class."""


class PriceChange(msgspec.Struct, frozen=True):
    """A change that somebody proposed.

    Attributes:
        id: of it; an override and a rate card have the id of the change that brought them.
        kind, document: what would change.
        why: the reason, for people.
        against: hash of the prices that it was proposed against: when they are others, it must be proposed again.
        by, proposed_ms: who proposed it, and when.
        state: where it stands; ``decided_by``, ``decided_ms`` and ``words``: who decided, when and why.
        alone: whether one person proposed and approved it, because there was nobody else.
    """

    id: str
    kind: ChangeKind
    document: dict[str, Any]
    why: str
    against: str
    by: str
    proposed_ms: int
    state: ChangeState = "proposed"
    decided_by: str = ""
    decided_ms: int | None = None
    words: str = ""
    alone: bool = False


class UsageSource(Protocol):
    """Who knows what was used: the ledger."""

    async def used(self, since_ms: int, until_ms: int) -> Sequence[UsedModel]:
        """What was used between two moments, summed by upstream, model, tier, region, speed, and by whether a request was
        above a step of its context where that is known."""


class PriceLine(msgspec.Struct, frozen=True):
    """One price that would change.

    Attributes:
        provider, model, tier, name: of what: the class, or the field of a rate card.
        before, after: as people write it; empty where there is none.
        used: whether the model was used in the last ``USED_DAYS`` days.
    """

    provider: str
    model: str
    tier: str
    name: str
    before: str
    after: str
    used: bool


class PriceEffect(msgspec.Struct, frozen=True):
    """What the usage of the last days costs at either prices, by the contract; an estimate: requests are summed.

    Attributes:
        before_nano, after_nano: nano-USD; None where it has no price.
    """

    provider: str
    upstream: str
    model: str
    requests: int
    before_nano: int | None
    after_nano: int | None


class PriceDiff(msgspec.Struct, frozen=True):
    """What a change would do.

    Attributes:
        lines: prices that change, those of used models first; at most ``LINES``.
        count: how many change in all.
        models: how many models they are of.
        effects: on what was used.
        before_nano, after_nano: sums of the effects that are known at both prices.
        unknown: how many effects are not.
    """

    lines: tuple[PriceLine, ...]
    count: int
    models: int
    effects: tuple[PriceEffect, ...]
    before_nano: int
    after_nano: int
    unknown: int


def compare(
    before: PriceBook, after: PriceBook, used: Sequence[UsedModel], fields: Iterable[PriceLine], at_ms: int
) -> PriceDiff:
    """The difference between two books.

    Args:
        before, after: prices as they are, and as they would be.
        used: of the last ``USED_DAYS`` days.
        fields: lines about rate cards.
        at_ms: the moment that decides which price of a dated one is shown.
    """
    in_use = {(use.provider, use.model.lower()) for use in used}
    lines = [*fields, *_catalogue_lines(before.catalogue, after.catalogue, in_use, at_ms)]
    lines.sort(key=lambda line: (not line.used, line.provider, line.model, line.tier, line.name))
    effects = []
    for use in used:
        was, will = before.estimate(use, at_ms), after.estimate(use, at_ms)
        if was != will or was is None:
            effects.append(PriceEffect(use.provider, use.upstream, use.model, use.requests, was, will))
    both = [(e.before_nano, e.after_nano) for e in effects if e.before_nano is not None and e.after_nano is not None]
    return PriceDiff(
        tuple(lines[:LINES]), len(lines), len({(line.provider, line.model) for line in lines}), tuple(effects),
        sum(was for was, _ in both), sum(will for _, will in both), len(effects) - len(both),
    )  # fmt: skip


def _catalogue_lines(before: Catalogue, after: Catalogue, used: set[tuple[str, str]], at_ms: int) -> list[PriceLine]:
    lines: list[PriceLine] = []
    if before.base_hash != after.base_hash:
        old, new = _published(before), _published(after)
        for provider, model in sorted(old.keys() | new.keys()):
            was, will = old.get((provider, model), {}), new.get((provider, model), {})
            lines += _lines(provider, model, was, will, used)
    own = {entry.origin: entry for entry in (*before.overrides, *after.overrides)}
    stay = {entry.origin for entry in before.overrides} & {entry.origin for entry in after.overrides}
    for entry in (entry for origin, entry in own.items() if origin not in stay):
        moment = max(at_ms, entry.spans[0].since_ms or at_ms)
        names = [STANDARD, *(value for span in entry.variants for name, value in span.when if name == "tier")]
        was, will = ({k: v for tier in names for k, v in _at(c, entry, moment, tier)} for c in (before, after))
        lines += _lines(entry.provider, entry.model, was, will, used)
    return lines


def _lines(
    provider: str, model: str, was: Mapping[_Part, str], will: Mapping[_Part, str], used: set[tuple[str, str]]
) -> list[PriceLine]:
    in_use = any(owner == provider and model.lower() in name for owner, name in used)
    return [
        PriceLine(provider, model, *part, was.get(part, ""), will.get(part, ""), in_use)
        for part in sorted(was.keys() | will.keys())
        if was.get(part) != will.get(part)
    ]


def _published(catalogue: Catalogue) -> dict[tuple[str, str], dict[_Part, str]]:
    """The prices by ``(tier and date, class)`` of every published model."""
    return {
        (entry.provider, entry.model): {
            (_label(span), name): _text(rate, name)
            for span in (*entry.spans, *entry.variants)
            for name, rate in span.rates.items()
        }
        for entry in catalogue.base.entries
    }


def _at(catalogue: Catalogue, entry: ModelEntry, at_ms: int, tier: str) -> Iterator[tuple[_Part, str]]:
    """The prices of the model of an override at a moment and tier."""
    row = catalogue.row(entry.provider, entry.model, at_ms, tier)
    if row is None or row.lacking:
        return
    for name, rate in row.tables[0].items():
        parts_of = INSTEAD.get(name, ("input",) if name.startswith("cache_") else ())
        if any(all(table[name] == table.get(other) for table in row.tables) for other in parts_of):
            continue  # it costs what the class costs that it is a part of
        steps = tuple(
            (above, str(Fraction(table[name], row.over)))
            for above, table in zip(row.thresholds, row.tables[1:], strict=True)
        )
        yield (tier, name), _text(UnitRate(str(Fraction(rate, row.over)), steps), name)


def _label(span: Span) -> str:
    special = ",".join(value for _, value in span.when) or STANDARD
    dated = "" if span.since_ms is None else f" from {day_of(span.since_ms)}"
    daily = "" if span.daily is None else f" daily {span.daily[0]}-{span.daily[1]}"
    return f"{special}{dated}{daily}"


def _text(rate: UnitRate, name: str) -> str:
    steps = "".join(f", above {above}: {written(step, name)}" for above, step in rate.steps)
    return written(rate.base, name) + steps
