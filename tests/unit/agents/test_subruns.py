"""Sub-agents: runs below a run, each its own actor (RUN-6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.agents.run import RunContext
from holdfast.errors import Refused
from tests.unit.agents.conftest import House, items, seen

pytestmark = pytest.mark.anyio


async def test_sub_runs_write_straight_to_the_session_as_their_own_actors(house: House) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async def search(name: str) -> None:
            async with run.sub("searcher", name, {"query": name}) as child:
                assert child.input.data == {"query": name}
                await child.say(f"found {name}")
                await child.tool("fetch", {"url": name}, lambda url: url)

        await asyncio.gather(search("a"), search("b"))
        await run.say("merged")

    house.serve(worker)
    run = await session.send("hi")
    assert await run.text() == "merged"
    view = await session.state()
    children = [r for r in view.runs.values() if r.get("parent") == run.id]
    assert sorted((c["agent"], c["name"], c["status"]) for c in children) == [
        ("writer/searcher", "a", "completed"),
        ("writer/searcher", "b", "completed"),
    ]
    actors = {i["text"]: i["actor"] for i in items(view, "message")[1:]}
    assert actors == {"found a": "agent:writer/searcher", "found b": "agent:writer/searcher", "merged": "agent:writer"}


async def test_stopping_a_sub_run_leaves_its_block_quietly(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    inside = asyncio.Event()
    after: list[Any] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async with run.sub("searcher") as child:
            inside.set()
            await asyncio.Event().wait()
        after.append((child.cancelled, run.cancelled))
        await run.say("went on")

    house.serve(worker)
    run = await session.send("hi")
    await inside.wait()
    view = await session.state()
    child = next(r for r in view.runs.values() if r.get("parent") == run.id)
    await session.cancel(child["id"])
    assert await run.text() == "went on"
    assert after == [(True, False)]
    assert (await session.state()).runs[child["id"]]["status"] == "cancelled"


async def test_a_sub_run_stopped_by_force_leaves_its_block_too(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    inside = asyncio.Event()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async with run.sub("searcher") as child:
            inside.set()
            await asyncio.Event().wait()
        assert child.cancelled
        await run.say("went on")

    house.serve(worker)
    run = await session.send("hi")
    await inside.wait()
    child = next(r for r in (await session.state()).runs.values() if r.get("parent") == run.id)
    await session.cancel(child["id"], force=True)
    assert await run.text() == "went on"


async def test_stopping_the_parent_stops_everything_below(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    inside = asyncio.Event()
    log: list[str] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        try:
            async with run.sub("outer") as outer, outer.sub("inner") as inner:
                await inner.say("deep")
                inside.set()
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    house.serve(worker)
    run = await session.send("hi")
    await inside.wait()
    await run.cancel()
    assert (await run.finished())["status"] == "cancelled"
    assert {r["status"] for r in (await session.state()).runs.values()} == {"cancelled"}
    assert log == ["cancelled"]


async def test_an_exception_in_a_sub_run_fails_it_and_reaches_the_parent(house: House) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        try:
            async with run.sub("searcher"):
                raise LookupError("nothing there")
        except LookupError:
            await run.say("handled")

    house.serve(worker)
    run = await session.send("hi")
    assert await run.text() == "handled"
    child = next(r for r in (await session.state()).runs.values() if r.get("parent") == run.id)
    assert (child["status"], child["error"]["message"]) == ("failed", "LookupError: nothing there")


async def test_a_spawned_run_is_done_by_another_worker(house: House) -> None:
    first, second, session = await house.worker(), await house.worker(), await house.session()
    results: list[Any] = []

    @first.agent("writer")
    async def write(run: RunContext) -> None:
        child = await run.spawn("researcher", {"topic": "tides"})
        same = await run.spawn("researcher", {"topic": "tides"}, name=child.name)
        assert same.id == child.id
        results.append((await child.finished())["status"])
        results.append(await child.text())

    @second.agent("researcher")
    async def research(run: RunContext) -> None:
        await run.say(f"about {run.input.data['topic']}")

    house.serve(first)
    house.serve(second)
    over = await (await session.send("hi")).finished()
    assert over["status"] == "completed"
    assert results == ["completed", "about tides"]


async def test_the_end_of_a_spawned_run_is_heard_of_after_a_reconnect(house: House) -> None:
    first, second, session = await house.worker(), await house.worker(), await house.session()
    spawned, go = asyncio.Event(), asyncio.Event()
    results: list[str] = []

    @first.agent("writer")
    async def write(run: RunContext) -> None:
        child = await run.spawn("researcher", "tides")
        spawned.set()
        results.append((await child.finished())["status"])

    @second.agent("researcher")
    async def research(run: RunContext) -> None:
        await go.wait()

    house.serve(first)
    house.serve(second)
    run = await session.send("hi")
    await spawned.wait()
    house.dials[0].down = True
    house.dials[0].cut()
    go.set()
    await seen(
        session, lambda v: any(r["agent"] == "researcher" and r["status"] == "completed" for r in v.runs.values())
    )
    house.dials[0].down = False
    assert (await run.finished())["status"] == "completed"
    assert results == ["completed"]


async def test_a_failing_parent_ends_what_it_spawned(house: House) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await run.spawn("nobody", {})
        raise RuntimeError

    house.serve(worker)
    run = await session.send("hi")
    assert (await run.finished())["status"] == "failed"
    assert {r["status"] for r in (await session.state()).runs.values()} == {"failed", "cancelled"}


async def test_a_named_sub_run_that_was_completed_is_not_run_again(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    refused: list[str] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        try:
            async with run.sub("searcher", "once") as child:
                await child.say("searched")
        except Refused as error:
            refused.append(error.code)
        await run.approve("go", {}, wait=True)

    house.serve(worker)
    run = await session.send("hi")
    view = await seen(session, lambda v: any(r["status"] == "waiting" for r in v.runs.values()))
    await session.approve(items(view, "approval")[0]["id"])
    await run.finished()
    assert refused == ["run.ended"]
    assert sum(i["text"] == "searched" for i in items(await session.state(), "message")) == 1
