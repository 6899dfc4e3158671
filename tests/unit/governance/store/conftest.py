"""Databases in which nothing is: these tests are of how a store gets into them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.governance import postgres_server


@pytest.fixture(params=("sqlite", "postgres"))
async def database(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> str:
    """The address of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return await postgres_server.empty_database()
