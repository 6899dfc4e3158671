"""OpenAI's Python client, unmodified, over durable runs."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import ResponseStreamEvent

from holdfast.agents.run import RunContext

from .conftest import Site

pytestmark = pytest.mark.anyio

WORDS = [f"Tide {n}: 🌊 and {n * n}. " for n in range(40)]


async def teller(run: RunContext) -> None:
    async with run.reasoning() as thought:
        await thought.write("The moon ")
        await thought.write("pulls.")
    async with run.message() as out:
        for word in WORDS:
            await out.write(word)
            await run.flush()
        await out.source("https://example.com/tides", title="Tides")


async def echo(run: RunContext) -> None:
    await run.say(f"You said: {run.input.text}")


def deltas(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


async def test_create_waits_for_the_end(site: Site) -> None:
    await site.serve(echo=echo)
    response = await site.client().responses.create(model="echo", input="hello")
    assert response.output_text == "You said: hello"
    assert (response.status, response.model, response.object) == ("completed", "echo", "response")
    assert response.error is None and response.created_at > 0
    again = await site.client().responses.retrieve(response.id)
    assert again.model_dump() == response.model_dump()


async def test_a_background_response_is_queued_and_polled(site: Site) -> None:
    client = site.client()
    response = await client.responses.create(model="echo", input="hello", background=True)
    assert response.status == "queued" and response.output == []
    await site.serve(echo=echo)
    async with asyncio.timeout(20):
        while response.status in ("queued", "in_progress"):
            response = await client.responses.retrieve(response.id)
            await asyncio.sleep(0.02)
    assert response.output_text == "You said: hello"


async def test_a_stream_has_the_events_of_a_recorded_one(site: Site) -> None:
    await site.serve(teller=teller)
    stream = await site.client().responses.create(model="teller", input="go", stream=True, background=True)
    events: list[ResponseStreamEvent] = [event async for event in stream]
    kinds = [event.type for event in events]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert kinds[3:5] == ["response.output_item.added", "response.reasoning_summary_part.added"]
    assert kinds[-4:] == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert deltas(events) == "".join(WORDS)
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers)) and numbers[0] == 0
    final = events[-1]
    assert final.type == "response.completed"
    assert final.response.output_text == "".join(WORDS)
    reasoning, message = final.response.output
    assert reasoning.type == "reasoning" and reasoning.summary[0].text == "The moon pulls."
    assert message.type == "message" and message.content[0].type == "output_text"
    cited = message.content[0].annotations[0]
    assert cited.type == "url_citation" and cited.url == "https://example.com/tides"
    for event in events:  # the library decodes leniently: hold every event to its type
        type(event).model_validate(event.model_dump(), strict=False)


async def test_a_cut_stream_goes_on_exactly_where_it_was_cut(site: Site) -> None:
    """Cut after every so many bytes of the answer: what was read and what is read then are the whole."""
    await site.serve(teller=teller)
    client = site.client()
    whole = [e async for e in await client.responses.create(model="teller", input="go", stream=True, background=True)]
    cut = site.client(cut=True)
    for budget in range(400, 16_000, 1_300):
        site.cutter.budget = budget
        read: list[Any] = []
        ident, after = "", -1
        with contextlib.suppress(openai.APIConnectionError, httpx2.TransportError):
            async for event in await cut.responses.create(model="teller", input="go", stream=True, background=True):
                read.append(event)
                after = event.sequence_number
                if event.type == "response.created":
                    ident = event.response.id
        if not ident:
            continue
        before = len(read)
        async for event in await client.responses.retrieve(ident, stream=True, starting_after=after):
            read.append(event)
        assert len(read) > before
        assert [e.type for e in read] == [e.type for e in whole]
        assert [e.sequence_number for e in read] == [e.sequence_number for e in whole]
        assert deltas(read) == "".join(WORDS)


async def test_cut_again_and_again_while_the_run_goes_on(site: Site) -> None:
    """Every connection is cut after some hundred bytes: catch-up and live alternate, and nothing is lost or repeated."""

    async def slow(run: RunContext) -> None:
        async with run.message() as out:
            for word in WORDS:
                await out.write(word)
                await run.flush()
                await asyncio.sleep(0.01)

    await site.serve(slow=slow)
    response = await site.client().responses.create(model="slow", input="go", background=True)
    client, dice = site.client(cut=True), random.Random(7)
    read: list[Any] = []
    cuts = 0
    while not read or read[-1].type != "response.completed":
        site.cutter.budget = dice.randint(300, 4_000)
        after = read[-1].sequence_number if read else openai.omit
        try:
            async for event in await client.responses.retrieve(response.id, stream=True, starting_after=after):
                read.append(event)
        except (openai.APIConnectionError, httpx2.TransportError):
            cuts += 1
        assert cuts < 500
    assert cuts > 5
    whole = [e async for e in await site.client().responses.retrieve(response.id, stream=True)]
    assert [(e.type, e.sequence_number) for e in read] == [(e.type, e.sequence_number) for e in whole]
    assert deltas(read) == "".join(WORDS)
