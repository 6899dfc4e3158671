"""Async generators in sessions: what they yield, stops, mistakes, lost workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.agents.adapters import generator
from holdfast.agents.run import RunContext
from tests.adapters.workshop import Workshop, answers, ended, items, logged, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]


async def test_everything_a_generator_can_say(bench: Workshop) -> None:
    async def answer(question: str) -> AsyncIterator[str | dict[str, Any]]:
        yield {"type": "reasoning", "text": "Hm."}
        yield {"type": "step", "name": "look"}
        yield {"type": "tool", "id": "t", "name": "find", "args": {"q": question}}
        yield {"type": "result", "id": "t", "result": [1, 2]}
        yield {"type": "tool", "id": "u", "name": "find"}
        yield {"type": "result", "id": "u", "error": "nothing there"}
        yield {"type": "step", "name": "tell"}
        yield "It is "
        yield {"type": "text", "text": "two."}
        yield {"type": "source", "uri": "https://example.com/2", "title": "Two"}
        yield {"type": "usage", "model": "m", "input_tokens": 3, "output_tokens": 4}
        yield {"type": "state", "value": {"answer": 2}}
        yield {"type": "activity", "name": "plan", "content": ["a"]}
        yield {"type": "custom", "name": "ping", "value": 1}

    results = []

    async def writer(run: RunContext) -> None:
        results.append(await generator.stream(run, answer(run.input.text)))

    await bench.worker(writer=writer)
    session = await bench.session()
    run = await session.send("how many?")
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed"
    assert answers(view, run.id) == ["It is two."]
    assert results[0].text == "It is two."
    assert [i["text"] for i in items(view, "reasoning", status="complete")] == ["Hm."]
    assert [(i["name"], i["status"]) for i in items(view, "step")] == [("look", "complete"), ("tell", "complete")]
    first, second = items(view, "tool")
    assert (first["args"], first["result"], first["status"]) == ('{"q": "how many?"}', "[1,2]", "done")
    assert second["error"]["message"] == "nothing there"
    (message,) = items(view, "message", run=run.id)
    assert [source["uri"] for source in message["sources"]] == ["https://example.com/2"]
    assert view.state == {"answer": 2}
    assert await logged(session, "CUSTOM") == [{"name": "ping", "value": 1}]


@pytest.mark.parametrize(
    "wrong", [{"type": "song"}, {"text": "?"}, {"type": "result", "id": "x", "result": 1}, {"type": "text"}]
)
async def test_what_it_cannot_say_fails_the_run(bench: Workshop, wrong: dict[str, Any]) -> None:
    async def answer() -> AsyncIterator[Any]:
        yield "Well"
        yield wrong

    async def writer(run: RunContext) -> None:
        await generator.stream(run, answer())

    await bench.worker(writer=writer)
    session = await bench.session()
    run = await session.send("go")
    view = await ended(session, run.id)
    assert view.runs[run.id]["error"]["code"] == "input.malformed"


async def test_a_stop_runs_the_generators_finally_and_a_lost_attempt_does_not_double(bench: Workshop) -> None:
    closed = asyncio.Event()
    hold = asyncio.Event()

    async def answer() -> AsyncIterator[str]:
        try:
            yield "Half an"
            await hold.wait()
            yield " answer"
        finally:
            closed.set()

    async def writer(run: RunContext) -> None:
        await generator.stream(run, answer())

    first = await bench.worker(writer=writer)
    session = await bench.session()
    run = await session.send("go")
    await seen(session, lambda view: [i for i in items(view, "message", run=run.id) if i["text"] == "Half an"])
    await first.leave()
    assert closed.is_set()
    hold.set()
    await bench.worker(writer=writer)
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["Half an answer"]
    assert [(i["text"], i["status"]) for i in items(view, "message", run=run.id)] == [
        ("Half an", "cut"), ("Half an answer", "complete"),
    ]  # fmt: skip
    closed.clear()
    hold.clear()
    run = await session.send("again")
    await seen(session, lambda view: items(view, "message", run=run.id))
    await run.cancel()
    await asyncio.wait_for(closed.wait(), 10)
    assert (await ended(session, run.id)).runs[run.id]["status"] == "cancelled"
