"""What a server gives its extensions."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.edge.config import Settings
from holdfast.edge.listener import Listener
from holdfast.edge.request import Requests
from holdfast.hub.hub import Hub


@dataclass(frozen=True)
class Services:
    """The parts of a server that an extension may use.

    Attributes:
        hub: sessions, the feed, and ``execute``, by which anybody acts in a session. Its public methods are what
            extensions may count on.
        settings: of the server.
        requests: who asks, and what a request is charged for. Routes of an extension have gone through it already.
        listener: the connections that are open.
        secret: what HS256 tokens are signed with; None when the server mints none.
    """

    hub: Hub
    settings: Settings
    requests: Requests
    listener: Listener
    secret: str | None = field(repr=False)
