"""Rate cards: what was agreed with whoever is behind an upstream, dated. A card is kept as it was written and approved."""

from __future__ import annotations

import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final, Literal

import msgspec

from holdfast.governance.pricing.model import STANDARD, UnitRate, matches
from holdfast.governance.pricing.rates import NANO, invalid, read_rates

HOUR_MS: Final = 3_600_000


class Discount(msgspec.Struct, frozen=True):
    """Per cent off the list price; less than 0 is more to pay. Of a card's discounts the first that matches counts."""

    models: str
    percent: str
    classes: tuple[str, ...] = ()

    def factor(self, name: str) -> Fraction | None:
        """By what the list price of a class is multiplied; None when the discount is not of that class."""
        if self.classes and name not in self.classes:
            return None
        return 1 - Fraction(self.percent) / 100


class OwnPrices(msgspec.Struct, frozen=True):
    """Unit prices of one's own, for one tier. Classes that are not named have the discounted list price."""

    models: str
    rates: dict[str, UnitRate]
    tier: str = STANDARD


class Commitment(msgspec.Struct, frozen=True):
    """So much is paid each month, used or not, and what it covers is cheaper.

    Attributes:
        models: what it covers.
        amount_nano: of a month.
        percent: off the contracted price, for what is covered.
        above: what is used beyond it costs: the contracted price, or the list price.
    """

    models: str
    amount_nano: int
    percent: str
    above: Literal["contracted", "list"] = "contracted"


class Provision(msgspec.Struct, frozen=True):
    """Throughput that is bought by the hour: what it serves is not invoiced again.

    Attributes:
        name: of it, unique in its card.
        models: what it serves.
        units: of capacity.
        hourly_nano: for one unit and hour.
        from_ms, until_ms: between which it is paid for.
        capacity: weighted tokens that one unit serves in an hour; 0 when nobody knows.
        output_weight, cached_weight: what a token of output, and one read from a cache, counts beside one of input.
        only_stated: only what the provider says was served by it; else all that matches.
    """

    name: str
    models: str
    units: int
    hourly_nano: int
    from_ms: int
    until_ms: int
    capacity: int = 0
    output_weight: str = "1"
    cached_weight: str = "1"
    only_stated: bool = False


class Credit(msgspec.Struct, frozen=True):
    """An amount that pays invoices between two moments."""

    name: str
    amount_nano: int
    from_ms: int
    until_ms: int
    models: str = "*"


class RateCard(msgspec.Struct, frozen=True):
    """What holds at one upstream.

    Attributes:
        id: of the card, for the rows under it.
        upstream: whose card it is.
        from_ms, until_ms: between which it holds; None without an end. Of several that hold the one that began last counts.
        currency: of its amounts.
    """

    id: str
    upstream: str
    from_ms: int
    until_ms: int | None = None
    currency: str = "USD"
    discounts: tuple[Discount, ...] = ()
    prices: tuple[OwnPrices, ...] = ()
    commitment: Commitment | None = None
    provisions: tuple[Provision, ...] = ()
    credits: tuple[Credit, ...] = ()
    note: str = ""

    def holds(self, at_ms: int) -> bool:
        """Whether it holds at a moment."""
        return self.from_ms <= at_ms and (self.until_ms is None or at_ms < self.until_ms)

    def own_prices(self, model: str, tier: str) -> OwnPrices | None:
        """The first own prices of a model at a tier."""
        return next((own for own in self.prices if own.tier == tier and matches(own.models, model)), None)

    def provision(self, model: str, stated: bool, at_ms: int) -> Provision | None:
        """The throughput that serves a model then; None when none does."""
        for provision in self.provisions:
            holds = provision.from_ms <= at_ms < provision.until_ms and (stated or not provision.only_stated)
            if holds and matches(provision.models, model):
                return provision
        return None


class _Discount(msgspec.Struct, forbid_unknown_fields=True):
    percent: str
    models: str = "*"
    classes: tuple[str, ...] = ()


class _Own(msgspec.Struct, forbid_unknown_fields=True):
    models: str
    prices: dict[str, Any]
    tier: str = STANDARD


class _Commitment(msgspec.Struct, forbid_unknown_fields=True):
    amount: str
    percent: str
    models: str = "*"
    above: Literal["contracted", "list"] = "contracted"


