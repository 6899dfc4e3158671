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
from holdfast.governance.ledger.port import LedgerStore, RowWatch, Uncounted

Also = Callable[[Connection, Sequence[Row]], Sequence[Row]]
"""What else a transaction does: answers which rows are to be appended."""
Settlement = tuple[Opening, Sequence[Row]]
"""An attempt and its rows."""
_TRIES: Final = 3  # a month may be closed while its rows are on their way


class Recorder:
    """Appends rows.

    Args:
        database: the store.
        watch: who counts them.

    Attributes:
        closed: ``(tenant, month)`` of closed months, as last read; the database has the last word.
    """

    def __init__(self, database: LedgerStore, watch: RowWatch | None = None) -> None:
        self._store = database
        self._watch = watch
        self.watch: RowWatch = watch or Uncounted()
        self.closed: frozenset[tuple[str, str]] = frozenset()

    async def refresh(self) -> None:
        """Read which months are closed."""
        self.closed = await self._store.read(store.closed_periods)

    async def append(self, rows: Sequence[Row], also: Also | None = None) -> None:
        """Append rows, durably; those whose ids are there change nothing.

        Args:
            rows: complete but for their ``period``.

        Raises:
            Unavailable: of the store.
            Refused: ``ledger.corrected`` where a row that is to be replaced was replaced before.
        """

        def work(connection: Connection, posted: Sequence[Row]) -> None:
            self.watch.lock(connection)
            self._add(connection, posted if also is None else also(connection, posted))

        await self._write(rows, work)

    async def settle(self, opening: Opening, rows: Sequence[Row]) -> None:
        """Close an attempt with its rows. One that was taken for lost already has an estimate, which they replace.
        Raises as ``append`` does."""

        def work(connection: Connection, posted: Sequence[Row]) -> None:
            self.watch.lock(connection)
            self._add(connection, _settled(connection, opening, posted), (opening.id,))

        await self._write(rows, work)

    async def settle_all(self, settlements: Sequence[Settlement]) -> None:
        """Close many attempts at once, all or none. Raises as ``append`` does, for any of them."""
        openings = [opening for opening, _ in settlements]

        def work(connection: Connection, posted: Sequence[Row]) -> None:
            self.watch.lock(connection)
            closed = store.close_openings(connection, [opening.id for opening in openings])
            linked = links.linked_calls(connection, openings)
            of_call: dict[str, list[Row]] = {}
            for row in posted:
                of_call.setdefault(_attempt_of(row), []).append(row)
            settled: list[Row] = []
            for opening in openings:
                own = of_call.get(opening.id, [])
                if opening.id not in closed:
                    settled += _late_rows(connection, own)
                elif linked & {opening.id, opening.call.id}:
                    settled += links.apply(connection, opening, own)
                else:
                    settled += own
            self._add(connection, settled, tuple(opening.id for opening in openings))

        await self._write([row for _, rows in settlements for row in rows], work)

    async def end(self, attempts: Sequence[str]) -> None:
        """Attempts that were opened were never begun: nothing of them is billed. Raises as ``append`` does."""

        def work(connection: Connection) -> None:
            self.watch.lock(connection)
            store.close_openings(connection, attempts)
            self.watch.count(connection, (), attempts)

        await self._store.write(work)

    def _add(self, connection: Connection, rows: Sequence[Row], ended: Sequence[str] = ()) -> None:
        if self._watch is None:
            store.add_rows(connection, rows)
            return
        there = store.present(connection, [row.id for row in rows])
        new = list({row.id: row for row in reversed(rows) if row.id not in there}.values())[::-1]  # an id counts once
        store.add_rows(connection, new)
        changes = [(row, store.find_row(connection, row.tenant, row.corrects) if row.corrects else None) for row in new]
        self._watch.count(connection, changes, ended)

    async def _write(self, rows: Sequence[Row], work: Callable[[Connection, Sequence[Row]], None]) -> None:
        for attempt in range(_TRIES):
            posted = [self._posted(row) for row in rows]
            try:
                return await self._store.write(lambda connection, posted=posted: work(connection, posted))  # type: ignore[misc]
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


def _settled(connection: Connection, opening: Opening, rows: Sequence[Row]) -> Sequence[Row]:
    if store.close_opening(connection, opening.id):
        return links.apply(connection, opening, rows)
    return _late_rows(connection, rows)


def _late_rows(connection: Connection, rows: Sequence[Row]) -> Sequence[Row]:
    there = store.present(connection, [row.id for row in rows])
    return [_late(connection, row) for row in rows if row.id not in there or _is_lost(connection, row)]


def _attempt_of(row: Row) -> str:
    return row.parent or row.id


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
