"""Workers whose connection breaks, who lose their lease, and who hang."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.agents.run import RunContext
from holdfast.client.retry import Backoff
from holdfast.client.run import run_text
from holdfast.protocol import wire
from tests.unit.agents.conftest import House, items, seen

pytestmark = pytest.mark.anyio


async def test_a_cut_line_costs_a_running_agent_nothing(house: House) -> None:
    worker = await house.worker()
    session = await house.session()
    words = [f"w{i} " for i in range(200)]

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async with run.message() as out:
            for i, word in enumerate(words):
                await out.write(word)
                if i % 10 == 0:
                    house.dials[0].cut()
                while i % 10 == 5 and not worker.connection.connected:
                    await asyncio.sleep(0)
                await asyncio.sleep(0)

    house.serve(worker)
    run = await session.send("hi")
    over = await run.finished()
    assert (over["status"], over["attempt"]) == ("completed", 1)
    assert await run.text() == "".join(words)
    assert len(house.dials[0].transports) >= 20


async def test_signals_that_came_while_away_are_heard_on_return(house: House) -> None:
    worker = await house.worker()
    session = await house.session()
    received: list[str] = []
    ready = asyncio.Event()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        asking = asyncio.ensure_future(run.approve("x", {}))
        await seen(session, lambda v: items(v, "approval"))
        ready.set()
        async for steer in run.steers():
            received.append(steer.text)
            if steer.text == "two":
                break
        received.append(str(bool(await asking)))
        await asyncio.Event().wait()

    house.serve(worker)
    run = await session.send("hi")
    await ready.wait()
    away = house.dials[0]
    away.down = True
    away.cut()
    await run.steer("one")
    await run.steer("two")
    view = await session.state()
    await session.approve(items(view, "approval")[0]["id"])
    away.down = False
    await seen(session, lambda v: all(i["status"] == "delivered" for i in items(v, "steer")))
    away.down = True
    away.cut()
    await run.cancel()
    away.down = False
    over = await run.finished()
    assert over["status"] == "cancelled" and over["cancel"]["delivered"]
    assert received == ["one", "two", "True"]


class TestShortLease:
    @pytest.fixture
    def lease_s(self) -> float:
        return 0.1

    async def test_heartbeats_keep_a_lease(self, house: House) -> None:
        worker = await house.worker()
        session = await house.session()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            async with run.sub("helper"):
                await asyncio.sleep(0.5)

        house.serve(worker)
        over = await (await session.send("hi")).finished()
        assert (over["status"], over["attempt"]) == ("completed", 1)

    async def test_a_worker_that_stays_away_loses_its_run_and_is_fenced_when_it_returns(self, house: House) -> None:
        away = await house.worker()
        session = await house.session()
        began = asyncio.Event()
        ended: list[Any] = []

        @away.agent("writer")
        async def hang(run: RunContext) -> None:
            try:
                async with run.message() as out:
                    await out.write("first try ")
                    await run.flush()
                    began.set()
                    await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append(run.attempt.fenced)
                raise

        house.serve(away)
        run = await session.send("hi")
        await began.wait()
        house.dials[0].down = True
        house.dials[0].cut()
        other = await house.worker()
        other.add_agent("writer", lambda ctx: ctx.say("second try"))
        house.serve(other)
        over = await run.finished()
        assert (over["status"], over["attempt"], len(over["losses"])) == ("completed", 2, 1)
        view = await session.state()
        assert [(m["text"], m["status"]) for m in items(view, "message")[1:]] == [
            ("first try ", "cut"),
            ("second try", "complete"),
        ]
        assert run_text(view.items, view.runs[run.id]) == "second try"
        house.dials[0].down = False
        async with asyncio.timeout(10):
            while not ended:
                await asyncio.sleep(0.01)
        assert ended == [True]

    async def test_a_loop_that_hangs_loses_its_lease(self, house: House) -> None:
        """The agent blocks the worker's loop; here the hub shares it, so only what happens after counts."""
        worker = await house.worker()
        session = await house.session()
        attempts: list[int] = []

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            attempts.append(run.attempt_number)
            if run.attempt_number == 1:
                for lease in list(house.hub.sessions.values()):
                    lease.leases = dict.fromkeys(lease.leases, 0.0)  # as if no heartbeat had come in time
                    lease.arm()
                await asyncio.Event().wait()

        house.serve(worker)
        over = await (await session.send("hi")).finished()
        assert (over["status"], attempts) == ("completed", [1, 2])

    async def test_retries_end_as_lost(self, house: House) -> None:
        session = await house.session()
        run = await session.send("hi", attempts=2)
        for n in range(2):
            worker = await house.worker()
            began = asyncio.Event()

            async def hang(ctx: RunContext, began: asyncio.Event = began) -> None:
                began.set()
                await asyncio.Event().wait()

            worker.add_agent("writer", hang)
            house.serve(worker)
            await began.wait()
            house.dials[n + 1].down = True
            house.dials[n + 1].cut()
        assert (await run.finished())["status"] == "lost"


