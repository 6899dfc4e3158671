"""The reference engine: the meaning of every verb in the plainest form, kept in memory, gone with the process.

It serves unit tests and the simulator. ``fail_next`` plants commit failures, so that everything above can be shown to
survive them.
"""

from __future__ import annotations

import builtins
import heapq
import secrets
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from holdfast.engines.feed import FeedSpan, check_name, forgettable
from holdfast.engines.port import (
    Capabilities,
    Consumer,
    FeedPage,
    Head,
    Index,
    Key,
    ListedSession,
    LiveSessions,
    LogAppend,
    Notice,
    Queue,
    SessionPage,
)
from holdfast.engines.rules import (
    LIVE,
    check_consecutive,
    check_cover,
    check_life,
    check_present,
    check_tail,
    ranges,
    search_words,
    searchable,
)
from holdfast.errors import Code, CommitFailed, Refused
from holdfast.protocol import ids, limits
from holdfast.protocol.frames import Frame


class _Session(msgspec.Struct):
    head: Head
    frames: list[Frame] = []
    snapshot: tuple[int, bytes] | None = None
    pages: dict[int, bytes] = {}
    blobs: dict[str, tuple[str, bytes]] = {}
    read: dict[str, int] = {}


def _place(head: Head) -> tuple[int, str]:
    """Where a session stands in lists."""
    return head.active_ms, head.key.session


class _FeedLog:
    """The feed and who reads it under a name."""

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(6)
        self.newest = 0
        self.rows: deque[tuple[int, int, Key, dict[str, Any]]] = deque()  # number, ts_ms, where, what
        self.positions: dict[str, int] = {}

    @property
    def span(self) -> FeedSpan:
        return FeedSpan(self.epoch, self.rows[0][0] if self.rows else self.newest + 1, self.newest)

    def add(self, append: LogAppend) -> None:
        for data in append.notices:
            self.newest += 1
            self.rows.append((self.newest, append.ts_ms, append.key, data))
        last = forgettable(self.newest, limits.FEED_NOTICES, list(self.positions.values()))
        while append.notices and self.rows and self.rows[0][0] <= last:
            self.rows.popleft()

    def unread(self, number: int) -> list[tuple[int, int, Key, dict[str, Any]]]:
        return list(islice(self.rows, max(0, number + 1 - self.span.oldest), None))


class _PlantedFailure(msgspec.Struct):
    outcome: str
    code: Code
    applied: bool


