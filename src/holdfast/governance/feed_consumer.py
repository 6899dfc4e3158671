"""Reads the feed of a session log to its end and on, under a name of one's own: what was taken is not read again."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from holdfast.engines.port import Engine, FeedPage, Notice
from holdfast.errors import Unavailable
from holdfast.governance import limits
from holdfast.visible import logger

log = logger("holdfast.governance")


class FeedConsumer(ABC):
    """One consumer.

    Attributes:
        consumer: the name under which it reads.
        subject: what it reads, for the log.

    Args:
        engine: whose feed.
    """

    consumer: ClassVar[str]
    subject: ClassVar[str]

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @abstractmethod
    async def _take(self, notices: Sequence[Notice]) -> int:
        """Put a page on record; how much of it was anything. A page may come twice."""

    @abstractmethod
    async def _note_gap(self, position: str, page: FeedPage) -> None:
        """The feed no longer has all that came after a position."""

    async def run(self, news: asyncio.Event) -> None:
        """Read on whenever there is news, until cancelled. ``news`` is set by whoever sees the feed grow."""
        while True:
            news.clear()
            try:
                await self.read()
            except Unavailable as error:
                log.warning("%s wait: %s", self.subject, error.code)
                await asyncio.sleep(limits.LEDGER_BEAT_S)
                continue
            await news.wait()

    async def read(self) -> int:
        """Take everything that was not read. How much of it was anything. A first reader begins with the oldest notice.

        Raises:
            Unavailable: of the store or the engine; what was not read is read the next time.
        """
        position, made = await self._position(), 0
        while True:
            page = await self._engine.feed(position, limits.LEDGER_FEED_PAGE)
            if page.gap and position:  # before it nothing was promised
                await self._note_gap(position, page)
            if not page.notices and page.position == position:
                return made
            made += await self._take(page.notices)
            await self._engine.advance(self.consumer, page.position)
            position = page.position
            if not page.notices:
                return made

    async def _position(self) -> str:
        """How far it was read; empty for not at all."""
        consumers = await self._engine.consumers()
        return next((one.position for one in consumers if one.name == self.consumer), "")
