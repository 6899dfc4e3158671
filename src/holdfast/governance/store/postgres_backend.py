"""A store in PostgreSQL: what several gateways share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from sqlalchemy import URL, Connection, Table
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from holdfast.errors import CommitFailed, Unavailable
from holdfast.governance import limits
from holdfast.governance.store.backend import Rows, StoreHealth, T, Work
from holdfast.governance.store.tables import schema

_AGAIN: Final = frozenset({"40001", "40P01"})
"""No order could be found with what ran beside it, or they waited for each other
(https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html)."""

_MIGRATION_LOCK: Final = 0x486F6C67
"""Key of the advisory lock under which tables are made and upgraded."""


class PostgresBackend:
    """A pool of connections. Writes are serializable, and run again when they could not be; reads see one moment."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._writes = engine.execution_options(isolation_level="SERIALIZABLE")
        self._reads = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._engine: AsyncEngine | None = engine
        self._tasks: set[asyncio.Task[Any]] = set()
        self._error = ""
        self._counters = {"commits": 0, "written": 0, "failures": 0, "again": 0}

    @classmethod
    async def open(cls, url: URL) -> PostgresBackend:
        """Connect; make or upgrade the tables, one process at a time.

        Raises:
            HoldfastError: ``engine.version``.
            Unavailable: ``store.unavailable``.
        """
        engine = create_async_engine(
            url,
            pool_size=limits.STORE_CONNECTIONS,
            max_overflow=0,
            pool_timeout=limits.STORE_CONNECT_S,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"timeout": limits.STORE_CONNECT_S, "command_timeout": limits.STORE_STATEMENT_S},
        )
        backend = cls(engine)
        try:
            await backend._prepare(engine)
        except BaseException:
            await engine.dispose()
            raise
        return backend

    async def _prepare(self, engine: AsyncEngine) -> None:
        try:
            async with engine.connect() as connection, connection.begin():
                await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
                await connection.run_sync(schema.prepare)
        except (DBAPIError, OSError, TimeoutError) as error:
            raise Unavailable("store.unavailable", f"cannot open the store: {_reason(error)}") from error

    async def write(self, work: Work[T]) -> T:
        """See ``Store.write``."""
        return await self._finish(self._write(work))

    async def insert(self, table: Table, rows: Rows) -> None:
        """See ``Store.insert``."""
        if rows:
            values = [dict(row) for row in rows]
            await self._finish(self._write(lambda connection: connection.execute(table.insert(), values) and None))

    async def read(self, work: Work[T]) -> T:
        """See ``Store.read``."""
        return await self._run(self._reads, work)

    async def _finish(self, writing: Coroutine[Any, Any, T]) -> T:
        """Whoever waits may leave; what was begun is ended nonetheless, as on SQLite."""
        if self._engine is None:
            writing.close()
            raise Unavailable("store.unavailable", "the store is closed")
        if len(self._tasks) >= limits.STORE_WAITING:
            writing.close()
            raise Unavailable("store.busy", f"{limits.STORE_WAITING} pieces of work wait to be written to the store")
        task = asyncio.ensure_future(writing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _write(self, work: Work[T]) -> T:
        for _ in range(limits.STORE_RETRIES):
            try:
                result = await self._run(self._writes, work)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", "") not in _AGAIN:
                    raise
                self._counters["again"] += 1
                continue
            self._counters["commits"] += 1
            self._counters["written"] += 1
            return result
        raise CommitFailed("not_applied", "store.busy", "others kept changing what this piece of work read")

    async def _run(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
        at_commit = False
        try:
            async with engine.connect() as connection:
                transaction = await connection.begin()
                try:
                    result = await connection.run_sync(work)
                    at_commit = True
                    await transaction.commit()
                finally:
                    if transaction.is_active:
                        await transaction.rollback()
        except (OperationalError, InterfaceError, OSError, TimeoutError) as error:
            self._error = _reason(error)
            self._counters["failures"] += 1
            if at_commit:
                raise CommitFailed("unknown", "commit.unknown", self._error) from error
            raise CommitFailed("not_applied", "store.unavailable", self._error) from error
        self._error = ""
        return result

    def health(self) -> StoreHealth:
        """See ``Store.health``."""
        if self._engine is None:
            return StoreHealth("closed", 0, "", {})
        mode = "failed" if self._error else "ok"
        return StoreHealth(mode, len(self._tasks), self._error, dict(self._counters))

    async def close(self) -> None:
        """See ``Store.close``."""
        engine, self._engine = self._engine, None
        if engine is not None:
            if self._tasks:
                await asyncio.wait(self._tasks)
            await engine.dispose()


def _reason(error: BaseException) -> str:
    """What the driver said, without SQLAlchemy's frame around it, which has the statement."""
    return str(getattr(error, "orig", None) or error)
