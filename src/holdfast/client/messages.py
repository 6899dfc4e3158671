"""What a server sends, as structs (PROTOCOL.md, sections 3, 4 and 7). Unknown operations are skipped, not refused."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.protocol.frames import EventsFrame


class Ok(msgspec.Struct, tag_field="op", tag="ok"):
    """An operation succeeded. Its result is the rest of the message: decode it with ``result``."""

    id: int


class Error(msgspec.Struct, tag_field="op", tag="error"):
    """An operation was refused, or (without ``id``) the connection was."""

    error: dict[str, Any]
    id: int | None = None


class Welcome(msgspec.Struct, tag_field="op", tag="welcome"):
    """Authenticated. ``expires_ms`` is when the token ends, Unix ms. ``simulated``: the server's time, ISO 8601, where it and
    all that happened by it is made up. ``extensions``: names of what plugs into the server."""

    principal: str = ""
    tenant: str = ""
    expires_ms: int | None = None
    connection: str = ""
    limits: dict[str, Any] = {}
    simulated: str | None = None
    extensions: tuple[str, ...] = ()


class SnapshotMessage(msgspec.Struct, tag_field="op", tag="snapshot"):
    """Replaces the reader's state; ``reason`` is ``start``, ``reset`` or ``slow``."""

    session: str
    incarnation: str
    seq: int
    view: dict[str, Any]
    reason: str = "start"


class Skip(msgspec.Struct, tag_field="op", tag="skip"):
    """Positions this reader has no part in."""

    session: str
    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")


class Live(msgspec.Struct, tag_field="op", tag="live"):
    """The reader has caught up with the tail."""

    session: str
    incarnation: str = ""
    seq: int = 0


class Closed(msgspec.Struct, tag_field="op", tag="closed"):
    """The subscription ended."""

    session: str
    code: str


class PresenceMessage(msgspec.Struct, tag_field="op", tag="presence"):
    """Who is in a session now."""

    session: str
    here: list[dict[str, Any]] = []


class Sessions(msgspec.Struct, tag_field="op", tag="sessions"):
    """Rows of the watched list that changed, and those that left it."""

    rows: list[dict[str, Any]] = []
    removed: list[str] = []


class Assignment(msgspec.Struct, tag_field="op", tag="assigned"):
    """A run for this worker, with all it needs to begin or to begin again.

    ``view`` needs ``read``; a worker without it gets ``said``: ids of the run's messages that are complete already.
    """

    session: str
    run: str
    generation: int
    agent: str
    incarnation: str = ""
    lease_s: float = 0.0
    input: dict[str, Any] | None = None
    by: str = ""
    labels: dict[str, str] = {}
    turn: str | None = None
    parent: str | None = None
    name: str | None = None
    journal: dict[str, dict[str, Any]] = {}
    approvals: dict[str, dict[str, Any]] = {}
    steers: list[dict[str, Any]] = []
    cancel: dict[str, Any] | None = None
    seq: int = 0
    view: dict[str, Any] | None = None
    said: list[str] = []


class Signal(msgspec.Struct, tag_field="op", tag="signal"):
    """Something for a run this worker executes."""

    session: str
    run: str
    generation: int
    what: str
    data: dict[str, Any] = {}


class Goaway(msgspec.Struct, tag_field="op", tag="goaway"):
    """The server is going: reconnect elsewhere or later."""

    reason: str = ""
    retry_after_s: float = 0.0


Message = (
    Ok | Error | Welcome | SnapshotMessage | EventsFrame | Skip | Live | Closed | PresenceMessage | Sessions | Assignment | Signal | Goaway
)  # fmt: skip
SessionMessage = SnapshotMessage | EventsFrame | Skip | Live | Closed | PresenceMessage
SESSION_MESSAGES: Final = (SnapshotMessage, EventsFrame, Skip, Live, Closed, PresenceMessage)
"""Messages that name a session and belong to whoever reads it."""

_DECODER: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)
_RESULT: Final[msgspec.json.Decoder[dict[str, Any]]] = msgspec.json.Decoder(dict[str, Any])


def decode(raw: bytes) -> Message | None:
    """One message, or None for one this version does not know or cannot read."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):  # ValidationError is a DecodeError
        return None


def result(raw: bytes) -> dict[str, Any]:
    """The fields of an ``ok`` beside ``op`` and ``id``."""
    fields = _RESULT.decode(raw)
    del fields["op"], fields["id"]
    return fields
