"""A SQLite file of the store: how its connections are opened, and SQLAlchemy on top of them."""

from __future__ import annotations

import os
from typing import Final

import apsw
from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from holdfast.engines.sqlite.schema import check_library
from holdfast.errors import CHECK_THE_PATH, HoldfastError, Unavailable
from holdfast.governance import limits
from holdfast.governance.store import apsw_dbapi
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
        """A connection of SQLAlchemy, with a transaction of SQLAlchemy's that begins nothing in SQLite: whoever owns the
        connection says ``BEGIN`` and ``COMMIT`` to what ``raw`` gives.

        Raises:
            HoldfastError: ``config.invalid``, ``engine.corrupt``, ``engine.version``.
            Unavailable: ``disk.full``, ``store.unavailable``.
        """
        try:
            opened = self._open(write)
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise HoldfastError("engine.corrupt", f"{self.path}: {error}") from error
        except apsw.CantOpenError as error:
            raise HoldfastError("config.invalid", f"cannot open {self.path}: {error}", fix=CHECK_THE_PATH) from error
        except apsw.FullError as error:
            raise Unavailable("disk.full", f"cannot open {self.path}: {error}") from error
        except apsw.Error as error:
            raise Unavailable("store.unavailable", f"cannot open {self.path}: {error}") from error
        engine = _engine(opened)
        connection = engine.connect()
        connection.begin()
        return connection

    def _open(self, write: bool) -> apsw_dbapi.ApswConnection:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if write else apsw.SQLITE_OPEN_READONLY
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
        return apsw_dbapi.ApswConnection(connection)

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
        if empty:
            connection.pragma("application_id", APPLICATION_ID)


def raw(connection: Connection) -> apsw.Connection:
    """APSW's connection beneath one of SQLAlchemy."""
    face = connection.connection.dbapi_connection
    assert isinstance(face, apsw_dbapi.ApswConnection)
    return face.raw


def close(connection: Connection) -> None:
    """Close both; what was not committed is undone. Never fails: what the disk refuses is seen by whoever opens next."""
    database = raw(connection)
    try:
        connection.close()
    except DBAPIError as error:
        log.warning("a connection to the store could not end what it had begun: %s", error.orig)
    database.close(True)


def _engine(opened: apsw_dbapi.ApswConnection) -> Engine:
    return create_engine(
        "sqlite://", module=apsw_dbapi, creator=lambda: opened, poolclass=NullPool, hide_parameters=True
    )
