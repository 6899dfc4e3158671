"""A session's view, kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from holdfast.client import messages
from holdfast.client.feed import Feed, FeedReader, Snapshot
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import wire
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View

ViewCallback = Callable[["LiveView"], None]
"""A function that is called with the ``LiveView`` that changed."""


class LiveView(FeedReader):
    """Folds a session as it grows; heals itself with a snapshot when an event does not join (FOLD-3).

    Attributes:
        view: the present state. Look, do not change; it grows in place.
        live: whether the view has come up to the tail since the last connect.
    """

    def __init__(self, feed: Feed) -> None:
        super().__init__("snapshot")
        self._feed = feed
        self._callbacks: list[ViewCallback] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._change_scheduled = False
        self._loop = asyncio.get_running_loop()
        self._error: HoldfastError | None = None
        self.view = View()
        self.live = False
        feed.add(self)

    @property
    def cursor(self) -> wire.Cursor:
        """The position of the view."""
        return wire.Cursor(self.incarnation, self.seq)

    def on_change(self, callback: ViewCallback) -> Callable[[], None]:
        """Call back after the view changed, at most once per turn of the event loop; returns what ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    async def until(self, condition: Callable[[View], bool]) -> View:
        """Wait until the view, up to date at least once, meets a condition.

        Raises:
            HoldfastError: the session cannot be read any more.
        """
        while True:
            if self.live and self._error is None and condition(self.view):
                return self.view
            if self._error is not None:
                raise self._error
            future: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append(future)
            await future

    def close(self) -> None:
        """Stop following."""
        self._feed.remove(self)
        self._callbacks.clear()

    # --- from the feed
    def take(self, item: Event | Snapshot | messages.Skip, size: int) -> bool:
        if isinstance(item, Snapshot):
            try:
                self.view = View.load(item.view)
            except ValueError as error:  # a server of another version
                self._error = Refused("config.invalid", str(error))
        elif isinstance(item, Event) and not self.view.apply(item):
            return False
        self._schedule_change()
        return True

    def caught_up(self) -> None:
        self.live = True
        self._schedule_change()

    def fail(self, error: HoldfastError) -> None:
        self._error = error
        self._schedule_change()

    def _schedule_change(self) -> None:
        if not self._change_scheduled:
            self._change_scheduled = True
            self._loop.call_soon(self._changed)

    def _changed(self) -> None:
        self._change_scheduled = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        for callback in list(self._callbacks):
            callback(self)

    async def __aenter__(self) -> LiveView:
        """Wait for the first view that is up to date."""
        try:
            await self.until(lambda view: True)
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
