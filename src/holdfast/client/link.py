"""One transport's life, and what its end means."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from holdfast.client import messages
from holdfast.client.transport import Transport
from holdfast.errors import Code, HoldfastError, Refused, Unavailable

_REFUSAL_CODES: Final[dict[int, Code]] = {
    4400: "input.malformed",
    4401: "auth.invalid",
    4403: "auth.denied",
    4411: "auth.revoked",
    4413: "auth.origin",
}
"""Close codes that a retry with the same token does not cure."""


class LinkOwner(Protocol):
    """The connection a link belongs to."""

    def received(self, link: Link, raw: bytes) -> None:
        """A message came."""

    def lost(self, link: Link) -> None:
        """The transport is gone."""


class Link:
    """One transport's life as the connection's sink; a link that was replaced is not listened to."""

    def __init__(self, owner: LinkOwner) -> None:
        self._owner = owner
        self.transport: Transport | None = None
        self.lost_event = asyncio.Event()
        self.welcome: asyncio.Future[messages.Welcome] = asyncio.get_running_loop().create_future()
        self.code, self.reason = 1006, ""

    def received(self, message: bytes) -> None:
        """See ``transport.Sink``."""
        if not self.lost_event.is_set():
            self._owner.received(self, message)

    def lost(self, code: int, reason: str) -> None:
        """See ``transport.Sink``."""
        if self.lost_event.is_set():
            return
        self.code, self.reason = code, reason
        self.lost_event.set()
        if not self.welcome.done():
            self.fail(error_from_close(code, reason))
        self._owner.lost(self)

    def fail(self, error: HoldfastError) -> None:
        """The server will not welcome this transport."""
        if not self.welcome.done():
            self.welcome.set_exception(error)
            self.welcome.exception()  # looked at: whoever awaits it may be gone


def error_from_close(code: int, reason: str) -> HoldfastError:
    """The error that a close code stands for."""
    if code in _REFUSAL_CODES:
        return Refused(_REFUSAL_CODES[code], reason)
    if code == 4410:
        return Unavailable("auth.expired", reason)
    return Unavailable("connection.lost", reason)
