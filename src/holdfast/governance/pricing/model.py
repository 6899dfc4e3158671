"""What a catalogue is made of, as plain data: it is hashed, kept and compared as it stands here.

A rate is text: nano-USD for one unit of a class, as an exact fraction (``"3000"``, ``"250/3"``). It is made a number when a
row is resolved (``resolving.py``) and never a float.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from holdfast.providers.billing.model import TOKEN_CLASSES

FURTHER: Final = (
    "cache_read_image", "input_video", "output_video", "citations", "storage_searches", "social_searches", "messages",
    "annotated_pages",
)  # fmt: skip
"""What catalogues price and no wire of ours reports: kept, so that a catalogue is whole."""
PRICED_CLASSES: Final = (*TOKEN_CLASSES, *FURTHER)
STANDARD: Final = "standard"
"""The tier whose price needs no name."""


class UnitRate(msgspec.Struct, frozen=True):
    """The price of one unit of a class.

    Attributes:
        base: nano-USD for one unit, as a fraction.
        steps: ``(tokens, rate)``, ascending: when the total input of a request is above ``tokens``, every unit of the whole
            request costs ``rate``.
    """

    base: str
    steps: tuple[tuple[int, str], ...] = ()


class Clause(msgspec.Struct, frozen=True):
    """How a model's names are recognised.

    Attributes:
        kind: ``equals``, ``starts``, ``contains``, ``ends`` and ``regex`` look at ``text``; ``any`` and ``all`` at ``of``.
    """

    kind: Literal["equals", "starts", "contains", "ends", "regex", "any", "all"]
    text: str = ""
    of: tuple[Clause, ...] = ()


class Span(msgspec.Struct, frozen=True):
    """Prices and when they hold.

    Attributes:
        rates: by class.
        since_ms: Unix ms from which they hold; None for always.
        daily: ``(from, until)`` in ms of the UTC day between which they hold, over midnight when ``until`` is smaller; None
            for all day.
        when: names with values that a request must have: ``tier``, ``speed``, ``route`` … Empty for standard prices.
    """

    rates: dict[str, UnitRate]
    since_ms: int | None = None
    daily: tuple[int, int] | None = None
    when: tuple[tuple[str, str], ...] = ()


class ModelEntry(msgspec.Struct, frozen=True):
    """What a catalogue says of one model of one provider.

    Attributes:
        provider, model: whose it is and its id.
        match: its other names.
        spans: standard prices; the last one that holds counts, and the first one when none does.
        variants: prices of tiers and speeds; for each class the first one that holds counts.
        least: units that are billed at least when any is used, by class.
        origin: where it comes from: ``genai-prices``, or the id of an override.
        extends: whether classes that it does not price have the price that the catalogue had without it.
        until_ms: Unix ms from which it does not hold any more; None for never. Only overrides have it.
        note: why, for people.
    """

    provider: str
    model: str
    match: Clause
    spans: tuple[Span, ...]
    variants: tuple[Span, ...] = ()
    least: dict[str, int] = {}
    origin: str = ""
    extends: bool = False
    until_ms: int | None = None
    note: str = ""


class PublishedPrices(msgspec.Struct, frozen=True):
    """A published catalogue as it was when it was taken.

    Attributes:
        source: which one, with its version.
        entries: of all models.
        fallbacks: providers whose prices hold for models that a provider does not price itself, by provider.
    """

    source: str
    entries: tuple[ModelEntry, ...]
    fallbacks: dict[str, tuple[str, ...]] = {}


class Waiver(msgspec.Struct, frozen=True):
    """Leave to call a model that nobody has priced: by name, with a reason and an end.

    Attributes:
        id: of the waiver, for the rows under it.
        provider: whose model; empty for any.
        model: its id, or the beginning of ids before ``*``.
        workflow: for which one; empty for all.
        by: the actor who gave it; ``why``: the reason, for people.
        since_ms, until_ms: Unix ms between which it holds.
        rates: what is reckoned meanwhile, by class; without any the cost is unknown.
        revoked_ms: when it was taken back; None while it holds.
        renews: id of the waiver that it renews; empty for none.
    """

    id: str
    provider: str
    model: str
    workflow: str
    by: str
    why: str
    since_ms: int
    until_ms: int
    rates: dict[str, UnitRate] = {}
    revoked_ms: int | None = None
    renews: str = ""

    def covers(self, provider: str, model: str, workflow: str, at_ms: int) -> bool:
        """Whether it lets this be called at that moment."""
        return (
            self.since_ms <= at_ms < (self.until_ms if self.revoked_ms is None else min(self.until_ms, self.revoked_ms))
            and self.provider in ("", provider)
            and self.workflow in ("", workflow)
            and matches(self.model, model)
        )


class Priced(msgspec.Struct, frozen=True):
    """What one attempt costs.

    The four amounts are those of FOCUS 1.2, in nano-USD; None is unknown, which is not free.

    Attributes:
        list_nano: ListCost: units × the published price.
        contracted_nano: ContractedCost: units × the negotiated price, before commitments.
        effective_nano: EffectiveCost as far as the row alone tells: with its share of provisioned throughput.
        billed_nano: BilledCost: what is invoiced for it; 0 for what a purchase covers.
        price: id of the price row; ``catalogue``: hash of the catalogue; ``card``: id of the rate card; ``waiver``: id of
            the waiver. Empty where there is none.
        parts: list cost by class; they sum to ``list_nano`` exactly.
        unpriced: what has no price: classes, or ``tier:…``, ``region:…``, ``speed:…``.
        tier: at which the price row is, ``standard`` where it has no name.
        context: tokens of total input above which the whole request was priced; 0 below every step.
        stated: whether ``billed_nano`` is what the provider itself said that it bills.
        currency, rate: of the rate card where it is not USD, and the rate of that day, as decimal text.
    """

    list_nano: int | None = None
    contracted_nano: int | None = None
    effective_nano: int | None = None
    billed_nano: int | None = None
    price: str = ""
    catalogue: str = ""
    card: str = ""
    waiver: str = ""
    parts: dict[str, int] = {}
    unpriced: tuple[str, ...] = ()
    tier: str = STANDARD
    context: int = 0
    stated: bool = False
    currency: str = "USD"
    rate: str = ""


class UsedModel(msgspec.Struct, frozen=True):
    """What was used of a model in a period, summed.

    Attributes:
        counts: units by class of all requests.
        requests: how many there were.
    """

    provider: str
    upstream: str
    model: str
    counts: Mapping[str, int]
    requests: int
    tier: str = ""
    region: str = ""
    speed: str = ""


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern names a model: its id, or the beginning of ids before a final ``*``. Case does not matter."""
    pattern, name = pattern.lower(), name.lower()
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == name
