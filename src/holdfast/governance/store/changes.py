"""What other processes changed, noticed within half a second: one counter for each domain, one query for all of them.

A domain that keeps something in memory counts its changes up in the transaction that makes them (``count_change``), and is
told when the counter moved (``Changes.follow``), whoever moved it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import Connection, select

from holdfast.governance import limits
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.changes import store_changes
from holdfast.visible import logger

log: Final = logger("holdfast.governance")

Refresh = Callable[[], Awaitable[None]]


def count_change(connection: Connection, domain: str) -> int:
    """Count a change of a domain, within the transaction that makes it; the number it has now."""
    table = store_changes
    where = table.c.domain == domain
    changed = connection.execute(table.update().where(where).values(number=table.c.number + 1))
    if not changed.rowcount:
        connection.execute(table.insert(), {"domain": domain, "number": 1})
    return change_number(connection, domain)


def change_number(connection: Connection, domain: str) -> int:
    """How often a domain has changed."""
    statement = select(store_changes.c.number).where(store_changes.c.domain == domain)
    number: int | None = connection.execute(statement).scalar_one_or_none()
    return number or 0


def _numbers(connection: Connection) -> dict[str, int]:
    rows = connection.execute(select(store_changes.c.domain, store_changes.c.number))
    return {row.domain: row.number for row in rows}


class Changes:
    """Looks at the counters of the store and lets those domains read again that have changed.

    Args:
        store: whose counters.
        every_s: seconds between two looks.
    """

    def __init__(self, store: Store, every_s: float = limits.CHANGES_EVERY_S) -> None:
        self._store = store
        self._every_s = every_s
        self._refresh: dict[str, Refresh] = {}
        self._numbers: dict[str, int] = {}
        self._failed = 0
        self._seen: float | None = None  # when it looked last, on the loop's clock
        self._task: asyncio.Task[None] | None = None

    def follow(self, domain: str, refresh: Refresh) -> None:
        """Have ``refresh`` called when the domain's counter is not the one at which it was called last."""
        self._refresh[domain] = refresh

    @property
    def fresh(self) -> bool:
        """Whether what is in memory is as new as it has to be: the last looks did not fail one after the other."""
        return self._failed < limits.CHANGES_FAILED_LOOKS

    def age_s(self) -> float:
        """How old, in seconds, what is in memory is: since the last look that did not fail; infinite before the first."""
        return asyncio.get_running_loop().time() - self._seen if self._seen is not None else float("inf")

    async def look(self) -> None:
        """Look once: every domain that changed has read again when this returns.

        Raises:
            Unavailable: the store could not be read.
        """
        began = asyncio.get_running_loop().time()
        for domain, number in (await self._store.read(_numbers)).items():
            refresh = self._refresh.get(domain)
            if refresh is not None and self._numbers.get(domain) != number:
                await refresh()
                self._numbers[domain] = number
        self._seen = began

    async def start(self) -> None:
        """Look, then go on looking until ``stop``. Raises as ``look`` does."""
        await self.look()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="holdfast changes")

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                async with asyncio.timeout(limits.CHANGES_LOOK_S):
                    await self.look()
            except Exception as error:  # whatever it is, the next look may succeed; until then `fresh` says so
                if not self._failed:
                    log.warning("changes in the store cannot be seen: %s", error)
                self._failed += 1
            else:
                self._failed = 0
