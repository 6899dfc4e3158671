"""The client: one connection, and the sessions it carries (SUB-6)."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from weakref import WeakValueDictionary

from holdfast.client import messages
from holdfast.client.blobs import Blobs, HttpBlobs
from holdfast.client.connection import Connection, Status, new_key
from holdfast.client.retry import Backoff
from holdfast.client.session import Session
from holdfast.client.token import TokenSource
from holdfast.client.transport import Dialer
from holdfast.client.watch import SessionList
from holdfast.client.websocket import WebSocketDialer
from holdfast.protocol import limits


class Client:
    """What ``holdfast.connect`` gives: use it as an async context manager.

    Args:
        server: ``http(s)://host[:port]``, or a ``Dialer`` of one's own.
        token: an access token, or a function (plain or async) that returns one; it is called on every connect and
            before the token expires.
        surface, device: what the person uses, shown to others as presence.
        tls: an ``ssl.SSLContext`` for ``https``, instead of the system's default.
        blobs: where blobs are, when not at the server's HTTP address.
        backoff: when to try again after the connection was lost.
        timeout_s: how long to try for the first connection.
    """

    def __init__(
        self,
        server: str | Dialer,
        token: TokenSource = None,
        *,
        surface: str = "",
        device: str = "",
        tls: ssl.SSLContext | None = None,
        blobs: Blobs | None = None,
        backoff: Backoff | None = None,
        timeout_s: float = limits.REQUEST_TIMEOUT_S,
    ) -> None:
        dialer = WebSocketDialer(server, tls) if isinstance(server, str) else server
        self.connection = Connection(dialer, token, surface=surface, device=device, backoff=backoff)
        self.blobs: Blobs = blobs or HttpBlobs(server if isinstance(server, str) else None, token, tls)
        self._timeout_s = timeout_s
        self._sessions: WeakValueDictionary[str, Session] = WeakValueDictionary()
        self._list: SessionList | None = None
        for kind in messages.SESSION_MESSAGES:
            self.connection.on_message(kind, self._session_message)
        self.connection.on_connected(lambda: self._for_each_session(Session.reconnected))
        self.connection.on_disconnected(lambda: self._for_each_session(Session.disconnected))

    async def __aenter__(self) -> Self:
        """Connect. Raises as ``Connection.open`` does."""
        await self.connection.open(self._timeout_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. Nothing else happens by that: no run is cancelled (CTL-1)."""
        await self.connection.close()
        await self.blobs.close()

    # --- the connection
    @property
    def principal(self) -> str:
        """The actor the server knows this client as."""
        return self.connection.welcome.principal

    @property
    def status(self) -> Status:
        """``live``, ``catching_up`` or ``offline``."""
        return self.connection.status

    def on_status(self, callback: Callable[[Status], None]) -> Callable[[], None]:
        """Call back when the status changes; returns what ends that."""
        return self.connection.on_status(callback)

    # --- sessions
    def session(self, session: str) -> Session:
        """A session by id; nothing is asked of the server yet. The same object while somebody holds it.

        Raises:
            Refused: ``input.session_id`` when it cannot be one.
        """
        found = self._sessions.get(session)
        if found is None:
            found = self._sessions[session] = Session(self.connection, session)
        return found

    async def create(
        self, session: str | None = None, *, title: str = "", agent: str = "", meta: dict[str, Any] | None = None
    ) -> Session:
        """Create a session (with a random id, unless named) and return it.

        Args:
            agent: who answers inputs that name no agent.
            meta: the application's own facts.

        Raises:
            Refused: ``session.exists`` with other settings.
        """
        new = self.session(session or f"s-{new_key()}")
        await new.create(title=title, agent=agent, meta=meta)
        return new

    def sessions(self) -> SessionList:
        """The live list of the principal's sessions (SUB-8): an async context manager with ``rows``."""
        if self._list is None:
            self._list = SessionList(self.connection)
        return self._list

    # --- from the connection
    def _session_message(self, message: messages.SessionMessage, size: int) -> None:
        session = self._sessions.get(message.session)
        if session is not None:
            session.received(message, size)

    def _for_each_session(self, action: Callable[[Session], None]) -> None:
        for session in list(self._sessions.values()):
            action(session)
