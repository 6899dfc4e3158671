"""The engine port: what a place that keeps logs must do. Engines store and tail frames; they know no runs.

Every method may be awaited concurrently. ``append`` is atomic and durable when it returns (LOG-2, LOG-3). An engine
raises ``CommitFailed("not_applied" | "unknown")`` when a commit failed; after an unknown one it reopens and syncs its
recovered tail before it serves anything again (LOG-4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from holdfast.protocol.frames import Frame


class Key(NamedTuple):
    """A session's full name. The tenant comes from a token, never from a request."""

    tenant: str
    session: str


class Index(msgspec.Struct, frozen=True):
    """What the hub wants found again without reading logs; written with each append that changes it.

    It is derived: everything here can be rebuilt from the session's events.

    Attributes:
        due_ms: earliest wall time (Unix ms) at which the session needs attention, or None.
        queued: agents with a run waiting for a worker, and those among them for whose run a person waits, marked.
        participants: user ids whose list shows the session.
        title: shown in lists.
        card: small JSON object for lists: state of the newest run, what waits for a person, last words.
    """

    due_ms: int | None = None
    queued: tuple[str, ...] = ()
    participants: tuple[str, ...] = ()
    title: str = ""
    card: dict[str, Any] = {}


class Head(msgspec.Struct, frozen=True):
    """A session as an engine knows it. ``tail`` is 0 for a session without events; times are Unix ms."""

    key: Key
    incarnation: str
    tail: int
    created_ms: int
    active_ms: int
    index: Index
    deleted: bool = False


class LogAppend(msgspec.Struct):
    """One atomic append: everything in it becomes durable together, or nothing does.

    Attributes:
        key, incarnation, expected: the append applies only to this incarnation with its tail at ``expected``.
        frames: consecutive from ``expected + 1``.
        ts_ms: becomes ``active_ms``.
        index: the new index, or None when unchanged.
        notices: notable happenings for the feed (JSON objects), such as a run's end.
        essential: admitted from the reserve when the disk is full (control and run ends only).
    """

    key: Key
    incarnation: str
    expected: int
    frames: list[Frame]
    ts_ms: int
    index: Index | None = None
    notices: list[dict[str, Any]] = []
    essential: bool = False


class Notice(NamedTuple):
    """An entry of the feed. ``position`` is its place, a string that only the engine reads."""

    position: str
    key: Key
    data: dict[str, Any]


class FeedPage(NamedTuple):
    """A page of the feed.

    Attributes:
        notices: in commit order; none when there is no more.
        position: where the next page begins.
        gap: what came right after the position asked for is not there any more, or the position is of another feed (a
            backup was put back, say): ``notices`` begin with the oldest there are, and whoever reads has missed some.
    """

    notices: Sequence[Notice]
    position: str
    gap: bool


class Consumer(NamedTuple):
    """Somebody who reads the feed under a name; what they have not read is kept for them.

    Attributes:
        name: theirs alone.
        position: as they last advanced to it.
        unread: how many notices stand beyond it.
        oldest_ms: when the first of these was appended (``LogAppend.ts_ms``, Unix ms); None when there is none.
    """

    name: str
    position: str
    unread: int
    oldest_ms: int | None


class ListedSession(NamedTuple):
    """A row of a list of sessions: its head, and how far the asking user has read it (0: never)."""

    head: Head
    read: int


class SessionPage(NamedTuple):
    """A page of a list of sessions.

    Attributes:
        rows: newest activity first; there may be fewer than were asked for, also none, while there are more.
        before: where the next page begins, or None when there is none.
    """

    rows: Sequence[ListedSession]
    before: tuple[int, str] | None = None


class Queue(NamedTuple):
    """Sessions in which a run waits, oldest activity first; ``after`` is where the next batch begins, or None."""

    keys: Sequence[Key]
    after: int | None = None


class LiveSessions(NamedTuple):
    """Sessions in which a run has not ended, by name; ``after`` is where the next batch begins, or None."""

    heads: Sequence[Head]
    after: str | None = None


class Capabilities(NamedTuple):
    """What an engine promises. ``durability``: ``memory`` | ``power_cut``; ``multi_process`` writing."""

    name: str
    durability: str
    multi_process: bool


