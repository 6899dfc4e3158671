"""A gateway over a fake provider, with keys and a meter that remember what they were asked."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from holdfast.errors import HoldfastError, Refused
from holdfast.gateway.app import Gateway
from holdfast.gateway.port import UNLIMITED, Caller, Hold, Opening, People, Served, Stranger
from holdfast.gateway.sessions import LocalSessions, RemoteSessions
from holdfast.gateway.settings import GatewaySettings
from tests.fake_upstream.process import FakeUpstream

KEY = "hf-test-key"


class FakeKeys:
    """One key; strangers are remembered."""

    def __init__(self) -> None:
        self.callers = {KEY: Caller("k1", labels=(("task", "answer"), ("team", "support"), ("workflow", "refunds")))}
        self.strangers: list[Stranger] = []

    def identify(self, secret: str) -> Caller:
        if secret not in self.callers:
            raise Refused("key.unknown")
        return self.callers[secret]

    def note(self, stranger: Stranger) -> None:
        self.strangers.append(stranger)

    def watch(self, revoked: Callable[[str], object]) -> None:
        self.revoked = revoked


class FakeMeter:
    """Remembers what was opened and settled; ``error`` refuses the next openings, ``hold`` bounds the money of each."""

    def __init__(self) -> None:
        self.opened: list[Opening] = []
        self.settled: list[Served] = []
        self.error: HoldfastError | None = None
        self.hold: Callable[[Opening], Hold] = lambda _: UNLIMITED
        self.asked = 0
        self._news = asyncio.Condition()

    async def open(self, opening: Opening) -> Hold:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.opened.append(opening)
        return self.hold(opening)

    async def settle(self, served: Served) -> None:
        async with self._news:
            self.settled.append(served)
            self._news.notify_all()

    async def all_settled(self, count: int) -> list[Served]:
        """What was settled, once it is so many."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.settled) >= count)
        return self.settled


class Site:
    """A gateway that is served."""

    def __init__(self, url: str, gateway: Gateway, keys: FakeKeys, meter: FakeMeter) -> None:
        self.url, self.gateway, self.keys, self.meter = url, gateway, keys, meter

    def http(self, key: str = KEY) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers={"authorization": f"Bearer {key}"}, trust_env=False)


@contextlib.asynccontextmanager
async def served(
    *upstreams: dict[str, Any],
    sessions: LocalSessions | RemoteSessions | None = None,
    people: People | None = None,
) -> AsyncIterator[Site]:
    """A gateway with these upstreams, and with sessions where there are any."""
    keys, meter = FakeKeys(), FakeMeter()
    settings = GatewaySettings.of({"upstreams": list(upstreams)}, "test")
    gateway = Gateway(
        settings, keys, meter, now_ms=lambda: int(time.time() * 1_000), monotonic=time.monotonic, sessions=sessions,
        people=people,
    )  # fmt: skip
    config = uvicorn.Config(gateway, port=0, lifespan="off", log_level="error", ws="none")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined,method-assign]
    await gateway.start()
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Site(f"http://127.0.0.1:{port}", gateway, keys, meter)
    finally:
        server.should_exit = True
        await task
        await gateway.stop()


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def upstreams_of(fake: FakeUpstream, knobs: str = "", **more: Any) -> list[dict[str, Any]]:
    """The fake provider under both shapes."""
    where = f"{fake.url}/with/{knobs}" if knobs else fake.url
    return [
        {"name": "openai", "url": f"{where}/v1", "models": ["gpt-*", "text-embedding-*"], **more},
        {"name": "anthropic", "url": where, "shape": "anthropic", "models": ["claude-*"], **more},
    ]
