"""Computes the inbox now and then, and when something changed that it is about; then people are told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from holdfast.governance import limits
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.visible import logger

log: Final = logger("holdfast.governance")


class InboxWatch:
    """Watches the inbox of a store.

    Args:
        inbox: that is computed.
        tenants: whose.
        every_s: seconds between two computations.
    """

    def __init__(
        self, inbox: OwnerInbox, tenants: Callable[[], Sequence[str]], every_s: float = limits.INBOX_EVERY_S
    ) -> None:
        self._inbox = inbox
        self._tenants = tenants
        self._every_s = every_s
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def wake(self) -> None:
        """Something changed: compute soon."""
        self._news.set()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="holdfast inbox")

    async def stop(self) -> None:
        """End. What was not told is, after the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def look(self) -> None:
        """Compute once, and tell what is to be told. Raises of the store."""
        for tenant in self._tenants():
            await self._inbox.compute(tenant)
        await self._inbox.tell()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                await self.look()
            except Exception as error:  # whatever it is, the next look may succeed; until then nothing is closed
                log.warning("the inbox could not be computed: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._news.wait()
