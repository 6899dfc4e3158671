"""The ledger beside the bill: what a FinOps lead asks every week."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import BinaryIO

import msgspec
from sqlalchemy import Connection

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger import dates
from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.bills import store
from holdfast.governance.ledger.bills.compare.days import DAY_MS, bounds_ms, day_of_line
from holdfast.governance.ledger.bills.compare.gather import Gatherer
from holdfast.governance.ledger.bills.compare.model import Charge, Context, Reconciliation
from holdfast.governance.ledger.bills.compare.reconcile import reconcile
from holdfast.governance.ledger.bills.focus.columns import Version
from holdfast.governance.ledger.bills.focus.export import FocusExport
from holdfast.governance.ledger.bills.month_charges import MonthCharges
from holdfast.governance.ledger.bills.store import Place
from holdfast.governance.ledger.bills.variance.decompose import decompose
from holdfast.governance.ledger.bills.variance.model import Measure, Variance
from holdfast.governance.ledger.bills.variance.tally import Tally
from holdfast.governance.ledger.bills.waste.finder import WasteFinder
from holdfast.governance.ledger.bills.waste.model import Outcomes, ReadMarks, Waste
from holdfast.governance.ledger.bills.waste.unit_prices import UnitPrices
from holdfast.governance.ledger.imports.report import ImportReport
from holdfast.governance.ledger.imports.service import Importer
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.service import Ledger

Page = Callable[[Connection, Place], tuple[list[Row], Place]]


class BillQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be compared.

    Attributes:
        since, until: first and last day, in ``zone``.
        provider: whose bill.
        zone: of the report's days.
        aliases: a model's name in the report → in the ledger.
        keys: a key or account in the report → the upstream that uses it.
        accounts: keys or accounts that must be in the report.
        complete: False where the report is known not to be whole; what its import noticed counts, too.
    """

    since: str
    until: str
    provider: str
    zone: str = "UTC"
    aliases: dict[str, str] = {}
    keys: dict[str, str] = {}
    accounts: tuple[str, ...] = ()
    complete: bool = True


