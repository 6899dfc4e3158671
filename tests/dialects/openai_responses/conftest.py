"""A real server over SQLite, an agent that says what the test scripts, and OpenAI's own clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.edge import auth
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.hub.hub import Hub

Agent = Callable[[RunContext], Awaitable[None]]


class Cutter:
    """A TCP proxy in front of the server that cuts what goes through it.

    Attributes:
        budget: bytes each further connection may still receive; None for all.
    """

    def __init__(self, port: int) -> None:
        self._behind = port
        self.port = 0
        self.budget: int | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection("127.0.0.1", self._behind)
        left = self.budget

        async def there() -> None:
            with contextlib.suppress(ConnectionError):
                while data := await near.read(4_096):
                    forth.write(data)
                    await forth.drain()

        sending = asyncio.create_task(there())
        with contextlib.suppress(ConnectionError):
            while data := await far.read(64 if left is not None else 4_096):
                if left is not None:
                    data, left = data[:left], left - len(data)
                back.write(data)
                await back.drain()
                if left is not None and left <= 0:
                    back.transport.abort()
                    break
        sending.cancel()
        forth.transport.abort()
        back.close()


class Site:
    """A running server, its worker, and clients for it."""

    def __init__(self, edge: Edge, port: int) -> None:
        self.edge, self.hub, self.port = edge, edge.hub, port
        self.url = f"http://127.0.0.1:{port}"
        self.cutter = Cutter(port)
        self.agents: dict[str, Agent] = {}
        self._stack = contextlib.AsyncExitStack()

    def token(self, subject: str = "user:ann", **more: Any) -> str:
        assert self.edge.secret is not None
        return auth.mint(self.edge.secret, subject=subject, **more)

    def client(self, *, cut: bool = False, token: str | None = None, **more: Any) -> openai.AsyncOpenAI:
        """OpenAI's client as anybody makes it."""
        port = self.cutter.port if cut else self.port
        client = openai.AsyncOpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key=token or self.token(), **{"max_retries": 0, **more}
        )
        self._stack.push_async_callback(client.close)
        return client

    async def serve(self, **agents: Agent) -> asyncio.Task[Any]:
        """Let a worker serve agents."""
        worker = Holdfast(self.url, self.token("agent:worker", agents=["*"]))
        await self._stack.enter_async_context(worker)
        for name, agent in agents.items():
            worker.add_agent(name, agent)
        task = asyncio.create_task(worker.serve())
        self._stack.callback(task.cancel)
        return task

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    db = str(tmp_path / "holdfast.db")
    hub = Hub(SqliteEngine(db), lease_s=2.0)
    await hub.open()
    edge = Edge(hub, Settings(db=db, port=0, drain_s=1.0))
    async with running(edge) as server:
        site = Site(edge, port_of(server))
        await site.cutter.start()
        try:
            yield site
        finally:
            await site.close()
            await site.cutter.stop()
