"""Maintenance: deadlines of sessions that are not in memory, stalls of the process, and letting idle sessions go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError
from holdfast.hub.compacting import compact
from holdfast.protocol import limits

if TYPE_CHECKING:
    from holdfast.hub.hub import Hub

_TICK_S = 1.0
_STALL_S = 1.0


class Maintenance:
    """What is done once a second, at each tick."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._task: asyncio.Task[None] | None = None
        self._last = 0.0

    @property
    def behind(self) -> bool:
        """The process stood still, and the tick that will notice has not come yet."""
        return self.hub.clock.monotonic() - self._last > _TICK_S + _STALL_S

    def start(self) -> None:
        """Begin."""
        self._last = self.hub.clock.monotonic()
        self._task = self.hub.loop.create_task(self._run_ticks())

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    async def _run_ticks(self) -> None:
        clock = self.hub.clock
        work: asyncio.Task[None] | None = None
        while True:
            await asyncio.sleep(_TICK_S)
            now = clock.monotonic()
            stall_s = now - self._last - _TICK_S
            self._last = now
            if stall_s > _STALL_S:
                self.hub.stats.stalls += 1
                self.hub.workers.extend_all(stall_s)
            clock.follow()
            if work is None or work.done():
                work = self.hub.background(self._work(now))

    async def _work(self, now: float) -> None:
        try:
            await self._wake_due()
            await self._evict_idle(now)
        except HoldfastError as error:
            self.hub.log.warning("maintenance: %s", error.code)

    async def _wake_due(self) -> None:
        """Load the sessions whose deadline has come, or that a failed commit unloaded; loading arms their timers."""
        # those in memory watch their deadlines themselves, and must not crowd out the others
        limit = limits.LIST_SESSIONS + sum(1 for session in self.hub.sessions.values() if session.index.due_ms)
        due = await self.hub.engine.due(self.hub.clock.wall_ms(), limit)
        failed = [s.key for s in self.hub.sessions.values() if s.state is None and s.incarnation]  # at a commit
        for key in [*due, *failed]:
            session = self.hub.sessions.get(key)
            if session is None or session.state is None:
                try:
                    await self.hub.hot(key).ready()
                except HoldfastError as error:
                    self.hub.log.warning("session %s is due and cannot be loaded: %s", key.session, error.code)

    async def _evict_idle(self, now: float) -> None:
        """Idle sessions cost no memory."""
        crowded = len(self.hub.sessions) > limits.HOT_SESSIONS
        for key, session in list(self.hub.sessions.items()):
            idle_s = 1.0 if crowded or session.state is None else limits.HOT_IDLE_S
            if session.readers or session.leases or not session.idle or now - session.last_used < idle_s:
                continue
            if session.state is not None and session.tail - session.snapshotter.compacted >= limits.COMPACT_EVENTS:
                self.hub.stats.merged += await compact(session)
                await session.snapshotter.flush(at_least=1)  # a snapshot inside a cover is of no use
            await session.snapshotter.flush(at_least=limits.SNAPSHOT_EVERY_EVENTS // 16)
            if session.idle and not session.readers and not session.leases and self.hub.sessions.get(key) is session:
                session.close()
                del self.hub.sessions[key]
                self.hub.stats.evictions += 1
        self.hub.stats.hot_sessions = len(self.hub.sessions)
