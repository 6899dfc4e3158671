"""Stores of both kinds: a test that asks for ``store`` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.governance import limits
from holdfast.governance.store.store import Store
from holdfast.testing import FakeClock
from tests.unit.governance import prepared_stores

DATABASES = ("sqlite", "postgres")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    """The store's time, which stands still until a test moves it."""
    return FakeClock()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does other things, too, may let a commit wait for longer than a gateway does; a test of that says so."""
    monkeypatch.setattr(limits, "LEDGER_OPENING_S", 60.0)


@pytest.fixture(params=DATABASES)
async def database(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> str:
    """The address of a database of either kind in which a store was just made."""
    if request.param == "sqlite":
        return await prepared_stores.sqlite(tmp_path / "store.db")
    return await prepared_stores.postgres()


@pytest.fixture
async def store(database: str, clock: FakeClock) -> AsyncIterator[Store]:
    """An open store of either kind, in which nothing is."""
    opened = await Store.open(database, clock.wall_ms)
    yield opened
    await opened.close()
