"""The line is cut at every frame boundary of a real answer, and in the middle of frames: the text is exact each time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.agents.holdfast import Holdfast
from holdfast.client.retry import Backoff
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.hub.hub import Hub
from holdfast.protocol import wire
from tests.acceptance.cutting import Cut, CuttingProxy
from tests.unit.edge.conftest import Site

pytestmark = pytest.mark.anyio

WORDS = [f"{n}·{'🌊' if n % 3 == 0 else 'tide'} " for n in range(12)]
TEXT = "".join(WORDS)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    hub = Hub(SqliteEngine(str(tmp_path / "sessions.db")), lease_s=1.0)
    await hub.open()
    edge = Edge(hub, Settings(db=str(tmp_path / "sessions.db"), port=0, drain_s=1))
    async with running(edge) as server:
        site = Site(edge, port_of(server))
        yield site
        site.hang_up()


calls: list[str] = []


async def write(run: holdfast.RunContext) -> None:
    """Answers so that every word is a frame of its own."""
    calls.append(run.id)
    async with run.message() as out:
        for word in WORDS:
            await out.write(word)
            await run.flush()


def connect(url: str, token: str) -> Holdfast:
    return Holdfast(url, token, backoff=Backoff(0.001, 0.001))


async def read_answer(session: Any, run: str, incarnation: str) -> tuple[str, list[int]]:
    """The answer as the application sees it, event by event from the beginning; and every seq it was given."""
    text, seqs = "", []
    async with session.events(after=wire.Cursor(incarnation, 0)) as events:
        async for item in events:
            assert isinstance(item, holdfast.Event), "nothing was compacted: there is no reason for a snapshot"
            seqs.append(item.seq)
            if item.type == "TEXT_MESSAGE_CONTENT":
                text += item.data["delta"]
            if item.type == "run.ended" and item.run == run:
                return text, seqs
    raise AssertionError


async def incarnation_of(site: Site, session: str) -> str:
    from holdfast.session.access import full_access

    return (await site.hub.sessions.load(full_access("acme", "user:ann"), session)).incarnation


async def one_answer(
    site: Site, proxy: CuttingProxy, name: str, plan: list[Cut], *, worker_through_proxy: bool
) -> None:
    """Ask, answer and read once, with one side's line cut as planned."""
    reader_url, worker_url = (site.url, proxy.url) if worker_through_proxy else (proxy.url, site.url)
    async with connect(site.url, site.token()) as asker:
        session = await asker.create(name, agent="writer")
        incarnation = await incarnation_of(site, name)
        proxy.plan = list(plan)
        calls.clear()
        proxy.carried.clear()
        async with connect(worker_url, site.token("agent:w", agents=["writer"])) as worker:
            worker.agent("writer")(write)
            serving = asyncio.create_task(worker.serve())
            async with connect(reader_url, site.token()) as person:
                run = await session.send("go", key=f"in-{name}")
                text, seqs = await read_answer(person.session(name), run.id, incarnation)
                assert text == TEXT
                assert seqs == list(range(1, seqs[-1] + 1))
                over = (await person.session(name).state()).runs[run.id]
                assert over["status"] == "completed"
                # only a cut that takes the assignment itself away costs an attempt, one that no agent has seen
                assert calls == [run.id] and over["attempt"] <= (2 if worker_through_proxy else 1)
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def boundaries(site: Site, proxy: CuttingProxy, *, worker_through_proxy: bool, to_client: bool) -> list[int]:
    """What an undisturbed connection carries: frames and bytes."""
    name = f"whole-{worker_through_proxy}-{to_client}"
    await one_answer(site, proxy, name, [], worker_through_proxy=worker_through_proxy)
    return proxy.carried[0][to_client]


@pytest.mark.parametrize("to_client", [True, False], ids=["from-server", "to-server"])
@pytest.mark.parametrize("side", ["reader", "worker"])
async def test_a_cut_at_every_frame_boundary(site: Site, side: str, to_client: bool) -> None:
    async with CuttingProxy(site.port).running() as proxy:
        through = side == "worker"
        frames, _ = await boundaries(site, proxy, worker_through_proxy=through, to_client=to_client)
        cuts = 0
        for k in range(1, frames + 1):
            plan = [Cut(frames=k, to_client=to_client)]
            await one_answer(site, proxy, f"{side}-{to_client}-{k}", plan, worker_through_proxy=through)
            cuts += len(proxy.carried) > 1  # an answer may take a frame more or less than the one that was measured
        assert cuts >= frames - 5
        assert frames >= (5 if side == "reader" and not to_client else 10)


@pytest.mark.parametrize("side", ["reader", "worker"])
async def test_a_cut_in_the_middle_of_frames(site: Site, side: str) -> None:
    async with CuttingProxy(site.port).running() as proxy:
        through = side == "worker"
        _, size = await boundaries(site, proxy, worker_through_proxy=through, to_client=not through)
        for at in range(1, size, max(1, size // 60)):
            plan = [Cut(bytes_=at, to_client=not through)]
            await one_answer(site, proxy, f"{side}-b{at}", plan, worker_through_proxy=through)


@pytest.mark.parametrize("side", ["reader", "worker"])
async def test_lines_that_never_last(site: Site, side: str) -> None:
    """Every connection, again and again, carries only a few frames."""
    async with CuttingProxy(site.port).running() as proxy:
        for k in (4, 5, 7):
            plan = [Cut(frames=k)] * 40
            await one_answer(site, proxy, f"{side}-again-{k}", plan, worker_through_proxy=side == "worker")
