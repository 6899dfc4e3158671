"""A login over a store of either kind, its provider, and a browser."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from holdfast.edge import auth
from holdfast.edge.config import Settings
from holdfast.edge.revocation import Revocations
from holdfast.engines.memory import MemoryEngine
from holdfast.governance.oversight.assembly import login_app
from holdfast.governance.oversight.minting import TokenMinter
from holdfast.governance.oversight.settings import LoginSettings, login_config
from holdfast.governance.store.store import Store
from holdfast.hub.clock import Clock
from holdfast.hub.hub import Hub
from holdfast.testing import FakeClock
from tests.unit.governance.oversight.console import SECRET, SETTINGS, Console, Open
from tests.unit.governance.oversight.identity_provider import SpoiltProvider


@pytest.fixture
def clock() -> FakeClock:
    """Time stands still at the machine's: tokens are minted by that one."""
    return FakeClock(Clock().wall_ms())


@pytest.fixture
def provider(clock: FakeClock) -> SpoiltProvider:
    return SpoiltProvider(lambda: clock.wall_ms() // 1_000)


@pytest.fixture
async def opened(store: Store, clock: FakeClock, provider: SpoiltProvider) -> Open:
    @contextlib.asynccontextmanager
    async def open_console(directory: Any = None, **settings: str) -> AsyncIterator[Console]:
        hub = Hub(MemoryEngine())
        await hub.open()
        config = login_config(LoginSettings(**SETTINGS | settings))
        assert config is not None
        server, revocations = Settings(), Revocations(hub)
        minter = TokenMinter(SECRET, server, revocations)
        app = login_app(config, store, minter, SECRET, clock.wall_ms, clock.monotonic, provider.transport(), directory)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=config.public_url) as http:
            yield Console(http, provider, auth.Verifier(server, SECRET, revocations))
        await hub.close()

    return open_console


@pytest.fixture
async def console(opened: Open) -> AsyncIterator[Console]:
    async with opened() as made:
        yield made
