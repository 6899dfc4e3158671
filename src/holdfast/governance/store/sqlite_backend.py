"""A store in a SQLite file: one process owns it, one thread writes it, a few read it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any

import apsw
from sqlalchemy import Connection, Insert, Table
from sqlalchemy.exc import DBAPIError

from holdfast.engines.sqlite.gil_fairness import GilFairness
from holdfast.engines.sqlite.lock import FileLock
from holdfast.engines.sqlite.store import has_log
from holdfast.engines.sqlite.watch import FileWatch
from holdfast.errors import Unavailable
from holdfast.governance import limits
from holdfast.governance.store import facts
from holdfast.governance.store.backend import Rows, StoreHealth, T, Work
from holdfast.governance.store.group import QueuedWork, Statements, is_of_the_disk
from holdfast.governance.store.sqlite_file import (
    SqliteFile,
    close,
    is_marked_open,
    make_durable,
    mend,
    raw,
    transaction,
    upgrade,
)
from holdfast.governance.store.sqlite_writer import SqliteWriter
from holdfast.visible import logger

log = logger(__name__)


class SqliteBackend:
    """The owner of a file; ``open`` makes one."""

    def __init__(self, file: SqliteFile, lock: FileLock, writer: SqliteWriter) -> None:
        self._file = file
        self._lock = lock
        self._writer: SqliteWriter | None = writer
        self._fairness = GilFairness()
        self._statements = Statements()
        self._readers: SimpleQueue[Connection] = SimpleQueue()
        self._threads = ThreadPoolExecutor(limits.STORE_READERS, thread_name_prefix="holdfast-store-read")

    @classmethod
    async def open(cls, path: str, note: str = "", vfs: str | None = None) -> SqliteBackend:
        """Own a file, make or upgrade its tables, start the threads.

        Args:
            path: the file, made when there is none.
            note: what a second one who wants it is told of the owner, beside the process's id.
            vfs: name of a registered SQLite VFS, for tests of failing disks.

        Raises:
            HoldfastError: ``engine.locked`` when another process has it, ``engine.version``, ``engine.corrupt``,
                ``config.invalid``.
            Unavailable: ``disk.full``, ``store.unavailable``.
        """
        file = SqliteFile(path, vfs)
        lock = FileLock(file.path, note)
        lock.acquire()
        watch = FileWatch(file.path)
        watch.learn("", ".lock")
        try:
            connection = await asyncio.to_thread(_prepare, file)
        except BaseException:
            lock.release()
            raise
        watch.learn("-wal", "-shm")
        writer = SqliteWriter(file, connection, watch, asyncio.get_running_loop())
        backend = cls(file, lock, writer)
        writer.start()
        return backend

    async def write(self, work: Work[T]) -> T:
        """See ``Store.write``."""
        result: T = await self._submit(work)
        return result

    async def insert(self, table: Table, rows: Rows, *, synced: bool) -> None:
        """See ``Store.insert``."""
        if rows:
            await self._submit(None, self._statements.insert(table, rows), rows, synced)

    async def _submit(
        self, work: Work[Any] | None, statement: Insert | None = None, rows: Rows = (), synced: bool = True
    ) -> Any:
        if self._writer is None:
            raise Unavailable("store.unavailable", "the store is closed")
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._writer.submit(QueuedWork(done, work, statement, rows, synced))
        with self._fairness:
            return await done

    async def read(self, work: Work[T]) -> T:
        """See ``Store.read``."""
        if self._writer is None:
            raise Unavailable("store.unavailable", "the store is closed")
        with self._fairness:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, work)

    def _read(self, work: Work[T]) -> T:
        try:
            connection = self._readers.get_nowait()
        except Empty:
            connection = self._file.connect(write=False)
        database = raw(connection)
        try:
            database.execute("BEGIN")
            return work(connection)
        except (apsw.Error, DBAPIError) as error:
            if not is_of_the_disk(error):
                raise
            reason = getattr(error, "orig", error)
            raise Unavailable("store.unavailable", f"cannot read {self._file.path}: {reason}") from error
        finally:
            mend(connection)
            if database.in_transaction:
                database.execute("ROLLBACK")
            if database.txn_state() == apsw.SQLITE_TXN_NONE:
                self._readers.put(connection)
            else:  # work left rows unread: with them it would go on reading this moment, and nothing newer
                close(connection)

    def health(self) -> StoreHealth:
        """See ``Store.health``."""
        writer = self._writer
        if writer is None:
            return StoreHealth("closed", 0, "", {})
        return StoreHealth("failed" if writer.error else "ok", writer.waiting, writer.error, dict(writer.counters))

    async def close(self) -> None:
        """See ``Store.close``."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            await asyncio.to_thread(writer.stop)
            await asyncio.to_thread(self._threads.shutdown)
            while self._readers.qsize():
                close(self._readers.get())
        finally:  # whatever failed: the next one may have the file
            self._lock.release()


def _prepare(file: SqliteFile) -> Connection:
    had_log = has_log(file.path)
    connection = file.connect(write=True)
    database = raw(connection)
    try:
        upgrade(connection)
        if not had_log and is_marked_open(database):
            log.error(
                "%s-wal is gone, and the owner before this did not close: what was committed last is lost", file.path
            )
            with transaction(database):
                facts.renew(connection)  # so that the session log, which may say more, is not taken for its own
        make_durable(database)
    except apsw.Error as error:
        close(connection)
        raise file.explain(error, "open") from error
    except BaseException:
        close(connection)
        raise
    return connection
