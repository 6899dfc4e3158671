"""The live list of sessions (SUB-8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

from holdfast.client import messages
from holdfast.client.connection import Connection
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import wire
from holdfast.protocol.rows import SessionRow

ListCallback = Callable[["SessionList"], None]
"""A function that is called with the ``SessionList`` that changed."""


class SessionList:
    """What the server's ``sessions`` messages add up to: ``async with hf.sessions() as sessions: sessions.rows``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[str, SessionRow] = {}
        self._fresh = False  # whether the rows are of this connection
        self._callbacks: list[ListCallback] = []
        self._unregister: list[Callable[[], None]] = []
        self._first_rows: asyncio.Future[None] | None = None
        self._users = 0

    @property
    def rows(self) -> list[SessionRow]:
        """The sessions, most recently active first: ``session, title, tail, active_ms, read, unread, card, …``."""
        return sorted(self._rows.values(), key=lambda row: -row.get("active_ms", 0))

    def on_change(self, callback: ListCallback) -> Callable[[], None]:
        """Call back after the list changed; returns what ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    async def __aenter__(self) -> SessionList:
        """Follow the list; the first rows are there when this returns."""
        self._users += 1
        if self._users == 1:
            self._first_rows = asyncio.get_running_loop().create_future()
            self._unregister = [
                self._connection.on_message(messages.Sessions, self._received),
                self._connection.on_connected(self._watch),
            ]
            if self._connection.connected:
                self._watch()
        assert self._first_rows is not None
        await asyncio.shield(self._first_rows)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._users == 0:
            for unregister in self._unregister:
                unregister()
            if self._connection.connected:
                self._connection.post(wire.Unwatch(), lambda outcome: None)

    def _watch(self) -> None:
        self._fresh = False
        self._connection.post(wire.Watch(), self._watched)

    def _watched(self, outcome: dict[str, Any] | HoldfastError) -> None:
        if isinstance(outcome, Refused) and self._first_rows is not None and not self._first_rows.done():
            self._first_rows.set_exception(outcome)

    def _received(self, message: messages.Sessions, size: int) -> None:
        if not self._fresh:  # after every connect all rows come first
            self._rows.clear()
            self._fresh = True
        self._rows.update({row["session"]: cast(SessionRow, row) for row in message.rows})
        for session in message.removed:
            self._rows.pop(session, None)
        if self._first_rows is not None and not self._first_rows.done():
            self._first_rows.set_result(None)
        for callback in list(self._callbacks):
            callback(self)
