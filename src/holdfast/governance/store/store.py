"""The store: one database behind two verbs, opened by its address."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Table

from holdfast.errors import Unavailable
from holdfast.governance.store import facts
from holdfast.governance.store.address import FileAddress, parse
from holdfast.governance.store.backend import Backend, Rows, StoreHealth, T, Work
from holdfast.governance.store.postgres_backend import PostgresBackend
from holdfast.governance.store.sqlite_backend import SqliteBackend


class Store:
    """What the domains keep. Work is a plain function of a SQLAlchemy Core connection, run in one transaction.

    Work must do nothing but read and write by that connection: it may be run again, and it neither commits nor rolls
    back. A constraint that it breaks ends it: the error (``sqlalchemy.exc.IntegrityError``) is caught outside.

    Args:
        url: ``sqlite:///PATH`` or a plain path, or ``postgresql://USER:PASSWORD@HOST/DATABASE``.
        now_ms: the clock, Unix milliseconds.
        vfs: name of a registered SQLite VFS, for tests of failing disks.

    Attributes:
        now_ms: the time, Unix milliseconds, for rows that say when.
        where: the address without what is secret in it.
        id: of this life of the store; another one after a restore, or when what was committed last was lost.
            Empty before it is opened.

    Raises:
        HoldfastError: ``config.invalid`` for what is no address.
    """

    def __init__(self, url: str, now_ms: Callable[[], int], *, vfs: str | None = None) -> None:
        self._address = parse(url)
        self._vfs = vfs
        self._opened: Backend | None = None
        self.where = self._address.where
        self.now_ms = now_ms
        self.id = ""

    @classmethod
    async def open(cls, url: str, now_ms: Callable[[], int], *, vfs: str | None = None) -> Store:
        """A store that is open. Raises as ``Store`` and ``start`` do."""
        store = cls(url, now_ms, vfs=vfs)
        await store.start()
        return store

    async def start(self) -> None:
        """Open the database, with the tables of this version.

        Raises:
            HoldfastError: ``engine.locked``, ``engine.version``, ``engine.corrupt``.
            Unavailable: ``store.unavailable``, ``disk.full``.
        """
        address = self._address
        backend: Backend
        if isinstance(address, FileAddress):
            began = datetime.fromtimestamp(self.now_ms() / 1_000, UTC).isoformat(timespec="seconds")
            note = f"on {socket.gethostname()} since {began}"
            backend = await SqliteBackend.open(address.path, note, self._vfs)
        else:
            backend = await PostgresBackend.open(address.url)
        try:
            self.id = await backend.write(facts.identity)
        except BaseException:
            await backend.close()
            raise
        self._opened = backend

    @property
    def _backend(self) -> Backend:
        if self._opened is None:
            raise Unavailable("store.unavailable", "the store is not open yet")
        return self._opened

    async def write(self, work: Work[T]) -> T:
        """Do work in one transaction; answers its result when that is durable.

        What raises leaves nothing behind, and nothing else is harmed by it. A caller who is cancelled does not undo
        work that waits or runs.

        Raises:
            Unavailable: ``store.busy`` when too much waits; a ``CommitFailed`` says by ``outcome`` whether nothing was
                applied (``store.unavailable``) or that is not known (``commit.unknown``).
        """
        return await self._backend.write(work)

    async def insert(self, table: Table, rows: Rows, *, synced: bool = True) -> None:
        """Insert rows of one table, all or none; rows of several callers go in together.

        Args:
            synced: answered when they survive a loss of power. Otherwise when they survive the end of this process; with
                the next work that is synced they survive a loss of power as well.

        Raises: as ``write`` does.
        """
        await self._backend.insert(table, rows, synced=synced)

    async def read(self, work: Work[T]) -> T:
        """Read one consistent moment; never waits for a writer.

        Raises:
            Unavailable: ``store.unavailable``.
        """
        return await self._backend.read(work)

    def health(self) -> StoreHealth:
        """How it is, for health checks and metrics."""
        return self._backend.health()

    async def close(self) -> None:
        """Finish what was handed in, then close. Idempotent."""
        if self._opened is not None:
            await self._opened.close()
