"""Writes rows: into the books of a month that is open, once each, and again where the store was away for a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from holdfast.errors import Refused
from holdfast.gateway.port import Opening
from holdfast.governance.ledger import links, settling, store
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.port import LedgerStore

_TRIES: Final = 3  # a month may be closed while its rows are on their way


class Recorder:
    """Appends rows.

    Attributes:
        closed: ``(tenant, month)`` of closed months, as last read; the database has the last word.
    """

    def __init__(self, database: LedgerStore) -> None:
        self._store = database
        self.closed: frozenset[tuple[str, str]] = frozenset()

    async def refresh(self) -> None:
        """Read which months are closed."""
        self.closed = await self._store.read(store.closed_periods)

    async def append(
        self, rows: Sequence[Row], also: Callable[[Connection, Sequence[Row]], Sequence[Row]] | None = None
    ) -> None:
        """Append rows, durably; those whose ids are there change nothing.

        Args:
            rows: complete but for their ``period``.
            also: what else the transaction does; answers which rows are to be appended.

        Raises:
            Unavailable: of the store.
            Refused: ``ledger.corrected`` where a row that is to be replaced was replaced before.
        """
        for attempt in range(_TRIES):
            posted = [self._posted(row) for row in rows]

            def work(connection: Connection, posted: Sequence[Row] = posted) -> None:
                store.add_rows(connection, posted if also is None else also(connection, posted))

            try:
                return await self._store.write(work)
            except IntegrityError as error:
                if "corrects" in str(error.orig):
                    raise _replaced(rows) from None
                if "ledger.period_closed" not in str(error.orig) or attempt == _TRIES - 1:
                    raise
            except DBAPIError as error:
                if "ledger.period_closed" not in str(error.orig) or attempt == _TRIES - 1:
                    raise
            await self.refresh()
        return None

    def _posted(self, row: Row) -> Row:
        return settling.posted(row, {month for tenant, month in self.closed if tenant == row.tenant})


def settle(opening: Opening) -> Callable[[Connection, Sequence[Row]], Sequence[Row]]:
    """Closes an attempt with its rows. One that was taken for lost already has an estimate, which they replace."""

    def work(connection: Connection, rows: Sequence[Row]) -> Sequence[Row]:
        if store.close_opening(connection, opening.id):
            return links.apply(connection, opening, rows)
        there = store.present(connection, [row.id for row in rows])
        return [_late(connection, row) for row in rows if row.id not in there or _is_lost(connection, row)]

    return work


def _is_lost(connection: Connection, row: Row) -> bool:
    chain = store.chain(connection, row.tenant, row.id)
    return len(chain) == 1 and chain[0].reason == settling.LOST and row.reason != settling.LOST


def _late(connection: Connection, row: Row) -> Row:
    if not store.present(connection, [row.id]):
        return row
    lost = store.chain(connection, row.tenant, row.id)[0]
    if links.names_none(row):
        link = links.RunLink(
            row.tenant, row.call, lost.session, lost.run, lost.run_attempt, lost.parent_run, lost.agent
        )
        row = links.named(row, link)
    return replace(row, id=settling.correction_id(row.id), corrects=row.id, basis="corrected")


def _replaced(rows: Sequence[Row]) -> Refused:
    names = ", ".join(row.corrects for row in rows if row.corrects)
    return Refused(
        "ledger.corrected",
        f"row {names:.200} was replaced already",
        fix="Look at the row that replaced it; replace that.",
    )
