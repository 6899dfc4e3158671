"""What the hub needs of a connection, whatever carries it: a WebSocket, an SSE response, or a pipe in this process."""

from __future__ import annotations

from typing import Protocol

from holdfast.protocol.frames import EVERYONE, Frame, skip_payload
from holdfast.session.access import Principal


def ws_text(payload: bytes) -> bytes:
    """One unmasked, final WebSocket text frame around a payload (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 65_536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


class Batch:
    """Payloads on their way to many connections: encoded once, put into each wire's framing at most once.

    Attributes:
        framed: what ``ws`` gave, for whoever asks once per delivery; empty before.
    """

    __slots__ = ("framed", "payloads")

    def __init__(self, payloads: list[bytes]) -> None:
        self.payloads = payloads
        self.framed = b""

    @property
    def ws(self) -> bytes:
        """All payloads as consecutive WebSocket text frames."""
        if not self.framed:
            payloads = self.payloads
            self.framed = ws_text(payloads[0]) if len(payloads) == 1 else b"".join(map(ws_text, payloads))
        return self.framed


def batch_of(frames: list[Frame], session: str, *, operator: bool) -> Batch:
    """Frames as one reader of an audience gets them."""
    return Batch(
        [f.payload if operator or f.audience == EVERYONE else skip_payload(session, f.first, f.last) for f in frames]
    )


class HubConnection(Protocol):
    """A connection as the hub sees it. All methods are called on the event loop and never block.

    Attributes:
        ident: unique within this process.
        principal: replaced when the token is refreshed.
        surface, device: what the person said they use; shown in presence.
        paused: True while the transport has more unsent bytes than its high mark. The hub does not write readers'
            frames to a paused connection; ``hub.resume(connection)`` must be called when it drains.
    """

    ident: str
    principal: Principal
    surface: str
    device: str

    @property
    def paused(self) -> bool: ...

    def deliver(self, batch: Batch) -> None:
        """Write a batch. Never called after ``close``; may set ``paused``."""

    def close(self, code: int, reason: str) -> None:
        """Close with a WebSocket close code; idempotent."""
