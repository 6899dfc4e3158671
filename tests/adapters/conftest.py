"""A workshop and a provider for every test of a provider's adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.replay import Provider
from tests.adapters.workshop import Workshop, open_workshop


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path) as shop:
        yield shop


@pytest.fixture
async def provider(anyio_backend: str) -> AsyncIterator[Provider]:
    async with Provider().running() as provider:
        yield provider