class MemoryEngine:
    """An ``Engine`` whose store is this object: closing and opening it again keeps what was committed."""

    def __init__(self) -> None:
        self.capabilities = Capabilities("memory", "memory", False)
        self._sessions: dict[Key, _Session] = {}
        self._names: dict[str, list[str]] = {}  # of each tenant's sessions, sorted
        self._feed = _FeedLog()
        self._facts: dict[str, bytes] = {}
        self._failures: list[_PlantedFailure] = []
        self._appends = 0
        self.mode = "ok"

    def fail_next(self, outcome: str, code: Code = "commit.unknown", *, applied: bool = False) -> None:
        """Make one of the next appends fail with ``CommitFailed`` (test hook; several queue up).

        Args:
            outcome: ``"not_applied"`` or ``"unknown"``.
            code: the error code, for example ``disk.full``.
            applied: whether an append of unknown outcome was stored all the same.
        """
        self._failures.append(_PlantedFailure(outcome, code, applied))

    def backup(self) -> bytes:
        """A copy as of now, for ``restore``."""
        return msgspec.msgpack.encode([[*key, session] for key, session in self._sessions.items()])

    def restore(self, copy: bytes) -> None:
        """Put a copy back, every session in a new life; whoever uses this object opens it anew."""
        rows = msgspec.msgpack.decode(copy, type=list[tuple[str, str, _Session]])
        self._hold({Key(tenant, name): session for tenant, name, session in rows})
        for session in self._sessions.values():
            life = secrets.token_hex(ids.LATER_LIFE_BYTES)
            session.head = msgspec.structs.replace(session.head, incarnation=life)
        self._feed.epoch = secrets.token_hex(6)

    def _hold(self, sessions: dict[Key, _Session]) -> None:
        """These sessions and no others, found by tenant and name."""
        self._sessions = sessions
        self._names = {}
        for tenant, name in sorted(sessions):
            self._names.setdefault(tenant, []).append(name)

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to release."""

    # --- the log
    async def create(self, key: Key, incarnation: str, now_ms: int, index: Index) -> Head:
        """See ``Engine.create``."""
        session = self._sessions.get(key)
        if session is None or session.head.deleted:
            if session is None:
                insort(self._names.setdefault(key.tenant, []), key.session)
            session = _Session(Head(key, incarnation, 0, now_ms, now_ms, index))
            self._sessions[key] = session
        return session.head

    async def head(self, key: Key) -> Head | None:
        """See ``Engine.head``."""
        session = self._sessions.get(key)
        return session.head if session else None

    async def append(self, append: LogAppend) -> None:
        """See ``Engine.append``."""
        session = self._require_session(append.key, append.incarnation)
        check_tail(append, session.head.tail)
        tail = check_consecutive(append.frames, append.expected + 1) - 1
        failure = self._failures.pop(0) if self._failures else None
        if failure is None or failure.applied:
            index = session.head.index if append.index is None else append.index
            session.head = msgspec.structs.replace(session.head, tail=tail, active_ms=append.ts_ms, index=index)
            session.frames.extend(append.frames)
            self._feed.add(append)
            self._appends += 1
        if failure is not None:
            raise CommitFailed(failure.outcome, failure.code)

    async def read(self, key: Key, after: int, *, max_bytes: int, incarnation: str | None = None) -> list[Frame]:
        """See ``Engine.read``."""
        session = self._sessions.get(key)
        check_life(session.head if session is not None else None, incarnation)
        if session is None:
            return []
        page: list[Frame] = []
        size = 0
        for frame in session.frames[bisect_right(session.frames, after, key=lambda frame: frame.last) :]:
            size += len(frame.payload)
            if page and size > max_bytes:
                break
            page.append(frame)
        return page

    async def compact(self, key: Key, incarnation: str, first: int, last: int, frames: builtins.list[Frame]) -> None:
        """See ``Engine.compact``."""
        session = self._require_session(key, incarnation)
        if check_consecutive(frames, first) != last + 1:
            raise ValueError(f"the new frames do not cover {first}..{last}")
        covered = [n for n, frame in enumerate(session.frames) if first <= frame.first and frame.last <= last]
        check_cover([(session.frames[n].first, session.frames[n].last) for n in covered], first, last)
        session.frames[covered[0] : covered[-1] + 1] = frames

    async def delete(self, key: Key, incarnation: str, now_ms: int, index: Index) -> None:
        """See ``Engine.delete``."""
        session = self._sessions.get(key)
        if session is not None and session.head.deleted:
            return
        head = self._require_session(key, incarnation).head
        tombstone = Head(key, incarnation, head.tail, head.created_ms, now_ms, index, deleted=True)
        self._sessions[key] = _Session(tombstone)

    async def wait_until_erased(self, key: Key, incarnation: str) -> None:
        """See ``Engine.wait_until_erased``."""

    # --- derived
    async def put_snapshot(self, key: Key, incarnation: str, seq: int, data: bytes, pages: dict[int, bytes]) -> None:
        """See ``Engine.put_snapshot``."""
        session = self._require_session(key, incarnation)
        if session.snapshot is None or session.snapshot[0] <= seq:
            session.snapshot = (seq, data)
        session.pages.update(pages)

    async def get_snapshot(self, key: Key) -> tuple[int, bytes] | None:
        """See ``Engine.get_snapshot``."""
        session = self._sessions.get(key)
        return session.snapshot if session else None

    async def get_page(self, key: Key, incarnation: str, page: int) -> bytes | None:
        """See ``Engine.get_page``."""
        session = self._session_of_life(key, incarnation)
        return session.pages.get(page) if session else None

    # --- finding sessions
    async def list(
        self,
        tenant: str,
        *,
        user: str | None = None,
        names: Sequence[str] | None = None,
        search: str = "",
        before: tuple[int, str] | None = None,
        limit: int,
    ) -> SessionPage:
        """See ``Engine.list``; it looks at everything that the names leave, but not at more."""
        words = search_words(search)
        rows = [
            ListedSession(s.head, s.read.get(user, 0) if user is not None else 0)
            for s in self._sessions_named(tenant, names)
            if not s.head.deleted
            and (user is None or user in s.head.index.participants)
            and (before is None or _place(s.head) < before)
            and (not words or all(word in searchable(s.head.index) for word in words))
        ]
        page = heapq.nlargest(limit, rows, key=lambda row: _place(row.head))
        return SessionPage(page, _place(page[-1].head) if len(page) == limit else None)

    def _sessions_named(self, tenant: str, names: Sequence[str] | None) -> Iterator[_Session]:
        """The sessions of a tenant with these names."""
        all_names = self._names.get(tenant, [])
        if names is None:
            matching: Iterable[str] = all_names
        else:
            spans = [(bisect_left(all_names, first), bisect_left(all_names, beyond)) for first, beyond in ranges(names)]
            matching = {name for begin, end in spans for name in all_names[begin:end]}
        return (self._sessions[Key(tenant, name)] for name in matching)

    async def due(self, now_ms: int, limit: int) -> Sequence[Key]:
        """See ``Engine.due``."""
        keys = [
            (s.head.index.due_ms, key)
            for key, s in self._sessions.items()
            if s.head.index.due_ms is not None and s.head.index.due_ms <= now_ms
        ]
        return [key for _, key in sorted(keys)][:limit]

    async def queued(
        self, tenant: str, agent: str, *, names: Sequence[str] | None = None, after: int | None = None
    ) -> Queue:
        """See ``Engine.queued``; the first batch holds all."""
        heads = [s.head for s in self._sessions_named(tenant, names) if agent in s.head.index.queued]
        return Queue([head.key for head in sorted(heads, key=_place)])

    async def live(self, tenant: str, *, after: str = "") -> LiveSessions:
        """See ``Engine.live``; the first batch holds all."""
        heads = [
            s.head for s in self._sessions_named(tenant, None) if not s.head.deleted and s.head.key.session > after
        ]
        return LiveSessions([head for head in heads if any(name in head.index.card for name in LIVE)])

    async def mark_read(self, key: Key, incarnation: str, user: str, seq: int) -> None:
        """See ``Engine.mark_read``."""
        session = self._session_of_life(key, incarnation)
        if session is not None:
            session.read[user] = max(seq, session.read.get(user, 0))

    # --- the feed
    async def feed(self, after: str, limit: int) -> FeedPage:
        """See ``Engine.feed``."""
        span = self._feed.span
        begin, gap = span.start(after)
        rows = self._feed.unread(begin)[:limit]
        end = rows[-1][0] if rows else begin
        return FeedPage([Notice(span.position(n), key, data) for n, _, key, data in rows], span.position(end), gap)

    async def feed_end(self) -> str:
        """See ``Engine.feed_end``."""
        return self._feed.span.position(self._feed.newest)

    async def consumers(self) -> Sequence[Consumer]:
        """See ``Engine.consumers``."""
        found = []
        for name, number in sorted(self._feed.positions.items()):
            rows = self._feed.unread(number)
            oldest_ms = rows[0][1] if rows else None
            found.append(Consumer(name, self._feed.span.position(number), len(rows), oldest_ms))
        return found

    async def advance(self, name: str, position: str) -> None:
        """See ``Engine.advance``."""
        number, _ = self._feed.span.start(position)
        self._feed.positions[check_name(name)] = max(number, self._feed.positions.get(name, 0))

    async def release(self, name: str) -> bool:
        """See ``Engine.release``."""
        return self._feed.positions.pop(name, None) is not None

    # --- facts and blobs
    async def get_fact(self, name: str) -> bytes | None:
        """See ``Engine.get_fact``."""
        return self._facts.get(name)

    async def put_fact(self, name: str, data: bytes | None) -> None:
        """See ``Engine.put_fact``."""
        if data is None:
            self._facts.pop(name, None)
        else:
            self._facts[name] = data

    async def facts(self, prefix: str) -> dict[str, bytes]:
        """See ``Engine.facts``."""
        return {name: data for name, data in sorted(self._facts.items()) if name.startswith(prefix)}

    async def put_blob(self, key: Key, incarnation: str, blob: str, media_type: str, data: bytes) -> None:
        """See ``Engine.put_blob``."""
        session = self._require_session(key, incarnation)
        if session.blobs.setdefault(blob, (media_type, data)) != (media_type, data):
            raise Refused("content.exists", f"blob {blob!r} exists with other content")

    async def get_blob(self, key: Key, incarnation: str, blob: str) -> tuple[str, bytes] | None:
        """See ``Engine.get_blob``."""
        session = self._session_of_life(key, incarnation)
        return session.blobs.get(blob) if session else None

    async def blob_size(self, key: Key, incarnation: str, blob: str) -> int | None:
        """See ``Engine.blob_size``."""
        blob_ = await self.get_blob(key, incarnation, blob)
        return len(blob_[1]) if blob_ else None

    def health(self) -> dict[str, Any]:
        """See ``Engine.health``."""
        return {"mode": self.mode, "sessions": len(self._sessions), "appends": self._appends}

    def _session_of_life(self, key: Key, incarnation: str) -> _Session | None:
        session = self._sessions.get(key)
        return session if session is not None and session.head.incarnation == incarnation else None

    def _require_session(self, key: Key, incarnation: str | None = None) -> _Session:
        session = self._sessions.get(key)
        if session is None:
            raise Refused("session.not_found", f"no session {key.session!r}")
        check_present(key, session.head.incarnation, session.head.deleted, incarnation)
        return session
