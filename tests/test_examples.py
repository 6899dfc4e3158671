"""The examples do what their pages say: real files, real servers, real processes."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import uvicorn

import holdfast
from holdfast.edge import auth
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.hub.hub import Hub

EXAMPLES = Path(__file__).parents[1] / "examples"
pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Site:
    """A server, and examples running against it in processes of their own."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = url
        self.secret = secret
        self.processes: list[asyncio.subprocess.Process] = []

    def token(self, subject: str = "user:ann", *agents: str) -> str:
        return auth.mint(self.secret, subject=subject, agents=agents)

    async def start(self, example: str, *agents: str) -> asyncio.subprocess.Process:
        """Start an example and wait until it serves."""
        env = {**os.environ, "HOLDFAST_URL": self.url, "HOLDFAST_TOKEN": self.token(f"agent:{agents[0]}", *agents)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(EXAMPLES / example), env=env, stdout=asyncio.subprocess.PIPE
        )
        self.processes.append(process)
        assert (await self.line(process)).startswith("serving")
        return process

    async def line(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            return (await process.stdout.readline()).decode().strip()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    db = str(tmp_path / "holdfast.db")
    hub = Hub(SqliteEngine(db), lease_s=1.5)
    await hub.open()
    edge = Edge(hub, Settings(db=db, port=0, drain_s=2.0))
    async with running(edge) as server:
        assert edge.secret is not None
        site = Site(f"http://127.0.0.1:{port_of(server)}", edge.secret)
        yield site
        for process in site.processes:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(20):
                await process.wait()


def test_every_example_is_one_file_with_a_page_in_the_list() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    for folder in (path for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__"):
        assert (
            folder.name == "audit"
            or len([p for p in folder.iterdir() if p.suffix == ".py" and p.name != "before.py"]) == 1
        )
        assert f"({folder.name}/README.md)" in listed


async def test_plain_agent_answers_and_a_killed_one_does_not_call_its_tool_twice(site: Site) -> None:
    reporter = await site.start("plain_agent/agent.py", "reporter")
    async with holdfast.connect(site.url, token=site.token()) as hf:
        session = await hf.create("weather")
        run = await session.send("Oslo", agent="reporter")
        assert await site.line(reporter) == "looked up oslo"
        async with session.live() as live:
            await live.until(lambda view: any(i["kind"] == "tool" and i["status"] == "done" for i in view.items))
        reporter.kill()
        again = await site.start("plain_agent/agent.py", "reporter")
        assert await run.text() == "It is -3 degrees in Oslo. "
        state = await session.state()
        assert [i["status"] for i in state.items if i["kind"] == "tool"] == ["done"]
        again.terminate()
        await again.wait()
        assert again.stdout is not None
        assert b"looked up" not in await again.stdout.read()


async def test_approvals_wait_without_a_worker_and_run_what_was_approved(site: Site) -> None:
    first = await site.start("approvals/clerk.py", "clerk")
    async with holdfast.connect(site.url, token=site.token()) as hf:
        session = await hf.create("letters")
        run = await session.send("The tide is at six.", agent="clerk")
        async with session.live() as live:
            view = await live.until(lambda view: view.runs[run.id]["status"] == "waiting")
            approval = next(item for item in view.items if item["kind"] == "approval")
        first.kill()  # nobody is needed while people think
        await first.wait()
        assert approval["args"] == {"to": "ann@example.com", "text": "The tide is at six."}
        await session.approve(approval["id"], hash=approval["hash"])
        second = await site.start("approvals/clerk.py", "clerk")
        assert await site.line(second) == "sent to ann@example.com: The tide is at six."
        assert await run.text() == "I have a draft.\n\nSent."


async def test_a_denied_approval_is_told_to_the_agent(site: Site) -> None:
    await site.start("approvals/clerk.py", "clerk")
    async with holdfast.connect(site.url, token=site.token()) as hf:
        session = await hf.create("letters")
        run = await session.send("The tide is at six.", agent="clerk")
        async with session.live() as live:
            view = await live.until(lambda view: any(item["kind"] == "approval" for item in view.items))
        approval = next(item["id"] for item in view.items if item["kind"] == "approval")
        await session.deny(approval, note="wrong day")
        assert await run.text() == "I have a draft.\n\nNot sent: wrong day."


async def test_sub_agents_write_to_the_session_as_themselves(site: Site) -> None:
    await site.start("sub_agents/editor.py", "editor", "scout")
    async with holdfast.connect(site.url, token=site.token()) as hf:
        session = await hf.create("sea")
        run = await session.send("What about tides and winds?", agent="editor")
        assert await run.text() == "The moon makes them. The sun makes them."
        said = {item["actor"] for item in (await session.state()).items if item["kind"] == "message"}
        assert said == {"user:ann", "agent:editor", "agent:scout", "agent:editor/checker"}


# --- embedded ----------------------------------------------------------------------------------------------------------
def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{path.parent.name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.asynccontextmanager
async def uvicorn_of(app: Any) -> AsyncIterator[str]:
    """The application as uvicorn serves it."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done()
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


def spoken(lines: list[str]) -> str:
    """What the server-sent events of a stream say."""
    told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    events = [event for message in told for event in message.get("events", [])]
    return "".join(event["data"]["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT")


async def test_fastapi_in_three_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONS", f"sqlite:///{tmp_path}/sessions.db")
    app = load(EXAMPLES / "fastapi_three_lines" / "app.py").app
    async with uvicorn_of(app) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as http:
        async with http.stream("POST", "/chat/first", params={"text": "hello"}) as old:
            lines = []
            async for line in old.aiter_lines():
                lines.append(line)
                if spoken(lines):
                    break  # the reader goes away in the middle
        token = (await http.post("/login/ann")).json()["token"]
        async with holdfast.connect(url, token=token) as hf:
            session = hf.session("first")
            async with session.live() as live:
                view = await live.until(lambda v: any(r["status"] == "completed" for r in v.runs.values()))
                assert [m["text"] for m in view.items] == ["hello", "You said: hello "]
            whole = await http.post("/chat/first", params={"text": "again"})
            assert spoken(whole.text.splitlines()) == "You said: again "
            with pytest.raises(holdfast.Refused, match=r"auth\.denied"):
                await session.delete()
