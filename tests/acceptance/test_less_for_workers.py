"""What an assignment carries of a session needs `read`: a worker that may only append works from what is its own (RUN-2, ACC-3)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import holdfast
from holdfast.agents.run import RunContext
from holdfast.client import messages
from holdfast.client.client import Client
from holdfast.protocol import wire
from holdfast.protocol.events import Draft

from .conftest import Site

pytestmark = pytest.mark.anyio

SECRET = "the launch code is 0451"
NARROW = {"*": ["append"]}


async def create_session_with_secret(site: Site) -> None:
    """A session in which people have said what is not meant for the agent."""
    async with site.http(site.token()) as ann, site.http(site.token("user:bob")) as bob:
        await ann.post("/v1/sessions", json={"session": "s1", "title": SECRET})
        await bob.post("/v1/sessions/s1/messages", json={"text": SECRET})


@pytest.mark.parametrize(
    ("verbs", "sees"), [(["append"], False), (["append", "presence"], False), (["append", "read"], True)]
)
async def test_an_assignment_carries_the_view_to_readers_only(site: Site, verbs: list[str], sees: bool) -> None:
    await create_session_with_secret(site)
    heard: list[Any] = []
    token = site.token("agent:w", agents=["w"], capabilities={"s*": verbs})
    async with site.http(site.token()) as ann, Client(site.url, token) as worker:
        worker.connection.on_message(messages.Assignment, lambda message, size: heard.append(message))
        worker.connection.on_message(messages.Signal, lambda message, size: heard.append(message))
        await worker.connection.request(wire.Serve(agents=["w"]))
        said = (await ann.post("/v1/sessions/s1/messages", json={"text": "for you", "agent": "w"})).json()
        async with asyncio.timeout(10):
            while not heard:
                await asyncio.sleep(0)
        given = heard[0]
        assert given.input["text"] == "for you" and given.by == "user:ann" and given.run == said["run"]
        assert (given.view is not None) is sees
        assert (SECRET in str(heard)) is sees
        here = {"session": "s1", "run": given.run, "generation": given.generation}
        news = await worker.connection.request(wire.Attach(**here))
        assert "view" not in news and SECRET not in str(news)
        for op in (
            wire.Append(**here, events=[Draft("CUSTOM", {"name": "x", "value": 1})]),
            wire.Spawn(**here, agent="w", name="n"),
            wire.Ask(**here, approval="a", tool="t", args={}),
        ):
            assert SECRET not in str(await worker.connection.request(op))


async def test_a_worker_that_may_not_read_works_from_its_input(site: Site) -> None:
    await create_session_with_secret(site)
    seen: list[Any] = []
    token = site.token("agent:w", agents=["w"], capabilities=NARROW)
    async with holdfast.connect(site.url, token=token) as hf:

        @hf.agent("w")
        async def work(run: RunContext) -> None:
            seen.append((run.items, run.history, dict(run.view.runs), run.input.text, run.by))
            async with run.message(key="intro") as out:
                await out.write("once")
            await run.tool("look", {}, lambda: "found", call_id="c1")
            approval = await run.approve("act", {}, wait=True)
            await run.say(f"{approval.by}: {approval.note}")

        serving = asyncio.create_task(hf.serve())
        async with holdfast.connect(site.url, token=site.token()) as person:
            session = person.session("s1")
            run = await session.send("for you", agent="w")
            async with session.live() as live:
                view = await live.until(lambda v: any(i["kind"] == "approval" for i in v.items) and waits(v, run.id))
            asked = next(i for i in view.items if i["kind"] == "approval")
            await session.approve(asked["id"], note="fine")
            assert await run.text() == "once\n\nuser:ann: fine"
            texts = [i["text"] for i in (await session.state()).items if i["kind"] == "message" and i.get("run")]
            assert texts == ["once", "user:ann: fine"], "what an earlier attempt has said is not said again"
        serving.cancel()
    assert SECRET not in str(seen)
    assert [(items, runs, text) for items, _, runs, text, _ in seen] == [([], {}, "for you")] * 2
    assert seen[0][1] == [{"role": "user", "content": "for you"}]


def waits(view: Any, run: str) -> bool:
    return bool(view.runs[run]["status"] == "waiting")


async def test_admin_without_read_is_shown_no_titles(site: Site) -> None:
    await create_session_with_secret(site)
    async with site.http(site.token()) as ann:
        await ann.post("/v1/sessions/s1/messages", json={"text": "x", "agent": "w"})
    for verbs, sees in ((["admin"], False), (["admin", "read"], True)):
        async with site.http(site.token("user:op", capabilities={"*": verbs})) as operator:
            shown = (await operator.get("/v1/runs")).json()["runs"]
            assert len(shown) == 1 and (SECRET in str(shown)) is sees