async def test_an_assignment_repeated_by_the_server_starts_nothing_twice(house: House) -> None:
    from holdfast.client.messages import Assignment

    worker = await house.worker()
    session = await house.session()
    started: list[int] = []
    go = asyncio.Event()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        started.append(run.attempt_number)
        await go.wait()

    house.serve(worker)
    run = await session.send("hi")
    async with asyncio.timeout(10):
        while not started:
            await asyncio.sleep(0)
    life = next(iter(house.hub.sessions.values())).incarnation
    again = Assignment("s1", run.id, 1, "writer", life)
    for receiver in worker.connection._message_callbacks[Assignment]:
        receiver(again, 0)
    go.set()
    await run.finished()
    assert started == [1]


async def test_closing_the_person_s_client_cancels_nothing(house: House) -> None:
    worker = await house.worker()
    session = await house.session()
    go = asyncio.Event()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await go.wait()
        await run.say("still here")

    house.serve(worker)
    run = await session.send("hi")
    await house._clients[1].close()
    go.set()
    again = (await house.client("user:ann")).session("s1")
    assert await again.run(run.id).text() == "still here"


async def test_hand_over_mutes_the_agent_until_it_is_given_back(house: House) -> None:
    worker = await house.worker()
    session = await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        if run.input.text == "first":
            await asyncio.Event().wait()
        await run.say(f"answer to {run.input.text}")

    house.serve(worker)
    first = await session.send("first")
    await seen(session, lambda v: any(r["status"] == "running" for r in v.runs.values()))
    await session.take()
    assert (await first.finished())["status"] == "cancelled"
    mine = await session.send("I will answer myself")
    assert mine.id == ""
    await session.give_back()
    assert await (await session.send("second")).text() == "answer to second"


async def test_serve_says_what_it_offers_again_after_every_connect(house: House) -> None:
    worker = await house.worker()
    session = await house.session()
    worker.add_agent("writer", lambda run: run.say("x"))
    house.serve(worker)
    for _ in range(3):
        house.dials[0].cut()
        assert await (await session.send("hi")).text() == "x"
    assert isinstance(wire.Serve(agents=["x"]), wire.Op)


@pytest.mark.parametrize("lease_s", [3.0])
async def test_a_worker_tries_to_come_back_well_within_its_lease(house: House) -> None:
    uppers: list[float] = []

    def uniform(low: float, high: float) -> float:
        uppers.append(high)
        return low

    worker = await house.client("agent:worker", agents=("*",), backoff=Backoff(0.25, 10.0, uniform))
    worker.add_agent("writer", lambda run: run.say("x"))
    house.serve(worker)
    session = await house.session()
    assert await (await session.send("hi")).text() == "x"
    house.dials[0].down = True
    house.dials[0].cut()
    while len(uppers) < 20:
        await asyncio.sleep(0.001)
    house.dials[0].down = False
    assert max(uppers) == 1.0
    assert await (await session.send("hi")).text() == "x"
