"""The examples of frameworks' adapters do what their pages say, in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.workshop import Workshop, answers, ended, items, open_workshop, seen

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def shop(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path) as shop:
        yield shop


@contextlib.asynccontextmanager
async def serving(shop: Workshop, example: str, agent: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """An example's process, once it serves."""
    env = {**os.environ, "HOLDFAST_URL": shop.url, "HOLDFAST_TOKEN": shop.token(f"agent:{agent}", agents=(agent,))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / example), env=env, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert await line(process) == f"serving {agent}"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode().strip()


async def test_langgraph_interrupt(shop: Workshop) -> None:
    pytest.importorskip("langgraph", reason="LangGraph is not installed")
    session = await shop.session("letters")
    async with serving(shop, "langgraph_interrupt/graph.py", "letters"):
        run = await session.send("The tide is at six.")
        view = await seen(session, lambda view: view.runs[run.id]["status"] == "waiting")
    (approval,) = items(view, "approval")  # the process is gone
    assert approval["args"]["to"] == "ann@example.com"
    phone = (await shop.person("user:ann")).session("s1")
    await phone.approve(approval["id"], hash=approval["hash"])
    async with serving(shop, "langgraph_interrupt/graph.py", "letters") as again:
        view = await ended(session, run.id)
        assert await line(again) == "sent to ann@example.com"
    assert answers(view, run.id) == ["Dear Ann, The tide is at six. Yours, Bob", "Sent."]


async def test_pydantic_ai_subagents(shop: Workshop) -> None:
    pytest.importorskip("pydantic_ai", reason="Pydantic AI is not installed")
    session = await shop.session("editor")
    async with serving(shop, "pydantic_ai_subagents/editor.py", "editor"):
        run = await session.send("What is out there?")
        view = await ended(session, run.id)
    assert answers(view, run.id) == ["All together: I looked at tides. I looked at winds. I looked at stars. "]
    voices = {i["actor"] for i in items(view, "message")}
    assert voices == {"user:ann", "agent:editor", *(f"agent:editor/{topic}" for topic in ("tides", "winds", "stars"))}
    children = [r for r in view.runs.values() if r.get("parent") == run.id]
    spans = [(r["started_ts"], r["ended_ts"]) for r in children]
    assert max(begun for begun, _ in spans) < min(over for _, over in spans)  # all at the same time
