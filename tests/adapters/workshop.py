"""A real server, a person in front of it, and workers that come and go: what the tests of frameworks' adapters need."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import holdfast
from holdfast.agents.execution import Agent
from holdfast.client.feed import Snapshot
from holdfast.client.session import Session
from holdfast.edge import auth
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.hub.hub import Hub
from holdfast.protocol import wire
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View

Item = dict[str, Any]


class Worker:
    """A worker in a connection of its own, which a test can let go of in any way."""

    def __init__(self, client: holdfast.Holdfast) -> None:
        self.client = client
        self.task = asyncio.create_task(client.serve())

    async def leave(self) -> None:
        """Go without ending anything: what it executes is lost when its lease runs out."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.client.close()


class Workshop:
    """The server's address, and whoever is connected to it."""

    def __init__(self, url: str, secret: str) -> None:
        self.url, self._secret = url, secret
        self._clients: list[holdfast.Holdfast] = []
        self._workers: list[Worker] = []

    def token(self, subject: str, **granted: Any) -> str:
        return auth.mint(self._secret, subject=subject, **granted)

    async def person(self, subject: str = "user:ann", *verbs: str) -> holdfast.Holdfast:
        """A person's client; ``verbs`` are what they may do, everything but ``admin`` by default."""
        return await self._connect(subject, capabilities={"*": verbs} if verbs else None)

    async def session(self, agent: str = "writer") -> Session:
        return await (await self.person()).create("s1", agent=agent)

    async def worker(self, **agents: Agent) -> Worker:
        """A worker that serves these agents."""
        client = await self._connect("agent:worker", agents=tuple(agents))
        for name, agent in agents.items():
            client.add_agent(name, agent)
        worker = Worker(client)
        self._workers.append(worker)
        return worker

    async def _connect(self, subject: str, **granted: Any) -> holdfast.Holdfast:
        client = holdfast.connect(self.url, token=self.token(subject, **granted))
        await client.connection.open()
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for worker in self._workers:
            await worker.leave()
        for client in self._clients:
            await client.close()


@contextlib.asynccontextmanager
async def open_workshop(folder: Path, lease_s: float = 1.0) -> AsyncIterator[Workshop]:
    """A server with short leases, so that what a worker leaves behind is soon taken over."""
    db = str(folder / "holdfast.db")
    hub = Hub(SqliteEngine(db), lease_s=lease_s)
    await hub.open()
    edge = Edge(hub, Settings(db=db, port=0, drain_s=1.0))
    async with running(edge) as server:
        assert edge.secret is not None
        workshop = Workshop(f"http://127.0.0.1:{port_of(server)}", edge.secret)
        yield workshop
        await workshop.close()


def items(view: View, kind: str, **fields: Any) -> list[Item]:
    """The view's items of a kind with these fields."""
    view.export()
    return [i for i in view.items if i["kind"] == kind and all(i.get(k) == v for k, v in fields.items())]


def answers(view: View, run: str) -> list[str]:
    """What a run said, message by message, unless it was cut."""
    return [i["text"] for i in items(view, "message", run=run) if i["status"] == "complete"]


async def seen(session: Session, condition: Callable[[View], Any]) -> View:
    """Wait until the session's view meets a condition."""
    async with asyncio.timeout(30), session.live() as live:
        return await live.until(lambda view: bool(condition(view)))


async def logged(reader: Session, type_: str) -> list[dict[str, Any]]:
    """The data of every event of a type that is in the session's log, as this reader may read it."""
    found = []
    async with asyncio.timeout(30), reader.events() as start:
        snapshot = await anext(start)
        assert isinstance(snapshot, Snapshot)
    async with asyncio.timeout(30), reader.events(wire.Cursor(snapshot.incarnation, 0)) as log:
        async for entry in log:
            if isinstance(entry, Event) and entry.type == type_:
                found.append(entry.data)
            if isinstance(entry, Event) and entry.last >= snapshot.seq:
                break
    return found


async def ended(session: Session, run: str) -> View:
    """Wait until a run is over."""
    return await seen(session, lambda view: view.runs[run]["status"] in ("completed", "failed", "cancelled", "lost"))
