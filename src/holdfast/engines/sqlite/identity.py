"""Which life of a log a file holds, and what is noted in it, for programs that work on files no server has open."""

from __future__ import annotations

import apsw

from holdfast.engines.sqlite import schema
from holdfast.engines.sqlite.lock import FileLock
from holdfast.engines.sqlite.store import connect
from holdfast.errors import CHECK_THE_PATH, HoldfastError


def read(path: str, fact: str) -> tuple[str, bytes | None]:
    """The epoch of the feed, and a fact by its name, or None.

    Raises:
        HoldfastError: ``engine.version``, ``engine.corrupt``, ``config.invalid``.
    """
    try:
        connection = connect(path, vfs=None, write=False)
        try:
            schema.check_format(connection)
            epoch = str(connection.execute("SELECT epoch FROM feed").get)
            data = connection.execute("SELECT data FROM fact WHERE name = ?", (fact,)).get
            return epoch, data
        finally:
            connection.close(True)
    except apsw.CantOpenError as error:
        raise HoldfastError("config.invalid", f"cannot open {path}: {error}", fix=CHECK_THE_PATH) from error
    except apsw.Error as error:
        raise HoldfastError("engine.corrupt", f"{path}: {error}") from error


def note(path: str, fact: str, data: bytes) -> None:
    """Set a fact in a file that nobody has open.

    Raises:
        HoldfastError: ``engine.locked``, ``engine.version``, ``engine.corrupt``.
    """
    lock = FileLock(path)
    lock.acquire(create=False)
    try:
        connection = connect(path, vfs=None, write=True)
        try:
            schema.check_format(connection)
            connection.execute("INSERT OR REPLACE INTO fact (name, data) VALUES (?, ?)", (fact, data))
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            connection.close(True)
    except apsw.Error as error:
        raise HoldfastError("engine.corrupt", f"{path}: {error}") from error
    finally:
        lock.release()
