"""The one writer of a SQLite store: a thread that commits whatever gathered while its last commit ran (group commit).

Every piece of work has a savepoint of its own, so that one that fails takes nothing else with it. Outcomes are exact: an
error before ``COMMIT`` applied nothing, one at ``COMMIT`` left it open what is there (``CommitFailed.outcome``); then the file
is closed, opened again and made durable before anything else is written.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

import apsw
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from holdfast.errors import CommitFailed, HoldfastError, Unavailable
from holdfast.governance import limits
from holdfast.governance.store.backend import Rows, Work
from holdfast.governance.store.sqlite_file import SqliteFile, close, raw
from holdfast.visible import logger

log = logger(__name__)

_STOP: Final = object()


class QueuedWork(NamedTuple):
    """Work that waits for its transaction: a function, or rows of one table.

    Attributes:
        done: on the loop, gets the outcome once it is durable.
        work: what to do; None for rows.
        table, rows: what to insert.
    """

    done: asyncio.Future[Any]
    work: Work[Any] | None
    table: Table | None = None
    rows: Rows = ()


class SqliteWriter:
    """The writing thread.

    Args:
        file: what it writes to.
        connection: the first one, open; the thread's own from its start on.
        loop: where outcomes are delivered, once per commit.
    """

    def __init__(self, file: SqliteFile, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._file = file
        self._connection: Connection | None = connection
        self._loop = loop
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._thread = threading.Thread(target=self._main, name="holdfast-store-write", daemon=True)
        self._next_probe = 0.0
        self.error = ""
        self.counters = {"commits": 0, "written": 0, "failures": 0}

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what was submitted, then end the thread and close the connection; blocks until it did."""
        self._queue.put(_STOP)
        self._thread.join()

    def submit(self, piece: QueuedWork) -> None:
        """Queue a piece of work.

        Raises:
            Unavailable: ``store.busy`` when as much waits as may.
        """
        if self._queue.qsize() >= limits.STORE_WAITING:
            raise Unavailable("store.busy", f"{limits.STORE_WAITING} pieces of work wait to be written to the store")
        self._queue.put(piece)

    @property
    def waiting(self) -> int:
        """Pieces of work that wait for the next group."""
        return self._queue.qsize()

    # --- the thread
    def _main(self) -> None:
        running = True
        while running:
            group, running = self._gather()
            if group:
                try:
                    self._commit(group)
                except Exception as error:  # a mistake of ours: let nobody wait for ever, and begin anew
                    log.exception("the writer of the store failed unexpectedly")
                    self._fail(group, CommitFailed("unknown", "commit.unknown", str(error)))
        self._close()

    def _gather(self) -> tuple[list[QueuedWork], bool]:
        """What is queued, up to the bound of a group, and whether to go on after it."""
        group: list[QueuedWork] = []
        item = self._queue.get()
        try:
            while item is not _STOP:
                group.append(item)
                if len(group) >= limits.STORE_GROUP:
                    return group, True
                item = self._queue.get_nowait()
        except Empty:
            return group, True
        return group, False

    def _commit(self, group: Sequence[QueuedWork]) -> None:
        connection = self._usable()
        if connection is None:
            refusal = CommitFailed("not_applied", "store.unavailable", f"the store failed: {self.error}")
            return self._deliver([(piece, refusal) for piece in group])
        database = raw(connection)
        results: list[tuple[QueuedWork, Any]] = []
        at_commit = False
        try:
            database.execute("BEGIN IMMEDIATE")
            for piece in group:
                results.append((piece, self._apply(connection, database, piece)))
            at_commit = True
            database.execute("COMMIT")
        except (apsw.Error, _GroupLost) as error:
            return self._on_failure(group, error, at_commit)
        self.counters["commits"] += 1
        self.counters["written"] += len(group)
        return self._deliver(results)

    def _apply(self, connection: Connection, database: apsw.Connection, piece: QueuedWork) -> Any:
        """The result of one piece, or the exception that it raised; then nothing of it is there."""
        database.execute("SAVEPOINT piece")
        try:
            if piece.work is not None:
                result = piece.work(connection)
            else:
                result = connection.execute(piece.table.insert(), list(piece.rows)) and None  # type: ignore[union-attr]
            database.execute("RELEASE piece")
            return result
        except Exception as error:
            if not database.in_transaction:  # SQLite itself rolled back the whole group
                raise _GroupLost(error) from error
            database.execute("ROLLBACK TO piece")
            database.execute("RELEASE piece")
            if isinstance(error, DBAPIError) and _is_disk(error):
                raise _GroupLost(error) from error
            return error

    # --- failures
    def _usable(self) -> Connection | None:
        if self._connection is None and time.monotonic() >= self._next_probe:
            try:
                self._connection = self._file.connect(write=True)
                self.error = ""
            except HoldfastError as error:
                self.error = error.detail
                self._next_probe = time.monotonic() + limits.STORE_PROBE_S
        return self._connection

    def _on_failure(self, group: Sequence[QueuedWork], error: Exception, at_commit: bool) -> None:
        cause = error.cause if isinstance(error, _GroupLost) else error
        self.error = str(cause)
        if at_commit and not isinstance(cause, apsw.FullError):
            return self._fail(group, CommitFailed("unknown", "commit.unknown", self.error))
        return self._fail(group, CommitFailed("not_applied", "store.unavailable", self.error))

    def _fail(self, group: Sequence[QueuedWork], failure: CommitFailed) -> None:
        self.counters["failures"] += 1
        self._close()
        self._deliver([(piece, failure) for piece in group])

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            close(connection)

    def _deliver(self, results: Sequence[tuple[QueuedWork, Any]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, results)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more


class _GroupLost(Exception):
    """What happened to one piece concerns all of its group."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


_DISK: Final = frozenset(
    {apsw.SQLITE_FULL, apsw.SQLITE_IOERR, apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB, apsw.SQLITE_READONLY}
)


def _is_disk(error: DBAPIError) -> bool:
    return getattr(error.orig, "extended", 0) & 0xFF in _DISK


def _resolve(results: Sequence[tuple[QueuedWork, Any]]) -> None:
    for piece, result in results:
        if not piece.done.done():
            if isinstance(result, Exception):
                piece.done.set_exception(result)
            else:
                piece.done.set_result(result)
