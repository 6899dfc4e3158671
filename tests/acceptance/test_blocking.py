"""A script without asyncio, against a real server."""

from __future__ import annotations

import asyncio

import pytest

import holdfast
from holdfast.client import blocking
from tests.unit.edge.conftest import Site

pytestmark = pytest.mark.anyio


async def test_a_script_asks_reads_and_stops(site: Site) -> None:
    async def echo(run: holdfast.RunContext) -> None:
        if run.input.text == "wait":
            await asyncio.Event().wait()
        await run.say(f"you said {run.input.text}")

    def script() -> list[str]:
        said = []
        with blocking.connect(site.url, token=site.token()) as hf:
            session = hf.create("s1", agent="echo")
            said.append(session.send("hello").text())
            waiting = session.send("wait")
            for item in session.events(after="snapshot"):
                if isinstance(item, holdfast.Snapshot) and item.view["runs"][waiting.id]["status"] == "running":
                    break
                if isinstance(item, holdfast.Event) and item.type == "run.started":
                    break
            waiting.cancel()
            said.append(waiting.finished()["status"])
            said.append(session.state().items[1]["text"])
            with pytest.raises(holdfast.Refused):
                session.approve("nothing")
        return said

    async with holdfast.connect(site.url, token=site.token("agent:w", agents=["*"])) as worker:
        worker.agent("echo")(echo)
        serving = asyncio.create_task(worker.serve())
        assert await asyncio.to_thread(script) == ["you said hello", "cancelled", "you said hello"]
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
