"""The live list of a person's sessions: what changed, what is unread, what waits for them (SUB-8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.engines.port import Head, Index, Key, Listed
from holdfast.hub.port import Batch, Connection
from holdfast.protocol import limits
from holdfast.protocol.codec import encode
from holdfast.session.access import Principal

if TYPE_CHECKING:
    from holdfast.hub.hot import HotSession
    from holdfast.hub.hub import Hub

_COALESCE_S = 0.1


def row(head: Head, read: int) -> dict[str, Any]:
    """One line of a list; ``unread`` is whether something came after what the person has seen."""
    return {
        "session": head.key.session, "title": head.index.title, "incarnation": head.incarnation, "tail": head.tail,
        "created_ms": head.created_ms, "active_ms": head.active_ms, "read": read, "unread": head.tail > read,
        "card": head.index.card,
    }  # fmt: skip


def concerns(principal: Principal, session: str, index: Index, *, everything: bool = False) -> bool:
    """Whether a session belongs on the principal's list: people see those they take part in, unless they ask for
    everything; others all they may read."""
    if not principal.may("read", session):
        return False
    return everything or not principal.actor.startswith("user:") or principal.actor in index.participants


class Lists:
    """Lists, and the connections that watch theirs."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.watchers: dict[str, Connection] = {}
        self._everything: set[str] = set()  # connections that watch all sessions of their tenant
        self._reads: dict[tuple[Key, str], int] = {}
        self._dirty: dict[Key, HotSession] = {}
        self._scheduled = False

    async def rows(
        self, principal: Principal, *, search: str = "", before: tuple[int, str] | None = None, limit: int,
        everything: bool = False,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """A page of the principal's list, newest activity first; ``everything``: of all it may read."""
        user = principal.actor if principal.actor.startswith("user:") and not everything else None
        found: list[dict[str, Any]] = []
        while len(found) < limit:
            page = await self.hub.engine.list(principal.tenant, user=user, search=search, before=before, limit=limit)
            found += [self._row(item, principal) for item in page if principal.may("read", item.head.key.session)]
            if len(page) < limit:
                break
            before = (page[-1].head.active_ms, page[-1].head.key.session)
        return found[:limit]

    def _row(self, item: Listed, principal: Principal) -> dict[str, Any]:
        return row(item.head, max(item.read, self._reads.get((item.head.key, principal.actor), 0)))

    async def watch(self, conn: Connection, *, everything: bool = False) -> None:
        """Send the list now and its changes from now on."""
        self.watchers[conn.ident] = conn
        (self._everything.add if everything else self._everything.discard)(conn.ident)
        rows = await self.rows(conn.principal, limit=limits.LIST_SESSIONS, everything=everything)
        for item in rows:
            self._reads[Key(conn.principal.tenant, item["session"]), conn.principal.actor] = item["read"]
        conn.deliver(Batch([encode({"op": "sessions", "rows": rows, "removed": []})]))

    def unwatch(self, conn: Connection) -> None:
        """No more changes."""
        self._everything.discard(conn.ident)
        if self.watchers.pop(conn.ident, None) is not None:
            actor = conn.principal.actor
            if not any(c.principal.actor == actor for c in self.watchers.values()):
                for known in [k for k in self._reads if k[1] == actor]:
                    del self._reads[known]

    async def read(self, session: HotSession, principal: Principal, seq: int) -> None:
        """The person has seen the session up to ``seq``."""
        seq = min(seq, session.tail)
        await self.hub.engine.mark_read(session.key, session.incarnation, principal.actor, seq)
        if any(c.principal.actor == principal.actor for c in self.watchers.values()):
            known = (session.key, principal.actor)
            self._reads[known] = max(seq, self._reads.get(known, 0))
            self.touch(session)

    def touch(self, session: HotSession) -> None:
        """The session changed; its watchers hear of it a moment later, once."""
        if self.watchers:
            self._dirty[session.key] = session
            if not self._scheduled:
                self._scheduled = True
                self.hub.loop.call_later(_COALESCE_S, self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        dirty, self._dirty = self._dirty, {}
        for conn in list(self.watchers.values()):
            principal, rows = conn.principal, []
            everything = conn.ident in self._everything and principal.may("admin", "*")
            for session in dirty.values():
                if session.key.tenant == principal.tenant and concerns(
                    principal, session.key.session, session.index, everything=everything
                ):
                    head = Head(
                        session.key,
                        session.incarnation,
                        session.tail,
                        session.created_ms,
                        session.active_ms,
                        session.index,
                    )
                    rows.append(row(head, self._reads.get((session.key, principal.actor), 0)))
            if rows and not conn.paused:
                conn.deliver(Batch([encode({"op": "sessions", "rows": rows, "removed": []})]))
            elif rows:
                self._dirty.update(dirty)
        if self._dirty and not self._scheduled:
            self._scheduled = True
            self.hub.loop.call_later(_COALESCE_S, self._flush)

    def removed(self, key: Key) -> None:
        """The session was deleted."""
        self._dirty.pop(key, None)
        batch = Batch([encode({"op": "sessions", "rows": [], "removed": [key.session]})])
        for conn in self.watchers.values():
            if conn.principal.tenant == key.tenant and conn.principal.may("read", key.session):
                conn.deliver(batch)
