"""Reading a session event by event."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

from holdfast.client import messages
from holdfast.client.feed import Feed, FeedReader, Snapshot, Start
from holdfast.errors import HoldfastError
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Event


class Events(FeedReader):
    """An async iterator over a session: each event once, in order, without a gap, whatever happens to connections.

    It yields ``Event`` items, and a ``Snapshot`` at the start if that was asked for, and wherever the log can no
    longer be read on (SUB-3). It ends when it is closed and raises when the session cannot be read any more.
    """

    def __init__(self, feed: Feed, start: Start | wire.Cursor) -> None:
        super().__init__(start)
        self._feed = feed
        self._queue: deque[Event | Snapshot | messages.Skip] = deque()
        self._queued_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._error: HoldfastError | None = None
        self._position = (self.incarnation, self.seq)
        feed.add(self)

    @property
    def cursor(self) -> wire.Cursor | None:
        """The position after the last item yielded: store it, and give it to ``events(after=…)`` later."""
        incarnation, seq = self._position
        return wire.Cursor(incarnation, seq) if incarnation else None

    def close(self) -> None:
        """Stop reading."""
        self._closed = True
        self._feed.remove(self)
        self._wake()

    # --- from the feed
    def take(self, item: Event | Snapshot | messages.Skip, size: int) -> bool:
        if isinstance(item, Snapshot):
            self._queue.clear()  # the snapshot holds the effect of what was not read yet
            self._queued_bytes = 0
        self._queue.append(item)
        self._queued_bytes += size
        self.lagging = self._queued_bytes > limits.READ_AHEAD_BYTES
        self._wake()
        return True

    def caught_up(self) -> None:
        if self.incarnation and not self._position[0]:
            self._position = (self.incarnation, self.seq)  # a reader from the tail has a cursor before its first event

    def fail(self, error: HoldfastError) -> None:
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- to the application
    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event | Snapshot:
        while not self._closed:
            if self._queue:
                item = self._queue.popleft()
                if not self._queue:
                    self._queued_bytes = 0
                    if self.lagging:
                        self._feed.resume(self)
                if isinstance(item, Snapshot):
                    self._position = (item.incarnation, item.seq)
                    return item
                self._position = (self._position[0] or self.incarnation, item.last)
                if isinstance(item, Event):
                    return item
            elif self._error is not None:
                raise self._error
            else:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
        raise StopAsyncIteration

    async def __aenter__(self) -> Events:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
