"""Governance served in both ways: beside the sessions of a server, and as a gateway alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast.edge.config import Settings
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.engines.memory import MemoryEngine
from holdfast.gateway.server import serving as serving_alone
from holdfast.gateway.settings import GatewaySettings
from holdfast.governance.app import Governance
from holdfast.governance.extension import GovernanceExtension
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.settings import GovernanceSettings
from holdfast.hub.hub import Hub
from holdfast.testing import FakeClock
from tests.fake_upstream.process import FakeUpstream
from tests.unit.edge.conftest import Site
from tests.unit.edge.conftest import serving as serving_site

NAMED = KeyRequest(workflow="refunds", team="support", task="answer", usage="headless")


@dataclass
class Served:
    """A gateway with its governance.

    Attributes:
        url: base URL of OpenAI's clients, without ``/v1``.
        key: of a caller.
        site: the session server that it is beside; None for one alone.
    """

    url: str
    governance: Governance
    key: str
    site: Site | None = None

    async def rows(self, count: int) -> list[Row]:
        """The ledger's rows, once everything that was served is on record, and so many at least. A caller may have its answer
        a moment before the attempt has ended."""
        today = self.governance.organisation.today().isoformat()
        async with asyncio.timeout(60):
            while True:
                await self.governance.gateway.settled()
                found = await LedgerReader(self.governance.store).rows("default", today, today)
                if len(found.rows) >= count:
                    break
                await asyncio.sleep(0.01)
        assert len(found.rows) == count, found.rows
        return sorted(found.rows, key=lambda row: row.number)


Serve = Callable[..., AbstractAsyncContextManager[Served]]


def settings_of(*upstreams: dict[str, Any]) -> GatewaySettings:
    return GatewaySettings.of({"upstreams": list(upstreams)}, "test")


def upstream(fake: FakeUpstream, knobs: str = "", **more: Any) -> dict[str, Any]:
    where = f"{fake.url}/with/{knobs}" if knobs else fake.url
    return {"name": "openai", "url": f"{where}/v1", "models": ["gpt-*", "odd-*"], "provider": "openai", **more}


def both_wires(fake: FakeUpstream) -> list[dict[str, Any]]:
    """Upstreams for OpenAI's wires and for Anthropic's."""
    claude = {"name": "anthropic", "url": fake.url, "shape": "anthropic", "models": ["claude-x=claude-sonnet-4-5"]}
    return [upstream(fake), claude]


@contextlib.asynccontextmanager
async def alone(database: str, clock: FakeClock, *upstreams: dict[str, Any]) -> AsyncIterator[Served]:
    governance = Governance(database, clock, settings_of(*upstreams))
    await governance.start()
    try:
        key = (await governance.keys.create(NAMED, by="user:ann", declare=True)).secret
        async with serving_alone(governance.gateway, "127.0.0.1", 0) as server:
            port = server.servers[0].sockets[0].getsockname()[1]
            yield Served(f"http://127.0.0.1:{port}", governance, key)
    finally:
        await governance.stop()


@contextlib.asynccontextmanager
async def beside(database: str, clock: FakeClock, *upstreams: dict[str, Any]) -> AsyncIterator[Served]:
    server = Settings(db="memory:", port=0, drain_s=1, extensions=("governance",))
    extension = GovernanceExtension(GovernanceSettings(url=database), server)
    extension.upstreams = settings_of(*upstreams)
    extensions = ExtensionSet([extension])
    hub = Hub(MemoryEngine(), clock=clock, policy=extensions.policy)
    async with serving_site(hub, server, extensions=extensions) as site:
        governance = extension.governance
        assert governance is not None
        key = (await governance.keys.create(NAMED, by="user:ann", declare=True)).secret
        yield Served(site.url, governance, key, site)


@pytest.fixture(params=("alone", "beside"))
def serve(request: pytest.FixtureRequest, database: str, clock: FakeClock) -> Serve:
    """Serves upstreams in one of both ways, on one of both databases."""
    way = alone if request.param == "alone" else beside
    return lambda *upstreams: way(database, clock, *upstreams)


@pytest.fixture(scope="session")
def process() -> Iterator[FakeUpstream]:
    with FakeUpstream() as found:
        yield found


@pytest.fixture
def fake(process: FakeUpstream) -> FakeUpstream:
    """A fake provider that nobody has asked anything."""
    process.reset()
    return process
