"""The writing verbs, each as what it does inside a group's transaction."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from holdfast.engines.port import Head, Index, Key, LogAppend
from holdfast.engines.rules import check_cover, check_tail
from holdfast.engines.sqlite import schema, statements
from holdfast.engines.sqlite.rows import frame_row
from holdfast.engines.sqlite.transaction import Transaction
from holdfast.errors import Refused
from holdfast.protocol.frames import Frame

T = TypeVar("T")

ERASE_BYTES: Final = 1 << 20
ERASE_ROWS: Final = 128
"""What one transaction erases, so that erasing delays nobody; a single row may be larger."""

GIVE_BACK_PAGES: Final = 256
"""Pages that one transaction gives back to the disk."""


class Write(msgspec.Struct, Generic[T]):
    """One write on its way to the writer.

    Attributes:
        apply: does it; raises ``HoldfastError`` before it changed anything, to refuse this write alone.
        done: gets the result or the error, from the writer's thread's ``deliver``.
        size_bytes: what it adds to its group.
        essential: admitted when the disk is full.
    """

    apply: Callable[[Transaction], T]
    done: Any
    size_bytes: int = 0
    essential: bool = False


def create(tx: Transaction, key: Key, incarnation: str, now_ms: int, index: Index) -> Head:
    """Create, or return what is there."""
    existing = tx.find(key)
    if existing is not None and not existing.head.deleted:
        return existing.head
    if existing is not None:
        tx.delete_session(existing)
    return tx.insert_session(Head(key, incarnation, 0, now_ms, now_ms, index)).head


def append(tx: Transaction, log_append: LogAppend, notices: list[bytes]) -> None:
    """Check, then add frames, head, index and notices."""
    session = tx.require(log_append.key, log_append.incarnation)
    check_tail(log_append, session.head.tail)
    tail = log_append.frames[-1].last if log_append.frames else log_append.expected
    tx.advance(session, tail, log_append.ts_ms, [frame_row(session.id, frame) for frame in log_append.frames])
    if notices:
        tx.notify(log_append.key, log_append.ts_ms, notices)
    if log_append.index is not None and log_append.index != session.head.index:
        tx.update_index(log_append.key, log_append.index)


def compact(tx: Transaction, key: Key, incarnation: str, first: int, last: int, frames: list[Frame]) -> None:
    """Swap frames for others that cover the same span."""
    session = tx.require(key, incarnation)
    tx.flush()
    covered: list[Any] = tx.connection.execute(statements.COVERED, (session.id, first, last, last)).fetchall()
    check_cover(covered, first, last)
    tx.connection.execute(statements.DELETE_COVERED, (session.id, first, last))
    tx.advance(session, session.head.tail, session.head.active_ms, [frame_row(session.id, frame) for frame in frames])


def delete(tx: Transaction, key: Key, incarnation: str, now_ms: int, index: Index) -> int | None:
    """Leave a tombstone; answers the id whose content is now to be erased, None when it was deleted before."""
    existing = tx.find(key)
    if existing is not None and existing.head.deleted:
        return None
    session = tx.require(key, incarnation)
    old = session.head
    tx.delete_session(session)
    tx.insert_session(Head(key, incarnation, old.tail, old.created_ms, now_ms, index, deleted=True))
    tx.connection.execute(statements.START_ERASING, (session.id,))
    return session.id


def erase(tx: Transaction, session: int) -> bool:
    """Erase a piece of a deleted life; True while there is more."""
    tx.flush()
    size = 0
    for sizes, erase_row in statements.ERASE:
        rows: Any = tx.connection.execute(sizes, (session, ERASE_ROWS)).fetchall()
        for row, bytes_ in rows:
            if size and size + bytes_ > ERASE_BYTES:
                return True
            tx.connection.execute(erase_row, (row,))
            size += bytes_
        if len(rows) == ERASE_ROWS:
            return True
    for statement in (statements.ERASE_SNAPSHOT, statements.ERASE_READ_MARKS):
        tx.connection.execute(statement, (session,))
    return False


def give_back(tx: Transaction) -> bool:
    """Give a piece of the free pages back to the disk; True while there is more.

    A database of version 0.1 keeps its free pages and uses them again: only a new file can be set up otherwise.
    """
    if not schema.gives_back(tx.connection):
        return False
    tx.flush()
    tx.connection.execute(f"PRAGMA incremental_vacuum({GIVE_BACK_PAGES})").fetchall()
    return bool(tx.connection.pragma("freelist_count"))


def end_erasing(tx: Transaction, session: int) -> bool:
    """Nothing is left of a deleted life."""
    tx.connection.execute(statements.END_ERASING, (session,))
    return False


def put_snapshot(tx: Transaction, key: Key, incarnation: str, seq: int, data: bytes, pages: dict[int, bytes]) -> None:
    """Keep a snapshot and pages."""
    session = tx.require(key, incarnation)
    tx.connection.execute(statements.PUT_SNAPSHOT, (session.id, seq, zlib.crc32(data), data))
    for number, page in pages.items():
        tx.connection.execute(statements.PUT_PAGE, (session.id, number, zlib.crc32(page), page))


def mark_read(tx: Transaction, key: Key, incarnation: str, user: str, seq: int) -> None:
    """Move a read mark; a life that is over has none."""
    session = tx.find(key)
    if session is not None and not session.head.deleted and session.head.incarnation == incarnation:
        tx.connection.execute(statements.MARK_READ, (session.id, user, seq))


def put_fact(tx: Transaction, name: str, data: bytes | None) -> None:
    """Set or remove a fact."""
    if data is None:
        tx.connection.execute(statements.DELETE_FACT, (name,))
    else:
        tx.connection.execute(statements.PUT_FACT, (name, data))


def put_blob(tx: Transaction, key: Key, incarnation: str, name: str, media_type: str, data: bytes) -> None:
    """Store a blob, once."""
    session = tx.require(key, incarnation)
    existing = tx.connection.execute(statements.GET_BLOB, (session.id, name)).fetchone()
    if existing is None:
        tx.connection.execute(statements.INSERT_BLOB, (session.id, name, media_type, zlib.crc32(data), data))
    elif (existing[0], existing[2]) != (media_type, data):
        raise Refused("content.exists", f"blob {name!r} exists with other content")
