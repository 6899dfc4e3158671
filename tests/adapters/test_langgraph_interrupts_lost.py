"""Workers that are lost while tools of a LangGraph run ask people, or after they were answered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="LangGraph is not installed")

from langchain_core.tools import tool
from langgraph.types import interrupt

from tests.adapters.langgraph_desk import Calls, Desk, decide, serving, shows
from tests.adapters.workshop import Worker, Workshop, answers, ended, items, open_workshop, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def shop(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path) as shop:
        yield shop


TWO: Calls = [("ask", {"key": "refund"}), ("ask", {"key": "close"})]


async def lost(shop: Workshop, worker: Worker, desk: Desk, **options: Any) -> None:
    await worker.leave()
    await shop.worker(writer=serving(desk.graph(), **options))


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("after", [False, True], ids=["decided before the next attempt", "and after it began"])
async def test_a_worker_lost_while_people_think(shop: Workshop, wait: bool, after: bool) -> None:
    desk = Desk([*TWO, ("commands", {"key": "note"}), ("quick", {"key": "look"})])
    worker = await shop.worker(writer=serving(desk.graph(), wait=wait))
    session = await shop.session()
    run = await session.send("go")
    view = await seen(session, lambda v: len(items(v, "approval", status="pending")) == 2)
    await seen(session, lambda v: len(items(v, "tool", status="done")) == 2)
    await worker.leave()
    if not wait:  # its lease has to run out
        await seen(session, lambda v: v.runs[run.id].get("losses"))

    async def decide_all() -> None:
        for approval in items(view, "approval"):
            yes = approval["args"]["key"] == "refund"
            await (session.approve if yes else session.deny)(approval["id"])

    if not after:
        await decide_all()
    await shop.worker(writer=serving(desk.graph(), wait=wait))
    if after:
        if not wait:
            await seen(session, lambda v: v.runs[run.id]["attempt"] == 2)
        await decide_all()
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert sorted(desk.acted) == ["look", "note", "refund"]
    assert answers(view, run.id) == ["did refund; no close; did note; did look; note"]
    shows(view, desk)


@pytest.mark.parametrize("wait", [True, False])
async def test_a_worker_lost_inside_a_tool_after_its_decision_does_not_act_again(shop: Workshop, wait: bool) -> None:
    """It went on, and nobody knows how far: it must not be taken for one that still asks."""
    acted: list[str] = []
    inside = asyncio.Event()

    @tool
    async def pay(key: str) -> str:
        """Asks, pays, and hangs."""
        if interrupt({"tool": "pay", "key": key}) is False:
            return "not paid"
        acted.append(key)
        inside.set()
        await asyncio.Event().wait()
        return "paid"

    def graph() -> Any:
        desk = Desk([("pay", {"key": "a"})])
        desk.tools = lambda: [pay]  # type: ignore[method-assign]
        return desk.graph()

    worker = await shop.worker(writer=serving(graph(), wait=wait))
    session = await shop.session()
    run = await session.send("go")
    view = await seen(session, lambda v: items(v, "approval", status="pending"))
    await session.approve(items(view, "approval")[0]["id"])
    await inside.wait()
    await worker.leave()
    await shop.worker(writer=serving(graph(), wait=wait))
    view = await ended(session, run.id)
    assert view.runs[run.id]["error"]["code"] == "tool.outcome_unknown", view.runs[run.id]
    assert acted == ["a"]


async def test_a_worker_lost_beside_a_tool_at_work_while_another_asks(shop: Workshop) -> None:
    """The one that asks has not acted; of the one at work nobody knows."""
    desk = Desk([("ask", {"key": "a"}), ("slow", {"key": "b"}), ("commands", {"key": "c"})])
    desk.gate = asyncio.Event()
    worker = await shop.worker(writer=serving(desk.graph(), idempotent=("slow",)))
    session = await shop.session()
    run = await session.send("go")
    await desk.inside.wait()
    await seen(session, lambda v: items(v, "tool", name="commands", status="done"))
    assert items(await session.state(), "approval") == [], "people are asked when the others have come to rest"
    desk.gate.set()
    desk.gate = None
    await lost(shop, worker, desk, idempotent=("slow",))
    view = await decide((await shop.person("user:bob")).session("s1"), run.id, {("a", 1): True}, random.Random(1))
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert answers(view, run.id) == ["did a; did b; did c; c"]
    assert sorted(set(desk.acted)) == ["a", "b", "c"] and desk.acted.count("c") == 1
