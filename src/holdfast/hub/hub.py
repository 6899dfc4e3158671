"""The hub: the only shell around the session program. It puts the parts together, and knows what none of them may: the
others. A session in memory tells its observers what became durable; connections come and go here; and what a connection
or a caller asks for is executed above (``hub/operations.py``).
"""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.engines.port import Engine
from holdfast.errors import Refused
from holdfast.hub.blobs import BlobStore
from holdfast.hub.clock import Clock
from holdfast.hub.hot import HotSession
from holdfast.hub.lists import Lists
from holdfast.hub.maintenance import Maintenance
from holdfast.hub.news import News
from holdfast.hub.port import Batch, HubConnection, batch_of
from holdfast.hub.presence import PresenceTracker
from holdfast.hub.readers import Readers, splits_cover
from holdfast.hub.runtime import Runtime
from holdfast.hub.sessions import SessionRegistry
from holdfast.hub.stats import Stats
from holdfast.hub.workers import Workers
from holdfast.protocol import codec, limits
from holdfast.protocol.fold import View
from holdfast.protocol.rows import PresenceEntry
from holdfast.session.access import Principal
from holdfast.session.life import check_life
from holdfast.session.policy import DEFAULT, Policy


class Hub:
    """Sessions, readers and workers over one engine.

    Args:
        engine: where logs are kept; opened and closed by the hub.
        clock: time; replaced in tests.
        lease_s: how long an attempt lives without a heartbeat, seconds.
        policy: what the owner lets happen, beyond what tokens grant.

    Attributes:
        runtime: what all parts run on.
        sessions: those in memory.
        connections: those that are open, by their ident.
        readers, workers, presence, lists, news: what follows from the sessions.
        blobs: content beside the logs.
        closing: nothing new is begun.
        extensions: names of what plugs into its server, which is told to everybody who connects.
    """

    def __init__(
        self, engine: Engine, *, clock: Clock | None = None, lease_s: float = limits.LEASE_S, policy: Policy = DEFAULT
    ) -> None:
        self.runtime = runtime = Runtime(engine, clock=clock, lease_s=lease_s, policy=policy)
        self.sessions = SessionRegistry(runtime)
        self.connections: dict[str, HubConnection] = {}
        self.readers = Readers(runtime)
        self.workers = Workers(runtime, self.sessions)
        self.presence = PresenceTracker(runtime, self.workers)
        self.lists = Lists(runtime)
        self.news: News[HotSession] = News()
        self.sessions.observe(self.readers, self.workers, self.presence, self.lists, self.news)
        self.blobs = BlobStore(runtime, self.sessions)
        self.maintenance = Maintenance(runtime, self.sessions)
        self.closing = False
        self.extensions: tuple[str, ...] = ()

    @property
    def engine(self) -> Engine:
        """Where logs are kept."""
        return self.runtime.engine

    @property
    def clock(self) -> Clock:
        """Time."""
        return self.runtime.clock

    @property
    def stats(self) -> Stats:
        """What it has done since it started."""
        return self.runtime.stats

    # --- life
    async def open(self) -> None:
        """Open the engine and begin to watch deadlines."""
        self.runtime.start()
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
        busy = [self.runtime.loop.create_task(s.wait_until_idle()) for s in self.sessions.values() if not s.idle]
        if busy:
            await asyncio.wait(busy, timeout=drain_s)
        for session in list(self.sessions.values()):
            session.close()
            await session.snapshotter.flush(at_least=limits.SNAPSHOT_EVERY_EVENTS // 16)
        for conn in list(self.connections.values()):
            conn.close(1012, "restart")
        self.runtime.cancel_background()
        await self.engine.close()

    # --- connections
    def connect(self, conn: HubConnection) -> None:
        """An authenticated connection; it is welcomed."""
        self.connections[conn.ident] = conn
        self.stats.connections = len(self.connections)
        welcome: dict[str, Any] = {
            "op": "welcome",
            "principal": conn.principal.actor,
            "tenant": conn.principal.tenant,
            "expires_ms": conn.principal.expires_ms,
            "connection": conn.ident,
            "limits": {
                "message_bytes": limits.MESSAGE_BYTES,
                "batch_events": limits.BATCH_EVENTS,
                "lease_s": self.runtime.lease_s,
            },
        }
        if (now := self.runtime.clock.simulated_time()) is not None:
            welcome["simulated"] = now
        if self.extensions:
            welcome["extensions"] = self.extensions
        conn.deliver(Batch([codec.encode(welcome)]))

    def disconnect(self, conn: HubConnection) -> None:
        """A connection closed. That means nothing beyond presence (CTL-1)."""
        self.connections.pop(conn.ident, None)
        self.stats.connections = len(self.connections)
        self.lists.unwatch(conn)
        for session in self.readers.detach_all(conn):
            self.presence.leave(session, conn)
        for session in self.workers.disconnect(conn):
            self.presence.mark_changed(session)

    def replace_principal(self, conn: HubConnection, principal: Principal) -> None:
        """The connection has another token of the same principal: what it may no longer read, it stops reading (ACC-4)."""
        conn.principal = principal
        self.readers.reauthorise(conn)

    def resume(self, conn: HubConnection) -> None:
        """The connection's transport has drained."""
        self.readers.resume(conn)
        self.lists.resume(conn)

    # --- reading beside connections
    async def snapshot(self, principal: Principal, session: str) -> tuple[str, int, bytes]:
        """``(incarnation, seq, encoded view)``, windowed."""
        hot = await self.sessions.load(principal, session)
        seq, view = hot.snapshot()
        return hot.incarnation, seq, view

    async def view(self, principal: Principal, session: str) -> tuple[str, int, View]:
        """``(incarnation, seq, view)`` at the durable tail, windowed, for whoever reads a few things of it.

        It is the hub's own: change nothing in it, and take what is needed before the next ``await``; it goes on then.
        """
        hot = await self.sessions.load(principal, session)
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
        hot = await self.sessions.load(principal, session)
        check_life(hot.incarnation, incarnation)
        tail = hot.tail
        page_bytes = min(max_bytes, limits.PAGE_BYTES)
        frames = await self.engine.read(hot.key, after, max_bytes=page_bytes, incarnation=hot.incarnation)
        frames = [frame for frame in frames if frame.first <= tail]
        if frames and splits_cover(frames[0], after):
            raise Refused("session.compacted", f"{after} lies inside merged events")
        batch = batch_of(frames, session, operator=principal.may("admin", session))
        return hot.incarnation, tail, batch.payloads

    async def list_present(self, principal: Principal, session: str) -> list[PresenceEntry]:
        """Who is here now."""
        return self.presence.list_present(await self.sessions.load(principal, session, "presence"))
