"""The memory engine as a disk would be: commits and reads take time, fail when asked, and a crash forgets what was not
durable."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Head, Key, LogAppend
from holdfast.errors import CommitFailed
from holdfast.protocol.events import Event
from holdfast.protocol.frames import Frame, decode_frame


class SlowEngine(MemoryEngine):
    """A memory engine with latency.

    Attributes:
        originals: every event of every session as it was first stored; compaction changes the log and not this.
        failures: how often each of the next commits fails, as probabilities: not applied, unknown and lost, unknown and kept.
        crashed: after ``crash`` nothing is stored or answered any more.
    """

    def __init__(self, seed: int, *, commit_s: float = 0.005, read_s: float = 0.002) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.commit_s, self.read_s = commit_s, read_s
        self.failures = (0.0, 0.0, 0.0)
        self.originals: dict[Key, list[Event]] = {}
        self.crashed = False

    async def _wait(self, mean_s: float) -> None:
        if mean_s:
            await asyncio.sleep(self.random.expovariate(1 / mean_s))
        if self.crashed:
            await asyncio.get_running_loop().create_future()  # nobody answers

    async def append(self, append: LogAppend) -> None:
        await self._wait(self.commit_s)
        failure = self._chance()
        if failure is not None and failure[1] is False:
            await self._wait(self.commit_s)
            raise CommitFailed(failure[0])
        await super().append(append)
        known = self.originals.setdefault(append.key, [])
        for frame in append.frames:
            for event in decode_frame(frame.payload).events:
                assert event.seq == len(known) + 1, "stored positions are contiguous (LOG-1)"
                known.append(event)
        await self._wait(self.commit_s / 2)  # durable, but the hub does not know it yet
        if failure is not None:
            raise CommitFailed(failure[0])

    def _chance(self) -> tuple[str, bool] | None:
        luck = self.random.random()
        for probability, outcome in zip(
            self.failures, (("not_applied", False), ("unknown", False), ("unknown", True)), strict=True
        ):
            if luck < probability:
                return outcome
            luck -= probability
        return None

    async def read(self, key: Key, after: int, *, max_bytes: int, incarnation: str | None = None) -> list[Frame]:
        frames = await super().read(key, after, max_bytes=max_bytes, incarnation=incarnation)
        await self._wait(self.read_s)
        return frames

    async def head(self, key: Key) -> Head | None:
        await self._wait(self.read_s)
        return await super().head(key)

    async def put_snapshot(self, key: Key, incarnation: str, seq: int, data: bytes, pages: dict[int, bytes]) -> None:
        await self._wait(self.commit_s)
        await super().put_snapshot(key, incarnation, seq, data, pages)

    def crash(self) -> SlowEngine:
        """The process dies. Returns the engine the next process opens: what was durable, and nothing else."""
        self.crashed = True
        after = SlowEngine(self.random.randrange(1 << 30), commit_s=self.commit_s, read_s=self.read_s)
        after._hold(self._sessions)
        after._feed, after._facts = self._feed, self._facts
        after.originals = self.originals
        after.failures = self.failures
        return after

    def payloads(self, key: Key) -> list[bytes]:
        """Every durable frame of a session."""
        session: Any = self._sessions.get(key)
        return [frame.payload for frame in session.frames] if session is not None else []
