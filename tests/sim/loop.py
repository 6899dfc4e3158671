"""An event loop on virtual time: nothing waits, every timer fires in order, and a run is a function of its inputs.

Ready callbacks run first in, first out, as asyncio promises; what varies from seed to seed is how long the simulated
network and disk take. ``digest`` identifies a run: two runs with equal digests took the same steps at the same times.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import zlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from holdfast.hub.clock import Clock

T = TypeVar("T")

STEPS = 2_000_000  # more than this is a livelock


class SimLoop(asyncio.AbstractEventLoop):
    """The part of an event loop that code without sockets needs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self.digest = 0
        self.errors: list[BaseException] = []
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0

    # --- what asyncio asks of a loop
    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + max(delay, 0.0), callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are skipped when their time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:  # type: ignore[override]
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if (error := context.get("exception")) is not None:  # else: tasks of a crashed process are thrown away
            self.errors.append(error)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    # --- running
    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end. Raises what the work raised, or what nobody caught meanwhile."""
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(work)
            while not task.done():
                self._step()
            for other in asyncio.all_tasks(self):
                other.cancel()
            while self._ready:
                self._step()
            return task.result()
        finally:
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > STEPS:
            raise RuntimeError("livelock")
        if not self._ready:
            if not self._timers:
                raise RuntimeError("deadlock: everybody waits for somebody")
            self.now = max(self.now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self.now:
            handle = heapq.heappop(self._timers)[2]
            if not handle.cancelled():
                self._ready.append(handle)
        if self._ready:
            handle = self._ready.popleft()
            self.digest = zlib.crc32(b"%d %d" % (len(self._ready), int(self.now * 1e6)), self.digest)
            if not handle.cancelled():
                handle._run()
        if self.errors:
            raise self.errors[0]


class SimClock(Clock):
    """A clock on the loop's time. ``step`` moves the wall clock only."""

    def __init__(self, loop: SimLoop, epoch_ms: int = 1_764_000_000_000) -> None:
        super().__init__()
        self._loop = loop
        self._epoch_ms = epoch_ms

    def monotonic(self) -> float:
        return self._loop.now

    def wall_ms(self) -> int:
        return self._epoch_ms + int(self._loop.now * 1_000)

    def follow(self) -> None:
        """Nothing drifts here."""


def simulate(work: Callable[[SimLoop], Coroutine[Any, Any, T]]) -> T:
    """Run something on a fresh loop."""
    loop = SimLoop()
    return loop.run(work(loop))