class _Provision(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    models: str
    units: int
    hourly: str
    from_: str = msgspec.field(name="from")
    until: str = msgspec.field()
    capacity: int = 0
    output_weight: str = "1"
    cached_weight: str = "1"
    only_stated: bool = False


class _Credit(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    amount: str
    from_: str = msgspec.field(name="from")
    until: str = msgspec.field()
    models: str = "*"


class _Card(msgspec.Struct, forbid_unknown_fields=True):
    upstream: str
    from_: str = msgspec.field(name="from")
    until: str | None = None
    currency: str = "USD"
    discounts: list[_Discount] = []
    prices: list[_Own] = []
    commitment: _Commitment | None = None
    provisioned: list[_Provision] = []
    credits: list[_Credit] = []
    note: str = ""


def read_card(raw: Any, card_id: str) -> RateCard:
    """A card as people write it; docs/reference/prices.md has the fields.

    Args:
        raw: of a YAML or JSON document: dates are ``2026-10-01`` (UTC) or Unix ms, amounts and per cents decimal text.
        card_id: of the card.

    Raises:
        Refused: ``price.invalid``, naming the field.
    """
    try:
        card = msgspec.convert(_texts(raw), _Card, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(f"rate card: {error}", "See the fields of a rate card in docs/reference/prices.md.") from None
    own = tuple(OwnPrices(p.models, read_rates(p.prices, f"prices of {p.models}"), p.tier) for p in card.prices)
    discounts = tuple(Discount(d.models, percent(d.percent), d.classes) for d in card.discounts)
    raw_commitment = card.commitment
    commitment = None
    if raw_commitment is not None:
        paid, off = amount(raw_commitment.amount), percent(raw_commitment.percent)
        commitment = Commitment(raw_commitment.models, paid, off, raw_commitment.above)
    read = RateCard(
        card_id, card.upstream, moment(card.from_), None if card.until is None else moment(card.until), card.currency,
        discounts, own, commitment, tuple(_provision(p) for p in card.provisioned),
        tuple(Credit(c.name, amount(c.amount), moment(c.from_), moment(c.until), c.models) for c in card.credits), card.note,
    )  # fmt: skip
    _check(read)
    return read


def _provision(raw: _Provision) -> Provision:
    for name, weight in (("output_weight", raw.output_weight), ("cached_weight", raw.cached_weight)):
        if _decimal(weight) < 0:
            raise invalid(f"provisioned {raw.name}: {name} is {weight}", "Write a number from 0 on.")
    if raw.units < 1 or raw.capacity < 0:
        raise invalid(f"provisioned {raw.name}: units and capacity are counts", "Write units from 1 on.")
    return Provision(
        raw.name, raw.models, raw.units, amount(raw.hourly), moment(raw.from_), moment(raw.until), raw.capacity,
        raw.output_weight, raw.cached_weight, raw.only_stated,
    )  # fmt: skip


def _check(card: RateCard) -> None:
    if not card.upstream:
        raise invalid("a rate card names no upstream", "Name the upstream as the gateway's settings do.")
    if len(card.currency) != 3 or not card.currency.isascii() or not card.currency.isupper():
        raise invalid(f"{card.currency!r} is no currency", "Write its ISO 4217 code, like EUR.")
    times: list[tuple[int, int | None]] = [(card.from_ms, card.until_ms)]
    times += [(provision.from_ms, provision.until_ms) for provision in card.provisions]
    times += [(credit.from_ms, credit.until_ms) for credit in card.credits]
    if any(until is not None and until <= since for since, until in times):
        raise invalid("something of the rate card ends before it begins", "Correct `from` and `until`.")
    for names in ([provision.name for provision in card.provisions], [credit.name for credit in card.credits]):
        if len(set(names)) < len(names):
            raise invalid("two of a rate card have one name", "Give each provision and each credit a name of its own.")


def moment(written: str) -> int:
    """Unix ms of a date in UTC, of a moment with its offset, or of Unix ms. Raises ``price.invalid``."""
    if written.isdigit() and len(written) > 9:
        return int(written)
    try:
        found = datetime.datetime.fromisoformat(written)
    except ValueError:
        raise invalid(f"{written!r} is no date", "Write 2026-10-01.") from None
    return round((found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp() * 1_000)


def amount(written: str) -> int:
    """Nano-units of a currency from decimal text. Raises ``price.invalid`` for less than 0 and for what is finer."""
    exact = Fraction(_decimal(written)) * NANO
    if exact < 0 or exact.denominator != 1 or exact >= 1 << 62:
        raise invalid(f"{written!r} is no amount", "Write decimal digits with at most nine of them behind the point.")
    return int(exact)


def percent(written: str) -> str:
    """A per cent as it is kept. Raises ``price.invalid`` beyond -1,000 and 100."""
    if not -1_000 <= _decimal(written) <= 100:
        raise invalid(f"{written!r} per cent", "Write at most 100; less than 0 is a surcharge.")
    return written


def _decimal(written: str) -> Decimal:
    try:
        found = Decimal(written)
    except InvalidOperation:
        found = Decimal("nan")
    if not found.is_finite() or len(written) > 32 or "e" in written.lower():
        raise invalid(f"{written[:40]!r} is no decimal number", "Write digits, as text.")
    return found


def _texts(raw: Any) -> Any:
    """What YAML made numbers and dates of, as the text that was written; floats stay, and are refused."""
    if isinstance(raw, dict):
        return {key: value if _as_it_is(key, value) else _texts(value) for key, value in raw.items()}
    if isinstance(raw, (list, tuple)):
        return [_texts(value) for value in raw]
    if isinstance(raw, (datetime.date, datetime.datetime)):
        return raw.isoformat()
    return str(raw) if type(raw) is int else raw


def _as_it_is(key: object, value: Any) -> bool:
    return key in ("units", "capacity", "only_stated") or (key == "prices" and isinstance(value, dict))
