"""The hub: the only shell around the session program. It owns sessions in memory, their readers, workers and timers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from holdfast.engines.port import Engine, FeedPage, Key
from holdfast.errors import HoldfastError, Refused
from holdfast.hub import operations
from holdfast.hub.blobs import BlobStore
from holdfast.hub.clock import Clock
from holdfast.hub.hot import HotSession, batch_of
from holdfast.hub.lists import Lists
from holdfast.hub.maintenance import Maintenance
from holdfast.hub.port import Batch, HubConnection
from holdfast.hub.presence import PresenceTracker
from holdfast.hub.readers import Readers, splits_cover
from holdfast.hub.stats import Stats
from holdfast.hub.workers import Workers
from holdfast.protocol import codec, ids, limits, wire
from holdfast.protocol.fold import View
from holdfast.session.access import Principal, authorise
from holdfast.session.life import check_life
from holdfast.session.policy import DEFAULT, Policy
from holdfast.visible import logger


class Hub:
    """Sessions, readers and workers over one engine.

    Args:
        engine: where logs are kept; opened and closed by the hub.
        clock: time; replaced in tests.
        lease_s: how long an attempt lives without a heartbeat, seconds.
        policy: what the owner lets happen, beyond what tokens grant.
    """

    def __init__(
        self, engine: Engine, *, clock: Clock | None = None, lease_s: float = limits.LEASE_S, policy: Policy = DEFAULT
    ) -> None:
        self.engine = engine
        self.clock = clock or Clock()
        self.lease_s = lease_s
        self.policy = policy
        self.log = logger("holdfast.hub")
        self.stats = Stats()
        self.sessions: dict[Key, HotSession] = {}
        self.connections: dict[str, HubConnection] = {}
        self.readers = Readers(self)
        self.workers = Workers(self)
        self.presence = PresenceTracker(self)
        self.lists = Lists(self)
        self.blobs = BlobStore(self)
        self.maintenance = Maintenance(self)
        self.notice_event = asyncio.Event()
        self.closing = False
        self.loop: asyncio.AbstractEventLoop
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- life
    async def open(self) -> None:
        """Open the engine and begin to watch deadlines."""
        self.loop = asyncio.get_running_loop()
        await self.engine.open()
        self.maintenance.start()

    async def close(self, drain_s: float = limits.DRAIN_S) -> None:
        """Tell everybody to reconnect, finish what was accepted, store snapshots, close the engine."""
        if self.closing:
            return
        self.closing = True
        goaway = Batch([codec.encode({"op": "goaway", "reason": "restart", "retry_after_s": 1.0})])
        for conn in list(self.connections.values()):
            conn.deliver(goaway)
        self.maintenance.stop()
        busy = [self.loop.create_task(s.wait_until_idle()) for s in self.sessions.values() if not s.idle]
        if busy:
            await asyncio.wait(busy, timeout=drain_s)
        for session in list(self.sessions.values()):
            session.close()
            await session.snapshotter.flush(at_least=limits.SNAPSHOT_EVERY_EVENTS // 16)
        for conn in list(self.connections.values()):
            conn.close(1012, "restart")
        for task in self._tasks:
            task.cancel()
        await self.engine.close()

    def background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something beside; its failure is logged."""
        task = self.loop.create_task(work)
        self._tasks.add(task)

        def done(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self.log.warning("background work failed: %r", error)

        task.add_done_callback(done)
        return task

    def new_incarnation(self, *, first: bool) -> str:
        """A name no earlier life of a session has had; ``first``: there was none."""
        return secrets.token_hex(ids.FIRST_LIFE_BYTES if first else ids.LATER_LIFE_BYTES)

    def hot(self, key: Key) -> HotSession:
        """The session in memory; loaded when it is first asked for something."""
        session = self.sessions.get(key)
        if session is None:
            session = self.sessions[key] = HotSession(self, key)
            self.stats.hot_sessions = len(self.sessions)
        return session

    async def ready(self, key: Key) -> HotSession:
        """The session's present life, loaded. Raises ``session.not_found`` or ``session.deleted``."""
        while True:
            session = self.hot(key)
            await session.ready()
            if not session.ended:
                return session

    # --- connections
    def connect(self, conn: HubConnection) -> None:
        """An authenticated connection; it is welcomed."""
        self.connections[conn.ident] = conn
        self.stats.connections = len(self.connections)
        welcome = {
            "op": "welcome",
            "principal": conn.principal.actor,
            "tenant": conn.principal.tenant,
            "expires_ms": conn.principal.expires_ms,
            "connection": conn.ident,
            "limits": {
                "message_bytes": limits.MESSAGE_BYTES,
                "batch_events": limits.BATCH_EVENTS,
                "lease_s": self.lease_s,
            },
        }
        conn.deliver(Batch([codec.encode(welcome)]))

    def disconnect(self, conn: HubConnection) -> None:
        """A connection closed. That means nothing beyond presence (CTL-1)."""
        self.connections.pop(conn.ident, None)
        self.stats.connections = len(self.connections)
        self.lists.unwatch(conn)
        for session in self.readers.detach_all(conn):
            self.presence.leave(session, conn)
        self.workers.disconnect(conn)

    def replace_principal(self, conn: HubConnection, principal: Principal) -> None:
        """The connection has another token of the same principal: what it may no longer read, it stops reading (ACC-4)."""
        conn.principal = principal
        self.readers.reauthorise(conn)

    def resume(self, conn: HubConnection) -> None:
        """The connection's transport has drained."""
        self.readers.resume(conn)
        self.lists.resume(conn)

    # --- operations
    def dispatch(self, conn: HubConnection, op: wire.Op, done: Callable[[], None] = operations.ignore_done) -> None:
        """Execute one operation of a connection and answer it there. Operations take effect in the order of the calls.

        ``done`` is called once, when the operation is answered and none of it is in memory any more.
        """
        operations.dispatch(self, conn, op, done)

    async def perform(self, conn: HubConnection, op: wire.Op) -> None:
        """``dispatch`` for callers that await."""
        self.dispatch(conn, op)

    async def handle(self, conn: HubConnection, raw: bytes | str) -> None:
        """Decode one message of a connection and dispatch it; malformed input is answered, never raised."""
        try:
            op: wire.Op = codec.decode(raw, wire.DECODER)
        except HoldfastError as error:
            operations.answer_error(conn, None, error)
            return
        self.dispatch(conn, op)

    async def execute(self, principal: Principal, op: wire.Op, conn: HubConnection | None = None) -> dict[str, Any]:
        """Execute an operation and return what follows in its ``ok``. Raises ``Refused`` or ``Unavailable``."""
        return await operations.execute(self, principal, op, conn)

    async def attach_reader(self, conn: HubConnection, session: str, start: Any) -> None:
        """Begin to read, for connections that speak no operations (SSE)."""
        await operations.subscribe(self, conn, wire.Subscribe(session=session, start=start), answer=None)

    # --- reading beside connections
    async def load_session(self, principal: Principal, session: str, verb: str = "read") -> HotSession:
        """The session, when the principal may use it."""
        authorise(principal, verb, session)
        hot = await self.ready(Key(principal.tenant, session))
        hot.last_used = self.clock.monotonic()
        return hot

    async def snapshot(self, principal: Principal, session: str) -> tuple[str, int, bytes]:
        """``(incarnation, seq, encoded view)``, windowed."""
        hot = await self.load_session(principal, session)
        seq, view = hot.snapshot()
        return hot.incarnation, seq, view

    async def view(self, principal: Principal, session: str) -> tuple[str, int, View]:
        """``(incarnation, seq, view)`` at the durable tail, windowed, for whoever reads a few things of it.

        It is the hub's own: change nothing in it, and take what is needed before the next ``await``; it goes on then.
        """
        hot = await self.load_session(principal, session)
        hot.view.export()  # texts that grow hold all that has come
        return hot.incarnation, hot.tail, hot.view

    async def read(
        self,
        principal: Principal,
        session: str,
        after: int,
        max_bytes: int = limits.PAGE_BYTES,
        incarnation: str | None = None,
    ) -> tuple[str, int, list[bytes]]:
        """``(incarnation, tail, frames)`` beyond a position, as the principal's audience gets them.

        ``incarnation``: the life in which the position was read; another is refused with ``session.incarnation``.
        """
        hot = await self.load_session(principal, session)
        check_life(hot.incarnation, incarnation)
        tail = hot.tail
        page_bytes = min(max_bytes, limits.PAGE_BYTES)
        frames = await self.engine.read(hot.key, after, max_bytes=page_bytes, incarnation=hot.incarnation)
        frames = [frame for frame in frames if frame.first <= tail]
        if frames and splits_cover(frames[0], after):
            raise Refused("session.compacted", f"{after} lies inside merged events")
        batch = batch_of(frames, session, operator=principal.may("admin", session))
        return hot.incarnation, tail, batch.payloads

    async def list_present(self, principal: Principal, session: str) -> list[dict[str, Any]]:
        """Who is here now."""
        return self.presence.list_present(await self.load_session(principal, session, "presence"))

    async def notices(self, after: str, limit: int) -> FeedPage:
        """A page of what happened in all sessions (``hub/notices.py``), in commit order."""
        return await self.engine.feed(after, limit)

    # --- blobs
    async def put_blob(self, principal: Principal, session: str, media_type: str, data: bytes) -> str:
        """Store a blob beside the session; its id is the SHA-256 of its content, in hex."""
        return await self.blobs.put(principal, session, media_type, data)

    async def get_blob(self, principal: Principal, session: str, blob: str) -> tuple[str, bytes]:
        """``(media type, content)`` of a blob."""
        return await self.blobs.get(principal, session, blob)

    async def blob_size(self, principal: Principal, session: str, blob: str) -> int:
        """How many bytes ``get_blob`` will give."""
        return await self.blobs.size(principal, session, blob)

    async def list(
        self,
        principal: Principal,
        *,
        search: str = "",
        before: tuple[int, str] | None = None,
        limit: int = limits.LIST_SESSIONS,
    ) -> tuple[list[dict[str, Any]], tuple[int, str] | None]:
        """A page of the principal's sessions, and where the next begins."""
        return await self.lists.page(principal, search=search, before=before, limit=min(limit, limits.LIST_SESSIONS))
