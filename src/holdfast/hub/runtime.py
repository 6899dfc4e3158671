"""What every part of a hub runs on, and nothing of what the parts do: a leaf, so that no part has to know the hub."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any, Final

from holdfast.engines.port import Engine
from holdfast.hub.clock import Clock
from holdfast.hub.stats import Stats
from holdfast.protocol import ids, limits
from holdfast.session.policy import DEFAULT, Policy
from holdfast.visible import logger

TICK_S: Final = 1.0
"""How often maintenance looks, seconds."""

STALL_S: Final = 1.0
"""How late a tick may be before the process counts as having stood still, seconds."""


class Runtime:
    """Engine, time, loop, policy, counters and log of one hub.

    Attributes:
        engine: where logs are kept.
        clock: time; replaced in tests.
        lease_s: how long an attempt lives without a heartbeat, seconds.
        policy: what the owner lets happen, beyond what tokens grant.
        loop: the event loop; there once ``start`` was called.
        last_tick: monotonic time of maintenance's newest tick, seconds.
    """

    def __init__(
        self, engine: Engine, *, clock: Clock | None = None, lease_s: float = limits.LEASE_S, policy: Policy = DEFAULT
    ) -> None:
        self.engine = engine
        self.clock = clock or Clock()
        self.lease_s = lease_s
        self.policy = policy
        self.stats = Stats()
        self.log = logger("holdfast.hub")
        self.last_tick = 0.0
        self.loop: asyncio.AbstractEventLoop
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Use the running loop."""
        self.loop = asyncio.get_running_loop()
        self.last_tick = self.clock.monotonic()

    @property
    def behind(self) -> bool:
        """The process stood still, and the tick that will notice has not come yet."""
        return self.clock.monotonic() - self.last_tick > TICK_S + STALL_S

    def background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something beside; its failure is logged."""
        task = self.loop.create_task(work)
        self._tasks.add(task)

        def done(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self.log.warning("background work failed: %r", error)

        task.add_done_callback(done)
        return task

    def cancel_background(self) -> None:
        """Stop what runs beside."""
        for task in self._tasks:
            task.cancel()

    def new_incarnation(self, *, first: bool) -> str:
        """A name no earlier life of a session has had; ``first``: there was none."""
        return secrets.token_hex(ids.FIRST_LIFE_BYTES if first else ids.LATER_LIFE_BYTES)
