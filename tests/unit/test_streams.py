"""What a run says as a stream of text, and generators as agents."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

import holdfast

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def hub() -> AsyncIterator[holdfast.EmbeddedHub]:
    async with holdfast.EmbeddedHub("memory:", lease_s=1) as hub:
        yield hub


async def test_pieces_come_while_they_are_said_and_add_up(hub: holdfast.EmbeddedHub) -> None:
    heard = asyncio.Queue[str]()

    async def answer(text: str) -> AsyncIterator[str]:
        for number in range(5):
            yield f"{text} {number} ø𝄞 "
            assert await heard.get(), "the next piece is made only when this one was heard"

    run = await hub.session("s").start(answer, "tide")
    pieces = []
    async for piece in run.stream():
        pieces.append(piece)
        heard.put_nowait(piece)
    assert len(pieces) >= 5
    assert "".join(pieces) == await run.text() == "".join(f"tide {number} ø𝄞 " for number in range(5))
    assert [piece async for piece in run.stream()] == [await run.text()], "whoever comes late gets all of it"


async def test_a_plain_generator_runs_in_a_thread(hub: holdfast.EmbeddedHub) -> None:
    threads = set()

    def answer(text: str) -> Iterator[str]:
        threads.add(threading.current_thread())
        yield from (text, " and ", "wind")

    assert await (await hub.session("s").start(answer, "tide")).text() == "tide and wind"
    assert threading.main_thread() not in threads
    assert await (await hub.session("s").start(answer, "rain")).text() == "rain and wind", "the same agent again"


async def test_a_generator_is_registered_by_name_before_or_after_the_start(hub: holdfast.EmbeddedHub) -> None:
    @hub.agent("writer")
    async def answer(text: str) -> AsyncIterator[str]:
        yield f"I say {text}"

    assert await (await hub.session("s").start("writer", "tide")).text() == "I say tide"


async def test_a_response_breaks_off_where_its_run_fails(hub: holdfast.EmbeddedHub) -> None:
    async def answer(text: str) -> AsyncIterator[str]:
        yield text
        raise RuntimeError("the model is gone")

    response = await hub.session("s").stream(answer, "tide")
    heard: list[Any] = []
    with pytest.raises(holdfast.HoldfastError, match=r"agent\.failed"):
        async for piece in response.body_iterator:
            heard.append(piece)
    assert heard == ["tide"]


async def test_a_reader_that_leaves_stops_nothing(hub: holdfast.EmbeddedHub) -> None:
    left = asyncio.Event()

    async def answer(text: str) -> AsyncIterator[str]:
        yield text
        await left.wait()
        yield ", all of it"

    run = await hub.session("s").start(answer, "tide")
    async for _ in run.stream():
        break
    left.set()
    assert await run.text() == "tide, all of it"


async def attempts(hub: holdfast.EmbeddedHub, second: str) -> tuple[list[str], Callable[[], Any]]:
    """A run whose first attempt is lost after ``one two``, and whose second says ``second``; what a reader heard."""
    said = asyncio.Event()

    async def first(run: holdfast.RunContext) -> None:
        async with run.message() as out:
            await out.write("one two")
            said.set()
            await asyncio.Event().wait()

    async def then(run: holdfast.RunContext) -> None:
        async with run.message() as out:
            for word in second.split(" "):
                await out.write(word + " ")
                await asyncio.sleep(0)

    worker = await hub.client("agent:a", agents=("w",))
    worker.agent("w")(first)
    serving = asyncio.create_task(worker.serve())
    session = (await hub.client("user:ann")).session("s")
    await session.create()
    run = await session.send("go", agent="w")
    heard: list[str] = []

    async def read() -> None:
        async for piece in run.stream():
            heard.append(piece)

    reading = asyncio.create_task(read())
    await said.wait()
    while not heard:
        await asyncio.sleep(0.01)
    serving.cancel()  # the attempt is let go without an end: its lease decides
    await asyncio.wait({serving})
    other = await hub.client("agent:b", agents=("w",))
    other.agent("w")(then)
    again = asyncio.create_task(other.serve())
    try:
        await asyncio.wait({reading}, timeout=30)
    finally:
        again.cancel()
        await asyncio.wait({again})
    return heard, reading.result


async def test_a_second_attempt_that_says_the_same_goes_on_where_the_first_was(hub: holdfast.EmbeddedHub) -> None:
    heard, result = await attempts(hub, "one two three four")
    result()
    assert "".join(heard) == "one two three four "
    asked = asyncio.Queue[Any]()

    async def next_turn(run: holdfast.RunContext) -> None:
        asked.put_nowait(run.history)

    worker = await hub.client("agent:c", agents=("w",))
    worker.agent("w")(next_turn)
    serving = asyncio.create_task(worker.serve())
    await (await hub.client("user:ann")).session("s").send("and then?", agent="w")
    told = [message["content"] for message in await asyncio.wait_for(asked.get(), 30)]
    assert told == ["go", "one two three four ", "and then?"], (
        "a model is not told what the lost attempt left unfinished"
    )
    serving.cancel()
    await asyncio.wait({serving})


async def test_a_second_attempt_that_says_something_else_is_told(hub: holdfast.EmbeddedHub) -> None:
    heard, result = await attempts(hub, "other words")
    with pytest.raises(holdfast.Refused, match=r"run\.fenced"):
        result()
    assert "".join(heard) == "one two"


async def test_an_application_is_given_the_routes_and_the_lifespan() -> None:
    app = FastAPI()
    hub = holdfast.EmbeddedHub("memory:", app=app)
    async with app.router.lifespan_context(app):
        hub.check_started()
    with pytest.raises(holdfast.HoldfastError, match="not started"):
        hub.check_started()
