"""``holdfast tail``: everything asked for, and no later than asked for."""

from __future__ import annotations

import asyncio
import json

import pytest

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from tests.unit.cli.test_commands import outcome
from tests.unit.edge.conftest import Site, anyio_backend, settings, site

__all__ = ["anyio_backend", "settings", "site"]
pytestmark = pytest.mark.anyio


async def test_it_leaves_when_nothing_runs_and_everything_was_said(site: Site) -> None:
    go_on = asyncio.Event()

    async def answer(run: RunContext) -> None:
        await run.say("one")
        await go_on.wait()
        await run.say("two")

    async with Holdfast(site.url, token=site.token(agents=["*"])) as hf:
        hf.add_agent("writer", answer)
        serving = asyncio.create_task(hf.serve(signals=False))
        session = await hf.create("s1", agent="writer")
        run = await session.send("go")
        line = ["tail", "s1", "--raw", "--until-idle", "--url", site.url, "--token", site.token(), "--after"]
        while (await session.state()).runs[run.id]["status"] != "running":
            await asyncio.sleep(0.01)
        waits = asyncio.create_task(asyncio.to_thread(outcome, *line, "0"))
        await asyncio.sleep(0.5)
        assert not waits.done()  # the run has not ended
        go_on.set()
        await run.finished()
        for code, said in (await waits, await asyncio.to_thread(outcome, *line, "0")):
            assert code == 0, said
            seqs = [json.loads(one)["seq"] for one in said.splitlines() if one.startswith("{")]
            assert seqs == list(range(1, len(seqs) + 1)) and len(seqs) > 6, seqs
        code, said = await asyncio.to_thread(outcome, *line, str(len(seqs)))
        assert (code, said.strip()) == (0, "")
        serving.cancel()
