"""What rate cards say that a month's bill has beside usage: credits that pay for it, throughput that was bought by the hour,
what of a commitment nobody used.

A credit of several months pays in each what earlier months left of it. That is not kept anywhere: rows never change, so it is
added up again from the month in which the first credit began.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger import dates
from holdfast.governance.ledger.bills import store
from holdfast.governance.ledger.bills.compare.days import bounds_ms, day_of
from holdfast.governance.ledger.bills.compare.model import Charge
from holdfast.governance.ledger.bills.store import Place
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.port import LedgerStore, WallClock

KINDS: Final[Mapping[str, str]] = {
    "credit": "credit", "provisioned_purchase": "fee", "commitment_unused": "fee",
}  # fmt: skip
"""The kind of a bill's line, by what rate cards adjust. A commitment's discount is in the lines of usage themselves."""


class MonthAdjustment(Protocol):
    """An amount of a month that belongs to no single row (``pricing/month.py``)."""

    @property
    def kind(self) -> str: ...
    @property
    def card(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def billed_nano(self) -> int: ...


class MonthCards(Protocol):
    """Rate cards (``pricing``)."""

    def credits_since(self, upstreams: Collection[str]) -> int | None:
        """When the first credit of these upstreams began, Unix ms; None where there is none."""

    def adjust_month(
        self, rows: Sequence[Row], upstreams: Collection[str], from_ms: int, until_ms: int,
        consumed: Mapping[tuple[str, str], int],
    ) -> Sequence[MonthAdjustment]:  # fmt: skip
        """What only the whole month tells, at these upstreams. Raises ``price.currency``."""


class MonthCharges:
    """Adds up what bills of whole months should have beside usage."""

    def __init__(self, database: LedgerStore, cards: MonthCards, clock: WallClock) -> None:
        self._store = database
        self._cards = cards
        self._clock = clock

    async def of(self, tenant: str, provider: str, since: str, until: str, zone: str) -> list[Charge]:
        """The charges of the months that lie within two days as a whole and have ended.

        Args:
            provider: whose bill; nothing is known of the bill of all providers at once.
            since, until: first and last day, dates in ``zone``.

        Raises:
            Refused: ``price.currency`` for a rate card in a currency without a rate; ``input.too_large``.
        """
        months = [month for month in _months(since[:7], until[:7]) if since <= f"{month}-01" and _last(month) <= until]
        months = [month for month in months if self._span(month, zone)[1] <= self._clock.wall_ms()]
        if not provider or not months:
            return []
        rows = {month: await self._rows(tenant, provider, *self._span(month, zone)) for month in months}
        upstreams = {row.upstream for found in rows.values() for row in found}
        first = self._cards.credits_since(upstreams)
        begin = months[0] if first is None else min(months[0], day_of(first, zone)[:7])
        consumed: dict[tuple[str, str], int] = {}
        charges = []
        for month in _months(begin, months[-1]):
            span = self._span(month, zone)
            found = rows[month] if month in rows else await self._rows(tenant, provider, *span)
            for each in self._cards.adjust_month(found, upstreams, *span, consumed):
                if each.kind == "credit":
                    place = each.card, each.name
                    consumed[place] = consumed.get(place, 0) - each.billed_nano
                if month in rows and each.kind in KINDS:
                    charges.append(Charge(KINDS[each.kind], each.billed_nano, each.name))
        return charges

    @staticmethod
    def _span(month: str, zone: str) -> tuple[int, int]:
        return bounds_ms(f"{month}-01", _last(month), zone)

    async def _rows(self, tenant: str, provider: str, from_ms: int, until_ms: int) -> list[Row]:
        found: list[Row] = []
        after: Place = ()
        while True:
            rows, after = await self._store.read(_page(tenant, provider, from_ms, until_ms, after))
            found += rows
            if len(found) > limits.BILLS_ROWS:
                raise Refused("input.too_large", f"more than {limits.BILLS_ROWS:,} rows", fix="Take fewer days.")
            if not after:
                return found


def _page(
    tenant: str, provider: str, from_ms: int, until_ms: int, after: Place
) -> Callable[..., tuple[list[Row], Place]]:
    return lambda connection: store.rows_by_time(
        connection, tenant, from_ms, until_ms, provider, after, limits.BILLS_PAGE
    )


def _months(first: str, last: str) -> list[str]:
    """Months from one to another, both counted."""
    found = [first]
    while found[-1] < last:
        found.append(dates.next_month(found[-1]))
    return found


def _last(month: str) -> str:
    return dates.next_day(f"{dates.next_month(month)}-01", -1)
