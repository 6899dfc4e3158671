"""Reading: a few threads, each query a short transaction on one of as many connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw

from holdfast.engines.port import Head, Key
from holdfast.engines.rules import check_life
from holdfast.engines.sqlite import statements
from holdfast.engines.sqlite.rows import StoredSession, decode_session, frame_from_row, verify_checksum
from holdfast.errors import HoldfastError, Unavailable
from holdfast.protocol.frames import Frame

P = ParamSpec("P")
T = TypeVar("T")


class ReaderPool:
    """A pool of reading connections, closed as a whole."""

    def __init__(self, connections: Sequence[apsw.Connection], path: str) -> None:
        self._path = path
        self._connections = connections
        self._free: SimpleQueue[apsw.Connection] = SimpleQueue()
        for connection in connections:
            self._free.put(connection)
        self._threads = ThreadPoolExecutor(len(connections), thread_name_prefix="holdfast-read")

    async def run(self, query: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query of this module in a thread.

        Raises:
            HoldfastError: ``engine.corrupt``; Unavailable: ``disk.failed`` when the disk does not answer.
        """
        try:
            job = self._threads.submit(self._run, lambda connection: query(connection, *args, **kwargs))
        except RuntimeError:
            raise Unavailable("disk.failed", "the storage is being reopened") from None
        return await asyncio.wrap_future(job)

    def _run(self, query: Callable[[apsw.Connection], T]) -> T:
        connection = self._free.get()
        try:
            return query(connection)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise HoldfastError("engine.corrupt", f"{self._path}: {error}") from error
        except apsw.Error as error:
            raise Unavailable("disk.failed", f"cannot read {self._path}: {error}") from error
        finally:
            self._free.put(connection)

    def close(self) -> None:
        """Finish the queries under way and close the connections."""
        self._threads.shutdown(wait=True)
        for connection in self._connections:
            connection.close(True)


def head(connection: apsw.Connection, key: Key) -> Head | None:
    """The head of a session."""
    session = _row(connection, key)
    return session.head if session is not None else None


def keys(connection: apsw.Connection) -> list[Key]:
    """Every session, also deleted ones."""
    return [Key(*row) for row in connection.execute(statements.KEYS)]


def _row(connection: apsw.Connection, key: Key) -> StoredSession | None:
    """The session's present life. What hangs on its id is of that life and no other, whatever happens meanwhile."""
    row = connection.execute(statements.HEAD, key).fetchone()
    return decode_session(row) if row else None


def _row_id_of_life(connection: apsw.Connection, key: Key, incarnation: str) -> int | None:
    """The id of a life, unless it is over."""
    session = _row(connection, key)
    return session.id if session is not None and session.head.incarnation == incarnation else None


def read(
    connection: apsw.Connection, key: Key, after: int, max_bytes: int, incarnation: str | None = None
) -> list[Frame]:
    """One page of frames."""
    session = _row(connection, key)
    check_life(session.head if session is not None else None, incarnation)
    if session is None:
        return []
    page: list[Frame] = []
    size = 0
    where = f"session {key.session!r}"
    cursor = connection.execute(statements.READ, (session.id, after))
    for row in cursor:
        size += len(row[5])
        if page and size > max_bytes:
            cursor.close(True)
            break
        page.append(frame_from_row(row, where))
    return page


def get_snapshot(connection: apsw.Connection, key: Key) -> tuple[int, bytes] | None:
    """The newest snapshot."""
    session = _row(connection, key)
    row = connection.execute(statements.GET_SNAPSHOT, (session.id,)).fetchone() if session is not None else None
    return (row[0], verify_checksum(row[1], row[2], f"snapshot of session {key.session!r}")) if row else None


def get_page(connection: apsw.Connection, key: Key, incarnation: str, page: int) -> bytes | None:
    """One page of history."""
    row = connection.execute(statements.GET_PAGE, (_row_id_of_life(connection, key, incarnation), page)).fetchone()
    return verify_checksum(row[0], row[1], f"page {page} of session {key.session!r}") if row else None


def get_blob(connection: apsw.Connection, key: Key, incarnation: str, blob: str) -> tuple[str, bytes] | None:
    """A blob."""
    row = connection.execute(statements.GET_BLOB, (_row_id_of_life(connection, key, incarnation), blob)).fetchone()
    return (row[0], verify_checksum(row[1], row[2], f"blob {blob!r} of session {key.session!r}")) if row else None


def blob_size(connection: apsw.Connection, key: Key, incarnation: str, blob: str) -> int | None:
    """How long a blob is; its content is not read."""
    row = connection.execute(statements.BLOB_SIZE, (_row_id_of_life(connection, key, incarnation), blob)).fetchone()
    return row[0] if row else None


def due(connection: apsw.Connection, now_ms: int, limit: int) -> list[Key]:
    """Sessions that need attention."""
    return [Key(*row) for row in connection.execute(statements.DUE, (now_ms, limit))]


def get_fact(connection: apsw.Connection, name: str) -> bytes | None:
    """A fact."""
    row = connection.execute(statements.GET_FACT, (name,)).fetchone()
    return row[0] if row else None


def facts(connection: apsw.Connection, prefix: str) -> dict[str, bytes]:
    """Facts by prefix."""
    rows: list[Any] = connection.execute(statements.FACTS, (prefix,)).fetchall()
    return dict(rows)


def erasing(connection: apsw.Connection) -> list[int]:
    """Lives whose erasure was interrupted."""
    return [row[0] for row in connection.execute(statements.ERASING)]
