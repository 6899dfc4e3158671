"""What it costs to do nothing: memory of idle connections, memory and disk of idle sessions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import sessions
from benchmarks.processes import Holdfast, Load, Server, folder, peer
from benchmarks.result import Result, Step, Table, Verdict, median
from holdfast.client.client import Client

CONNECTIONS, SESSIONS = 10_000, 10_000
SETTLE_S = 3.0
STARTS = 3

METHOD = f"""\
Connections: growth of the server's resident set from before the first of {CONNECTIONS:,} to {SETTLE_S:.0f} s after the last,
divided by their number; the kernel's socket buffers, which are small while nothing is sent, are not in it. Holdfast's
connections are authenticated, and in the second line each reads one of 100 sessions. Sessions: {SESSIONS:,} created with
a title and let go; disk is what the database file grew by, memory what a server with them takes more than one without,
the median of {STARTS} pairs; less than 16 bytes each is the noise of two processes and counts as none."""


def steps(rounds: int) -> int:
    """How often ``step`` is called."""
    return 6


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    kib: dict[str, float] = {}
    with folder() as place, Holdfast(place) as server:
        step("idle connections")
        kib["Holdfast, authenticated"] = _connections(server, lambda: _quiet(server))
    with folder() as place, Holdfast(place) as server:
        step("idle readers")
        asyncio.run(sessions.start_runs(server, 100))
        kib["Holdfast, reading a session"] = _connections(
            server, lambda: sessions.load(server, readers=CONNECTIONS, sessions=100)
        )
    for name, title in (("ws", "npm ws"), ("socketio", "socket.io")):
        step(f"idle connections of {title}")
        with peer(name) as server:
            kib[title] = _connections(server, lambda name=name, server=server: _peer(name, server))  # type: ignore[misc]
    step("idle sessions")
    disk, memory = _sessions(step)
    table = Table(["idle connections", "KiB each"], [[name, f"{value:.1f}"] for name, value in kib.items()])
    worst = kib["Holdfast, reading a session"]
    verdicts = [
        Verdict(f"idle connection, {CONNECTIONS:,} of them, each reading", "≤ 16 KiB", f"{worst:.1f} KiB", worst <= 16),
        Verdict("idle session, on disk", "≤ 1 KiB", f"{disk:,.0f} bytes", disk <= 1_024),
        Verdict("idle session, in memory", "0 bytes", f"{memory:,.0f} bytes", memory < 16),
    ]
    return Result("Idle", METHOD, verdicts, [table])


def _quiet(server: Holdfast) -> Load:
    header = f"Authorization: Bearer {server.token()}"
    return Load(server.port, readers=CONNECTIONS, header=header, until='"op":"welcome"')


def _peer(name: str, server: Server) -> Load:
    if name == "ws":
        return Load(server.port, readers=CONNECTIONS, paths=("/", "/"), generic=True)
    path = "/socket.io/?EIO=4&transport=websocket"
    return Load(server.port, readers=CONNECTIONS, paths=(path, path), join="40", until='40{"sid"', generic=True)


def _connections(server: Server, connect: Callable[[], Load]) -> float:
    """KiB of one connection. Some come and go first: what a server keeps once it has grown is not theirs."""
    with contextlib.ExitStack() as stack:
        before = server.memory()
        load = stack.enter_context(connect())
        load.wait_ready()
        time.sleep(SETTLE_S)
        return (server.memory() - before) / CONNECTIONS / 1_024


def _sessions(step: Step) -> tuple[float, float]:
    """Bytes of one session on disk, and in memory."""
    with folder() as empty, folder() as full:
        for place in (empty, full):
            with Holdfast(place) as server:
                if place is full:
                    asyncio.run(_create(server))
        step("idle sessions, started again")
        disk = _size(full) - _size(empty)
        memory = median(_resident(full) - _resident(empty) for _ in range(STARTS))
    return disk / SESSIONS, max(memory, 0) / SESSIONS


def _resident(place: Path) -> int:
    """Bytes of a server that has just started."""
    with Holdfast(place) as server:
        time.sleep(SETTLE_S)
        return server.memory()


async def _create(server: Holdfast) -> None:
    async with Client(server.url, server.token()) as person:
        for at in range(0, SESSIONS, 200):
            names = (f"idle-{number}" for number in range(at, at + 200))
            await asyncio.gather(*(person.create(name, title="A session at rest") for name in names))


def _size(place: Path) -> int:
    return (place / "bench.db").stat().st_size
