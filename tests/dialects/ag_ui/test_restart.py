"""A server that goes away in the middle of a run and comes back: the client joins, and nothing is there twice."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import holdfast
from holdfast.edge import auth
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.hub.hub import Hub
from tests.dialects.ag_ui.conftest import HERE, Agents, Node, Site, end
from tests.dialects.ag_ui.holding import assert_same

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@contextlib.asynccontextmanager
async def serving(db: str, port: int) -> AsyncIterator[Site]:
    hub = Hub(SqliteEngine(db))
    await hub.open()
    edge = Edge(hub, Settings(db=db, port=port, drain_s=1))
    async with running(edge) as server:
        yield Site(edge, port_of(server))


@pytest.mark.usefixtures("packages")
async def test_a_restart_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    assert shutil.which("node")
    db, agents = str(tmp_path / "log.db"), Agents()
    async with contextlib.AsyncExitStack() as stack:
        async with serving(db, 0) as site:
            port, token = site.port, site.token()
            worker = auth.mint(str(site.edge.secret), subject="agent:crew", tenant="acme", agents=["writer"])
            hf = await stack.enter_async_context(holdfast.connect(site.url, token=worker))
            hf.agent("writer")(agents.writer)
            work = asyncio.create_task(hf.serve())
            stack.callback(work.cancel)
            process = await asyncio.create_subprocess_exec(
                "node", str(HERE / "client.mjs"), "1.0", f"{site.url}/v1/ag-ui/agent/writer", "t", token,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
            )  # fmt: skip
            stack.push_async_callback(end, process)
            client = Node(process)
            client.do("say", id="u1", text="When?")
            client.do("run", parameters={"runId": "mine"})
            await client.until_text("rises at ")
        await client.done()
        assert (client.events[-1]["type"], client.events[-1]["code"]) == ("RUN_ERROR", "connection.lost")
        async with serving(db, port) as site:
            client.do("keep", count=1)  # a client that has lost everything but its question
            client.do("run", parameters={"runId": "mine"})
            await client.until_event("RUN_STARTED")
            agents.gate.set()
            done = await client.done()
            await assert_same(site, "t", done, client)
            assert [m["role"] for m in done["messages"]] == ["user", "reasoning", "assistant", "tool", "assistant"]
            assert agents.calls == 1
            client.do("keep", count=1)
            client.do("run", parameters={"runId": "mine"})
            assert (await client.done())["messages"] == done["messages"]
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
