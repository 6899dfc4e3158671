"""Exactness where it is hard: after compaction, from inside merged text, on another server, behind a slow reader."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest

from holdfast.agents.run import RunContext
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.hub.compacting import compact
from holdfast.hub.hub import Hub

from .conftest import Site
from .test_control import key_of
from .test_python_client import WORDS, deltas, teller

pytestmark = pytest.mark.anyio
TEXT = "".join(WORDS)


async def test_every_number_resumes_exactly_also_inside_merged_text(site: Site) -> None:
    await site.serve(teller=teller)
    client = site.client()
    whole = [event async for event in await client.responses.create(model="teller", input="go", stream=True)]
    response = whole[-1].response  # type: ignore[union-attr]
    merged = await compact(site.hub.sessions.hot(key_of(response)), site.hub.engine)
    assert merged > 30
    received: dict[int, str] = {}
    said = ""
    for event in whole:
        said += event.delta if event.type == "response.output_text.delta" else ""
        received[event.sequence_number] = said
    after = [event async for event in await client.responses.retrieve(response.id, stream=True)]
    assert len(after) < len(whole) - 30  # told in fewer and longer deltas
    last = {event.type: event.sequence_number for event in whole}
    assert {event.type: event.sequence_number for event in after} == last
    for number, before in received.items():
        rest = [e async for e in await client.responses.retrieve(response.id, stream=True, starting_after=number)]
        assert before + deltas(rest) == TEXT
        assert all(event.sequence_number > number for event in rest)
    assert (await client.responses.retrieve(response.id)).model_dump() == response.model_dump()


async def test_another_server_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    db = str(tmp_path / "holdfast.db")
    settings = Settings(db=db, port=0, drain_s=0.2)
    read: list[Any] = []
    ident = ""
    for turn in range(2):
        hub = Hub(SqliteEngine(db), lease_s=2.0)
        await hub.open()
        edge = Edge(hub, settings)
        async with running(edge) as server:
            site = Site(edge, port_of(server))
            client = site.client()
            try:
                if turn == 0:
                    stream = await client.responses.create(model="teller", input="go", stream=True)
                    working = await site.serve(teller=teller)
                    async for event in stream:
                        read.append(event)
                        if event.type == "response.created":
                            ident = event.response.id
                        if len(deltas(read)) > 300:
                            break
                    await stream.close()
                    while (await client.responses.retrieve(ident)).status != "completed":
                        await asyncio.sleep(0.02)
                    working.cancel()
                else:
                    whole = [e async for e in await client.responses.retrieve(ident, stream=True)]
                    last = read[-1].sequence_number
                    read += [e async for e in await client.responses.retrieve(ident, stream=True, starting_after=last)]
            finally:
                await site.close()
    assert [(e.type, e.sequence_number) for e in read] == [(e.type, e.sequence_number) for e in whole]
    assert deltas(read) == TEXT


async def test_a_reader_who_is_reset_in_the_middle_misses_and_repeats_nothing(site: Site) -> None:
    gate = asyncio.Event()

    async def halting(run: RunContext) -> None:
        async with run.message() as out:
            for word in WORDS[:20]:
                await out.write(word)
                await run.flush()
            await gate.wait()
            for word in WORDS[20:]:
                await out.write(word)

    await site.serve(halting=halting)
    read: list[Any] = []
    async for event in await site.client().responses.create(model="halting", input="go", stream=True):
        read.append(event)
        if event.type == "response.created":
            session = site.hub.sessions.hot(key_of(event.response))
        if deltas(read) == "".join(WORDS[:20]) and not gate.is_set():
            (reader,) = [r for r in session.readers.values() if r.conn.surface == "openai"]
            site.hub.readers.send_snapshot(reader, "slow")
            gate.set()
    assert deltas(read) == TEXT
    numbers = [event.sequence_number for event in read]
    assert numbers == sorted(set(numbers))
    assert read[-1].response.output_text == TEXT


async def test_the_stream_helper_reads_and_resumes(site: Site) -> None:
    await site.serve(teller=teller)
    client = site.client()
    texts, numbers = [], []
    async with client.responses.stream(model="teller", input="go") as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                texts.append(event.snapshot)
                numbers.append(event.sequence_number)
        final = await stream.get_final_response()
    assert texts[-1] == final.output_text == TEXT
    middle = numbers[len(numbers) // 2]
    rest = ""
    async with client.responses.stream(response_id=final.id, starting_after=middle) as stream:
        async for event in stream:
            assert event.sequence_number > middle
            rest += event.delta if event.type == "response.output_text.delta" else ""
        assert (await stream.get_final_response()).output_text == TEXT
    assert texts[len(numbers) // 2] + rest == TEXT


async def test_a_finished_stream_is_told_again_from_its_end(site: Site) -> None:
    await site.serve(teller=teller)
    client = site.client()
    response = await client.responses.create(model="teller", input="go")
    rest = [e async for e in await client.responses.retrieve(response.id, stream=True, starting_after=10_000_000)]
    assert rest == []
    with pytest.raises(openai.BadRequestError):
        await client.responses.retrieve(response.id, stream=True, starting_after=-1)
