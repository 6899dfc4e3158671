"""A store in PostgreSQL: what several gateways share.

A piece of work has a transaction of its own: the server commits those of several connections together by itself, and one
piece that could not be put in an order would take a whole group along. Rows to insert do gather, as on SQLite.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from sqlalchemy import URL, Connection, Insert, Table, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from holdfast.errors import CommitFailed, HoldfastError, Unavailable
from holdfast.governance import limits
from holdfast.governance.store import schema
from holdfast.governance.store.backend import Rows, StoreHealth, T, Work
from holdfast.governance.store.group import QueuedWork, Statements, runs
from holdfast.governance.store.postgres_errors import is_a_conflict, is_of_the_server, reason_of
from holdfast.visible import logger

_MIGRATION_LOCK: Final = 0x486F6C67
"""Key of the advisory lock under which tables are made and upgraded."""

log = logger(__name__)


class PostgresBackend:
    """A pool of connections. Writes are serializable, and run again when they could not be; reads see one moment."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._writes = engine.execution_options(isolation_level="SERIALIZABLE")
        self._reads = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._engine: AsyncEngine | None = engine
        self._statements = Statements()
        self._rows: deque[QueuedWork] = deque()
        self._inserting = False
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
            hide_parameters=True,
            connect_args={"timeout": limits.STORE_CONNECT_S, "command_timeout": limits.STORE_STATEMENT_S},
        )
        try:
            async with engine.connect() as connection, connection.begin():
                await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
                await connection.run_sync(schema.prepare)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            await engine.dispose()
            raise Unavailable("store.unavailable", f"cannot open the store: {reason_of(error)}") from error
        except TypeError:  # asyncpg takes parameters of the address as its own arguments
            await engine.dispose()
            detail = f"the store's address has a parameter that asyncpg does not take: {', '.join(sorted(url.query))}"
            raise HoldfastError("config.invalid", detail, fix="Leave it out of the address.") from None
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine)

    # --- the way in
    async def write(self, work: Work[T]) -> T:
        """See ``Store.write``."""
        return await self._finish(self._write(work))

    async def insert(self, table: Table, rows: Rows, *, synced: bool) -> None:
        """See ``Store.insert``."""
        self._admit(self._rows)
        if not rows:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rows.append(QueuedWork(done, None, self._statements.insert(table, rows), rows, synced))
        if not self._inserting:
            self._inserting = True
            self._begin(self._insert_all())
        await done

    async def read(self, work: Work[T]) -> T:
        """See ``Store.read``."""
        self._admit(())
        for again in (True, False):
            try:
                return await self._run(self._reads, work)
            except CommitFailed as error:
                if not again:
                    raise Unavailable("store.unavailable", error.detail) from error
        raise AssertionError

    def _admit(self, waiting: Sequence[object] | deque[QueuedWork]) -> None:
        if self._engine is None:
            raise Unavailable("store.unavailable", "the store is closed")
        if len(waiting) + len(self._tasks) >= limits.STORE_WAITING:
            raise Unavailable("store.busy", f"{limits.STORE_WAITING} pieces of work wait to be written to the store")

    async def _finish(self, writing: Coroutine[Any, Any, T]) -> T:
        """Whoever waits may leave; what was begun is ended nonetheless, as on SQLite."""
        try:
            self._admit(())
        except Unavailable:
            writing.close()
            raise
        return await asyncio.shield(self._begin(writing))

    def _begin(self, doing: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(doing)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when whoever waited for it has left

    # --- transactions
    async def _insert_all(self) -> None:
        """Insert what is queued; what comes meanwhile goes into the next transaction."""
        try:
            while self._rows:
                group: list[QueuedWork] = []
                while self._rows and sum(piece.size for piece in group) < limits.STORE_GROUP:
                    group.append(self._rows.popleft())
                for run in runs(group):
                    await self._insert(run)
        finally:
            self._inserting = False

    async def _insert(self, run: Sequence[QueuedWork]) -> None:
        """One transaction for all; when one of them is at fault, one for each."""
        statement, rows = run[0].statement, [dict(row) for piece in run for row in piece.rows]
        assert statement is not None
        synced = any(piece.synced for piece in run)
        try:
            await self._write(lambda connection: _execute(connection, statement, rows, synced), len(run))
        except Exception as error:
            if len(run) > 1 and not isinstance(error, HoldfastError):
                for piece in run:
                    await self._insert([piece])
                return
            for piece in run:
                if not piece.done.done():
                    piece.done.set_exception(error)
            return
        for piece in run:
            if not piece.done.done():
                piece.done.set_result(None)

    async def _write(self, work: Work[T], pieces: int = 1) -> T:
        """In one transaction, again while others are in the way, and once more on a new connection when one was dead."""
        lost = False
        for _ in range(limits.STORE_RETRIES):
            try:
                result = await self._run(self._writes, work)
            except CommitFailed as error:
                if lost or error.outcome == "unknown":
                    raise
                lost = True
                continue
            except DBAPIError as error:
                if not is_a_conflict(error):
                    raise
                self._counters["again"] += 1
                continue
            self._counters["commits"] += 1
            self._counters["written"] += pieces
            return result
        raise CommitFailed("not_applied", "store.busy", "others kept changing what this piece of work read")

    async def _run(self, engine: AsyncEngine, work: Work[T]) -> T:
        at_commit = False
        try:
            async with engine.connect() as connection:
                transaction = await connection.begin()
                result = await connection.run_sync(work)
                at_commit = True
                await transaction.commit()
        except (DBAPIError, PoolTimeout, OSError, TimeoutError) as error:
            if isinstance(error, DBAPIError) and not is_of_the_server(error):
                raise
            before, self._error = self._error, reason_of(error)
            self._counters["failures"] += 1
            if not before:  # not for every piece of work as long as it lasts
                log.error("the store cannot be used: %s", self._error)
            if at_commit:
                raise CommitFailed("unknown", "commit.unknown", self._error) from error
            raise CommitFailed("not_applied", "store.unavailable", self._error) from error
        if self._error:
            self._error = ""
            log.warning("the store can be used again")
        return result

    # --- its state
    def health(self) -> StoreHealth:
        """See ``Store.health``."""
        if self._engine is None:
            return StoreHealth("closed", 0, "", {})
        mode = "failed" if self._error else "ok"
        return StoreHealth(mode, len(self._tasks) + len(self._rows), self._error, dict(self._counters))

    async def close(self) -> None:
        """See ``Store.close``."""
        engine, self._engine = self._engine, None
        if engine is not None:
            if self._tasks:
                await asyncio.wait(self._tasks)
            await engine.dispose()


def _execute(connection: Connection, statement: Insert, rows: list[dict[str, Any]], synced: bool) -> None:
    if not synced:
        connection.execute(text("SET LOCAL synchronous_commit = off"))
    connection.execute(statement, rows)
