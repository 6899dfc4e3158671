"""One subscription: a connection, a session and a cursor; it has no queue."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from holdfast.hub.port import HubConnection

S = TypeVar("S")


class Reader(Generic[S]):
    """One subscription to a session ``S``.

    Attributes:
        cursor: last seq written to the connection.
        live: gets commits as they happen; otherwise ``task`` is reading on.
        mark: bytes the session had committed when the reader fell behind, to tell how far that is.
        operator: gets what only operators see.
        reason: why it gets a snapshot next, when its cursor is none.
    """

    __slots__ = ("conn", "cursor", "drained", "live", "mark", "operator", "reason", "session", "task")

    def __init__(self, conn: HubConnection, session: S, cursor: int, *, operator: bool) -> None:
        self.conn = conn
        self.session = session
        self.cursor = cursor
        self.live = False
        self.mark: int | None = None
        self.reason = "reset"
        self.operator = operator
        self.drained = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
