"""Workers and servers in processes of their own, killed, stopped and hung (RUN-2 to RUN-4, CTL-3)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.client import run as runs
from holdfast.edge import auth
from holdfast.protocol.fold import View

pytestmark = [pytest.mark.anyio, pytest.mark.process]

LEASE_S = 1.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Plant:
    """A server and workers as processes, and a person's client in this one."""

    def __init__(self, folder: Path, lease_s: float) -> None:
        self.folder = folder
        self.lease_s = lease_s
        self.db = str(folder / "sessions.db")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.marks_file = folder / "marks"
        self.processes: list[asyncio.subprocess.Process] = []
        self.server: asyncio.subprocess.Process

    def token(self, subject: str, **more: Any) -> str:
        secret = auth.read_secret(self.db)
        assert secret is not None
        return auth.mint(secret, subject=subject, **more)

    async def _start(self, *args: str) -> asyncio.subprocess.Process:
        env = {**os.environ, "HOLDFAST_LEASE_S": str(self.lease_s)}
        process = await asyncio.create_subprocess_exec(sys.executable, *args, env=env, stdout=asyncio.subprocess.PIPE)
        self.processes.append(process)
        return process

    async def serve(self) -> None:
        """Start the server and wait until it says that it is ready."""
        arguments = ("serve", "--db", self.db, "--port", str(self.port), "--quiet")
        self.server = await self._start("-m", "holdfast.cli", *arguments)
        assert self.server.stdout is not None
        line = await asyncio.wait_for(self.server.stdout.readline(), 30)
        assert b"ready" in line

    async def worker(self) -> asyncio.subprocess.Process:
        """Start a worker and wait until it serves."""
        script = str(Path(__file__).parent / "worker_process.py")
        process = await self._start(script, self.url, self.token("agent:worker", agents=["*"]), str(self.marks_file))
        await self.marked(lambda marks: f"{process.pid} serving" in marks)
        return process

    def marks(self) -> list[str]:
        return self.marks_file.read_text().splitlines() if self.marks_file.exists() else []

    async def marked(self, condition: Callable[[list[str]], Any]) -> list[str]:
        """Wait until the workers have said something."""
        async with asyncio.timeout(30):
            while not condition(marks := self.marks()):
                await asyncio.sleep(0.01)
            return marks

    async def close(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def plant(tmp_path: Path, anyio_backend: str, request: pytest.FixtureRequest) -> AsyncIterator[Plant]:
    plant = Plant(tmp_path, getattr(request, "param", LEASE_S))
    await plant.serve()
    yield plant
    await plant.close()


async def seen(session: holdfast.Session, condition: Callable[[View], Any]) -> View:
    async with asyncio.timeout(60):
        async with session.live() as live:
            return await live.until(lambda view: bool(condition(view)))


def run_text(view: View, run: str) -> str:
    view.export()  # makes open texts whole
    return runs.run_text(view.items, view.runs[run]) if run in view.runs else ""


def numbers(count: int) -> str:
    return "".join(f"{n} " for n in range(count))


async def test_a_worker_killed_in_mid_sentence(plant: Plant) -> None:
    first = await plant.worker()
    async with holdfast.connect(plant.url, token=plant.token("user:ann")) as person:
        session = await person.create("s1", agent="count")
        run = await session.send("200")
        await seen(session, lambda view: "20 " in run_text(view, run.id))
        first.kill()
        await plant.worker()
        over = await run.finished()
        assert (over["status"], over["attempt"], len(over["losses"])) == ("completed", 2, 1)
        assert await run.text() == numbers(200)
        statuses = [i["status"] for i in (await session.state()).items if i["kind"] == "message" and i.get("run")]
        assert statuses == ["cut", "complete"]


async def test_a_side_effect_is_not_repeated_by_the_next_attempt(plant: Plant) -> None:
    first = await plant.worker()
    async with holdfast.connect(plant.url, token=plant.token("user:ann")) as person:
        run = await (await person.create("s1", agent="once")).send("go")
        await plant.marked(lambda marks: any("waiting" in m for m in marks))
        first.kill()
        await plant.worker()
        assert await run.text() == "after the effect"
        assert sum("effect" in mark for mark in plant.marks()) == 1


async def test_a_stopped_process_loses_its_run_and_says_nothing_when_it_comes_back(plant: Plant) -> None:
    first = await plant.worker()
    async with holdfast.connect(plant.url, token=plant.token("user:ann")) as person:
        session = await person.create("s1", agent="count")
        run = await session.send("200")
        await seen(session, lambda view: "20 " in run_text(view, run.id))
        first.send_signal(signal.SIGSTOP)
        await plant.worker()
        over = await run.finished()
        assert (over["status"], over["attempt"]) == ("completed", 2)
        before = (await session.state()).export()
        first.send_signal(signal.SIGCONT)
        await plant.marked(lambda marks: f"{first.pid} cancelled fenced=True" in marks)
        assert (await session.state()).export() == before
        again = await session.send("3")
        assert await again.text() == numbers(3)


async def test_a_blocked_loop_loses_its_run(plant: Plant) -> None:
    first = await plant.worker()
    async with holdfast.connect(plant.url, token=plant.token("user:ann")) as person:
        session = await person.create("s1", agent="block")
        run = await session.send("go")
        await plant.marked(lambda marks: f"{first.pid} blocking" in marks)
        await plant.worker()
        over = await run.finished()
        assert (over["status"], over["attempt"]) == ("completed", 2)
        await plant.marked(lambda marks: f"{first.pid} unblocked" in marks)
        other = await person.create("s2", agent="count")
        assert await (await other.send("3")).text() == numbers(3)
        texts = [i["text"] for i in (await session.state()).items if i["kind"] == "message" and i.get("run")]
        assert texts == ["attempt 1", "attempt 2"]


async def test_stop_works_on_a_process_that_hangs(plant: Plant) -> None:
    worker = await plant.worker()
    async with holdfast.connect(plant.url, token=plant.token("user:ann")) as person:
        session = await person.create("s1", agent="count")
        run = await session.send("100000")
        await seen(session, lambda view: "20 " in run_text(view, run.id))
        worker.send_signal(signal.SIGSTOP)
        await run.cancel(force=True)
        assert (await run.finished())["status"] == "cancelled"
        frozen = run_text(await session.state(), run.id)
        worker.send_signal(signal.SIGCONT)
        await plant.marked(lambda marks: f"{worker.pid} cancelled fenced=True" in marks)
        assert run_text(await session.state(), run.id) == frozen


async def test_an_agent_that_swallows_the_stop_is_ended_after_the_grace(plant: Plant) -> None:
    worker = await plant.worker()
    async with holdfast.connect(plant.url, token=plant.token("user:ann")) as person:
        session = await person.create("s1", agent="swallow")
        run = await session.send("go")
        await seen(session, lambda view: "again" in run_text(view, run.id))
        await run.cancel()
        over = await run.finished()
        assert over["status"] == "cancelled" and over["cancel"]["delivered"] and over["cancel"]["effective"]
        frozen = run_text(await session.state(), run.id)
        await plant.marked(lambda marks: f"{worker.pid} swallowed fenced=True" in marks)
        assert run_text(await session.state(), run.id) == frozen
        other = await person.create("s2", agent="count")
        assert await (await other.send("3")).text() == numbers(3)  # the worker still works


@pytest.mark.parametrize("plant", [15.0], indirect=True)  # the worker has to come back within its lease
async def test_a_server_killed_in_mid_sentence_costs_neither_side_anything(plant: Plant) -> None:
    await plant.worker()
    async with holdfast.connect(plant.url, token=plant.token("user:ann")) as person:
        session = await person.create("s1", agent="count")
        run = await session.send("300")
        seqs: list[int] = []

        async def read() -> None:
            async with session.events(after="tail") as events:
                async for item in events:
                    assert isinstance(item, holdfast.Event)
                    seqs.append(item.seq)
                    if item.type == "run.ended":
                        return

        reading = asyncio.create_task(read())
        for words in ("20 ", "120 "):
            await seen(session, lambda view, words=words: words in run_text(view, run.id))
            plant.server.kill()
            await plant.server.wait()
            await plant.serve()
        over = await run.finished()
        assert (over["status"], over["attempt"]) == ("completed", 1)
        assert await run.text() == numbers(300)
        await reading
        assert seqs == list(range(seqs[0], seqs[-1] + 1))


async def test_a_deploy_drains_the_worker(plant: Plant) -> None:
    first = await plant.worker()
    async with holdfast.connect(plant.url, token=plant.token("user:ann")) as person:
        session = await person.create("s1", agent="count")
        run = await session.send("100")
        await seen(session, lambda view: "20 " in run_text(view, run.id))
        first.send_signal(signal.SIGTERM)
        assert await run.text() == numbers(100)
        assert (await run.finished())["attempt"] == 1
        assert await first.wait() == 0
        late = await session.send("3")
        await plant.worker()
        assert await late.text() == numbers(3)
