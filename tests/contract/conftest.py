"""One fixture per engine; a third engine needs only another entry in ``ENGINES``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Engine
from holdfast.engines.sqlite.engine import SqliteEngine


class Store:
    """A place that outlives an engine: ``engine`` is open on it, ``reopen`` closes it and opens another."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self.engine = make()

    async def reopen(self) -> Engine:
        await self.engine.close()
        self.engine = self._make()
        await self.engine.open()
        return self.engine


def _memory(_: Path) -> Callable[[], Engine]:
    engine = MemoryEngine()
    return lambda: engine


def _sqlite(directory: Path) -> Callable[[], Engine]:
    return lambda: SqliteEngine(str(directory / "sessions.db"), reserve_bytes=64 << 10)


ENGINES: dict[str, Callable[[Path], Callable[[], Engine]]] = {"memory": _memory, "sqlite": _sqlite}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=ENGINES)
async def store(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Store]:
    store = Store(ENGINES[request.param](tmp_path))
    await store.engine.open()
    yield store
    await store.engine.close()


@pytest.fixture
def engine(store: Store) -> Engine:
    return store.engine