class Bills:
    """Compares, explains and exports.

    Args:
        ledger: whose rows.
        importer: whose bills.
        charges: what rate cards say that bills have beside usage; None where there are no rate cards.
        marks, outcomes: what people read, and what became of sessions, where somebody knows.
    """

    def __init__(
        self, ledger: Ledger, importer: Importer, *,
        charges: MonthCharges | None = None,
        marks: ReadMarks | None = None, outcomes: Outcomes | None = None,
    ) -> None:  # fmt: skip
        self._ledger, self._importer = ledger, importer
        self._charges, self._marks, self._outcomes = charges, marks, outcomes

    async def providers(self, tenant: str, since: str, until: str) -> list[str]:
        """Providers whose bills were imported for these days."""
        return await self._ledger.store.read(lambda connection: store.providers(connection, tenant, since, until))

    def read(self, source: BinaryIO, provider: str = "") -> tuple[list[BillLine], ImportReport]:
        """The lines of a report that is not imported, and what is known of the whole. Raises as an import does."""
        lines, report, _ = self._importer.read(source, provider)
        return lines, report

    async def reconcile(
        self, tenant: str, question: BillQuestion, lines: Sequence[BillLine] | None = None
    ) -> Reconciliation:
        """Compare the ledger with a provider's bill.

        Args:
            lines: of the bill; those that were imported when there are none.

        Raises:
            Refused: ``input.malformed`` for a date, a zone or too many names; ``input.too_large`` for too many rows;
                ``price.currency`` for a rate card in a currency that has no rate for the month.
        """
        check(question)
        complete = question.complete
        if lines is None:
            # a day more on both sides: a date of another zone may begin on the day before it in UTC
            around = dates.next_day(question.since, -1), dates.next_day(question.until)
            lines = [
                line
                for line in await self._importer.bill(tenant, question.provider, *around)
                if question.since <= day_of_line(line, question.zone) <= question.until
            ]
            used = {line.batch for line in lines}
            batches = [batch for batch in await self._importer.batches(tenant) if batch.id in used]
            complete = complete and all(batch.complete for batch in batches)
        since_ms, until_ms = bounds_ms(question.since, question.until, question.zone)
        first, last = since_ms - DAY_MS, until_ms + DAY_MS
        fallback = await self._ledger.store.read(
            lambda connection: store.fallback_calls(connection, tenant, first, last)
        )
        gatherer = Gatherer(fallback)
        await self._each(
            gatherer.add,
            lambda connection, after: store.rows_by_time(
                connection, tenant, first, last, question.provider, after, limits.BILLS_PAGE
            ),
        )
        charges: Sequence[Charge] = ()
        if self._charges is not None:
            charges = await self._charges.of(
                tenant, question.provider, question.since, question.until, question.zone
            )  # fmt: skip
        context = Context(
            since=question.since, until=question.until, provider=question.provider, zone=question.zone,
            aliases=question.aliases, keys=question.keys, accounts=frozenset(question.accounts),
            carded=frozenset(gatherer.carded), charges=tuple(charges), complete=complete,
        )  # fmt: skip
        return await asyncio.to_thread(reconcile, gatherer.slots, gatherer.estimates, lines, context)

    async def settle(self, tenant: str, found: Reconciliation) -> list[Row]:
        """Correct the estimated rows that a comparison settled: what the bill says takes the place of the estimate.

        Every row is corrected by itself; one that somebody corrected meanwhile is left as it is.
        """
        corrected = []
        for entry in found.settlements:
            why = f"bill of {found.provider} {entry.day}"[: limits.LEDGER_WORDS]
            last = (await self._ledger.row(tenant, entry.row))[-1]
            if last.id != entry.row:
                continue
            corrected.append(
                await self._ledger.correct(
                    tenant, entry.row, why=why, counts=entry.counts or None, billed_nano=entry.amount_nano
                )
            )
        return corrected

    async def variance(
        self, tenant: str, before: tuple[str, str], after: tuple[str, str], *, by: str = "", measure: Measure = "billed"
    ) -> Variance:
        """What changed from one period to another. Raises ``input.malformed``, ``input.too_large``."""
        tallies = Tally(measure, by), Tally(measure, by)
        for tally, (since, until) in zip(tallies, (before, after), strict=True):
            await self._each(tally.add, _by_day(tenant, since, until))
        return await asyncio.to_thread(decompose, *tallies)

    async def waste(self, tenant: str, since: str, until: str) -> Waste:
        """What was paid for nothing. Raises ``input.malformed``, ``input.too_large``."""
        prices = UnitPrices()
        for learn in (prices.add, prices.add_size):
            await self._each(learn, _by_day(tenant, since, until))
        finder = WasteFinder(prices, marks=self._marks, outcomes=self._outcomes)
        session: list[Row] = []

        def take(row: Row) -> None:
            # rows without a session have nothing to do with each other: they need not be at hand all at once
            many = not row.session and len(session) >= limits.BILLS_PAGE
            if session and (row.session != session[0].session or many):
                finder.session(session)
                session.clear()
            session.append(row)

        await self._each(
            take,
            lambda connection, after: store.rows_by_session(connection, tenant, since, until, after, limits.BILLS_PAGE),
        )
        await asyncio.to_thread(finder.session, session)
        return finder.result(since, until)

    async def focus(self, tenant: str, since: str, until: str, version: Version = "1.2") -> AsyncIterator[str]:
        """The ledger as a FOCUS dataset: CSV, line by line. Raises ``input.malformed``, ``input.too_large``."""
        found = await self.focus_export(tenant, since, until, version)
        for line in found.csv():
            yield line

    async def focus_export(self, tenant: str, since: str, until: str, version: Version = "1.2") -> FocusExport:
        """The dataset before it is written: it knows what it had to leave out."""
        found = FocusExport(version)
        for take in (found.learn, found.add):
            await self._each(take, _by_day(tenant, since, until))
        return found

    async def _each(self, take: Callable[[Row], None], page: Page) -> None:
        """Give every row to a function, page by page, beside the event loop: a month has many."""
        after: Place = ()
        count = 0
        while True:
            rows, after = await self._ledger.store.read(lambda connection, after=after: page(connection, after))  # type: ignore[misc]
            count += len(rows)
            if count > limits.BILLS_ROWS:
                raise Refused("input.too_large", f"more than {limits.BILLS_ROWS:,} rows", fix="Take fewer days.")
            await asyncio.to_thread(_give, take, rows)
            if not after:
                return


def _give(take: Callable[[Row], None], rows: Sequence[Row]) -> None:
    for row in rows:
        take(row)


def _by_day(tenant: str, since: str, until: str) -> Page:
    first, last = dates.check_day(since, "since"), dates.check_day(until, "until")
    if last < first:
        raise Refused("input.malformed", f"{until} is before {since}", fix="Name the first day first.")
    return lambda connection, after: store.rows_by_day(connection, tenant, first, last, after, limits.BILLS_PAGE)


def check(question: BillQuestion) -> None:
    """Raises ``input.malformed`` for a question that cannot be answered."""
    since, until = dates.check_day(question.since, "since"), dates.check_day(question.until, "until")
    if not since <= until <= dates.next_day(since, limits.BILLS_DAYS - 1):
        fix = f"Name the first day first, and at most {limits.BILLS_DAYS} days."
        raise Refused("input.malformed", f"{since} to {until} cannot be compared", fix=fix)
    names: tuple[Mapping[str, str] | Sequence[str], ...] = (question.aliases, question.keys, question.accounts)
    if any(len(each) > limits.BILLS_NAMES for each in names):
        raise Refused("input.too_large", f"more than {limits.BILLS_NAMES:,} names")
