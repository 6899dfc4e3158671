"""One transaction of SQLite for the work of many: each piece under a savepoint of its own, rows of one table at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import apsw
from sqlalchemy import Connection, Insert, Table
from sqlalchemy.exc import DBAPIError

from holdfast.governance.store.apsw_dbapi import result_of
from holdfast.governance.store.backend import Rows, Work
from holdfast.governance.store.sqlite_file import mend, raw


class QueuedWork(NamedTuple):
    """Work that waits for its transaction: a function, or rows of one table.

    Attributes:
        done: on the loop, gets the outcome once it is durable.
        work: what to do; None for rows.
        synced: whether ``done`` waits for the disk.
        statement, rows: what to insert, and the columns that every row has.
    """

    done: asyncio.Future[Any]
    work: Work[Any] | None
    statement: Insert | None = None
    rows: Rows = ()
    synced: bool = True

    @property
    def size(self) -> int:
        """By how much it fills a group."""
        return 1 if self.work is not None else len(self.rows)


class Outcome(NamedTuple):
    """What became of a piece: its ``result``, or the ``error`` that it raised; nothing of it is there then."""

    piece: QueuedWork
    result: Any = None
    error: BaseException | None = None


class GroupLost(Exception):
    """What happened to one piece concerns all of its group. ``cause``: what SQLite said."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


_OF_THE_DISK: Final = frozenset(
    {
        apsw.SQLITE_FULL, apsw.SQLITE_IOERR, apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB, apsw.SQLITE_READONLY,
        apsw.SQLITE_CANTOPEN, apsw.SQLITE_NOMEM, apsw.SQLITE_PROTOCOL,
    }
)  # fmt: skip
"""Results of SQLite that are nobody's fault among those who write."""


def is_of_the_disk(error: BaseException) -> bool:
    """Whether it is the disk that failed, and not a statement."""
    return result_of(error.orig if isinstance(error, DBAPIError) else error) & 0xFF in _OF_THE_DISK


def apply(connection: Connection, group: Sequence[QueuedWork]) -> list[Outcome]:
    """Do the work of a group, in its order, in the transaction that is open.

    Raises:
        GroupLost: nothing of the group is there, or may be.
        apsw.Error: the same.
    """
    outcomes: list[Outcome] = []
    for run in runs(group):
        if len(run) > 1:
            statement, rows = run[0].statement, [row for piece in run for row in piece.rows]
            inserted = _apply(connection, QueuedWork(run[0].done, None, statement, rows))
            if inserted.error is None:
                outcomes.extend(Outcome(piece) for piece in run)
                continue
        # alone, or one of them is at fault: each by itself
        outcomes.extend(_apply(connection, piece) for piece in run)
    return outcomes


def runs(group: Sequence[QueuedWork]) -> Iterator[list[QueuedWork]]:
    """Pieces that can go in together: rows for one table, with the same columns, that came in a row."""
    run: list[QueuedWork] = []
    for piece in group:
        if run and (piece.work is not None or piece.statement is not run[0].statement):
            yield run
            run = []
        run.append(piece)
    if run:
        yield run


def _apply(connection: Connection, piece: QueuedWork) -> Outcome:
    database = raw(connection)
    database.execute("SAVEPOINT piece")
    try:
        result = None
        if piece.work is not None:
            result = piece.work(connection)
        else:
            assert piece.statement is not None
            connection.execute(piece.statement, list(piece.rows))
        if (nested := connection.get_nested_transaction()) is not None:
            nested.rollback()
            raise RuntimeError("work of the store left a savepoint of its own open: use it in a with block")
        database.execute("RELEASE piece")
        return Outcome(piece, result)
    except BaseException as error:
        if not database.in_transaction or is_of_the_disk(error):  # SQLite itself may have rolled back all of it
            raise GroupLost(error) from error
        mend(connection)
        database.execute("ROLLBACK TO piece")
        database.execute("RELEASE piece")
        return Outcome(piece, error=error)


class Statements:
    """The statements that insert rows, one for each table and choice of columns, so that each is compiled once."""

    def __init__(self) -> None:
        self._statements: dict[tuple[Table, tuple[str, ...]], Insert] = {}

    def insert(self, table: Table, rows: Rows) -> Insert:
        """The statement for these rows.

        Raises:
            ValueError: not every row has the same columns.
        """
        columns = tuple(sorted(rows[0]))
        if any(row.keys() != rows[0].keys() for row in rows):
            raise ValueError(f"rows for {table.name} that do not all have the columns {', '.join(columns)}")
        statement = self._statements.get((table, columns))
        if statement is None:
            statement = self._statements[table, columns] = table.insert()
        return statement
