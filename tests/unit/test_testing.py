"""What ``holdfast.testing`` gives to tests of others: hubs and servers that forget, scripts, a clock."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

import holdfast
from holdfast import testing
from holdfast.agents.run import RunContext
from tests.extensions.conftest import SETTINGS
from tests.extensions.quiet_hours.extension import QuietHours, QuietSettings

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def texts(view: holdfast.View) -> list[str]:
    return ["".join(item["text"]) for item in view.items if item["kind"] == "message"]


async def test_a_script_says_what_stands_there_run_by_run() -> None:
    writer = testing.ScriptedAgent("Hello.", ["Good ", "morning."])
    async with testing.hub({"writer": writer}) as hub:
        session = hub.session("s1")
        for text, answer in (("hi", "Hello."), ("hi again", "Good morning.")):
            run = await session.start("writer", text)
            assert await run.text() == answer
    assert writer.inputs == ["hi", "hi again"]


async def test_a_script_goes_on_when_the_test_says_so() -> None:
    writer = testing.ScriptedAgent([testing.PAUSE, "Half ", testing.PAUSE, "and half."])
    async with testing.hub({"writer": writer}) as hub:
        with pytest.raises(RuntimeError, match="paused"):
            writer.go_on()
        run = await hub.session("s1").start("writer", "hi")
        await writer.paused()
        writer.go_on()
        await writer.paused()
        session = await hub.session("s1").client()
        async with session.live() as live:
            assert texts(await live.until(lambda view: len(texts(view)) == 2))[-1] == "Half "  # it was durable already
        writer.go_on()
        assert await run.text() == "Half and half."


async def test_a_run_that_is_stopped_at_a_pause_leaves_no_pause_behind() -> None:
    writer = testing.ScriptedAgent(["Half ", testing.PAUSE, "and half."], "Whole.")
    async with testing.hub({"writer": writer}) as hub:
        run = await hub.session("s1").start("writer", "hi")
        await writer.paused()
        await run.cancel()
        assert (await run.finished())["status"] == "cancelled"
        with pytest.raises(RuntimeError):
            writer.go_on()
        assert await (await hub.session("s1").start("writer", "again")).text() == "Whole."


async def test_a_script_fails_and_does_things_with_its_run() -> None:
    seen: list[Any] = []

    async def look(run: RunContext) -> None:
        seen.append(await run.tool("look", {"at": 1}, lambda at: at + 1))

    writer = testing.ScriptedAgent(["Looking. ", look, "Done."], [ValueError("broken")], [look])
    async with testing.hub({"writer": writer}) as hub:
        session = hub.session("s1")
        await (await session.start("writer", "one")).finished()
        assert seen == [2]
        assert (await (await session.start("writer", "two")).finished())["status"] == "failed"
        await (await session.start("writer", "three")).finished()
        over = await (await session.start("writer", "four")).finished()
        assert over["status"] == "failed"


async def test_deadlines_come_when_the_clock_is_advanced() -> None:
    asks = testing.ScriptedAgent([lambda run: run.approve("mail", {"to": "ann"}, deadline_s=3_600)])
    clock = testing.FakeClock()
    async with testing.hub({"clerk": asks}, clock=clock) as hub:
        run = await hub.session("s1").start("clerk", "send it")
        session = await hub.session("s1").client()
        async with session.live() as live:
            view = await live.until(lambda view: any(item["kind"] == "approval" for item in view.items))
            clock.advance(3_599)
            assert decision(view) == ""
            clock.advance(2)
            view = await live.until(lambda view: decision(view) != "")
        assert decision(view) == "denied"
        await run.finished()
        assert clock.wall_ms() == testing.EPOCH_MS + 3_601_000


def decision(view: holdfast.View) -> str:
    return next((item.get("decision", "") for item in view.items if item["kind"] == "approval"), "")


async def test_a_server_is_reached_over_the_network_by_anybody() -> None:
    writer = testing.ScriptedAgent("Hello.")
    async with testing.server({"writer": writer}) as server, server.connect("user:bob") as bob:
        session = await bob.create("s1", agent="writer")
        assert await (await session.send("hi")).text() == "Hello."
        few = server.token("user:eve", capabilities={"none": ["read"]})
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            refused = await http.get("/v1/sessions/s1", headers={"authorization": f"Bearer {few}"})
            assert refused.status_code in (403, 404)


async def test_a_server_has_the_extensions_that_are_given() -> None:
    quiet = QuietHours(QuietSettings(closed=True), SETTINGS)
    async with testing.server(extensions=[quiet]) as server, server.connect() as ann:
        session = await ann.create("s1")
        with pytest.raises(holdfast.Refused, match="closed"):
            await session.send("hi")


async def test_the_environment_sets_nothing_of_a_server_for_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_DB", "elsewhere.db")
    monkeypatch.setenv("HOLDFAST_PORT", "1")
    async with testing.server() as server:
        assert server.edge.settings.db == "memory:" and not server.url.endswith(":1")
