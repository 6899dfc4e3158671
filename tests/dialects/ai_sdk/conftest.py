"""A server, agents, a line that can be cut, and the unmodified chats of ``ai`` 5, 6 and 7 in Node."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import holdfast
from holdfast.edge import auth
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.hub.hub import Hub
from holdfast.protocol.fold import View
from holdfast.session.access import full_access
from tests.dialects.ai_sdk import agents
from tests.dialects.ai_sdk.agents import Pace, serve

FOLDER = Path(__file__).parent
NODE = shutil.which("node")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def packages() -> None:
    """The clients are needed: a machine without them skips, CI must not."""
    if NODE is None or not (FOLDER.parent / "node_modules" / "ai").is_dir():
        if os.environ.get("CI"):
            pytest.fail("no Node or no tests/dialects/node_modules, and in CI these tests must run")
        pytest.skip("needs Node and `npm ci` in tests/dialects")


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> Pace:
    """The writer writes nothing until the test says how much."""
    monkeypatch.setattr(agents, "pace", made := Pace())
    return made


class Line:
    """A TCP proxy in front of the server; ``cut`` resets every connection at once, as a lost network does in the end."""

    def __init__(self, port: int = 0) -> None:
        self.server_port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Line]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> int:
        """Break what is connected; how many ends that were."""
        for writer in self._writers:
            writer.transport.abort()
        return len(self._writers)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:  # nobody there now
            writer.transport.abort()
            self._tasks.discard(task)
            return
        self._writers |= {writer, up_writer}
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
        self._writers -= {writer, up_writer}
        for end in (writer, up_writer):
            end.close()
        self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()


class SdkChat:
    """One Node process with one chat."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            self._answers.pop(answer["number"]).set_result(answer)
        for future in self._answers.values():
            future.set_exception(RuntimeError("the chat's process ended"))

    def begin(self, what: str, **more: Any) -> asyncio.Future[dict[str, Any]]:
        """Give a command; the future holds what the chat looks like when it is done."""
        number = next(self._numbers)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"number": number, "do": what, **more}).encode() + b"\n")
        return future

    async def do(self, what: str, **more: Any) -> dict[str, Any]:
        """Give a command and wait until it is done."""
        async with asyncio.timeout(30):
            return await self.begin(what, **more)

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._task


class Site:
    """A running server with its agents, and ways to it."""

    def __init__(self, edge: Edge, port: int, line: Line) -> None:
        self.edge = edge
        self.hub = edge.hub
        self.port = port
        self.line = line
        self.url = f"http://127.0.0.1:{port}"
        self.chats: list[SdkChat] = []

    def token(self, subject: str = "user:ann", **more: Any) -> str:
        assert self.edge.secret is not None
        return auth.mint(self.edge.secret, subject=subject, **more)

    def api(self, version: str = "v7", agent: str = "writer", port: int = 0) -> str:
        return f"http://127.0.0.1:{port or self.port}/v1/ai-sdk/{version}/{agent}"

    async def chat(
        self, version: str = "v7", transport: str = "ws", *, chat: str = "c1", agent: str = "writer", token: str = "",
        through: int = 0, tools: str | None = None,
    ) -> SdkChat:  # fmt: skip
        assert NODE is not None
        process = await asyncio.create_subprocess_exec(
            NODE, str(FOLDER / "chat.mjs"), version, transport, self.api(version, agent, through), token or self.token(), chat,
            *(() if tools is None else (tools,)),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
        )  # fmt: skip
        self.chats.append(SdkChat(process))
        return self.chats[-1]

    def http(self, token: str = "") -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {token or self.token()}"}
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=headers, trust_env=False, timeout=20)

    async def log(self, session: str = "c1") -> View:
        """The session, folded."""
        async with holdfast.connect(f"http://127.0.0.1:{self.port}", token=self.token()) as hf:
            return await hf.session(session).state()

    async def ended(self, session: str = "c1", runs: int = 1) -> View:
        """The session once so many root runs have ended."""
        someone = full_access("default", "user:test")
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(holdfast.Refused):  # not there yet
                    view = (await self.hub.sessions.load(someone, session)).view
                    if sum("ended_ts" in r for r in view.runs.values() if "parent" not in r) >= runs:
                        return await self.log(session)
                await asyncio.sleep(0.02)


@pytest.fixture
async def site(tmp_path: Path, packages: None) -> AsyncIterator[Site]:
    db = str(tmp_path / "holdfast.db")
    hub = Hub(SqliteEngine(db))
    await hub.open()
    edge = Edge(hub, Settings(db=db, port=0, drain_s=1.0))
    async with running(edge) as server, Line(port_of(server)).running() as line:
        site = Site(edge, port_of(server), line)
        async with serve(f"http://127.0.0.1:{site.port}", site.token("agent:host", agents=["*"])):
            yield site
        for chat in site.chats:
            await chat.end()
