"""Running agents: what they say, how they end, how they are stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.agents.run import RunContext
from holdfast.client.run import run_text
from holdfast.errors import Refused
from tests.unit.agents.conftest import House, items, seen

pytestmark = pytest.mark.anyio


async def test_an_agent_answers_and_its_run_completes(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    histories: list[Any] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        histories.append(run.history)
        async with run.message() as out:
            for token in ("Hello", ", ", run.by, "!"):
                await out.write(token)

    house.serve(worker)
    first = await session.send("hi")
    assert await first.text() == "Hello, user:ann!"
    second = await session.send("again")
    assert (await second.finished())["status"] == "completed"
    assert histories == [
        [{"role": "user", "content": "hi"}],
        [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Hello, user:ann!"},
            {"role": "user", "content": "again"},
        ],
    ]
    message = items(await session.state(), "message")[1]
    assert (message["actor"], message["status"], message["run"]) == ("agent:writer", "complete", first.id)


async def test_a_run_waits_for_a_worker_and_is_done_when_one_comes(house: House) -> None:
    session = await house.session()
    run = await session.send("hi")
    view = await seen(session, lambda v: run.id in v.runs)
    assert view.runs[run.id]["status"] == "queued"
    worker = await house.worker()
    worker.add_agent("writer", lambda ctx: ctx.say("here"))
    house.serve(worker)
    assert await run.text() == "here"


async def test_everything_an_agent_can_say(house: House) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async with run.step("think"), run.reasoning() as why:
            await why.write("because")
        plan = await run.activity("plan", {"steps": ["a"]})
        await plan.patch([{"op": "add", "path": "/steps/-", "value": "b"}])
        await run.state.set({"n": 1})
        await run.state.patch([{"op": "replace", "path": "/n", "value": 2}])
        assert run.state.value == {"n": 2}
        async with run.message() as out:
            await out.write("see ")
            await out.source("https://example.com", title="Example")
        await run.usage("model-x", input_tokens=3, output_tokens=4)
        await run.emit("CUSTOM", {"name": "note", "value": 1})

    house.serve(worker)
    await (await session.send("hi")).finished()
    view = await session.state()
    assert [i["status"] for i in items(view, "step")] == ["complete"]
    assert items(view, "reasoning")[0]["text"] == "because"
    assert items(view, "activity")[0]["content"] == {"steps": ["a", "b"]}
    assert view.state == {"n": 2}
    message = items(view, "message")[1]
    assert message["sources"][0]["uri"] == "https://example.com"


async def test_stop_is_asyncio_cancellation(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    ended: list[str] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        try:
            async with run.message() as out:
                await out.write("so far")
                await run.flush()
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            assert run.cancelled
            raise

    house.serve(worker)
    run = await session.send("hi")
    await seen(session, lambda v: any(i["text"] == "so far" for i in items(v, "message")))
    await run.cancel()
    over = await run.finished()
    assert ended == ["cancelled"]
    assert over["status"] == "cancelled"
    assert over["cancel"]["delivered"] and over["cancel"]["effective"] and over["cancel"]["by"] == "user:ann"
    view = await session.state()
    assert items(view, "message")[1]["status"] == "cut"
    assert run_text(view.items, view.runs[run.id]) == "so far"


async def test_an_agent_that_swallows_the_stop_is_ended_by_the_session(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.protocol.limits.CANCEL_GRACE_S", 0.05)
    monkeypatch.setattr("holdfast.protocol.limits.CLOSE_S", 0.05)
    worker, session = await house.worker(), await house.session()
    swallowed = 0
    finished = asyncio.Event()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        nonlocal swallowed
        while not finished.is_set():
            try:
                async with run.message() as out:
                    await out.write("no ")
                    await asyncio.sleep(0.001)
            except (asyncio.CancelledError, Refused):
                swallowed += 1
                await asyncio.sleep(0)

    house.serve(worker)
    run = await session.send("hi")
    await seen(session, lambda v: items(v, "message")[1:])
    await run.cancel()
    over = await run.finished()
    assert over["status"] == "cancelled"
    tail = (await session.state()).runs[run.id]["version"]
    for _ in range(20):
        await asyncio.sleep(0.001)
    view = await session.state()
    assert view.runs[run.id]["version"] == tail and swallowed
    assert all(item["status"] != "open" for item in items(view, "message"))
    finished.set()


async def test_a_forced_stop_ends_the_run_at_once(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    stopped = asyncio.Event()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        try:
            await run.say("x")
            await asyncio.Event().wait()
        finally:
            stopped.set()

    house.serve(worker)
    run = await session.send("hi")
    await seen(session, lambda v: items(v, "message")[1:])
    await run.cancel(force=True)
    assert (await run.finished())["status"] == "cancelled"
    await stopped.wait()


async def test_a_run_cancelled_before_it_starts_is_never_executed(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    called: list[str] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        called.append(run.input.text)

    await session.cancel(input="later")
    run = await session.send("never", key="later")
    house.serve(worker)
    assert (await run.finished())["status"] == "cancelled"
    await (await session.send("now")).finished()
    assert called == ["now"]


async def test_an_exception_ends_the_run_as_failed_with_bounded_words(house: House) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async with run.message() as out:
            await out.write("half")
            raise ValueError("x" * 10_000)

    house.serve(worker)
    run = await session.send("hi")
    over = await run.finished()
    assert over["status"] == "failed"
    assert over["error"]["code"] == "agent.failed"
    assert over["error"]["message"].startswith("ValueError: xxx") and len(over["error"]["message"]) == 500
    assert items(await session.state(), "message")[1]["status"] == "cut"


async def test_a_refused_append_fails_the_run_with_its_code(house: House) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await run.emit("TEXT_MESSAGE_CONTENT", {"messageId": "never-started", "delta": "x"})

    house.serve(worker)
    over = await (await session.send("hi")).finished()
    assert (over["status"], over["error"]["code"]) == ("failed", "content.not_open")


async def test_steers_are_delivered_in_order_and_confirmed(house: House) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await run.say("ready")
        async for steer in run.steers():
            await run.say(f"{steer.by}: {steer.text}")
            if steer.text == "stop":
                return

    house.serve(worker)
    run = await session.send("hi")
    await seen(session, lambda v: items(v, "message")[1:])
    for words in ("left", "right", "stop"):
        await run.steer(words)
    assert await run.text() == "ready\n\nuser:ann: left\n\nuser:ann: right\n\nuser:ann: stop"
    assert [i["status"] for i in items(await session.state(), "steer")] == ["delivered"] * 3


async def test_a_steer_nobody_took_is_dropped_with_the_end(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    go = asyncio.Event()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await run.say("ready")
        await go.wait()

    house.serve(worker)
    run = await session.send("hi")
    await seen(session, lambda v: items(v, "message")[1:])
    await run.steer("unheard")
    go.set()
    await run.finished()
    assert [i["status"] for i in items(await session.state(), "steer")] == ["dropped"]


async def test_an_interrupt_stops_and_starts_the_next_behind_it(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    order: list[str] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        order.append(f"start {run.input.text}")
        try:
            await run.say("on it")
            if run.input.text == "long":
                await asyncio.Event().wait()
        finally:
            order.append(f"end {run.input.text}")

    house.serve(worker)
    await session.send("long")
    await seen(session, lambda v: items(v, "message")[1:])
    second = await session.interrupt("short")
    assert (await second.finished())["status"] == "completed"
    assert order == ["start long", "end long", "start short", "end short"]


async def test_regenerate_answers_the_same_history_again(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    histories: list[Any] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        histories.append(run.history)
        await run.say(f"answer {len(histories)}")

    house.serve(worker)
    first = await session.send("hi")
    await first.finished()
    again = await session.regenerate(first.input)
    await again.finished()
    assert histories == [[{"role": "user", "content": "hi"}]] * 2
    await (await session.send("and?")).finished()
    assert [m["content"] for m in histories[2]] == ["hi", "answer 2", "and?"]


async def test_draining_finishes_what_runs_and_takes_nothing_new(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    go = asyncio.Event()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await run.say("ready")
        await go.wait()

    serving = house.serve(worker)
    run = await session.send("hi")
    await seen(session, lambda v: items(v, "message")[1:])
    worker.drain()
    late = await session.send("late", concurrent=True)
    go.set()
    assert (await run.finished())["status"] == "completed"
    await serving
    assert (await session.state()).runs[late.id]["status"] == "queued"


async def test_serving_an_agent_the_token_does_not_act_for_is_refused(house: House) -> None:
    stranger = await house.client("agent:other", agents=("other",))
    stranger.add_agent("writer", lambda run: run.say("x"))
    with pytest.raises(Refused) as refused:
        await stranger.serve()
    assert refused.value.code == "auth.denied"
    with pytest.raises(Refused):
        await (await house.worker()).serve()


async def test_agents_may_be_added_while_serving(house: House) -> None:
    worker, session = await house.worker(), await house.session("late")
    worker.add_agent("early", lambda run: run.say("early"))
    house.serve(worker)
    run = await session.send("hi")
    worker.add_agent("late", lambda ctx: ctx.say("late"))
    assert await run.text() == "late"


async def test_what_was_said_long_ago_is_found_in_the_history(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, session = await house.worker(), await house.session()
    worker.add_agent("writer", lambda run: run.say(run.input.text * 3_000))
    house.serve(worker)
    runs = []
    for n in range(12):
        runs.append(await session.send(f"answer number {n}. "))
        await runs[-1].finished()
    view = await session.state()
    assert view.older and runs[0].id not in view.runs
    assert (await runs[0].finished())["status"] == "completed"
    assert await runs[0].text() == "answer number 0. " * 3_000
    assert await runs[-1].text() == "answer number 11. " * 3_000
    with pytest.raises(Refused) as unknown:
        await session.run("r9999").finished()
    assert unknown.value.code == "run.not_found"


async def test_serve_returns_when_the_client_is_closed(house: House) -> None:
    worker = await house.worker()
    worker.add_agent("writer", lambda run: run.say("x"))
    serving = house.serve(worker)
    await asyncio.sleep(0)
    await worker.close()
    await serving
