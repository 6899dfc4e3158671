"""Closes months, divides shared costs, writes journals."""

from __future__ import annotations

import secrets
from typing import Final, get_args

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger import books, closing, dates, store
from holdfast.governance.ledger.books import AllocationKey, ClosedPeriod, Journal, Measure, Part, SharedCost
from holdfast.governance.ledger.closing import Digest
from holdfast.governance.ledger.figures import shares
from holdfast.governance.ledger.service import Ledger

_TRIES: Final = 5  # rows may come while a month is being read


class Bookkeeper:
    """Keeps the books of months."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._store = ledger.store

    async def close(self, tenant: str, period: str, by: str) -> ClosedPeriod:
        """Close a month: no row is ever added to its books again. What comes later goes into the first open month.

        Raises:
            Refused: ``period.closed`` already; ``period.open``: it has not ended, or an earlier one is open;
                ``ledger.busy``: attempts that began in it are not settled.
        """
        dates.check_month(period)
        zone = self._ledger.organisation.zone(tenant)
        end_ms = dates.start_ms(f"{dates.next_month(period)}-01", zone)
        if self._ledger.clock.wall_ms() < end_ms:
            raise Refused("period.open", f"{period} has not ended")
        if self._ledger.unsettled:
            raise Refused("ledger.busy", f"{self._ledger.unsettled} attempts wait to be put on record")
        for attempt in range(_TRIES):
            digest = await self.digest(tenant, period)
            closed = await self._store.write(
                lambda connection, digest=digest, last=attempt == _TRIES - 1: self._close(  # type: ignore[misc]
                    connection, tenant, period, by, end_ms, digest, last
                )
            )
            if closed is not None:
                await self._ledger.recorder.refresh()
                return closed
        raise AssertionError("the last try reads under the lock")

    def _close(
        self, connection: Connection, tenant: str, period: str, by: str, end_ms: int, digest: Digest, last: bool
    ) -> ClosedPeriod | None:
        """Close it, unless rows came since the digest was made: rows are only ever added, so their number says it."""
        store.lock_rows(connection)
        if closing.find_period(connection, tenant, period) is not None:
            raise Refused("period.closed", f"{period} is closed already")
        earlier = closing.earlier_open(connection, tenant, period)
        if earlier is not None:
            raise Refused("period.open", f"{earlier} is open still", fix=f"Close {earlier} first.")
        waiting = store.open_attempts(connection, end_ms)
        if waiting:
            raise Refused("ledger.busy", f"{waiting} attempts that began in {period} are not settled")
        if last:
            digest = _digest(connection, tenant, period)
        count, unpriced = closing.counts(connection, tenant, period)
        shared = closing.raw_allocations(connection, tenant, period)
        if digest.rows != count + len(shared):
            return None
        closed = ClosedPeriod(
            tenant, period, self._ledger.clock.wall_ms(), by, count, unpriced, **closing.sums(connection, tenant, period),
            shared_nano=sum(each["amount_nano"] for each in shared), digest=digest.hexdigest(),
        )  # fmt: skip
        store.insert_period(connection, msgspec.structs.asdict(closed))
        return closed

    async def digest(self, tenant: str, period: str) -> Digest:
        """The digest of what stands in a month's books now."""
        digest, after = Digest(), ""
        while True:
            page = await self._store.read(
                lambda connection, after=after: closing.raw_rows(  # type: ignore[misc]
                    connection, tenant, period, after, limits.LEDGER_PAGE_ROWS
                )
            )
            for facts in page:
                digest.add(facts)
            if len(page) < limits.LEDGER_PAGE_ROWS:
                break
            after = page[-1]["id"]
        for facts in await self._store.read(lambda connection: closing.raw_allocations(connection, tenant, period)):
            digest.add(facts)
        return digest

    async def periods(self, tenant: str) -> tuple[list[ClosedPeriod], list[str]]:
        """Months that are closed, and months with rows that are not."""
        return await self._store.read(
            lambda connection: (closing.list_periods(connection, tenant), closing.open_periods(connection, tenant))
        )

    async def allocate(
        self, tenant: str, period: str, name: str, amount_nano: int, key: AllocationKey, by: str,
        dimension: str = "cost_centre", note: str = "",
    ) -> SharedCost:  # fmt: skip
        """Divide a shared cost among those who used anything in a month, once for each name.

        Args:
            amount_nano: nano-USD; negative for a credit.
            key: what the shares are in proportion to; what was used by nobody in particular has a share like others.

        Raises:
            Refused: ``period.closed``; ``input.malformed``: nobody to divide it among, a name that was used, a key or
                dimension that there is none of; ``input.too_large``.
        """
        dates.check_month(period)
        if key not in books.KEYS or dimension not in books.TARGETS:
            words = f"a cost is divided by {', '.join(books.KEYS)} among {', '.join(books.TARGETS)}"
            raise Refused("input.malformed", words)
        if not name or len(name) > limits.LEDGER_WORDS or not name.isprintable():
            raise Refused("input.malformed", f"a name has 1 to {limits.LEDGER_WORDS} characters")
        made = f"al{secrets.token_hex(8)}"

        def work(connection: Connection) -> SharedCost:
            found = closing.weights(connection, tenant, period, dimension, key)
            if len(found) > limits.ALLOCATION_TARGETS:
                raise Refused("input.too_large", f"more than {limits.ALLOCATION_TARGETS:,} share it")
            try:
                parts = shares(amount_nano, [weight for _, _, weight in found])
            except ValueError:
                words = f"nobody in {period} has anything to divide it by"
                raise Refused("input.malformed", words, fix="Choose another key.") from None
            divided = tuple(Part(*each, part) for each, part in zip(found, parts, strict=True))
            at_ms = self._ledger.clock.wall_ms()
            allocation = SharedCost(
                made, tenant, period, name, key, dimension, by, note[: limits.LEDGER_WORDS], at_ms, amount_nano, divided
            )
            closing.add_allocation(connection, allocation)
            return allocation

        try:
            return await self._store.write(work)
        except DBAPIError as error:
            if "ledger.period_closed" in str(error.orig):
                raise Refused("period.closed", f"{period} is closed") from None
            if isinstance(error, IntegrityError):
                raise Refused("input.malformed", f"{name!r:.80} was divided in {period} already") from None
            raise

    async def shared_costs(self, tenant: str, period: str) -> list[SharedCost]:
        """What was divided in a month."""
        dates.check_month(period)
        return await self._store.read(lambda connection: closing.list_allocations(connection, tenant, period))

    async def journal(self, tenant: str, period: str, measure: Measure = "billed_nano") -> Journal:
        """What a month's books have for each cost centre, in whole cents that sum to the total.

        Raises:
            Refused: ``input.malformed``.
        """
        dates.check_month(period)
        if measure not in get_args(Measure):
            raise Refused(
                "input.malformed", f"no measure {measure!r:.40}", fix=f"There are {', '.join(get_args(Measure))}."
            )

        def work(connection: Connection) -> Journal:
            found = closing.postings(connection, tenant, period, measure)
            shared = closing.list_allocations(connection, tenant, period)
            closed = closing.find_period(connection, tenant, period) is not None
            _, unpriced = closing.counts(connection, tenant, period)
            return books.journal(period, found, shared, unpriced, closed=closed)

        return await self._store.read(work)


def _digest(connection: Connection, tenant: str, period: str) -> Digest:
    digest, after = Digest(), ""
    while page := closing.raw_rows(connection, tenant, period, after, limits.LEDGER_PAGE_ROWS):
        for facts in page:
            digest.add(facts)
        after = page[-1]["id"]
    for facts in closing.raw_allocations(connection, tenant, period):
        digest.add(facts)
    return digest
