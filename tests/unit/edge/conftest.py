"""A real server on a free port, over the memory engine, and tokens for it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.edge.server import port_of, running
from holdfast.engines.memory import MemoryEngine
from holdfast.hub.hub import Hub
from holdfast.testing import RunningServer


class Site(RunningServer):
    """A running server and ways to talk to it; tokens are of the tenant ``acme``."""

    def __init__(self, edge: Edge, port: int) -> None:
        super().__init__(edge, port)
        self.port = port
        self._lines: list[asyncio.StreamWriter] = []

    async def line(
        self, sock: socket.socket | None = None, limit: int = 65_536
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection to the server, over a socket of one's own if given, until ``hang_up``."""
        if sock is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=limit)
        else:
            reader, writer = await asyncio.open_connection(sock=sock, limit=limit)
        self._lines.append(writer)
        return reader, writer

    def hang_up(self) -> None:
        """End the lines that are open still."""
        for writer in self._lines:
            writer.transport.abort()

    def token(self, subject: str = "user:ann", tenant: str = "acme", **more: Any) -> str:
        return super().token(subject, tenant=tenant, **more)

    def http(self, token: str | None = None) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False)


@contextlib.asynccontextmanager
async def serving(
    hub: Hub, settings: Settings, *, pages: bool = False, extensions: ExtensionSet | None = None
) -> AsyncIterator[Site]:
    """A server of the hub, which it opens and closes."""
    await hub.open()
    edge = Edge(hub, settings, pages=pages, extensions=extensions)
    async with running(edge) as server:
        site = Site(edge, port_of(server))
        yield site
        site.hang_up()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings() -> Settings:
    return Settings(db="memory:", port=0, drain_s=1)


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    async with serving(Hub(MemoryEngine()), settings) as site:
        yield site
