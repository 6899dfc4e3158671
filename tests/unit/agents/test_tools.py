"""The journal: what was done once is not done again (RUN-4)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.agents.errors import ToolFailed, ToolOutcomeUnknown
from holdfast.agents.run import RunContext
from holdfast.agents.tools import CallIds
from holdfast.errors import Refused
from holdfast.protocol import limits
from tests.unit.agents.conftest import House, items, seen

pytestmark = pytest.mark.anyio


@pytest.fixture
def lease_s() -> float:
    return 0.15


async def test_calls_are_recorded_and_shown(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    results: list[Any] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async def slow(query: str) -> dict[str, Any]:
            await asyncio.sleep(0)
            return {"found": [query]}

        results.append(await run.tool("search", {"query": "tide"}, slow))
        results.append(await run.tool("add", {"a": 1, "b": 2}, lambda a, b: a + b, call_id="model-7"))

    house.serve(worker)
    await (await session.send("hi")).finished()
    assert results == [{"found": ["tide"]}, 3]
    tools = items(await session.state(), "tool")
    assert [(t["name"], t["args"], t["status"], t["result"]) for t in tools] == [
        ("search", '{"query":"tide"}', "done", '{"found":["tide"]}'),
        ("add", '{"a":1,"b":2}', "done", "3"),
    ]
    assert tools[1]["id"] == "model-7"


async def test_a_later_attempt_gets_the_recorded_results(house: House) -> None:
    session = await house.session()
    effects: list[str] = []
    seen_values: list[Any] = []
    reached = asyncio.Event()

    async def write(run: RunContext) -> None:
        for text in ("a", "b", "a"):
            seen_values.append(
                await run.tool("mail", {"to": text}, lambda to: effects.append(to) or f"sent {len(effects)}")
            )
        if run.attempt_number == 1:
            reached.set()
            await asyncio.Event().wait()
        await run.say("done")

    worker = await house.worker()
    worker.add_agent("writer", write)
    house.serve(worker)
    run = await session.send("hi")
    await reached.wait()
    house.dials[1].down = True
    house.dials[1].cut()
    other = await house.worker()
    other.add_agent("writer", write)
    house.serve(other)
    over = await run.finished()
    assert (over["status"], over["attempt"]) == ("completed", 2)
    assert effects == ["a", "b", "a"]
    assert seen_values == ["sent 1", "sent 2", "sent 3"] * 2


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_call_whose_outcome_is_unknown(house: House, idempotent: bool) -> None:
    session = await house.session()
    attempts: list[int] = []
    reached = asyncio.Event()
    outcome: list[Any] = []

    async def write(run: RunContext) -> None:
        async def charge() -> str:
            attempts.append(run.attempt_number)
            reached.set()
            if run.attempt_number == 1:
                await asyncio.Event().wait()
            return "charged"

        try:
            outcome.append(await run.tool("charge", {}, charge, idempotent=idempotent))
        except ToolOutcomeUnknown as unknown:
            outcome.append(unknown.code)

    worker = await house.worker()
    worker.add_agent("writer", write)
    house.serve(worker)
    run = await session.send("hi")
    await reached.wait()
    house.dials[1].down = True
    house.dials[1].cut()
    other = await house.worker()
    other.add_agent("writer", write)
    house.serve(other)
    assert (await run.finished())["attempt"] == 2
    assert outcome[-1:] == (["charged"] if idempotent else ["tool.outcome_unknown"])
    assert attempts == ([1, 2] if idempotent else [1])
    if idempotent:
        assert items(await session.state(), "tool")[0]["status"] == "done"


async def test_a_failure_is_recorded_and_raised_again_as_recorded(house: House) -> None:
    session = await house.session()
    errors: list[Any] = []

    async def write(run: RunContext) -> None:
        def broken() -> None:
            raise KeyError("nope")

        try:
            await run.tool("broken", {}, broken)
        except (KeyError, ToolFailed) as error:
            errors.append(error)
        await run.approve("go", {}, wait=True)

    worker = await house.worker()
    worker.add_agent("writer", write)
    house.serve(worker)
    run = await session.send("hi")
    view = await seen(session, lambda v: any(r["status"] == "waiting" for r in v.runs.values()))
    await session.approve(items(view, "approval")[0]["id"])
    await run.finished()
    assert [type(error) for error in errors] == [KeyError, ToolFailed]
    assert errors[1].fields["error"]["message"] == "KeyError: 'nope'"
    assert items(await session.state(), "tool")[0]["error"]["code"] == "agent.failed"


async def test_a_large_result_becomes_a_blob_and_comes_back_whole(house: House) -> None:
    from holdfast.embed import EmbeddedBlobs
    from holdfast.session.access import full_access

    session = await house.session()
    values: list[Any] = []
    calls: list[int] = []

    async def write(run: RunContext) -> None:
        def big() -> list[str]:
            calls.append(1)
            return ["x" * 1_000] * (2 * limits.EVENT_BYTES // 1_000)

        values.append(await run.tool("big", {}, big))
        await run.approve("go", {}, wait=True)

    worker = await house.worker()
    worker.blobs = EmbeddedBlobs(house.hub, full_access("t", "agent:worker", ("*",)))
    worker.add_agent("writer", write)
    house.serve(worker)
    run = await session.send("hi")
    view = await seen(session, lambda v: any(r["status"] == "waiting" for r in v.runs.values()))
    tool = items(view, "tool")[0]
    assert len(tool["blob"]) == 64 and len(tool["result"]) == 1_024
    await session.approve(items(view, "approval")[0]["id"])
    await run.finished()
    assert values[0] == values[1] and len(calls) == 1


async def test_keyed_messages_are_said_once(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    replayed: list[bool] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async with run.message(key="plan") as out:
            replayed.append(out.replayed)
            await out.write("the plan")
        await run.approve("go", {}, wait=True)
        await run.say("done")

    house.serve(worker)
    run = await session.send("hi")
    view = await seen(session, lambda v: any(r["status"] == "waiting" for r in v.runs.values()))
    await session.approve(items(view, "approval")[0]["id"])
    assert await run.text() == "the plan\n\ndone"
    assert replayed == [False, True]


async def test_a_keyed_message_of_a_lost_attempt_counts_and_others_do_not(house: House) -> None:
    """RUN-8: the next attempt does not say it again, so it would be missing from what the run said."""
    first, session = await house.worker(), await house.session()
    written = asyncio.Event()

    async def write(run: RunContext) -> None:
        await run.say("the plan", key="plan")
        await run.say(f"try {run.attempt_number}")
        if run.attempt_number == 1:
            await run.flush()
            written.set()
            await asyncio.Event().wait()

    first.agent("writer")(write)
    serving = house.serve(first)
    run = await session.send("hi")
    await written.wait()
    serving.cancel()  # it ends nothing: the lease runs out
    await asyncio.wait({serving})
    second = await house.worker()
    second.agent("writer")(write)
    house.serve(second)
    assert await run.text() == "the plan\n\ntry 2"


async def test_a_tool_does_not_begin_in_a_run_that_is_being_stopped(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    ran: list[int] = []
    ready = asyncio.Event()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        ready.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await run.tool("late", {}, lambda: ran.append(1))

    house.serve(worker)
    run = await session.send("hi")
    await ready.wait()
    await run.cancel()
    assert (await run.finished())["status"] == "cancelled"
    assert ran == []


def test_call_ids_do_not_depend_on_the_order_of_different_calls() -> None:
    one, two = CallIds("r1"), CallIds("r1")
    a1, b1, a2 = one.next("c", "a", {"x": 1}), one.next("c", "b", {"x": 1}), one.next("c", "a", {"x": 1})
    b, a, again = two.next("c", "b", {"x": 1}), two.next("c", "a", {"x": 1}), two.next("c", "a", {"x": 1})
    assert (a1, b1, a2) == (a, b, again)
    assert len({a1, b1, a2, one.next("a", "a", {"x": 1}), CallIds("r2").next("c", "a", {"x": 1})}) == 5
    assert one.next("c", "n" * 200, {"x": "é" * 999}).isascii()


def test_a_call_with_arguments_that_are_no_json_of_ours_has_an_id_of_its_own() -> None:
    ids, again = CallIds("r1"), CallIds("r1")
    calls: list[dict[str, Any]] = [
        {"n": 2**60}, {"n": 2**60 + 1}, {"n": {1: "a"}}, {"when": datetime(2026, 1, 2, tzinfo=UTC)}, {"n": 1.0}, {"n": "1"},
    ]  # fmt: skip
    first = [ids.next("t", "look", call) for call in calls]
    assert len(set(first)) == len(calls)
    assert [again.next("t", "look", call) for call in calls] == first, "also in a later attempt"
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"a": deep}
    with pytest.raises(Refused) as refused:
        ids.next("t", "look", deep)
    assert refused.value.code == "input.too_deep"
