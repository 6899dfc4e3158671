"""A store in a SQLite file: one process owns it, one thread writes it, a few read it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import apsw
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from holdfast.engines.sqlite.gil_fairness import GilFairness
from holdfast.engines.sqlite.lock import FileLock
from holdfast.errors import Unavailable
from holdfast.governance import limits
from holdfast.governance.store.backend import Rows, StoreHealth, T, Work
from holdfast.governance.store.sqlite_file import SqliteFile, close, raw
from holdfast.governance.store.sqlite_writer import QueuedWork, SqliteWriter
from holdfast.governance.store.tables import schema


class SqliteBackend:
    """The owner of a file; ``open`` makes one."""

    def __init__(self, file: SqliteFile, lock: FileLock, writer: SqliteWriter) -> None:
        self._file = file
        self._lock = lock
        self._writer: SqliteWriter | None = writer
        self._fairness = GilFairness()
        self._readers: SimpleQueue[Connection] = SimpleQueue()
        self._threads = ThreadPoolExecutor(limits.STORE_READERS, thread_name_prefix="holdfast-store-read")

    @classmethod
    async def open(cls, path: str, vfs: str | None = None) -> SqliteBackend:
        """Own a file, make or upgrade its tables, start the threads.

        Raises:
            HoldfastError: ``engine.locked`` when another process has it, ``engine.version``, ``engine.corrupt``,
                ``config.invalid``.
            Unavailable: ``disk.full``, ``store.unavailable``.
        """
        file = SqliteFile(path, vfs)
        lock = FileLock(file.path)
        lock.acquire()
        try:
            connection = await asyncio.to_thread(_prepare, file)
        except BaseException:
            lock.release()
            raise
        writer = SqliteWriter(file, connection, asyncio.get_running_loop())
        backend = cls(file, lock, writer)
        writer.start()
        return backend

    async def write(self, work: Work[T]) -> T:
        """See ``Store.write``."""
        result: T = await self._submit(work)
        return result

    async def insert(self, table: Table, rows: Rows) -> None:
        """See ``Store.insert``."""
        if rows:
            await self._submit(None, table, rows)

    async def _submit(self, work: Work[Any] | None, table: Table | None = None, rows: Rows = ()) -> Any:
        if self._writer is None:
            raise Unavailable("store.unavailable", "the store is closed")
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._writer.submit(QueuedWork(done, work, table, rows))
        with self._fairness:
            return await done

    async def read(self, work: Work[T]) -> T:
        """See ``Store.read``."""
        if self._writer is None:
            raise Unavailable("store.unavailable", "the store is closed")
        with self._fairness:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, work)

    def _read(self, work: Work[T]) -> T:
        connection = self._readers.get_nowait() if self._readers.qsize() else self._file.connect(write=False)
        database = raw(connection)
        try:
            database.execute("BEGIN")
            return work(connection)
        except (apsw.Error, DBAPIError) as error:
            raise Unavailable("store.unavailable", f"cannot read {self._file.path}: {error}") from error
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")
            self._readers.put(connection)

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
        await asyncio.to_thread(writer.stop)
        await asyncio.to_thread(self._threads.shutdown)
        while self._readers.qsize():
            close(self._readers.get())
        self._lock.release()


def _prepare(file: SqliteFile) -> Connection:
    connection = file.connect(write=True)
    database = raw(connection)
    try:
        database.execute("BEGIN IMMEDIATE")
        schema.prepare(connection)
        database.execute("COMMIT")
    except BaseException:
        close(connection)
        raise
    return connection
