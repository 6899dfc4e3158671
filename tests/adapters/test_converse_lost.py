"""``converse`` when workers die: no tool runs twice, nothing is said twice, no answer is asked for twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.agents.adapters.conversation import Rules
from holdfast.agents.run import RunContext
from holdfast.protocol import events as e
from tests.adapters.conftest import converse_agent
from tests.adapters.replay import Provider
from tests.adapters.scripts import ALL, conversation_of, streamed
from tests.adapters.workshop import Workshop, answers, ended, items, open_workshop, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]


class Till:
    """A tool that must not take money twice; a test can hold it."""

    def __init__(self) -> None:
        self.charged: list[int] = []
        self.inside, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()

    async def charge(self, order: int) -> str:
        self.charged.append(order)
        self.inside.set()
        await self.go_on.wait()
        return "charged"


def two_steps(api: str) -> list[bytes]:
    return [streamed(api, "Let me see.", ("c", "charge", {"order": 7})), streamed(api, "It is paid.")]


@pytest.mark.parametrize("api", ALL)
async def test_lost_between_the_answer_and_its_call(bench: Workshop, provider: Provider, api: str) -> None:
    till, reached = Till(), asyncio.Event()
    responses = two_steps(api)
    provider.script = lambda number, request: responses[number]
    inner = converse_agent(api, provider, till.charge)

    async def dying(run: RunContext) -> None:
        async def call(*_: Any, **__: Any) -> None:
            await run.flush()
            reached.set()
            await asyncio.Event().wait()

        run.tools.call = call  # type: ignore[method-assign]
        await inner(run)

    worker = await bench.worker(writer=dying)
    session = await bench.session()
    run = await session.send("Charge")
    await asyncio.wait_for(reached.wait(), 20)
    await worker.leave()
    assert till.charged == []
    await bench.worker(writer=inner)
    view = await ended(session, run.id)
    assert view.runs[run.id]["losses"] and view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert till.charged == [7] and len(provider.requests) == 2
    assert answers(view, run.id) == ["Let me see.", "It is paid."]
    assert [(i["id"], i["status"]) for i in items(view, "tool")] == [(f"{run.id}.c", "done")]


@pytest.mark.parametrize("api", ALL)
@pytest.mark.parametrize(("idempotent", "status", "times"), [((), "failed", 1), (("charge",), "completed", 2)])
async def test_lost_inside_a_tool(
    bench: Workshop, provider: Provider, api: str, idempotent: tuple[str, ...], status: str, times: int
) -> None:
    till, responses = Till(), two_steps(api)
    till.go_on.clear()
    provider.script = lambda number, request: responses[number]
    agent = converse_agent(api, provider, till.charge, rules=Rules(idempotent=idempotent))
    worker = await bench.worker(writer=agent)
    session = await bench.session()
    run = await session.send("Charge")
    await asyncio.wait_for(till.inside.wait(), 20)
    await worker.leave()
    till.go_on.set()
    await bench.worker(writer=agent)
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == status
    assert till.charged == [7] * times
    assert len(provider.requests) == times
    if status == "failed":
        assert view.runs[run.id]["error"]["code"] == "tool.outcome_unknown"


@pytest.mark.parametrize("api", ALL)
async def test_lost_in_the_answer_after_a_tool(bench: Workshop, provider: Provider, api: str) -> None:
    till, responses = Till(), two_steps(api)
    half = responses[1].index(b"\n\n", responses[1].index(b"It is")) + 2
    provider.script = lambda number, request: (
        (responses[1][:half], asyncio.Event()) if number == 1 else responses[min(number, 1)]
    )
    agent = converse_agent(api, provider, till.charge)
    worker = await bench.worker(writer=agent)
    session = await bench.session()
    run = await session.send("Charge")
    await seen(session, lambda view: [i for i in items(view, "message", run=run.id) if i["text"] == "It is"])
    await worker.leave()
    await bench.worker(writer=agent)
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert till.charged == [7] and len(provider.requests) == 3
    assert conversation_of(api, provider.requests[1]) == conversation_of(api, provider.requests[2])
    shown = [(i["text"], i["status"]) for i in items(view, "message", run=run.id)]
    assert shown == [("Let me see.", "complete"), ("It is", "cut"), ("It is paid.", "complete")]


@pytest.mark.parametrize("api", ALL)
async def test_lost_after_everything_was_said(bench: Workshop, provider: Provider, api: str) -> None:
    over = asyncio.Event()
    provider.script = lambda number, request: streamed(api, "It is paid.")
    inner = converse_agent(api, provider)

    async def dying(run: RunContext) -> None:
        await inner(run)
        await run.flush()
        over.set()
        await asyncio.Event().wait()

    worker = await bench.worker(writer=dying)
    session = await bench.session()
    run = await session.send("Charge")
    await asyncio.wait_for(over.wait(), 20)
    await worker.leave()
    await bench.worker(writer=inner)
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed" and view.runs[run.id]["losses"]
    assert answers(view, run.id) == ["It is paid."] and len(provider.requests) == 1


@pytest.mark.parametrize("api", ALL)
async def test_a_steer_that_a_lost_attempt_had_taken_is_told_once(
    bench: Workshop, provider: Provider, api: str
) -> None:
    session = await bench.session()

    async def price() -> int:
        await session.run(run.id).steer("In euros")
        await seen(session, lambda view: items(view, "steer"))
        return 3

    asked_again = asyncio.Event()

    def script(number: int, request: dict[str, Any]) -> Any:
        if number == 0:
            return streamed(api, "", ("a", "price", {}))
        if number == 1:
            asked_again.set()
            return b"", asyncio.Event()
        return streamed(api, "3 €")

    provider.script = script
    agent = converse_agent(api, provider, price)
    worker = await bench.worker(writer=agent)
    run = await session.send("How much?")
    await asyncio.wait_for(asked_again.wait(), 20)
    await worker.leave()
    await bench.worker(writer=agent)
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["3 €"], view.runs[run.id]
    assert conversation_of(api, provider.requests[2]) == [
        ("user", "How much?"), ("call", ("price", {})), ("result", "3"), ("user", "In euros"),
    ]  # fmt: skip


async def test_two_conversations_in_one_run_are_kept_apart(bench: Workshop, provider: Provider) -> None:
    api, till = "openai.chat", Till()
    done = asyncio.Event()
    responses = [
        streamed(api, "", ("0", "charge", {"order": 7})), streamed(api, "Paid."),
        streamed(api, "", ("0", "charge", {"order": 8})), streamed(api, "Paid, too."),
    ]  # fmt: skip
    provider.script = lambda number, request: responses[number]

    async def twice(run: RunContext) -> None:
        await converse_agent(api, provider, till.charge, prompt="Charge 7")(run)
        await converse_agent(api, provider, till.charge, prompt="Charge 8")(run)

    async def dying(run: RunContext) -> None:
        await twice(run)
        await run.flush()
        done.set()
        await asyncio.Event().wait()

    worker = await bench.worker(writer=dying)
    session = await bench.session()
    run = await session.send("Charge")
    await asyncio.wait_for(done.wait(), 20)
    await worker.leave()
    await bench.worker(writer=twice)
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed" and view.runs[run.id]["losses"], view.runs[run.id]
    assert till.charged == [7, 8] and len(provider.requests) == 4
    assert answers(view, run.id) == ["Paid.", "Paid, too."]


def dying_at(event: int, died: asyncio.Event, inner: Callable[[RunContext], Awaitable[None]]) -> Any:
    """An agent whose first worker stops dead just before its n-th event: nothing it appends from then on arrives.

    The ends of texts that are kept go in one append with what keeps them: it does not die in between.
    """

    async def agent(run: RunContext) -> None:
        if run.attempt_number > 1:
            await inner(run)
            return
        producer, count, saved = run.attempt.producer, 0, False
        put, flush = producer.put, producer.flush

        def dying_put(type_: str, data: dict[str, Any]) -> None:
            nonlocal count, saved
            count += 1
            if count < event or (saved and type_ == e.TEXT_END):
                saved = type_ in (e.CUSTOM, e.TEXT_END)
                put(type_, data)
            else:
                died.set()

        async def dying_flush() -> None:
            await flush()
            if died.is_set():
                await asyncio.Event().wait()

        producer.put, producer.flush = dying_put, dying_flush  # type: ignore[method-assign]
        await inner(run)
        if died.is_set():
            await asyncio.Event().wait()

    return agent


async def test_wherever_a_worker_dies_nothing_happens_twice(tmp_path: Path, provider: Provider) -> None:
    api, charged, clients = "openai.chat", dict[str, list[int]](), 30

    async def charge(run: RunContext, order: int) -> str:
        charged.setdefault(run.session.id, []).append(order)
        return "charged"

    responses = [
        streamed(api, "Let me see.", ("0", "charge", {"order": 1}), ("1", "charge", {"order": 2})),
        streamed(api, "", ("0", "charge", {"order": 3})),
        streamed(api, "All is paid."),
    ]
    results = [0, 2, 3]
    provider.script = lambda number, request: responses[
        results.index(sum(kind == "result" for kind, _ in conversation_of(api, request)))
    ]
    inner = converse_agent(api, provider, charge)
    async with open_workshop(tmp_path, lease_s=3.0) as shop:
        person, attempts = await shop.person(), []
        for number in range(1, clients):
            died = asyncio.Event()
            worker = await shop.worker(**{f"w{number}": dying_at(number, died, inner)})
            session = await person.create(f"s{number}", agent=f"w{number}")
            attempts.append((worker, session, await session.send("Charge"), died))
        for worker, session, run, died in attempts:
            over = asyncio.create_task(ended(session, run.id))
            await asyncio.wait({over, asyncio.create_task(died.wait())}, return_when="FIRST_COMPLETED")
            await worker.leave()
            over.cancel()
        assert not attempts[-1][3].is_set(), "the loop has more events than this test kills it at"
        await shop.worker(**{f"w{number}": inner for number in range(1, clients)})
        outcomes = set()
        for _, session, run, died in attempts:
            view = await ended(session, run.id)
            status = view.runs[run.id]["status"]
            outcomes.add(status)
            assert bool(view.runs[run.id].get("losses")) == died.is_set()
            if status == "failed":
                assert view.runs[run.id]["error"]["code"] == "tool.outcome_unknown", (session.id, view.runs[run.id])
                assert len(set(charged.get(session.id, []))) == len(charged.get(session.id, []))
            else:
                assert sorted(charged[session.id]) == [1, 2, 3], session.id
                assert answers(view, run.id) == ["Let me see.", "All is paid."], session.id
        assert "completed" in outcomes
