"""The live list of a person's sessions: what changed, what is unread, what waits for them (SUB-8)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, cast

from holdfast.engines.port import Head, Index, Key, ListedSession
from holdfast.hub.hot import HotSession
from holdfast.hub.observer import Commit, SessionObserver
from holdfast.hub.port import Batch, HubConnection
from holdfast.hub.runtime import Runtime
from holdfast.protocol import limits
from holdfast.protocol.codec import encode
from holdfast.protocol.rows import SessionCard, SessionRow
from holdfast.session.access import Principal

_COALESCE_S = 0.1

ListOwner = tuple[str, str]
"""Tenant and actor."""


def row(head: Head, read: int) -> SessionRow:
    """One line of a list; ``unread`` is whether something came after what the person has seen."""
    return {
        "session": head.key.session,
        "title": head.index.title,
        "incarnation": head.incarnation,
        "tail": head.tail,
        "created_ms": head.created_ms,
        "active_ms": head.active_ms,
        "read": read,
        "unread": head.tail > read,
        "card": cast(SessionCard, head.index.card),
    }


def belongs_on_list(principal: Principal, session: str, index: Index, *, everything: bool = False) -> bool:
    """Whether a session belongs on the principal's list: people see those they take part in, unless they ask for
    everything; others all they may read."""
    if not principal.may("read", session):
        return False
    return everything or not principal.actor.startswith("user:") or principal.actor in index.participants


class Watcher:
    """A connection that watches a list.

    Attributes:
        everything: it asked for all sessions of its tenant.
        missed: sessions that changed while it was paused.
        stale: they were more than are remembered.
    """

    __slots__ = ("conn", "everything", "missed", "stale")

    def __init__(self, conn: HubConnection, *, everything: bool) -> None:
        self.conn = conn
        self.everything = everything
        self.missed: dict[Key, HotSession] = {}
        self.stale = False


class Lists(SessionObserver[HotSession]):
    """Lists, and the connections that watch theirs."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.watchers: dict[str, Watcher] = {}
        self._by_owner: dict[ListOwner, dict[str, Watcher]] = {}
        self._by_tenant: dict[str, dict[str, Watcher]] = {}
        self._reads: dict[ListOwner, dict[str, int]] = {}  # how far those who watch have read
        self._dirty: dict[Key, HotSession] = {}
        self._scheduled = False

    # --- pages
    async def page(
        self,
        principal: Principal,
        *,
        search: str = "",
        before: tuple[int, str] | None = None,
        limit: int = limits.LIST_SESSIONS,
        everything: bool = False,
    ) -> tuple[list[SessionRow], tuple[int, str] | None]:
        """A page of the principal's list, newest activity first, and where the next begins; ``everything``: of all it
        may read. A page that would take too long to fill is given as far as it got."""
        limit = min(limit, limits.LIST_SESSIONS)
        user = principal.actor if principal.actor.startswith("user:") and not everything else None
        names = principal.names("read")
        sessions: list[ListedSession] = []
        for _ in range(limits.LIST_SCANS):
            page = await self._runtime.engine.list(
                principal.tenant, user=user, names=names, search=search, before=before, limit=limit - len(sessions)
            )
            sessions += page.rows
            before = page.before
            if before is None or len(sessions) == limit:
                break
        return [self._row(item, principal) for item in sessions], before

    async def rows(self, principal: Principal, *, limit: int, everything: bool = False) -> list[SessionRow]:
        """The first page."""
        rows, _ = await self.page(principal, limit=limit, everything=everything)
        return rows

    def _row(self, item: ListedSession, principal: Principal) -> SessionRow:
        read = self._reads.get((principal.tenant, principal.actor), {}).get(item.head.key.session, 0)
        return row(item.head, max(item.read, read))

    # --- watching
    async def watch(self, conn: HubConnection, *, everything: bool = False) -> None:
        """Send the list now and its changes from now on."""
        owner = (conn.principal.tenant, conn.principal.actor)
        watcher = self.watchers[conn.ident] = Watcher(conn, everything=everything)  # it gets the changes from here on
        self._by_owner.setdefault(owner, {})[conn.ident] = watcher
        self._by_tenant.setdefault(owner[0], {})[conn.ident] = watcher
        rows = await self.rows(conn.principal, limit=limits.LIST_SESSIONS, everything=everything)
        if self.watchers.get(conn.ident) is not watcher:
            return
        self._reads.setdefault(owner, {}).update({item["session"]: item["read"] for item in rows})
        conn.deliver(Batch([encode({"op": "sessions", "rows": rows, "removed": []})]))

    def unwatch(self, conn: HubConnection) -> None:
        """No more changes."""
        if self.watchers.pop(conn.ident, None) is None:
            return
        owner = (conn.principal.tenant, conn.principal.actor)
        _forget(self._by_tenant, owner[0], conn.ident)
        if _forget(self._by_owner, owner, conn.ident):
            self._reads.pop(owner, None)

    async def read(self, session: HotSession, principal: Principal, seq: int) -> None:
        """The person has seen the session up to ``seq``."""
        seq = min(seq, session.tail)
        await self._runtime.engine.mark_read(session.key, session.incarnation, principal.actor, seq)
        owner = (principal.tenant, principal.actor)
        if owner in self._by_owner:
            reads = self._reads.setdefault(owner, {})
            reads[session.key.session] = max(seq, reads.get(session.key.session, 0))
            self.touch(session)

    # --- changes
    def committed(self, session: HotSession, commit: Commit) -> None:
        """See ``SessionObserver``."""
        self.touch(session)

    def touch(self, session: HotSession) -> None:
        """The session changed; its watchers hear of it a moment later, once."""
        if session.key.tenant in self._by_tenant:
            self._dirty[session.key] = session
            if not self._scheduled:
                self._scheduled = True
                self._runtime.loop.call_later(_COALESCE_S, self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        dirty, self._dirty = self._dirty, {}
        changed: defaultdict[str, list[HotSession]] = defaultdict(list)
        for session in dirty.values():
            for watcher in self._watchers_of(session):
                changed[watcher.conn.ident].append(session)
        for ident, sessions in changed.items():
            if (current := self.watchers.get(ident)) is not None:
                self._send_changes(current, sessions)

    def _watchers_of(self, session: HotSession) -> Iterable[Watcher]:
        """Whose lists show the session: of people only those who take part in it are looked at."""
        tenant, index = session.key.tenant, session.index
        watchers = {
            ident: watcher
            for actor in index.participants
            for ident, watcher in self._by_owner.get((tenant, actor), {}).items()
        }
        for ident, watcher in self._by_tenant.get(tenant, {}).items():
            if watcher.everything or not watcher.conn.principal.actor.startswith("user:"):
                watchers[ident] = watcher
        for watcher in watchers.values():
            principal = watcher.conn.principal
            everything = watcher.everything and principal.may("admin", "*")
            if belongs_on_list(principal, session.key.session, index, everything=everything):
                yield watcher

    def _send_changes(self, watcher: Watcher, sessions: Iterable[HotSession]) -> None:
        conn = watcher.conn
        if conn.paused:  # it hears of them when it reads again
            watcher.missed.update((session.key, session) for session in sessions)
            if len(watcher.missed) > limits.LIST_SESSIONS:
                watcher.missed, watcher.stale = {}, True
            return
        reads = self._reads.get((conn.principal.tenant, conn.principal.actor), {})
        rows = [
            row(
                Head(s.key, s.incarnation, s.tail, s.created_ms, s.active_ms, s.index),
                reads.get(s.key.session, 0),
            )
            for s in sessions
        ]
        conn.deliver(Batch([encode({"op": "sessions", "rows": rows, "removed": []})]))

    def resume(self, conn: HubConnection) -> None:
        """The connection reads again."""
        watcher = self.watchers.get(conn.ident)
        if watcher is None or conn.paused:
            return
        if watcher.stale:
            self._runtime.background(self.watch(conn, everything=watcher.everything))
        elif watcher.missed:
            missed, watcher.missed = watcher.missed, {}
            self._send_changes(watcher, missed.values())

    def deleted(self, session: HotSession) -> None:
        """Take the session off the lists that show it."""
        key = session.key
        self._dirty.pop(key, None)
        batch = Batch([encode({"op": "sessions", "rows": [], "removed": [key.session]})])
        for watcher in self._by_tenant.get(key.tenant, {}).values():
            watcher.missed.pop(key, None)
            if watcher.conn.principal.may("read", key.session):
                watcher.conn.deliver(batch)


def _forget(groups: dict[Any, dict[str, Watcher]], name: Any, ident: str) -> bool:
    """Take one out; whether it was the last of its kind."""
    group = groups.get(name, {})
    group.pop(ident, None)
    if not group:
        groups.pop(name, None)
    return not group
