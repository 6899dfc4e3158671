"""Maintenance: deadlines of sessions that are not in memory, stalls of the process, and letting idle sessions go."""

from __future__ import annotations

import asyncio

from holdfast.errors import HoldfastError
from holdfast.hub.compacting import compact
from holdfast.hub.runtime import STALL_S, TICK_S, Runtime
from holdfast.hub.sessions import SessionRegistry
from holdfast.protocol import limits


class Maintenance:
    """What is done once a second, at each tick."""

    def __init__(self, runtime: Runtime, sessions: SessionRegistry) -> None:
        self._runtime = runtime
        self._sessions = sessions
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = self._runtime.loop.create_task(self._run_ticks())

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    async def _run_ticks(self) -> None:
        clock = self._runtime.clock
        work: asyncio.Task[None] | None = None
        while True:
            await asyncio.sleep(TICK_S)
            now = clock.monotonic()
            stall_s = now - self._runtime.last_tick - TICK_S
            self._runtime.last_tick = now
            if stall_s > STALL_S:
                self._runtime.stats.stalls += 1
                for session in self._sessions.values():
                    session.extend_leases(stall_s)
            clock.follow()
            if work is None or work.done():
                work = self._runtime.background(self._work(now))

    async def _work(self, now: float) -> None:
        try:
            await self._wake_due()
            await self._evict_idle(now)
        except HoldfastError as error:
            self._runtime.log.warning("maintenance: %s", error.code)

    async def _wake_due(self) -> None:
        """Load the sessions whose deadline has come, or that a failed commit unloaded; loading arms their timers."""
        # those in memory watch their deadlines themselves, and must not crowd out the others
        limit = limits.LIST_SESSIONS + sum(1 for session in self._sessions.values() if session.index.due_ms)
        due = await self._runtime.engine.due(self._runtime.clock.wall_ms(), limit)
        failed = [s.key for s in self._sessions.values() if s.state is None and s.incarnation]  # at a commit
        for key in [*due, *failed]:
            session = self._sessions.get(key)
            if session is None or session.state is None:
                try:
                    await self._sessions.hot(key).ready()
                except HoldfastError as error:
                    self._runtime.log.warning("session %s is due and cannot be loaded: %s", key.session, error.code)

    async def _evict_idle(self, now: float) -> None:
        """Idle sessions cost no memory."""
        crowded = len(self._sessions) > limits.HOT_SESSIONS
        for key, session in list(self._sessions.items()):
            idle_s = 1.0 if crowded or session.state is None else limits.HOT_IDLE_S
            if session.readers or session.leases or not session.idle or now - session.last_used < idle_s:
                continue
            if session.state is not None and session.tail - session.snapshotter.compacted >= limits.COMPACT_EVENTS:
                self._runtime.stats.merged += await compact(session, self._runtime.engine)
                await session.snapshotter.flush(at_least=1)  # a snapshot inside a cover is of no use
            await session.snapshotter.flush(at_least=limits.SNAPSHOT_EVERY_EVENTS // 16)
            if session.idle and not session.readers and not session.leases and self._sessions.get(key) is session:
                self._sessions.evict(session)
