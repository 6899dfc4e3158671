"""The ledger as a FOCUS dataset: rows of one day, whose, product, class and price are one charge.

``BilledCost`` and ``EffectiveCost`` sum to the ledger's exactly. ``ListCost`` is the list price times the quantity, as FOCUS
wants it; the ledger rounds every row to the nano-dollar, so the sums of the two may differ by half a nano-dollar a row.
Rows without a price are left out and counted: FOCUS has no way to say that a cost is not known.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance.ledger.bills.amounts import NANO, decimal, divide
from holdfast.governance.ledger.bills.focus.columns import COLUMNS, METERS, OWN, UNITS, VERSIONS, Version
from holdfast.governance.ledger.bills.focus.price_levels import PriceLevels
from holdfast.governance.ledger.figures import csv_cell
from holdfast.governance.ledger.model import Row

_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_NAMES: Final = {
    "anthropic": "Anthropic",
    "openai": "OpenAI",
    "google": "Google",
    "x-ai": "xAI",
    "aws": "Amazon Web Services",
}


class ChargeKey(msgspec.Struct, frozen=True):
    """What is one charge: everything by which rows are told apart."""

    day: str
    period: str
    upstream: str
    provider: str
    model: str
    tier: str
    region: str
    speed: str
    units: str
    price: str
    organisation: str
    team: str
    workflow: str
    key: str
    source: str
    basis: str
    tags: tuple[tuple[str, str], ...]
    corrects: bool


class Sums:
    """Quantities and costs of one charge, nano-USD."""

    __slots__ = ("billed", "contracted", "effective", "quantity")

    def __init__(self) -> None:
        self.quantity = self.contracted = self.effective = self.billed = 0


class FocusExport:
    """Makes the dataset from rows that are read twice: once to learn prices (``learn``), once to add them up (``add``).

    Args:
        version: of FOCUS; columns of 1.3 and 1.4 are there by choice, since the official validator has rules of 1.2.
        account: name of the organisation, for rows that have none.

    Raises:
        Refused: ``input.malformed`` for another version.
    """

    def __init__(self, version: Version = "1.2", *, account: str = "organisation") -> None:
        if version not in VERSIONS:
            raise Refused(
                "input.malformed", f"there is no FOCUS {version!r:.20} here", fix=f"Use one of {', '.join(VERSIONS)}."
            )
        self.version, self.account = version, account
        self.left_out = 0
        self._levels = PriceLevels()
        self._charges: dict[ChargeKey, Sums] = {}
        self._prices: dict[Fraction, str] = {}

    def learn(self, row: Row) -> None:
        """First pass."""
        for units, quantity, cost in classes(row):
            self._levels.learn(_product(row, units), quantity, cost)

    def add(self, row: Row) -> None:
        """Second pass. Rows that another one replaces must not be added."""
        if row.list_nano is None or row.billed_nano is None:
            self.left_out += 1
            return
        parts = list(classes(row))
        weights = {units: cost for units, _, cost in parts}
        amounts = [_cost(row, name) for name in ("contracted", "effective", "billed")]
        divided = {amount: divide(amount, weights) for amount in set(amounts)}
        shares = [divided[amount] for amount in amounts]
        for units, quantity, cost in parts:
            price = self._levels.price(_product(row, units), quantity, cost)
            if price not in self._prices:
                self._prices[price] = _unit_price(price)
            charge = self._charge(row, units, self._prices[price])
            sums = self._charges.setdefault(charge, Sums())
            sums.quantity += quantity
            sums.contracted += shares[0][units]
            sums.effective += shares[1][units]
            sums.billed += shares[2][units]

    def rows(self) -> Iterator[dict[str, str]]:
        """The charges as rows of the dataset; empty text is null."""
        for charge in sorted(self._charges, key=_order):
            yield self._row(charge, self._charges[charge])

    def csv(self) -> Iterator[str]:
        """The dataset as CSV, line by line."""
        columns = (*COLUMNS[self.version], *OWN)
        yield _line(columns)
        for row in self.rows():
            yield _line([row.get(name, "") for name in columns])

    def _charge(self, row: Row, units: str, price: str) -> ChargeKey:
        labels = {
            "team": row.team, "workflow": row.workflow, "task": row.task, "cost_centre": row.cost_centre,
            "usage": row.usage, "agent": row.agent, **row.tags,
        }  # fmt: skip
        return ChargeKey(
            day=datetime.datetime.fromtimestamp(row.at_ms // 1000, datetime.UTC).date().isoformat(),
            period=row.period or row.month, upstream=row.upstream, provider=row.provider, model=row.model or row.asked,
            tier=row.tier, region=row.region, speed=row.speed, units=units, price=price, organisation=row.organisation,
            team=row.team, workflow=row.workflow, key=row.key, source=row.source, basis=row.basis,
            tags=tuple(sorted((name, value) for name, value in labels.items() if value)),
            corrects=bool(row.period) and row.period != row.month,
        )  # fmt: skip

    def _row(self, charge: ChargeKey, sums: Sums) -> dict[str, str]:
        provider = _NAMES.get(charge.provider, charge.provider or "unknown")
        unit, meter = UNITS.get(charge.units, "Tokens"), METERS.get(charge.units, charge.units)
        sku = f"{charge.provider}/{charge.model}/{charge.units}"
        variant = "/".join(part for part in (charge.tier, charge.region, charge.speed) if part)
        price = charge.price
        quantity = f"{sums.quantity}.0"  # FOCUS wants decimals, and readers guess a column's type by what is in it
        begin, end = _day(charge.day)
        first, last = _month(charge.period)
        account = charge.upstream or charge.provider or "unknown"
        team = charge.team or charge.organisation or self.account
        details = {"x_Model": charge.model, "x_Class": charge.units, "x_Tier": charge.tier, "x_Speed": charge.speed}
        values: dict[str, str] = {
            "BilledCost": decimal(sums.billed), "EffectiveCost": decimal(sums.effective),
            "ListCost": _dollars(Fraction(charge.price) * NANO * sums.quantity), "ContractedCost": decimal(sums.contracted),
            "ListUnitPrice": price, "ContractedUnitPrice": _unit_price(Fraction(sums.contracted, sums.quantity or 1)),
            "PricingQuantity": quantity, "PricingUnit": unit, "ConsumedQuantity": quantity,
            "ConsumedUnit": unit, "BillingCurrency": "USD", "PricingCurrency": "USD", "PricingCurrencyListUnitPrice": price,
            "PricingCurrencyContractedUnitPrice": _unit_price(Fraction(sums.contracted, sums.quantity or 1)),
            "PricingCurrencyEffectiveCost": decimal(sums.effective), "PricingCategory": "Standard",
            "BillingAccountId": account, "BillingAccountName": account, "BillingAccountType": "Upstream",
            "SubAccountId": team, "SubAccountName": team, "SubAccountType": "Team", "ResourceId": charge.workflow or "unassigned",
            "ResourceName": charge.workflow or "unassigned", "ResourceType": "Workflow",
            "BillingPeriodStart": first, "BillingPeriodEnd": last, "ChargePeriodStart": begin, "ChargePeriodEnd": end,
            "ChargeCategory": "Usage", "ChargeClass": "Correction" if charge.corrects else "", "ChargeFrequency": "Usage-Based",
            "ChargeDescription": f"{meter} of {charge.model} at {provider}", "InvoiceIssuerName": provider,
            "ProviderName": provider, "PublisherName": provider, "ServiceProviderName": provider, "HostProviderName": provider,
            "RegionId": charge.region, "RegionName": charge.region, "ServiceCategory": "AI and Machine Learning",
            "ServiceName": f"{provider} models", "ServiceSubcategory": "Generative AI", "SkuId": sku, "SkuMeter": meter,
            "SkuPriceId": "/".join(part for part in (sku, variant, price) if part),
            "SkuPriceDetails": _json({name: value for name, value in details.items() if value}),
            "Tags": _json(dict(charge.tags)), "x_KeyId": charge.key, "x_Model": charge.model, "x_Source": charge.source,
            "x_Basis": charge.basis, "x_TokenClass": charge.units,
        }  # fmt: skip
        return values


def classes(row: Row) -> Iterator[tuple[str, int, int]]:
    """``(class, units, list nano-USD)`` of a row; a row whose cost has no parts is one request."""
    if row.list_nano is None:
        return
    parts = {name: row.parts.get(name, 0) for name, count in row.counts.items() if count > 0}
    if not parts or sum(parts.values()) != row.list_nano:
        yield "whole", 1, row.list_nano
        return
    for name, cost in sorted(parts.items()):
        yield name, row.counts[name], cost


def export(rows: Callable[[], Iterable[Row]], version: Version = "1.2") -> tuple[str, int]:
    """The dataset as CSV of rows that can be read twice, and how many were left out for want of a price."""
    found = FocusExport(version)
    for row in rows():
        found.learn(row)
    for row in rows():
        found.add(row)
    return "".join(found.csv()), found.left_out


def _cost(row: Row, name: str) -> int:
    cost: int | None = getattr(row, f"{name}_nano")
    return cost if cost is not None else row.billed_nano or 0


def _product(row: Row, units: str) -> tuple[str, ...]:
    return row.provider, row.model or row.asked, row.tier, row.region, row.speed, units


def _order(charge: ChargeKey) -> tuple[Any, ...]:
    return msgspec.structs.astuple(charge)


def _dollars(nano: Fraction) -> str:
    """Exact decimal text of dollars; the price is a decimal, so there is one."""
    scaled = nano / NANO
    digits = 0
    while (scaled * 10**digits).denominator != 1 and digits < 30:
        digits += 1
    whole = round(scaled * 10**digits)
    sign, text = ("-" if whole < 0 else ""), str(abs(whole)).rjust(digits + 1, "0")
    return sign + (f"{text[:-digits]}.{text[-digits:]}" if digits else text)


def _unit_price(nano: Fraction) -> str:
    """Dollars a unit, at most 24 decimal places."""
    return _dollars(Fraction(round(nano * 10**15), 10**15))


def _day(day: str) -> tuple[str, str]:
    first = datetime.date.fromisoformat(day)
    return _midnight(first), _midnight(first + datetime.timedelta(days=1))


def _month(month: str) -> tuple[str, str]:
    first = datetime.date.fromisoformat(f"{month[:7]}-01")
    return _midnight(first), _midnight((first + datetime.timedelta(days=32)).replace(day=1))


def _midnight(day: datetime.date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _json(value: dict[str, str]) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(
        [cell if _NUMBER.fullmatch(cell) else csv_cell(cell) for cell in cells]
    )
    return text.getvalue()
