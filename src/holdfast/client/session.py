"""A session as an application uses it: read it, speak in it, control what runs in it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal, cast

from holdfast.client import messages
from holdfast.client.connection import Connection, new_key
from holdfast.client.events import Events
from holdfast.client.feed import Feed, Start
from holdfast.client.live import LiveView
from holdfast.client.producer import Producer
from holdfast.client.run import Run
from holdfast.protocol import limits, wire
from holdfast.protocol.answers import CreateAnswer
from holdfast.protocol.codec import check_session_id, well_formed
from holdfast.protocol.fold import View
from holdfast.protocol.rows import PresenceEntry
from holdfast.protocol.view_data import HistoryPage

PresenceCallback = Callable[[list[PresenceEntry]], None]
"""A function that is called with everybody who is in the session."""


class Session:
    """One session, by id. Making this object asks nothing of the server.

    Every method that writes takes part in exactly one of two outcomes: it returns when the server has made it durable,
    or raises ``Refused`` and nothing was changed. ``Unavailable("timeout")`` alone leaves the outcome unknown; the same
    call with the same ``key`` settles it.
    """

    def __init__(self, connection: Connection, session: str) -> None:
        self.id = check_session_id(session)
        self.connection = connection
        self._feed: Feed | None = None
        self._presence_callbacks: list[PresenceCallback] = []

    # --- reading
    @property
    def feed(self) -> Feed:
        """The subscription that this session's readers share."""
        if self._feed is None:
            self._feed = Feed(self.connection, self.id, self)
        return self._feed

    def events(self, after: wire.Cursor | Start | None = None) -> Events:
        """Read from ``after`` on, for ever: a stored cursor, ``"tail"``, or ``"snapshot"`` (also None).

        Iterate over it; use it as an async context manager, or ``close`` it, to stop. Its ``cursor`` is where to go on.
        """
        return Events(self.feed, after or "snapshot")

    def live(self) -> LiveView:
        """Follow the session's view: ``async with session.live() as live: live.view …``."""
        return LiveView(self.feed)

    async def state(self) -> View:
        """The view as it is now, up to the tail."""
        async with self.live() as live:
            return View.load(copy.deepcopy(live.view.export()))

    async def history(self, page: int, *, incarnation: str | None = None) -> HistoryPage:
        """One page of older items: ``{"page": {"items", "runs"}, "older"}``; begin with the view's ``older``.

        Args:
            incarnation: the life of the session that ``older`` was read in; the one being read unless given.

        Raises:
            Refused: ``history.not_found``, ``session.incarnation``.
        """
        answer = await self._request(wire.History(session=self.id, page=page), incarnation)
        return cast(HistoryPage, answer)

    async def read(self, seq: int) -> None:
        """The person has seen everything up to ``seq``."""
        await self._request(wire.Read(session=self.id, seq=seq))

    async def presence(self, doing: dict[str, Any]) -> None:
        """Show others what the person does here now. Nothing happens while offline: presence is not kept."""
        if self.connection.connected:
            await self.connection.request(wire.Presence(session=self.id, doing=doing))

    def on_presence(self, callback: PresenceCallback) -> Callable[[], None]:
        """Call back with everybody who is here, whenever that changes, while the session is being read."""
        self._presence_callbacks.append(callback)
        return lambda: self._presence_callbacks.remove(callback) if callback in self._presence_callbacks else None

    def received(self, message: messages.SessionMessage, size: int) -> None:
        """A message of this session; called by the client."""
        if isinstance(message, messages.PresenceMessage):
            for callback in list(self._presence_callbacks):
                callback(cast(list[PresenceEntry], message.here))
        elif self._feed is not None:
            self._feed.received(message, size)

    def reconnected(self) -> None:
        """The connection is back; called by the client."""
        if self._feed is not None:
            self._feed.resume_all()

    def disconnected(self) -> None:
        """The connection is gone; called by the client."""
        if self._feed is not None:
            self._feed.lost()

    async def _request(
        self, op: wire.Command | wire.History | wire.Read, incarnation: str | None = None
    ) -> dict[str, Any]:
        """Ask what concerns the life of the session that is being read, and no other (LIFE-1)."""
        op.incarnation = incarnation or (self._feed.incarnation if self._feed is not None else None)
        return await self.connection.request(op)

    # --- life
    async def create(self, *, title: str = "", agent: str = "", meta: dict[str, Any] | None = None) -> CreateAnswer:
        """Create the session, or find that it exists with these settings.

        Raises:
            Refused: ``session.exists`` with other settings.
        """
        op = wire.Create(session=self.id, title=title, agent=agent, meta=meta or {})
        return cast(CreateAnswer, await self.connection.request(op))

    async def rename(self, title: str) -> None:
        """Give the session a title."""
        await self._request(wire.Rename(session=self.id, title=well_formed(title)))

    async def delete(self) -> None:
        """Erase the session. Needs ``admin``. Sent again after a loss, it deletes no other life of the session."""
        await self._request(wire.Delete(session=self.id, key=new_key()))

    # --- speaking
    async def send(
        self,
        text: str,
        *,
        agent: str = "",
        edits: str | None = None,
        parent: str | None = None,
        answer: str | None = None,
        attachments: list[wire.Attachment] | None = None,
        meta: dict[str, Any] | None = None,
        attempts: int = limits.ATTEMPTS,
        concurrent: bool = False,
        silent: bool = False,
        key: str | None = None,
    ) -> Run:
        """Say something, and queue the run that answers it.

        Args:
            agent: whom it is for, when not the session's own agent.
            edits: the input this replaces, on a new branch (CTL-7); ``parent``: the input it continues;
                ``answer``: the run that answered that, where another one is shown.
            meta: what your program keeps with the message.
            attempts: how often the run may be tried.
            concurrent: do not wait for other runs of the agent in this session.
            silent: only say it; no run.
            key: makes a retry safe and becomes the message's id.
        """
        op = wire.Send(
            session=self.id,
            text=text,
            agent=agent,
            edits=edits,
            parent=parent,
            answer=answer,
            attachments=attachments or [],
            meta=meta or {},
            attempts=attempts,
            concurrent=concurrent,
            silent=silent,
            key=key or new_key(),
        )
        return self._run(await self._request(op))

    async def interrupt(
        self, text: str, *, run: str | None = None, agent: str = "", force: bool = False, key: str | None = None
    ) -> Run:
        """Stop what runs (or one run), say something, and queue its run behind the end of the old ones (CTL-5)."""
        op = wire.Interrupt(session=self.id, text=text, run=run, agent=agent, force=force, key=key or new_key())
        return self._run(await self._request(op))

    async def regenerate(self, input: str, *, agent: str = "", select: bool = False) -> Run:
        """Answer an input again; the earlier answer stays as a sibling. ``select``: show the branch that ends there."""
        op = wire.Regenerate(session=self.id, input=input, agent=agent, select=select)
        return self._run(await self._request(op))

    def run(self, run: str, input: str = "") -> Run:
        """A run of this session, by id."""
        return Run(self, run, input)

    def _run(self, result: dict[str, Any]) -> Run:
        return Run(self, result.get("run") or "", str(result.get("messageId", "")), result.get("served"))

    def producer(self) -> Producer:
        """Append events outside any run, in order, each once."""
        return Producer(self.connection, self.id)

    # --- control
    async def cancel(
        self,
        run: str | None = None,
        *,
        input: str | None = None,
        scope: Literal["mine", "all"] = "mine",
        force: bool = False,
        version: int | None = None,
        reason: str = "",
    ) -> list[str]:
        """Stop a run, the run of an input (even before it exists), or without either my runs or all (CTL-2).

        Args:
            reason: why, for everybody who watches; at most ``limits.REASON_CHARS`` characters.

        Returns:
            The ids of the runs that are being stopped, sub-runs included. ``force`` ends them at once.
        """
        target: Literal["run", "input", "mine", "all"] = (
            "run" if run is not None else "input" if input is not None else scope
        )
        op = wire.Cancel(
            session=self.id, run=run, input=input, scope=target, force=force, version=version, reason=reason
        )
        return list((await self._request(op)).get("runs", []))

    async def steer(self, run: str, text: str) -> str:
        """Put words into a running run (CTL-4); returns the steer's id."""
        return str((await self._request(wire.Steer(session=self.id, run=run, text=text))).get("steerId", ""))

    async def approve(self, approval: str, *, note: str = "", hash: str | None = None) -> None:
        """Let the action happen. ``hash`` says which action the person was shown.

        Raises:
            Refused: ``approval.resolved`` (its ``by`` and ``decision`` say who was first), ``approval.self``,
                ``session.version`` when the action is not the one shown.
        """
        await self._resolve(approval, "approved", note, hash)

    async def deny(self, approval: str, *, note: str = "", hash: str | None = None) -> None:
        """Do not let the action happen; raises as ``approve`` does."""
        await self._resolve(approval, "denied", note, hash)

    async def _resolve(
        self, approval: str, decision: Literal["approved", "denied"], note: str, hash: str | None
    ) -> None:
        op = wire.Resolve(session=self.id, approval=approval, decision=decision, note=note, hash=hash)
        await self._request(op)

    async def select(self, *, input: str | None = None, run: str | None = None, version: int | None = None) -> None:
        """Show another branch: the one that ends at ``input``, or the sibling answer ``run``."""
        await self._request(wire.Select(session=self.id, input=input, run=run, version=version))

    async def take(self, *, force: bool = False) -> None:
        """Take over from the agents (CTL-8)."""
        await self._request(wire.Take(session=self.id, force=force))

    async def give_back(self, *, force: bool = False) -> None:
        """Give the session back to its agents."""
        await self._request(wire.GiveBack(session=self.id, force=force))
