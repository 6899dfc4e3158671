"""What carries a client's messages: a WebSocket, or a pipe inside one process. Both look like this."""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """Where a transport puts what it receives. Called on the event loop; never after ``lost``."""

    def received(self, message: bytes) -> None:
        """One whole message, JSON in UTF-8."""

    def lost(self, code: int, reason: str) -> None:
        """The transport is gone, with a WebSocket close code (1006 when none was received). Called once."""


class Transport(Protocol):
    """One open transport. Messages arrive in the order they were sent, or the transport is lost."""

    def send(self, message: bytes) -> None:
        """Send one message; silently nothing when the transport is lost already."""

    def close(self) -> None:
        """Close; ``lost`` follows. Idempotent."""


class Dialer(Protocol):
    """Opens transports. ``authenticates`` says that the other side wants a ``hello`` with a token first."""

    authenticates: bool

    async def __call__(self, sink: Sink) -> Transport:
        """Open one transport. Raises ``OSError`` when that fails for now, ``Refused`` when it always will."""
