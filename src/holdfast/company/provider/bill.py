"""The providers' cost reports of a span of days, made from their books, with what is planted in them.

Formats: Anthropic's ``/v1/organizations/cost_report`` (cents as decimal text) and OpenAI's ``/v1/organization/costs`` (dollars
as JSON numbers).
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from holdfast.company.plants import Plants
from holdfast.company.provider.books import Books, PriceSheet

_TOKEN_TYPES: Final = {
    "input": "uncached_input_tokens", "output": "output_tokens", "cache_read": "cache_read_input_tokens",
    "cache_write_5m": "cache_creation.ephemeral_5m_input_tokens",
}  # fmt: skip
_CENT: Final = 10_000_000  # nano-USD
_DOLLAR: Final = 1_000_000_000


class BilledClass(NamedTuple):
    """What an account is billed for a class of a model on a day."""

    day: str
    account: str
    model: str
    unit: str


class ProviderBill:
    """One provider's bill.

    Attributes:
        amounts: nano-USD of each line. ``planted``: amounts that were planted in it, by name; ``cut``: what cut streams
            cost, by day.
    """

    def __init__(self, provider: str, books: Books, sheet: PriceSheet, plants: Plants) -> None:
        self.provider = provider
        self.since, self.until = plants.bill.since, plants.bill.until
        self.amounts: dict[BilledClass, int] = defaultdict(int)
        self.planted: dict[str, int] = {}
        self.cut: dict[str, int] = {}
        self._plants = plants
        for used in books.between(self.since.isoformat(), self.until.isoformat(), provider):
            cost = sheet.cost(used)
            for unit, nano in cost.items():
                self.amounts[BilledClass(used.day, used.key, used.model, unit)] += nano
            if used.cut:
                self.cut[used.day] = self.cut.get(used.day, 0) + sum(cost.values())
        self._net()
        self._discount()

    def _net(self) -> None:
        """A share of one model's input is booked under another model."""
        pair = self._plants.netting_pair
        one = BilledClass(pair.day.isoformat(), pair.account, pair.less, "input")
        if one in self.amounts:
            amount = self.amounts[one] * pair.percent // 100
            self.amounts[one] -= amount
            self.amounts[one._replace(model=pair.more)] += amount
            self.planted["netting_pair"] = amount

    def _discount(self) -> None:
        """Accounts that are billed less than list; one of them without a rate card."""
        plants = self._plants
        shares = {plants.discount.account: plants.discount.permille, plants.card.account: plants.card.permille}
        for line, nano in list(self.amounts.items()):
            billed = nano * shares.get(line.account, 1_000) // 1_000
            if line.account == plants.discount.account:
                self.planted["discount"] = self.planted.get("discount", 0) + nano - billed
            self.amounts[line] = billed

    def total(self, *, day: str = "", account: str = "") -> int:
        """The sum of its lines, of one day or account or of all."""
        return sum(
            nano for line, nano in self.amounts.items() if day in ("", line.day) and account in ("", line.account)
        )

    def missed(self) -> dict[str, int]:
        """What is billed for the day on which everybody went past the gateway, and for the key that it never had."""
        missed, outside = self._plants.missed_day, self._plants.outside
        found = {"outside": self.total(account=outside.key)} if self.provider == "anthropic" else {}
        if missed.provider == self.provider:
            found["missed_day"] = self.total(day=missed.day.isoformat())
        return found

    def report(self) -> bytes:
        """The cost report as the provider gives it."""
        days = [
            self._anthropic_day(day) if self.provider == "anthropic" else self._openai_day(day) for day in self._days()
        ]
        return msgspec.json.encode({"data": days, "has_more": False, "next_page": None})

    def _days(self) -> Iterator[datetime.date]:
        day = self.since
        while day <= self.until:
            yield day
            day += datetime.timedelta(days=1)

    def _of(self, day: datetime.date) -> list[tuple[BilledClass, int]]:
        return sorted((line, nano) for line, nano in self.amounts.items() if line.day == day.isoformat())

    def _anthropic_day(self, day: datetime.date) -> dict[str, Any]:
        items = [
            {
                "amount": f"{Decimal(nano) / _CENT:f}", "currency": "USD", "workspace_id": line.account, "model": line.model,
                "cost_type": "tokens", "token_type": _TOKEN_TYPES[line.unit], "context_window": "0-200k",
                "service_tier": "standard", "description": f"{line.model} Usage - {line.unit}",
            }
            for line, nano in self._of(day)
        ]  # fmt: skip
        credit = self._plants.credit
        if credit.day == day:
            credited = f"{Decimal(-credit.amount_nano) / _CENT:f}"
            items.append(
                {
                    "amount": credited,
                    "currency": "USD",
                    "workspace_id": credit.account,
                    "description": "Promotional credit",
                }
            )
            self.planted["credit"] = credit.amount_nano
        start = f"{day.isoformat()}T00:00:00Z"
        end = f"{(day + datetime.timedelta(days=1)).isoformat()}T00:00:00Z"
        return {"starting_at": start, "ending_at": end, "results": items}

    def _openai_day(self, day: datetime.date) -> dict[str, Any]:
        start = int(datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp())
        items = [
            {
                "object": "organization.costs.result", "line_item": f"{line.model}, {line.unit}", "project_id": line.account,
                "amount": {"value": msgspec.Raw(f"{Decimal(nano) / _DOLLAR:f}".encode()), "currency": "usd"},
            }
            for line, nano in self._of(day)
        ]  # fmt: skip
        return {"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": items}
