"""What only a whole month can tell: commitments, provisioned throughput, credits. Rows that were written stay as they are;
the month's adjustments stand beside them.

The order: first what each purchase of throughput cost and what of it was used, then which usage the commitment covered and
what of the commitment nobody used, at last which credits pay what is left. Rows are taken in the order of time and id.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final, Literal, Protocol

import msgspec

from holdfast.governance.pricing.cards import HOUR_MS, Commitment, Credit, Provision, RateCard
from holdfast.governance.pricing.contract import weighted
from holdfast.governance.pricing.cost import shares
from holdfast.governance.pricing.currency import Currencies
from holdfast.governance.pricing.model import matches
from holdfast.governance.pricing.tiers import PROVISIONED, tier_of

AdjustmentKind = Literal[
    "provisioned_purchase",
    "provisioned_unused",
    "commitment_discount",
    "commitment_above",
    "commitment_unused",
    "credit",
]
UNUSED: Final = ""
"""The share of an adjustment that is nobody's: what was paid for and not used."""


class MonthRow(Protocol):
    """What is read of a row of the ledger."""

    @property
    def id(self) -> str: ...
    @property
    def at_ms(self) -> int: ...
    @property
    def upstream(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def tier(self) -> str: ...
    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def list_nano(self) -> int | None: ...
    @property
    def contracted_nano(self) -> int | None: ...
    @property
    def effective_nano(self) -> int | None: ...
    @property
    def billed_nano(self) -> int | None: ...


class Adjustment(msgspec.Struct, frozen=True):
    """An amount of a month that belongs to no single row. Costs are above 0, what is given is below.

    Attributes:
        kind: why it is.
        upstream, card: whose; ``name`` of the commitment, provision or credit.
        billed_nano, effective_nano: what it adds to the two, in nano-USD.
        shares: of ``effective_nano`` by group; they sum to it exactly. ``UNUSED`` is nobody's.
        used: per mille of what was bought that was used; None where that has no meaning or is not known.
    """

    kind: AdjustmentKind
    upstream: str
    card: str
    name: str
    billed_nano: int
    effective_nano: int
    shares: dict[str, int] = {}
    used: int | None = None


def allocate_month(
    rows: Iterable[MonthRow],
    cards: Sequence[RateCard],
    *,
    from_ms: int,
    until_ms: int,
    currencies: Currencies,
    consumed: Mapping[tuple[str, str], int],
    group: Callable[[MonthRow], str],
) -> list[Adjustment]:
    """The adjustments of one month.

    Args:
        rows: of the month that count (a corrected one instead of the one it replaces).
        cards: every card that held in it; of several of one upstream the one that began last counts, as for rows.
        from_ms, until_ms: the month, Unix ms.
        currencies: for cards that are not in US dollars; their amounts have the rate of the month's last day.
        consumed: what earlier months took of credits, in nano-USD, by ``(card, credit)``.
        group: whose a row is: shares are made for it.

    Raises:
        Refused: ``price.currency``.
    """
    ordered = sorted(rows, key=lambda row: (row.at_ms, row.id))
    found: list[Adjustment] = []
    for card in cards:
        usd = Fraction(currencies.rate(card.currency, until_ms - 1).usd)
        spans = _counting(card, cards, from_ms, until_ms)
        own = [
            row
            for row in ordered
            if row.upstream == card.upstream and any(since <= row.at_ms < until for since, until in spans)
        ]
        open_rows: list[MonthRow] = []
        served: dict[str, list[MonthRow]] = {}
        for row in own:
            provision = card.provision(row.model, tier_of(row.provider, row.tier) == PROVISIONED, row.at_ms)
            (open_rows if provision is None else served.setdefault(provision.name, [])).append(row)
        adjustments = [
            adjustment
            for provision in card.provisions
            for adjustment in _provisioned(
                card, provision, served.get(provision.name, []), from_ms, until_ms, usd, group
            )
        ]
        overlap_ms = sum(until - since for since, until in spans)
        if (
            card.commitment is not None and overlap_ms
        ):  # a card that begins within the month owes its part of the amount
            owed = Fraction(card.commitment.amount_nano) * usd * Fraction(overlap_ms, until_ms - from_ms)
            adjustments += _committed(card, card.commitment, open_rows, owed, group)
        adjustments += _credits(card, own, adjustments, from_ms, until_ms, usd, consumed, group)
        found += adjustments
    return found


def _counting(card: RateCard, cards: Sequence[RateCard], from_ms: int, until_ms: int) -> list[tuple[int, int]]:
    """The spans of a month in which a card counts: it holds, and none of its upstream that began later does."""
    others = [each for each in cards if each.upstream == card.upstream]
    edges = {from_ms, until_ms}
    edges |= {edge for each in others for edge in (each.from_ms, each.until_ms) if edge and from_ms < edge < until_ms}
    by_begin = sorted(others, key=lambda each: each.from_ms)
    return [
        (since, until)
        for since, until in itertools.pairwise(sorted(edges))
        if next((each for each in reversed(by_begin) if each.holds(since)), None) is card
    ]


def _provisioned(
    card: RateCard, provision: Provision, rows: list[MonthRow], from_ms: int, until_ms: int, usd: Fraction,
    group: Callable[[MonthRow], str],
) -> list[Adjustment]:  # fmt: skip
    """The purchase, invoiced; and of it what no row has taken as its effective cost."""
    span = max(0, min(until_ms, provision.until_ms) - max(from_ms, provision.from_ms))
    if not span:
        return []
    paid = round(Fraction(span, HOUR_MS) * provision.units * provision.hourly_nano * usd)
    taken = sum(row.effective_nano or 0 for row in rows)
    used: int | None = None
    if provision.capacity:
        tokens = sum((weighted(provision, row.counts) for row in rows), Fraction(0))
        used = round(1_000 * tokens / (Fraction(span, HOUR_MS) * provision.units * provision.capacity))
        whose = {UNUSED: paid - taken}
    else:  # nobody knows the capacity: what was paid is theirs who used it, by what they would have paid
        whose = _by_group(rows, paid - taken, group)
    facts = (card.upstream, card.id, provision.name)
    return [
        Adjustment("provisioned_purchase", *facts, paid, 0, {}, used),
        Adjustment("provisioned_unused", *facts, 0, paid - taken, whose, used),
    ]


def _committed(
    card: RateCard, commitment: Commitment, rows: list[MonthRow], owed: Fraction, group: Callable[[MonthRow], str]
) -> list[Adjustment]:
    """Which usage the commitment covered, cheaper; what came above it; what of it nobody used.

    Usage counts against the commitment at the discounted price. The row that crosses its end is covered in part.
    """
    left = owed
    factor = 1 - Fraction(commitment.percent) / 100
    covered: dict[str, Fraction] = {}
    above: dict[str, Fraction] = {}
    for row in rows:
        if row.contracted_nano is None or not matches(commitment.models, row.model):
            continue
        contracted, whose = Fraction(row.contracted_nano), group(row)
        part = (
            Fraction(1) if not factor else min(Fraction(1), left / (contracted * factor)) if contracted else Fraction(1)
        )
        left -= contracted * factor * part
        covered[whose] = covered.get(whose, Fraction(0)) + contracted * part * (factor - 1)
        if commitment.above == "list" and row.list_nano is not None:
            above[whose] = above.get(whose, Fraction(0)) + (row.list_nano - contracted) * (1 - part)
    facts = (card.upstream, card.id, "commitment")
    used = round(1_000 * (1 - left / owed)) if owed else None
    found = [_spread("commitment_discount", facts, covered, used)]
    if any(above.values()):
        found.append(_spread("commitment_above", facts, above, used))
    if unused := round(left):
        found.append(Adjustment("commitment_unused", *facts, unused, unused, {UNUSED: unused}, used))
    return found


def _credits(
    card: RateCard, rows: list[MonthRow], adjustments: list[Adjustment], from_ms: int, until_ms: int, usd: Fraction,
    consumed: Mapping[tuple[str, str], int], group: Callable[[MonthRow], str],
) -> list[Adjustment]:  # fmt: skip
    """Credits, the one that ends first first: each pays what is still to be paid of what it may pay."""
    discounts = sum(one.billed_nano for one in adjustments if one.kind.startswith("commitment") and one.billed_nano < 0)
    invoice = sum(row.billed_nano or 0 for row in rows) + discounts
    owed = {row.id: row.billed_nano or 0 for row in rows}
    other = sum(one.billed_nano for one in adjustments if one.billed_nano > 0)
    found: list[Adjustment] = []
    for credit in sorted(card.credits, key=lambda credit: (credit.until_ms, credit.from_ms, credit.name)):
        left = round(credit.amount_nano * usd) - consumed.get((card.id, credit.name), 0)
        since, until = max(from_ms, credit.from_ms), min(until_ms, credit.until_ms)
        if left <= 0 or since >= until:
            continue
        payable = [r for r in rows if since <= r.at_ms < until and matches(credit.models, r.model) and owed[r.id] > 0]
        paid_rows = _pay(payable, owed, min(left, max(0, invoice)))
        amount = sum(paid_rows.values())
        invoice -= amount
        beside = min(left - amount, other) if credit.models == "*" and credit.until_ms >= until_ms else 0
        other -= beside
        if amount + beside == 0:
            continue
        whose: dict[str, int] = {}
        for row in payable:
            if paid := paid_rows.get(row.id):
                whose[group(row)] = whose.get(group(row), 0) - paid
        if beside:
            whose[UNUSED] = whose.get(UNUSED, 0) - beside
        total = -(amount + beside)
        found.append(
            Adjustment(
                "credit", card.upstream, card.id, credit.name, total, total, whose, _spent(credit, usd, left + total)
            )
        )
    return found


def _spent(credit: Credit, usd: Fraction, left: int) -> int | None:
    whole = credit.amount_nano * usd
    return round(1_000 * (1 - left / whole)) if whole else None


def _pay(rows: list[MonthRow], owed: dict[str, int], amount: int) -> dict[str, int]:
    paid: dict[str, int] = {}
    for row in rows:
        part = min(amount, owed[row.id])
        if part <= 0:
            continue
        paid[row.id] = part
        owed[row.id] -= part
        amount -= part
    return paid


def _spread(
    kind: AdjustmentKind, facts: tuple[str, str, str], exact: Mapping[str, Fraction], used: int | None
) -> Adjustment:
    """Exact amounts by group as whole nano-USD that sum to the rounded sum."""
    over = math.lcm(1, *(value.denominator for value in exact.values()))
    whole = shares({name: int(value * over) for name, value in exact.items()}, over)
    total = sum(whole.values())
    return Adjustment(kind, *facts, total, total, {name: value for name, value in whole.items() if value}, used)


def _by_group(rows: list[MonthRow], amount: int, group: Callable[[MonthRow], str]) -> dict[str, int]:
    weights: dict[str, int] = {}
    for row in rows:
        weights[group(row)] = weights.get(group(row), 0) + (row.list_nano or 0)
    whole = sum(weights.values())
    return shares({name: amount * value for name, value in weights.items()}, whole) if whole else {UNUSED: amount}
