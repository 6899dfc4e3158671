"""Waking those who follow the feed."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from holdfast.hub.observer import Commit, SessionObserver
from holdfast.protocol.events import Event

S = TypeVar("S")


class News(SessionObserver[S]):
    """Sets the event of each listener when the feed has grown, or may have."""

    def __init__(self) -> None:
        self._listeners: list[asyncio.Event] = []

    def listen(self) -> asyncio.Event:
        """An event of one's own, set whenever there may be news; the listener clears it before it reads the feed."""
        self._listeners.append(event := asyncio.Event())
        return event

    def committed(self, session: S, commit: Commit) -> None:
        """See ``SessionObserver``."""
        if commit.has_notices:
            self._wake()

    def missed(self, session: S, events: list[Event]) -> None:
        """See ``SessionObserver``."""
        self._wake()

    def _wake(self) -> None:
        for event in self._listeners:
            event.set()
