"""What a server gives its extensions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.edge.config import Settings
from holdfast.edge.listener import Listener
from holdfast.edge.request import Requests
from holdfast.edge.revocation import Revocations
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.protocol import wire
from holdfast.session.access import Principal


@dataclass(frozen=True)
class Services:
    """The parts of a server that an extension may use.

    Attributes:
        hub: sessions and the feed. Its public methods are what extensions may count on.
        settings: of the server.
        requests: who asks, and what a request is charged for. Routes of an extension have gone through it already.
        listener: the connections that are open.
        revocations: which tokens do not count any more.
        secret: what HS256 tokens are signed with; None when the server mints none.
        revocations: which tokens are void; what mints tokens ends them there.
    """

    hub: Hub
    settings: Settings
    requests: Requests
    listener: Listener
    secret: str | None = field(repr=False)
    revocations: Revocations = field(repr=False)

    async def execute(self, principal: Principal, op: wire.Op) -> dict[str, Any]:
        """Act in a session as somebody, as far as that somebody may; returns what the operation answers.

        Raises:
            Refused: why it is not done.
            Unavailable: why it cannot be done now.
        """
        return await operations.execute(self.hub, principal, op)
