"""The client for scripts that are not asynchronous: the same objects, with one thread that runs the event loop.

with blocking.connect(url, token=token) as hf:
    session = hf.create(agent="writer")
    print(session.send("hello").text())
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from holdfast.client.client import Client
from holdfast.client.feed import Snapshot, Start
from holdfast.client.run import Run
from holdfast.client.session import Session
from holdfast.client.token import TokenSource
from holdfast.protocol import wire
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.protocol.view_data import RunEntry

__all__ = ["BlockingClient", "BlockingRun", "BlockingSession", "connect"]

T = TypeVar("T")


class BlockingRun:
    """See ``Run``."""

    def __init__(self, bridge: BlockingClient, run: Run) -> None:
        self._bridge = bridge
        self.run = run
        self.id = run.id

    def text(self) -> str:
        """Wait for its end and return what it said."""
        return self._bridge.wait(self.run.text())

    def finished(self) -> RunEntry:
        """Wait for its end and return it as the view shows it."""
        return self._bridge.wait(self.run.finished())

    def cancel(self, *, force: bool = False, reason: str = "") -> None:
        """Stop it."""
        self._bridge.wait(self.run.cancel(force=force, reason=reason))


class BlockingSession:
    """See ``Session``; what has no method here is reached with ``hf.wait(session.session.…)``."""

    def __init__(self, bridge: BlockingClient, session: Session) -> None:
        self._bridge = bridge
        self.session = session
        self.id = session.id

    def send(self, text: str, **options: Any) -> BlockingRun:
        """Say something, and queue the run that answers it."""
        return BlockingRun(self._bridge, self._bridge.wait(self.session.send(text, **options)))

    def state(self) -> View:
        """The view as it is now."""
        return self._bridge.wait(self.session.state())

    def approve(self, approval: str, **options: Any) -> None:
        """Let an action happen."""
        self._bridge.wait(self.session.approve(approval, **options))

    def deny(self, approval: str, **options: Any) -> None:
        """Do not let an action happen."""
        self._bridge.wait(self.session.deny(approval, **options))

    def events(self, after: wire.Cursor | Start | None = None) -> Iterator[Event | Snapshot]:
        """Read from ``after`` on; stop iterating, or close the iterator, to stop reading."""

        async def open_() -> AsyncIterator[Event | Snapshot]:
            return self.session.events(after)

        async def close(events: Any) -> None:
            events.close()

        events = self._bridge.wait(open_())
        try:
            while True:
                yield self._bridge.wait(_next(events))
        except StopAsyncIteration:
            return
        finally:
            self._bridge.wait(close(events))


async def _next(events: AsyncIterator[Event | Snapshot]) -> Event | Snapshot:
    return await anext(events)


class BlockingClient:
    """See ``Client``."""

    def __init__(self, client: Client, loop: asyncio.AbstractEventLoop) -> None:
        self.client = client
        self._loop = loop

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the client's loop and return its result."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupted script does not leave it running
            raise

    def session(self, session: str) -> BlockingSession:
        """A session by id."""
        return BlockingSession(self, self.client.session(session))

    def create(self, session: str | None = None, **options: Any) -> BlockingSession:
        """Create a session and return it."""
        return BlockingSession(self, self.wait(self.client.create(session, **options)))


@contextlib.contextmanager
def connect(server: str, *, token: TokenSource = None, **options: Any) -> Iterator[BlockingClient]:
    """A connected client for a ``with`` block; further arguments are those of ``Client``."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="holdfast client", daemon=True)
    thread.start()

    async def open_() -> Client:
        return await Client(server, token, **options).__aenter__()

    try:
        client = asyncio.run_coroutine_threadsafe(open_(), loop).result()
        try:
            yield BlockingClient(client, loop)
        finally:
            asyncio.run_coroutine_threadsafe(client.close(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
