"""kill -9 in a loop, under load: what was acknowledged stays, and what a reader saw was never forgotten (LOG-3, LOG-4).

The server is the real one, with its database on disk. Writers and readers live in this process and outlast every server;
they are the witnesses: of each acknowledgement, and of each event that was delivered. ``HOLDFAST_KILL_ROUNDS=1000`` makes
it long.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from holdfast.client.client import Client
from holdfast.client.retry import Backoff
from holdfast.edge import auth
from holdfast.engines.port import Key
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.codec import canonical
from holdfast.protocol.events import Event
from holdfast.protocol.frames import decode_frame

pytestmark = [pytest.mark.anyio, pytest.mark.process]

ROUNDS = int(os.environ.get("HOLDFAST_KILL_ROUNDS", "15"))
SEED = int(os.environ.get("HOLDFAST_KILL_SEED", "1"))
SESSIONS = ("a", "b")
LATE_S = 60.0
PART = 100  # rounds of one database


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Forge:
    """The warmed process, and the server it runs now."""

    def __init__(self, db: Path) -> None:
        self.db, self.port = db, free_port()
        self.pid = 0

    async def open(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.acceptance.forge",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

    async def start(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"start {self.db} {self.port}\n".encode())
        ready = False
        async with asyncio.timeout(LATE_S):
            while not (ready and self.pid):
                line = (await self._process.stdout.readline()).decode()
                assert line, "the forge is gone"
                if found := re.match(r"pid (\d+)", line):
                    self.pid = int(found[1])
                ready = ready or "ready on" in line

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.pid = 0

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


class Witness:
    """What the outside knows: values acknowledged, and events seen."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, list[str]] = {name: [] for name in SESSIONS}
        self.seen: dict[str, dict[int, bytes]] = {name: {} for name in SESSIONS}
        self.incarnations: dict[str, str] = {}

    async def write(self, client: Client, name: str, writer: str, seed: int) -> None:
        """Numbered events and a message that grows; each batch is noted when the server says that it is durable."""
        rng, out, count = random.Random(seed), client.session(name).producer(), 0
        message = {"messageId": f"m.{writer}"}
        await out.write(e.TEXT_START, message)
        while True:
            values = [f"{writer}.{count + n}" for n in range(rng.randrange(1, 8))]
            for value in values:
                await out.write(e.CUSTOM, {"name": "n", "value": value})
                await out.write(e.TEXT_CONTENT, {**message, "delta": f"{value} 🌊 "})
            await out.flush()
            self.acknowledged[name] += values
            count += len(values)
            await asyncio.sleep(rng.choice((0, 0, 0.001)))

    async def read(self, client: Client, name: str, *, pause_s: float) -> None:
        """Every event from the first on, at the application's callback; nothing may be missing, repeated or replaced."""
        position = 0
        seen = self.seen[name]
        incarnation = self.incarnations[name]
        async for item in client.session(name).events(after=wire.Cursor(incarnation, 0)):
            assert isinstance(item, Event), f"the log went back behind {position}"
            assert item.seq == position + 1, f"{item.seq} after {position}"
            position = item.seq
            content = canonical(msgspec.to_builtins(item))
            assert seen.setdefault(item.seq, content) == content, f"two readers saw different events at {item.seq}"
            if pause_s and position % 500 == 0:
                await asyncio.sleep(pause_s)


async def stored(db: Path, name: str) -> list[Event]:
    """The log as it lies on the disk."""
    engine = SqliteEngine(str(db))
    await engine.open()
    try:
        log: list[Event] = []
        while frames := await engine.read(Key("default", name), len(log), max_bytes=1 << 20):
            log += [event for frame in frames for event in decode_frame(frame.payload).events]
        return log
    finally:
        await engine.close()


