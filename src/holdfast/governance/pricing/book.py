"""All that says what a call costs, in memory: the catalogue, rate cards, waivers, currencies. Asked for every call, so it
answers without waiting: what is the same for many calls is resolved once."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance.pricing.cards import Provision, RateCard
from holdfast.governance.pricing.catalogue import Catalogue
from holdfast.governance.pricing.contract import amortised, contracted
from holdfast.governance.pricing.cost import CountedCost, cost
from holdfast.governance.pricing.currency import Currencies
from holdfast.governance.pricing.matching import provider_id
from holdfast.governance.pricing.model import STANDARD, Priced, UsedModel, Waiver
from holdfast.governance.pricing.reported import stated_nano
from holdfast.governance.pricing.resolving import DAY_MS, RowPrices, tabulate
from holdfast.governance.pricing.tiers import PROVISIONED, region_of, speed_of, tier_of
from holdfast.providers.billing.model import INPUT, BilledAttempt

_FOREVER: Final = 1 << 62
_KEPT_LINES: Final = 4_096


class _Line(msgspec.Struct, frozen=True):
    """What is known of one upstream, model, tier, speed and region between two moments."""

    from_ms: int
    until_ms: int
    listed: RowPrices | None
    agreed: RowPrices | None
    card: RateCard | None
    provision: Provision | None
    usd: Fraction
    rate: str
    tier: str
    lacking: tuple[str, ...] = ()


class PriceBook:
    """Prices of one moment's knowledge; a change makes another book.

    Args:
        catalogue: of list prices.
        cards: rate cards that were approved.
        waivers: those that were given.
        currencies: rates of foreign currencies.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        cards: Sequence[RateCard] = (),
        waivers: Sequence[Waiver] = (),
        currencies: Currencies | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.cards = tuple(sorted(cards, key=lambda card: card.from_ms))
        self.waivers = tuple(waivers)
        self.currencies = currencies or Currencies()
        self._lines: dict[tuple[str, str, str, str, str, str], _Line] = {}

    def check(self, *, provider: str, model: str, upstream: str, at_ms: int, workflow: str = "") -> None:
        """Let a call happen whose cost will be known, or that is waived.

        Raises:
            Refused: ``price.missing``.
        """
        line = self._line(provider, upstream, model, "", "", "", at_ms)
        if line.agreed is None and self._waiver(provider_id(provider), model, workflow, at_ms) is None:
            where = f"{provider}/{model}" if provider else model
            raise Refused("price.missing", f"nobody has priced {where} (upstream {upstream!r})", model=model)

    def price(
        self, billed: BilledAttempt, *, provider: str, upstream: str, asked: str, at_ms: int, workflow: str = "",
        request_input: int | None = None,
    ) -> Priced:  # fmt: skip
        """What an attempt costs, at the price of the model that served. A price that is missing is None and named.

        Args:
            billed: what the provider bills.
            provider: whose model it is, as price catalogues name it.
            upstream: whose rate card counts.
            asked: the model that was asked for: it counts where the provider does not say which one served.
            at_ms: Unix ms at which it was served.
            workflow: for which a model may be waived.
            request_input: tokens of input of one request, where the counts are of several; it chooses the price of a long
                context. None: they are of one.

        Raises:
            Refused: ``price.counts`` for a count below zero.
        """
        model = billed.model or asked
        line = self._line(provider, upstream, model, billed.tier, billed.speed, billed.region, at_ms)
        card = line.card.id if line.card else ""
        if not billed.reported and not billed.counts:
            return Priced(unpriced=("counts",), catalogue=self.catalogue.hash, card=card, tier=line.tier)
        listed = _cost(line.listed, billed, line.lacking, request_input)
        agreed = listed if line.agreed is line.listed else _cost(line.agreed, billed, line.lacking, request_input)
        if line.agreed is None and (waiver := self._waiver(provider_id(provider), model, workflow, at_ms)) is not None:
            return self._waived(waiver, billed, provider, card, request_input)
        effective = bill = agreed.nano
        if line.provision is not None:
            share = amortised(line.provision, billed.counts, line.usd)
            effective, bill = (agreed.nano if share is None else round(share)), 0
        elif line.tier == PROVISIONED:
            effective = bill = None  # it was bought by the hour, and no rate card says for how much
        stated = stated_nano(provider_id(provider), billed.raw) if line.provision is None and billed.raw else None
        if stated is not None:
            effective = bill = stated
        return Priced(
            list_nano=listed.nano,
            contracted_nano=agreed.nano,
            effective_nano=effective,
            billed_nano=bill,
            price=line.listed.id if line.listed else "",
            catalogue=self.catalogue.hash,
            card=card,
            parts=listed.parts,
            unpriced=listed.unpriced,
            tier=line.tier,
            context=listed.context,
            stated=stated is not None,
            currency=line.card.currency if line.card else "USD",
            rate=line.rate,
        )

    def estimate(self, use: UsedModel, at_ms: int) -> int | None:
        """What usage would cost by the contract, in nano-USD: every request as large as their mean. None where there is no
        price. Raises ``price.counts``."""
        line = self._line(use.provider, use.upstream, use.model, use.tier, use.speed, use.region, at_ms)
        if line.agreed is None or line.lacking:
            return None
        whole = sum(use.counts.get(name, 0) for name in INPUT)
        return cost(line.agreed, use.counts, whole // max(1, use.requests)).nano

    def _waived(
        self, waiver: Waiver, billed: BilledAttempt, provider: str, card: str, request_input: int | None
    ) -> Priced:
        stated = stated_nano(provider_id(provider), billed.raw)
        if waiver.rates:
            row = RowPrices(
                f"waiver:{waiver.id}", STANDARD, waiver.since_ms, waiver.until_ms, *tabulate(waiver.rates), {}
            )
            reckoned = cost(row, billed.counts, request_input)
        else:
            reckoned = CountedCost(None, {}, ("model",))
        bill = reckoned.nano if stated is None else stated
        return Priced(
            list_nano=reckoned.nano,
            contracted_nano=reckoned.nano,
            effective_nano=bill,
            billed_nano=bill,
            catalogue=self.catalogue.hash,
            card=card,
            waiver=waiver.id,
            parts=reckoned.parts,
            unpriced=reckoned.unpriced,
            context=reckoned.context,
            stated=stated is not None,
        )

    def card(self, upstream: str, at_ms: int) -> RateCard | None:
        """The rate card of an upstream at a moment: of those that hold, the one that began last."""
        return next((c for c in reversed(self.cards) if c.upstream == upstream and c.holds(at_ms)), None)

    def _waiver(self, provider: str, model: str, workflow: str, at_ms: int) -> Waiver | None:
        return next((w for w in self.waivers if w.covers(provider, model, workflow, at_ms)), None)

    def _line(self, provider: str, upstream: str, model: str, tier: str, speed: str, region: str, at_ms: int) -> _Line:
        key = (provider, upstream, model, tier, speed, region)
        line = self._lines.get(key)
        if line is None or not line.from_ms <= at_ms < line.until_ms:
            if len(self._lines) >= _KEPT_LINES:  # what providers say must not fill the memory
                self._lines.clear()
            line = self._lines[key] = self._make_line(*key, at_ms)
        return line

    def _make_line(
        self, provider: str, upstream: str, model: str, tier: str, speed: str, region: str, at_ms: int
    ) -> _Line:
        owner = provider_id(provider)
        own_tier = tier_of(owner, tier)
        listed = self.catalogue.row(owner, model, at_ms, own_tier, speed_of(speed), region_of(owner, region))
        card = self.card(upstream, at_ms)
        since, until = self._holds(owner, model, upstream, at_ms, listed)
        if card is None:
            return _Line(since, until, listed, listed, None, None, Fraction(1), "", own_tier)
        usd, rate = Fraction(1), ""
        lacking: tuple[str, ...] = ()
        if card.currency != "USD":
            midnight = at_ms - at_ms % DAY_MS
            since, until = max(since, midnight), min(until, midnight + DAY_MS)
            try:
                rate = self.currencies.rate(card.currency, at_ms).usd
                usd = Fraction(rate)
            except Refused:
                lacking = (f"currency:{card.currency}",)
        agreed = contracted(listed, card, model, own_tier, usd)
        provision = card.provision(model, own_tier == PROVISIONED, at_ms)
        if lacking and agreed is not listed:
            agreed = None
        return _Line(since, until, listed, agreed, card, provision, usd, rate, own_tier, lacking)

    def _holds(self, owner: str, model: str, upstream: str, at_ms: int, listed: RowPrices | None) -> tuple[int, int]:
        """Between which moments nothing changes that a line is made of."""
        since, until = (listed.from_ms, listed.until_ms) if listed else (-_FOREVER, _FOREVER)
        edges: set[int | None] = set()
        for card in self.cards:
            if card.upstream == upstream:
                edges |= {card.from_ms, card.until_ms}
                edges |= {edge for provision in card.provisions for edge in (provision.from_ms, provision.until_ms)}
        if listed is None:
            edges |= {
                e for o in self.catalogue.overrides if o.provider == owner for e in (o.spans[0].since_ms, o.until_ms)
            }
        for edge in edges:
            if edge is not None and edge <= at_ms:
                since = max(since, edge)
            elif edge is not None:
                until = min(until, edge)
        return since, until


def _cost(
    row: RowPrices | None, billed: BilledAttempt, lacking: tuple[str, ...], request_input: int | None
) -> CountedCost:
    if row is None:
        cost(_NOTHING, billed.counts)  # a negative count is one also where nothing has a price
        return CountedCost(None, {}, lacking or ("model",))
    return cost(row, billed.counts, request_input)


_NOTHING: Final = RowPrices("", STANDARD, 0, 0, (), ({},), 1, {})
