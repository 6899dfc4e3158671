"""Computes the plan now and then: what it finds stands in memory, and whatever turned red is told."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from holdfast.governance import limits
from holdfast.governance.rollout.service import Rollout
from holdfast.version import build_id
from holdfast.visible import logger

log: Final = logger("holdfast.governance")


class PlanWatch:
    """Computes every gate of every workflow, and again after a while, or when it is woken.

    Args:
        plan: that is computed.
        every_s: seconds between two computations.
    """

    def __init__(self, plan: Rollout, every_s: float = limits.PLAN_EVERY_S) -> None:
        self._plan = plan
        self._every_s = every_s
        self._serves = False
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def wake(self) -> None:
        """Something changed that gates look at, such as who is who: compute soon."""
        self._news.set()

    def start(self, *, serves: bool = False) -> None:
        """Begin. ``serves``: this process serves people their sessions, and says which build it is."""
        self._serves = serves
        self._task = asyncio.create_task(self._run(), name="holdfast plan")

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                if self._serves:
                    await self._plan.validations.serve(await asyncio.to_thread(build_id))
                for tenant in self._plan.tenants():
                    await self._plan.compute(tenant)
                await self._plan.forget()
            except (
                Exception
            ) as error:  # whatever it is, the next time may succeed; until then verdicts stand, and expire
                log.warning("the plan could not be computed: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._news.wait()
