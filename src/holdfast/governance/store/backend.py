"""What a store stands on: SQLite or PostgreSQL, each behind the same few verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, Table

T = TypeVar("T")
Work = Callable[[Connection], T]
"""What is done in one transaction: a plain function, which may be run again when its transaction could not be."""

Rows = Sequence[Mapping[str, Any]]


class StoreHealth(NamedTuple):
    """How a store is.

    Attributes:
        mode: ``ok``, ``failed`` (writes are refused until it could be opened again) or ``closed``.
        waiting: pieces of work that wait to be written.
        error: what failed, while it does.
        counters: since the opening: commits, pieces of work written, failures.
    """

    mode: str
    waiting: int
    error: str
    counters: Mapping[str, int]


class Backend(Protocol):
    """One database, open."""

    async def write(self, work: Work[T]) -> T:
        """See ``Store.write``."""

    async def insert(self, table: Table, rows: Rows, *, synced: bool) -> None:
        """See ``Store.insert``."""

    async def read(self, work: Work[T]) -> T:
        """See ``Store.read``."""

    def health(self) -> StoreHealth:
        """See ``Store.health``."""

    async def close(self) -> None:
        """See ``Store.close``."""
