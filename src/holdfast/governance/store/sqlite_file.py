"""A SQLite file of the store: how its connections are opened, and SQLAlchemy on top of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

import apsw
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from holdfast.engines.sqlite.schema import check_library
from holdfast.errors import CHECK_THE_PATH, HoldfastError, Unavailable
from holdfast.governance import limits
from holdfast.governance.store import apsw_dbapi, schema
from holdfast.visible import logger

log = logger(__name__)

APPLICATION_ID: Final = 0x486F6C67
"""``Holg`` in ASCII: marks the file as a store, as ``Hold`` marks a session log
(https://www.sqlite.org/pragma.html#pragma_application_id)."""


class SqliteFile:
    """One file, of which connections are opened.

    Args:
        path: the database, or a link to it.
        vfs: name of a registered SQLite VFS (tests of failing disks), or None for the system's.
    """

    def __init__(self, path: str, vfs: str | None = None) -> None:
        check_library()
        self.path = os.path.realpath(path)
        self._vfs = vfs

    def connect(self, *, write: bool) -> Connection:
        """A connection of SQLAlchemy. Whoever owns it says ``BEGIN`` and ``COMMIT`` to what ``raw`` gives; whoever works
        with it can say neither.

        Raises:
            HoldfastError: ``config.invalid``, ``engine.corrupt``, ``engine.version``.
            Unavailable: ``disk.full``, ``store.unavailable``.
        """
        opened = apsw_dbapi.ApswConnection(self.connect_raw(write=write))
        engine = create_engine(
            "sqlite://", module=apsw_dbapi, creator=lambda: opened, poolclass=NullPool, hide_parameters=True
        )
        connection = engine.connect()
        connection.begin()  # begins nothing in SQLite
        opened.lent = True
        return connection

    def connect_raw(self, *, write: bool) -> apsw.Connection:
        """APSW's connection alone. Raises what ``connect`` does."""
        try:
            return self._open(write)
        except apsw.Error as error:
            raise self.explain(error, "open") from error

    def explain(self, error: apsw.Error, doing: str) -> HoldfastError:
        """What an error of SQLite means to whoever wanted to do that to the file."""
        detail = f"cannot {doing} {self.path}: {error}"
        if isinstance(error, (apsw.NotADBError, apsw.CorruptError)):
            return HoldfastError("engine.corrupt", detail, fix="Restore a backup.")
        if isinstance(error, apsw.CantOpenError):
            return HoldfastError("config.invalid", detail, fix=CHECK_THE_PATH)
        return Unavailable("disk.full" if isinstance(error, apsw.FullError) else "store.unavailable", detail)

    def _open(self, write: bool) -> apsw.Connection:
        # the file itself is made by the lock that its owner takes: one that is lost must not be begun anew
        flags = apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY
        connection = apsw.Connection(self.path, flags=flags, vfs=self._vfs)
        try:
            connection.set_busy_timeout(limits.STORE_BUSY_MS)
            connection.pragma("temp_store", "memory")  # a full disk must not stop a sort
            connection.pragma("foreign_keys", True)
            connection.wal_autocheckpoint(0)  # not in the middle of somebody's commit
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            if write:
                self._set_up(connection)
            else:
                connection.pragma("query_only", True)
        except BaseException:
            connection.close(True)
            raise
        return connection

    def _set_up(self, connection: apsw.Connection) -> None:
        owner = connection.pragma("application_id")
        empty = owner == 0 and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        if owner != APPLICATION_ID and not empty:  # before anything is written: another program's file stays as it is
            raise HoldfastError(
                "engine.version",
                f"{self.path} is no store of the governance half but another SQLite database",
                fix="Name another file: the store stands beside the session log, not in it.",
            )
        mode = connection.pragma("journal_mode", "wal")
        if mode != "wal":
            raise HoldfastError("engine.version", f"{self.path}: this file system cannot hold a write-ahead log")
        connection.pragma("synchronous", "full")
        connection.pragma("journal_size_limit", limits.STORE_LOG_BYTES)
        if empty:
            connection.pragma("application_id", APPLICATION_ID)


def raw(connection: Connection) -> apsw.Connection:
    """APSW's connection beneath one of SQLAlchemy."""
    return _face(connection).raw


@contextlib.contextmanager
def transaction(database: apsw.Connection) -> Iterator[None]:
    """A transaction of the owner's own, undone when something is raised in it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def upgrade(connection: Connection) -> None:
    """Bring the tables to this version, all or nothing.

    Raises:
        HoldfastError: ``engine.version``, ``engine.corrupt``.
    """
    database = raw(connection)
    database.pragma("foreign_keys", False)  # a step may make a table anew that others point to
    with transaction(database):
        schema.prepare(connection)
        if broken := database.execute("PRAGMA foreign_key_check").fetchall():
            raise HoldfastError("engine.corrupt", f"{len(broken)} rows of the store point to rows that are not there")
    database.pragma("foreign_keys", True)


def make_durable(database: apsw.Connection) -> None:
    """Bring to the disk what a killed process may have left unsynced in the log; prove that syncing works, and mark the
    file as open: what is committed from now on stands in the log first.

    Raises:
        apsw.Error: it does not work.
    """
    try:
        database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except (apsw.BusyError, apsw.FullError):
        pass  # a reader, or no room: the commit below syncs the log as a whole
    database.pragma("user_version", (database.pragma("user_version") + 1) | 1)
    try:
        database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)  # the mark must stand in the file itself
    except (apsw.BusyError, apsw.FullError):
        pass  # then a log that is lost is not noticed


def mark_closed(database: apsw.Connection) -> None:
    """Nothing is written any more: from the next checkpoint on the file is complete in itself."""
    database.pragma("user_version", (database.pragma("user_version") + 1) & ~1)


def is_marked_open(database: apsw.Connection) -> bool:
    """Whether an owner has, or had at its end, the file open: without the log beside it, it may not be complete."""
    return bool(database.pragma("user_version") & 1)


def mend(connection: Connection) -> None:
    """After work that tried to end the transaction: SQLAlchemy takes it for ended, or broken, and SQLite's goes on."""
    transaction = connection.get_transaction()
    if transaction is None or not transaction.is_active:
        face = _face(connection)
        face.deaf = True
        connection.rollback()
        connection.begin()
        face.deaf = False


def close(connection: Connection) -> None:
    """Close both; what was not committed is undone. Never fails: what the disk refuses is seen by whoever opens next."""
    face = _face(connection)
    face.lent = False
    try:
        connection.close()
    except DBAPIError as error:
        log.warning("a connection to the store could not end what it had begun: %s", error.orig)
    face.close()


def _face(connection: Connection) -> apsw_dbapi.ApswConnection:
    face = connection.connection.dbapi_connection
    assert isinstance(face, apsw_dbapi.ApswConnection)
    return face
