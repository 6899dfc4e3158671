"""Usage is what a run says of itself: from anybody else it is refused on every surface, and what is stored stays readable."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.client import messages
from holdfast.client.client import Client
from holdfast.engines.port import Index, Key, LogAppend
from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.events import Draft, Event
from holdfast.protocol.frames import OPERATORS, encode_frame

from .conftest import Site

pytestmark = pytest.mark.anyio

USAGE = {"model": "m", "input_tokens": 7}


async def in_a_run(site: Site, http: Any, worker: Client) -> wire.Append:
    """An append by the holder of a run that ann's message queued."""
    assigned: asyncio.Queue[messages.Assignment] = asyncio.Queue()
    worker.connection.on_message(messages.Assignment, lambda message, size: assigned.put_nowait(message))
    await worker.connection.request(wire.Serve(agents=["w"]))
    answer = await http.post("/v1/sessions/s1/messages", json={"text": "x", "agent": "w"})
    assert answer.status_code == 201
    given = await asyncio.wait_for(assigned.get(), 10)
    events = [Draft(e.USAGE_RECORDED, USAGE)]
    return wire.Append(session="s1", events=events, run=given.run, generation=given.generation)


async def test_nobody_outside_a_run_records_usage(site: Site) -> None:
    loose = {"events": [{"type": "usage.recorded", "data": USAGE}]}
    async with site.http(site.token()) as ann:
        await ann.post("/v1/sessions", json={"session": "s1"})
        answer = await ann.post("/v1/sessions/s1/events", json=loose)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "input.event_type")
        for subject, agents in (("user:ann", []), ("user:ann", ["*"]), ("agent:w", ["w"])):
            async with Client(site.url, site.token(subject, agents=agents)) as hf:
                with pytest.raises(Refused) as refused:
                    await hf.connection.request(wire.Append(session="s1", events=[Draft(e.USAGE_RECORDED, USAGE)]))
                assert refused.value.code == "input.event_type"
        async with Client(site.url, site.token("agent:w", agents=["w"])) as worker:
            op = await in_a_run(site, ann, worker)
            async with Client(site.url, site.token("user:bob")) as bob:  # knowing run and generation is not enough
                with pytest.raises(Refused) as refused:
                    await bob.connection.request(op)
                assert refused.value.code == "auth.denied"
            await worker.connection.request(op)
        assert (await ann.get("/v1/sessions/s1/events")).text.count("usage.recorded") == 1


async def test_usage_is_for_operators(site: Site) -> None:
    async with site.http(site.token()) as ann, Client(site.url, site.token("agent:w", agents=["w"])) as worker:
        await ann.post("/v1/sessions", json={"session": "s1"})
        await worker.connection.request(await in_a_run(site, ann, worker))
        assert "usage.recorded" in (await ann.get("/v1/sessions/s1/events")).text
    async with site.http(site.token(capabilities={"*": ["read"]})) as reader:
        frames = (await reader.get("/v1/sessions/s1/events")).json()["frames"]
        assert "usage" not in str(frames) and frames[-1]["op"] == "skip"
        at = 0
        for frame in frames:
            assert frame["from"] == at + 1
            at = frame["to"]


async def test_usage_that_stands_outside_a_run_stays_readable(site: Site) -> None:
    """Earlier versions took it."""
    key = Key("acme", "old")
    await site.hub.engine.create(key, "i1", 1, Index())
    frames = [
        encode_frame("old", [Event(1, 1, "user:ann", e.SESSION_CREATED, {})]),
        encode_frame("old", [Event(2, 2, "user:ann", e.USAGE_RECORDED, USAGE)], OPERATORS),
    ]
    await site.hub.engine.append(LogAppend(key, "i1", 0, frames, 2))
    async with site.http(site.token()) as ann:
        assert "input_tokens" in (await ann.get("/v1/sessions/old/events")).text
        assert (await ann.get("/v1/sessions/old")).json()["seq"] == 2
