"""A hub in this process, a person's client and a worker's client, and lines between them that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from holdfast.agents.holdfast import Holdfast
from holdfast.client.retry import Backoff
from holdfast.client.session import Session
from holdfast.client.transport import Sink, Transport
from holdfast.embed import Loopback
from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Engine
from holdfast.errors import HoldfastError
from holdfast.hub.hub import Hub
from holdfast.protocol.fold import View
from holdfast.session.access import Principal, full_access
from holdfast.session.labels import parse
from holdfast.session.policy import DEFAULT, Policy

Item = dict[str, Any]


class CuttableDialer:
    """A loopback whose transports a test can cut, and which it can keep from coming back."""

    authenticates = False

    def __init__(self, hub: Hub, principal: Principal) -> None:
        self._loopback = Loopback(hub, principal)
        self.transports: list[Transport] = []
        self.down = False

    async def __call__(self, sink: Sink) -> Transport:
        if self.down:
            raise ConnectionRefusedError
        transport = await self._loopback(sink)
        self.transports.append(transport)
        return transport

    def cut(self) -> None:
        """Lose the newest transport."""
        self.transports[-1].close()


class House:
    """Everything a test of agents needs."""

    def __init__(self, lease_s: float, policy: Policy = DEFAULT, engine: Engine | None = None) -> None:
        self.hub = Hub(engine or MemoryEngine(), lease_s=lease_s, policy=policy)
        self.dials: list[CuttableDialer] = []
        self._clients: list[Holdfast] = []
        self._serving: list[asyncio.Task[None]] = []

    async def client(
        self,
        actor: str,
        *,
        agents: tuple[str, ...] = (),
        backoff: Backoff | None = None,
        labels: dict[str, str] | None = None,
    ) -> Holdfast:
        principal = msgspec.structs.replace(full_access("t", actor, agents), labels=parse(labels or {}))
        dial = CuttableDialer(self.hub, principal)
        self.dials.append(dial)
        client = Holdfast(dial, backoff=backoff or Backoff(0.001, 0.001))
        await client.connection.open()
        self._clients.append(client)
        return client

    async def worker(self) -> Holdfast:
        """A client that may run every agent; ``serve`` it when its agents are registered."""
        return await self.client("agent:worker", agents=("*",))

    def serve(self, worker: Holdfast, **options: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(worker.serve(**options))
        self._serving.append(task)
        return task

    async def session(self, agent: str = "writer", actor: str = "user:ann") -> Session:
        person = await self.client(actor)
        return await person.create("s1", agent=agent)

    async def close(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for client in self._clients:
            await client.close()
        await self.hub.close(1.0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def lease_s() -> float:
    """How long a lease lives; tests of lost attempts make it short."""
    return 30.0


@pytest.fixture
async def house(lease_s: float, anyio_backend: str) -> AsyncIterator[House]:
    house = House(lease_s)
    await house.hub.open()
    yield house
    await house.close()


def items(view: View, kind: str) -> list[Item]:
    """The view's items of a kind."""
    view.export()
    return [item for item in view.items if item["kind"] == kind]


async def seen(session: Session, condition: Callable[[View], Any]) -> View:
    """Wait until the session's view meets a condition."""
    async with asyncio.timeout(20):
        async with session.live() as live:
            return await live.until(lambda view: bool(condition(view)))


async def refusal(awaitable: Any) -> HoldfastError:
    """The error something is refused with."""
    try:
        await awaitable
    except HoldfastError as error:
        return error
    raise AssertionError("it was not refused")
