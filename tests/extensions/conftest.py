"""Servers with extensions, in this process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.edge.extensions.port import Extension
from holdfast.edge.server import port_of, running
from holdfast.engines.address import engine_for
from holdfast.hub.hub import Hub
from tests.unit.edge.conftest import Site

SETTINGS = Settings(db="memory:", port=0, drain_s=0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.asynccontextmanager
async def served(extensions: Sequence[Extension], *, pages: bool = False) -> AsyncIterator[Site]:
    """A server with these extensions, on a free port."""
    plugged = ExtensionSet(extensions)
    hub = Hub(engine_for("memory:"), policy=plugged.policy)
    await hub.open()
    edge = Edge(hub, SETTINGS, pages=pages, extensions=plugged)
    async with running(edge) as server:
        yield Site(edge, port_of(server))