def check(log: list[Event], witness: Witness, name: str) -> None:
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    assert [event.ts for event in log] == sorted(event.ts for event in log)
    values = [event.data["value"] for event in log if event.type == e.CUSTOM]
    assert len(values) == len(set(values)), "an append was stored twice"
    lost = set(witness.acknowledged[name]) - set(values)
    assert not lost, f"{len(lost)} acknowledged events are lost, {sorted(lost)[:3]} …"
    for seq, content in witness.seen[name].items():
        assert seq <= len(log), f"a reader saw {seq}, the log ends at {len(log)}"
        assert canonical(msgspec.to_builtins(log[seq - 1])) == content, f"a reader saw something else at {seq}"
    for writer in {value.partition(".")[0] for value in values}:
        numbers = [int(value.partition(".")[2]) for value in values if value.partition(".")[0] == writer]
        assert numbers == list(range(len(numbers))), f"the order of {writer}"
        deltas = [
            event for event in log if event.data.get("messageId") == f"m.{writer}" and event.type == e.TEXT_CONTENT
        ]
        length = 0
        for event in deltas:
            assert event.offset == length, "an offset does not join (FOLD-3)"
            length += len(event.data["delta"].encode("utf-16-le")) // 2


@pytest.mark.parametrize("part", range(-(-ROUNDS // PART)))
async def test_kill_9_in_a_loop(
    tmp_path: Path, anyio_backend: str, part: int, record_property: Callable[[str, object], None]
) -> None:
    rounds, seed = min(PART, ROUNDS - part * PART), SEED + part
    db, rng = tmp_path / "kill.db", random.Random(seed)
    forge, witness = Forge(db), Witness()
    await forge.open()
    clients: list[Client] = []
    tasks: list[asyncio.Task[None]] = []
    try:
        await forge.start()
        secret = auth.read_secret(str(db))
        assert secret is not None

        async def client(subject: str) -> Client:
            token = auth.mint(secret, subject=subject, agents=["*"], ttl_s=86_400)
            one = Client(f"http://127.0.0.1:{forge.port}", token, backoff=Backoff(0.01, 0.03), timeout_s=LATE_S)
            await one.connection.open(LATE_S)
            clients.append(one)
            return one

        first = await client("user:witness")
        for name in SESSIONS:
            await first.session(name).create()
        witness.incarnations = {name: await incarnation_of(first, name) for name in SESSIONS}
        for number in range(4):
            name = SESSIONS[number % 2]
            writing = witness.write(await client(f"user:w{number}"), name, f"w{number}", seed * 10 + number)
            tasks.append(asyncio.create_task(writing))
        for number in range(4):
            reading = witness.read(
                await client(f"user:r{number}"), SESSIONS[number % 2], pause_s=0.05 if number > 1 else 0
            )
            tasks.append(asyncio.create_task(reading))
        for number in range(rounds):
            await progress(witness, tasks)
            await asyncio.sleep(rng.uniform(0.0, 0.12))
            forge.kill()
            failed = [task for task in tasks if task.done()]
            assert not failed, f"round {number}: {failed[0].exception()!r}"
            await forge.start()
        await progress(witness, tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if forge.pid:
            forge.kill()
        for one in clients:
            await one.close()
        await forge.close()
    for name in SESSIONS:
        log = await stored(db, name)
        assert len(witness.seen[name]) > rounds and len(witness.acknowledged[name]) > rounds
        check(log, witness, name)
    record_property("seed", seed)
    record_property("kills", rounds)
    record_property("acknowledged appends", sum(map(len, witness.acknowledged.values())))
    record_property("events seen by readers", sum(map(len, witness.seen.values())))


async def incarnation_of(client: Client, name: str) -> str:
    async with client.session(name).live() as live:
        return live.cursor.incarnation


async def progress(witness: Witness, tasks: list[asyncio.Task[None]]) -> None:
    """Wait until this server has acknowledged and delivered something in every session."""
    before = {name: (len(witness.acknowledged[name]), len(witness.seen[name])) for name in SESSIONS}
    async with asyncio.timeout(LATE_S):
        while True:
            for task in tasks:
                if task.done():
                    task.result()
            now = {name: (len(witness.acknowledged[name]), len(witness.seen[name])) for name in SESSIONS}
            if all(now[name][0] > before[name][0] and now[name][1] > before[name][1] for name in SESSIONS):
                return
            await asyncio.sleep(0.002)
