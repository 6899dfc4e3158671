"""What the database says of the accounts, read beside the gateway that owns it, at any instant."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import NamedTuple

import asyncpg

_ACCOUNTS = """
SELECT b.name, b.cap_nano,
  (SELECT COALESCE(SUM(s.spent_nano), 0) FROM budget_spent s WHERE s.budget = b.id),
  (SELECT COALESCE(SUM(h.nano), 0) FROM budget_holds h WHERE h.budget = b.id),
  (SELECT COUNT(*) FROM budget_holds h WHERE h.budget = b.id)
FROM budgets b
"""
_OPEN = "SELECT COUNT(*) FROM ledger_openings"


class AccountLine(NamedTuple):
    """One account, nano-USD."""

    name: str
    cap: int
    spent: int
    held: int
    attempts: int


class Books:
    """Reads the accounts of a database of either kind, each time as they are at one instant."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: asyncpg.Connection | None = None
        self._one_at_a_time = asyncio.Lock()

    async def accounts(self) -> list[AccountLine]:
        """All accounts."""
        return [AccountLine(str(name), *map(int, sums)) for name, *sums in await self._read(_ACCOUNTS)]

    async def open_attempts(self) -> int:
        """How many attempts are open."""
        return int((await self._read(_OPEN))[0][0])

    async def _read(self, statement: str) -> list[tuple[object, ...]]:
        async with self._one_at_a_time:
            return await self._rows(statement)

    async def _rows(self, statement: str) -> list[tuple[object, ...]]:
        if self._address.startswith("postgres"):
            for again in (True, False):
                try:
                    if self._connection is None:
                        self._connection = await asyncpg.connect(self._address)
                    return [tuple(row) for row in await self._connection.fetch(statement)]
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    self._connection = None
                    if not again:
                        raise
                    await asyncio.sleep(0.5)
        path = Path(self._address.removeprefix("sqlite:///"))
        return await asyncio.to_thread(_sqlite, path, statement)

    async def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            await self._connection.close()


def _sqlite(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()
