"""What is dear to reckon is reckoned once for a round of the plan, and not once for each workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from sqlalchemy import Connection, func, select

from holdfast.governance import limits
from holdfast.governance.store.tables.ledger import ledger_batches as batches
from holdfast.governance.store.tables.ledger import ledger_rows as rows

T = TypeVar("T")


class RoundMemo(Generic[T]):
    """Remembers answers for a while, by the time of whoever asks.

    Args:
        keep_ms: for how long.
    """

    def __init__(self, keep_ms: int = int(limits.PLAN_EVERY_S * 1_000) - 1) -> None:
        self._keep_ms = keep_ms
        self._entries: dict[Hashable, tuple[int, T]] = {}

    async def get(self, key: Hashable, now_ms: int, make: Callable[[], Awaitable[T]]) -> T:
        """What is remembered of a key, or what is made now. Raises what making it raises."""
        found = self._entries.get(key)
        if found is not None and 0 <= now_ms - found[0] < self._keep_ms:
            return found[1]
        made = await make()
        self._entries = {one: entry for one, entry in self._entries.items() if 0 <= now_ms - entry[0] < self._keep_ms}
        self._entries[key] = now_ms, made
        return made

    def forget(self, key: Hashable) -> None:
        """Reckon it anew the next time."""
        self._entries.pop(key, None)


def states_by_week(connection: Connection, tenant: str, since: str, until: str) -> dict[str, tuple[int, int]]:
    """How many rows each week has, and what they sum to: while both are what they were, so is all that is made of them. Rows
    are never changed, only added.

    Args:
        since, until: from a day on, and before one.
    """
    of = rows.c
    wanted = (
        select(of.week, func.count(), func.coalesce(func.sum(of.billed_nano), 0))
        .where(of.tenant == tenant, of.day >= since, of.day < until)
        .group_by(of.week)
    )
    return {week: (int(count), int(nano)) for week, count, nano in connection.execute(wanted)}


def state_of_bills(connection: Connection, tenant: str) -> tuple[int, int]:
    """How many bills were imported, and when the last one was."""
    wanted = select(func.count(), func.coalesce(func.max(batches.c.at_ms), 0)).where(
        batches.c.tenant == tenant, batches.c.use == "bill"
    )
    count, at_ms = connection.execute(wanted).one()
    return int(count), int(at_ms)
