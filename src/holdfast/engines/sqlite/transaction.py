"""One group commit: the writes of many sessions gathered into few statements.

A write is checked against heads the writer remembers (there is one writer, so they are true) before anything is
inserted for it; a refused one leaves nothing behind and the others of its group go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw
from msgspec.structs import replace

from holdfast.engines.feed import forgettable
from holdfast.engines.port import Head, Index, Key
from holdfast.engines.rules import check_present, searchable
from holdfast.engines.sqlite import statements
from holdfast.engines.sqlite.rows import StoredSession, decode_session, encode_json
from holdfast.errors import Refused
from holdfast.protocol import limits

CACHED_SESSIONS = 10_000

FORGET_ROWS = 1_000
"""Notices that one transaction forgets, so that it delays nobody after a consumer was released."""


class Transaction:
    """What the writes of one group see and do between ``BEGIN`` and ``COMMIT``.

    Args:
        connection: the writing connection, inside a transaction.
        cached: heads as of the last commit; brought up to date by ``committed`` and left alone by a rollback.
    """

    def __init__(self, connection: apsw.Connection, cached: dict[Key, StoredSession]) -> None:
        self.connection = connection
        self._cached = cached
        self._changed: dict[Key, StoredSession] = {}
        self._advanced: dict[int, Head] = {}
        self._frames: list[tuple[Any, ...]] = []
        self._notices: list[tuple[Any, ...]] = []

    def find(self, key: Key) -> StoredSession | None:
        """The session as this transaction sees it."""
        session = self._changed.get(key) or self._cached.get(key)
        if session is None:
            row = self.connection.execute(statements.HEAD, key).fetchone()
            if row is not None:
                session = self._cached[key] = decode_session(row)
        return session

    def require(self, key: Key, incarnation: str | None = None) -> StoredSession:
        """The session, or the refusal of ``check_present``."""
        session = self.find(key)
        if session is None:
            raise Refused("session.not_found", f"no session {key.session!r}")
        check_present(key, session.head.incarnation, session.head.deleted, incarnation)
        return session

    # --- gathered: written by flush
    def advance(self, session: StoredSession, tail: int, active_ms: int, rows: list[tuple[Any, ...]]) -> None:
        """Move a head, adding frames."""
        head = replace(session.head, tail=tail, active_ms=active_ms)
        self._changed[head.key] = StoredSession(session.id, head)
        self._advanced[session.id] = head
        self._frames += rows

    def notify(self, key: Key, ts_ms: int, notices: list[bytes]) -> None:
        """Add to the feed."""
        self._notices += [(*key, data, ts_ms) for data in notices]

    # --- at once
    def insert_session(self, head: Head) -> StoredSession:
        """A new row, with a new id."""
        self.flush()
        rows: Any = self.connection.execute(
            statements.INSERT_SESSION,
            (
                *head.key,
                head.incarnation,
                head.tail,
                head.created_ms,
                head.active_ms,
                head.deleted,
                head.index.due_ms,
                searchable(head.index),
                encode_json(head.index),
            ),
        )
        session = StoredSession(next(rows)[0], head)
        self._changed[head.key] = session
        self._index_differences(session, Index(), head.index)
        return session

    def delete_session(self, session: StoredSession) -> None:
        """Drop the row and the copies of its index; frames and the rest stay for the eraser."""
        self.flush()
        self._index_differences(session, session.head.index, Index())
        self.connection.execute(statements.DELETE_SESSION, (session.id,))

    def update_index(self, key: Key, index: Index) -> None:
        """Replace a session's index and its copies."""
        session = self.find(key)
        assert session is not None, "the caller has just found it"
        self.connection.execute(
            statements.UPDATE_INDEX, (index.due_ms, searchable(index), encode_json(index), session.id)
        )
        self._index_differences(session, session.head.index, index)
        head = replace(session.head, index=index)
        self._changed[key] = StoredSession(session.id, head)
        if session.id in self._advanced:
            self._advanced[session.id] = head

    def _index_differences(self, session: StoredSession, old: Index, new: Index) -> None:
        tenant = session.head.key.tenant
        for before, after, insert, delete in (
            (old.participants, new.participants, statements.INSERT_PARTICIPANT, statements.DELETE_PARTICIPANT),
            (old.queued, new.queued, statements.INSERT_QUEUED, statements.DELETE_QUEUED),
        ):
            if before != after:
                for name in set(before) - set(after):
                    self.connection.execute(delete, (tenant, name, session.id))
                for name in set(after) - set(before):
                    self.connection.execute(insert, (tenant, name, session.id))

    def flush(self) -> None:
        """Write what was gathered."""
        self._insert(statements.insert_frames, self._frames)
        self._insert(
            statements.update_heads, [(id_, head.tail, head.active_ms) for id_, head in self._advanced.items()]
        )
        if self._notices:
            self._insert(statements.insert_notices, self._notices)
            self._forget_notices(self.connection.last_insert_rowid(), len(self._notices))
        self._frames, self._advanced, self._notices = [], {}, []

    def _forget_notices(self, newest: int, added: int) -> None:
        """Forget what need not be kept, a piece at a time: more than was added, so that it comes to an end."""
        positions = [row[0] for row in self.connection.execute(statements.POSITIONS)]
        last = forgettable(newest, limits.FEED_NOTICES, positions)
        if last > 0:
            self.connection.execute(statements.FORGET_NOTICES, (last, max(FORGET_ROWS, 2 * added)))

    def _insert(self, statement: Callable[[int], str], rows: list[tuple[Any, ...]]) -> None:
        at = 0
        for size in statements.MULTI_ROWS:
            while len(rows) - at >= size:
                self.connection.execute(statement(size), [value for row in rows[at : at + size] for value in row])
                at += size

    def update_cache(self) -> None:
        """The commit succeeded: what changed is what is known from now on."""
        for key, session in self._changed.items():
            self._cached.pop(key, None)  # to the end: least recently written go first
            self._cached[key] = session
        while len(self._cached) > CACHED_SESSIONS:
            del self._cached[next(iter(self._cached))]
