"""Presence: who is here now. Live, never logged; it follows from the subscriptions and the workers' attempts."""

from __future__ import annotations

from typing import Any, Final

from holdfast.hub.hot import HotSession
from holdfast.hub.observer import Commit, SessionObserver
from holdfast.hub.port import Batch, HubConnection
from holdfast.hub.runtime import Runtime
from holdfast.hub.workers import Workers
from holdfast.protocol import events as e
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.protocol.rows import PresenceEntry

_COALESCE_S = 0.05

_ATTEMPTS: Final = frozenset({e.RUN_STARTED, e.RUN_WAITING, e.RUN_ENDED, e.RUN_ATTEMPT_LOST})
"""Events by which a worker comes to a session or leaves it."""


class PresenceTracker(SessionObserver[HotSession]):
    """Who is where, sent to everybody reading the same session, a moment after it changes."""

    def __init__(self, runtime: Runtime, workers: Workers) -> None:
        self._runtime = runtime
        self._workers = workers
        self._since: dict[tuple[str, str], int] = {}
        self._doing: dict[tuple[str, str], dict[str, Any]] = {}
        self._dirty: dict[str, HotSession] = {}
        self._scheduled = False

    # --- what happens to sessions
    def committed(self, session: HotSession, commit: Commit) -> None:
        """See ``SessionObserver``."""
        if commit.has_control and not _ATTEMPTS.isdisjoint(commit.types):
            self.mark_changed(session)

    def missed(self, session: HotSession, events: list[Event]) -> None:
        """See ``SessionObserver``."""
        self.mark_changed(session)

    # --- coming and going
    def join(self, session: HotSession, conn: HubConnection) -> None:
        """A connection began to read the session."""
        self._since.setdefault((conn.ident, session.key.session), self._runtime.clock.wall_ms())
        self.mark_changed(session)

    def leave(self, session: HotSession, conn: HubConnection) -> None:
        """A connection reads the session no more."""
        self._since.pop((conn.ident, session.key.session), None)
        self._doing.pop((conn.ident, session.key.session), None)
        self.mark_changed(session)

    def set_activity(self, session: HotSession, conn: HubConnection, activity: dict[str, Any]) -> None:
        """What the person does here now."""
        self._doing[conn.ident, session.key.session] = activity
        self.mark_changed(session)

    def list_present(self, session: HotSession) -> list[PresenceEntry]:
        """Everybody here: readers, and the workers executing attempts."""
        name = session.key.session
        entries: list[PresenceEntry] = [
            {
                "actor": reader.conn.principal.actor,
                "surface": reader.conn.surface,
                "device": reader.conn.device,
                "connection": reader.conn.ident,
                "doing": self._doing.get((reader.conn.ident, name), {}),
                "since_ms": self._since.get((reader.conn.ident, name), 0),
            }
            for reader in session.readers.values()
        ]
        for run in session.state.runs.values() if session.state is not None else []:
            worker = self._workers.by_run.get((session.key, run.id))
            if run.status == "running" and worker is not None and not worker.disconnected:
                entries.append(
                    {
                        "actor": f"agent:{run.agent}",
                        "surface": "worker",
                        "device": worker.conn.device,
                        "connection": worker.conn.ident,
                        "doing": {"run": run.id},
                        "since_ms": run.queued_ms,
                    }
                )
        return entries

    def mark_changed(self, session: HotSession) -> None:
        """Send the new presence to the readers soon."""
        self._dirty[f"{session.key.tenant}/{session.key.session}"] = session
        if not self._scheduled:
            self._scheduled = True
            self._runtime.loop.call_later(_COALESCE_S, self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        dirty, self._dirty = self._dirty, {}
        for session in dirty.values():
            if not session.readers:
                continue
            message = {"op": "presence", "session": session.key.session, "here": self.list_present(session)}
            batch = Batch([encode(message)])
            for reader in session.readers.values():
                if not reader.conn.paused and reader.conn.principal.may("presence", session.key.session):
                    reader.conn.deliver(batch)