class Engine(Protocol):
    """Where logs are kept. See the contract suite in ``tests/contract`` for what each verb must do."""

    capabilities: Capabilities

    async def open(self) -> None:
        """Open or create the store. Raises ``engine.locked``, ``engine.version`` or ``engine.corrupt``."""

    async def close(self) -> None:
        """Finish what was accepted, release everything. Idempotent."""

    # --- the log
    async def create(self, key: Key, incarnation: str, now_ms: int, index: Index) -> Head:
        """Create a session; an existing one is returned as it is. A deleted one is created anew."""

    async def head(self, key: Key) -> Head | None:
        """The head, also of a deleted session (``deleted=True``), or None."""

    async def append(self, append: LogAppend) -> None:
        """Commit durably. Raises ``session.incarnation``, ``session.tail``, ``session.deleted``,
        ``session.not_found``, ``disk.full`` (nothing applied) or ``CommitFailed``."""

    async def read(self, key: Key, after: int, *, max_bytes: int, incarnation: str | None = None) -> list[Frame]:
        """Frames that hold events beyond ``after``, in order, at least one if there is any, about ``max_bytes``.

        The first frame may begin at or before ``after`` (a reader's cursor can lie inside a frame).
        ``keys`` of the frames are filled in. Raises ``session.incarnation`` when the life named is not the present one."""

    async def compact(self, key: Key, incarnation: str, first: int, last: int, frames: list[Frame]) -> None:
        """Replace the frames that lie within ``first..last`` by others covering the same span, atomically."""

    async def delete(self, key: Key, incarnation: str, now_ms: int, index: Index) -> None:
        """End a life: it is unreachable when this returns, and its events, snapshots, pages and blobs are being erased.
        A tombstone with ``index`` stays. Idempotent; admitted when the disk is full."""

    async def wait_until_erased(self, key: Key, incarnation: str) -> None:
        """Wait until nothing of a deleted life is left on the disk, or the disk does not let it be erased for now."""

    # --- derived: may be lost and rebuilt from the log
    async def put_snapshot(self, key: Key, incarnation: str, seq: int, data: bytes, pages: dict[int, bytes]) -> None:
        """Keep the newest snapshot of hub state (replacing older ones) and history pages, in one transaction."""

    async def get_snapshot(self, key: Key) -> tuple[int, bytes] | None:
        """The newest snapshot of the present incarnation as ``(seq, data)``."""

    async def get_page(self, key: Key, incarnation: str, page: int) -> bytes | None:
        """One history page of this life; None also when it is over."""

    # --- finding sessions
    # ``names`` keeps sessions whose id is one of them, or begins with one that ends in ``*``; None keeps all. Each call
    # looks at a few times ``limits.LIST_SCAN`` rows at most, however many there are and whatever is asked for.
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
        """Sessions by last activity, newest first. ``user`` keeps those that user takes part in (and fills ``read``);
        ``search`` matches words in title and card; ``before`` is that of the page before."""

    async def due(self, now_ms: int, limit: int) -> Sequence[Key]:
        """Sessions whose ``due_ms`` is at or before ``now_ms``, earliest first."""

    async def queued(
        self, tenant: str, agent: str, *, names: Sequence[str] | None = None, after: int | None = None
    ) -> Queue:
        """Sessions with a run of that agent waiting for a worker, a batch at a time; ``after`` is that of the batch before."""

    async def live(self, tenant: str, *, after: str = "") -> LiveSessions:
        """Sessions whose card counts a run that is queued, running or waiting, a batch at a time; ``after`` is that of the
        batch before. What it looks at grows with those and not with all that ever were; a session may be among them that
        has none."""

    async def mark_read(self, key: Key, incarnation: str, user: str, seq: int) -> None:
        """Remember how far a user has read in this life (never moves back). May be written lazily."""

    # --- the feed
    async def feed(self, after: str, limit: int) -> FeedPage:
        """Up to ``limit`` notices beyond a position, in commit order. The empty position is before the oldest there are.

        The newest ``limits.FEED_NOTICES`` are kept, and all that a consumer has not read."""

    async def feed_end(self) -> str:
        """The position after the newest notice."""

    async def consumers(self) -> Sequence[Consumer]:
        """Everybody who reads the feed under a name, by name."""

    async def advance(self, name: str, position: str) -> None:
        """A consumer has read up to a position, durably; the first time makes it one. It never moves back: an earlier
        position changes nothing, nor does one of another feed, with which a new consumer begins before the oldest notice."""

    async def release(self, name: str) -> bool:
        """Forget a consumer, durably; nothing is kept for it any more. Whether there was one."""

    # --- small durable facts beside the logs
    async def get_fact(self, name: str) -> bytes | None:
        """A named fact, for example a webhook cursor or a signing secret."""

    async def put_fact(self, name: str, data: bytes | None) -> None:
        """Set or remove (None) a named fact, durably."""

    async def facts(self, prefix: str) -> dict[str, bytes]:
        """All facts whose names start with ``prefix``."""

    # --- blobs
    async def put_blob(self, key: Key, incarnation: str, blob: str, media_type: str, data: bytes) -> None:
        """Store a blob of this life durably; same id, same content. Raises as ``append`` does."""

    async def get_blob(self, key: Key, incarnation: str, blob: str) -> tuple[str, bytes] | None:
        """``(media_type, data)`` or None, also when this life is over."""

    async def blob_size(self, key: Key, incarnation: str, blob: str) -> int | None:
        """How many bytes a blob has, without reading them, or None."""

    # --- health
    def health(self) -> dict[str, Any]:
        """``{"mode": "ok" | "full" | "failed", …}`` plus counters for metrics."""
