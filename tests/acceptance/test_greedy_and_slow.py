"""Those who ask for much and read little cost the server a bounded amount; those who are merely slow are not cut off."""

from __future__ import annotations

import asyncio
import json

import pytest

from holdfast.protocol import limits

from .conftest import Site
from .test_hostile_input import Raw, lives

pytestmark = pytest.mark.anyio

WINDOW = 16 << 10
TEXT = "x" * 100_000


def unsent(site: Site) -> int:
    """Bytes in this process on their way to the only WebSocket."""
    (connection,) = site.edge.listener.connections.values()
    size: int = connection._transport._ws_transport.underlying_transport.get_write_buffer_size()  # type: ignore[union-attr]
    return size


async def fill(site: Site, sessions: int, messages: int = 1) -> list[str]:
    names = [f"s{i}" for i in range(sessions)]
    async with site.http(site.token()) as http:
        for name in names:
            await http.post("/v1/sessions", json={"session": name})
            for _ in range(messages):
                sent = await http.post(f"/v1/sessions/{name}/messages", json={"text": TEXT})
                assert sent.status_code == 201
    return names


async def test_snapshots_wait_until_a_reader_has_room(site: Site) -> None:
    names = await fill(site, 60)
    raw = await Raw.open(site, token=site.token(), window=WINDOW)
    await raw.answer(op="welcome")
    for i, name in enumerate(names):
        raw.say({"op": "subscribe", "id": i, "session": name})
    await asyncio.sleep(0.5)
    assert unsent(site) < 4 * len(TEXT), "the server holds what nobody reads"
    found = {}
    while len(found) < len(names):
        message = await raw.answer(op="snapshot")
        found[message["session"]] = (message["reason"], message["view"]["items"][0]["text"])
    assert found == dict.fromkeys(names, ("start", TEXT))


async def test_pages_wait_until_a_reader_has_room(site: Site) -> None:
    names = await fill(site, 12, messages=6)
    async with site.http(site.token()) as http:
        incarnations = {n: (await http.get(f"/v1/sessions/{n}")).json()["incarnation"] for n in names}
    for session in site.hub.sessions.values():
        session.ring.clear()  # so that the pages come from the log
    raw = await Raw.open(site, token=site.token(), window=WINDOW)
    await raw.answer(op="welcome")
    for i, name in enumerate(names):
        start = {"incarnation": incarnations[name], "seq": 0}
        raw.say({"op": "subscribe", "id": i, "session": name, "start": start})
    await asyncio.sleep(0.5)
    assert unsent(site) < 2 * limits.PAGE_BYTES, "one page at a time"
    cursors = dict.fromkeys(names, 0)
    live: set[str] = set()
    while live != set(names):
        message = await raw.answer()
        if message["op"] == "events":
            assert message["from"] == cursors[message["session"]] + 1
            cursors[message["session"]] = message["to"]
        elif message["op"] == "live":
            assert message["seq"] == cursors[message["session"]] == 7
            live.add(message["session"])


async def test_answers_nobody_reads_end_the_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNREAD_BYTES", 1 << 20)
    await fill(site, 1)
    raw = await Raw.open(site, token=site.token(), window=WINDOW)
    await raw.answer(op="welcome")
    (connection,) = site.edge.listener.connections.values()
    connection._operations.per_s = connection._operations.burst = 1e9
    for i in range(60_000):
        raw.say({"op": "ping", "id": i})
        if i % 500 == 0:
            await asyncio.sleep(0)
            if not site.edge.listener.connections:
                break
    async with asyncio.timeout(10):
        while site.edge.listener.connections:
            await asyncio.sleep(0.01)
    await lives(site)


async def test_a_slow_reader_that_takes_is_alive(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers to pings come behind everything it has not read; it is not taken for dead."""
    monkeypatch.setattr(limits, "PING_IDLE_S", 1.0)
    monkeypatch.setattr(limits, "PING_REPLY_S", 1.0)
    await fill(site, 1, messages=20)
    async with site.http(site.token()) as http:
        incarnation = (await http.get("/v1/sessions/s0")).json()["incarnation"]
    raw = await Raw.open(site, token=site.token(), window=WINDOW)
    await raw.answer(op="welcome")
    raw.say({"op": "subscribe", "id": 1, "session": "s0", "start": {"incarnation": incarnation, "seq": 0}})
    seen = 0
    while seen < 21:
        await asyncio.sleep(0.15)
        kind, payload = await asyncio.wait_for(raw.hear(), 5)
        assert kind in (1, 9), "closed"
        if kind == 1 and (message := json.loads(payload))["op"] == "events":
            seen = message["to"]


async def test_a_reader_that_takes_nothing_is_found(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PING_IDLE_S", 0.4)
    monkeypatch.setattr(limits, "PING_REPLY_S", 0.4)
    await fill(site, 1, messages=20)
    raw = await Raw.open(site, token=site.token(), window=WINDOW)
    await raw.answer(op="welcome")
    raw.say({"op": "subscribe", "id": 1, "session": "s0", "start": "snapshot"})
    async with asyncio.timeout(10):
        while site.edge.listener.connections:
            await asyncio.sleep(0.05)


async def test_a_blob_goes_out_as_it_is_taken_and_its_room_comes_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.edge.listener.charges.memory, "root_limit", 24 << 20)
    data = bytes(20 << 20)
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        blob = (await http.post("/v1/sessions/s1/blobs", content=data)).json()["blob"]
        async with http.stream("GET", f"/v1/sessions/s1/blobs/{blob}") as held:
            assert held.status_code == 200
            refused = await http.get(f"/v1/sessions/s1/blobs/{blob}")
            assert refused.status_code == 503 and refused.json()["error"]["code"] == "server.busy"
            async with site.http(site.token("user:bob")) as bob:
                assert (await bob.get(f"/v1/sessions/s1/blobs/{blob}")).content == data
            assert b"".join([part async for part in held.aiter_bytes()]) == data
        assert (await http.get(f"/v1/sessions/s1/blobs/{blob}")).content == data


async def test_an_sse_reader_that_stops_holds_little_and_is_let_go(site: Site) -> None:
    names = await fill(site, 1, messages=2)
    async with site.http(site.token()) as http:
        sse = {"accept": "text/event-stream"}
        async with http.stream("GET", f"/v1/sessions/{names[0]}/events?start=tail", headers=sse) as response:
            assert response.status_code == 200
            (conn,) = site.hub.connections.values()
            for _ in range(120):
                await http.post(f"/v1/sessions/{names[0]}/messages", json={"text": TEXT})
            held = sum(map(len, conn._queue))  # type: ignore[attr-defined]
            assert held <= limits.WRITE_HIGH_BYTES + 2 * limits.PAGE_BYTES
            assert conn.paused
    async with asyncio.timeout(5):
        while site.hub.connections or site.edge.listener.connection_limits.total:
            await asyncio.sleep(0.01)


async def test_connections_of_a_principal_are_counted_whatever_they_speak(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.edge.listener.connection_limits.connections, "root_limit", 2)
    await fill(site, 1)
    sse = {"accept": "text/event-stream"}
    first = await Raw.open(site, token=site.token())
    await first.answer(op="welcome")
    async with site.http(site.token()) as http, http.stream("GET", "/v1/sessions/s0/events", headers=sse):
        refused = await http.get("/v1/sessions/s0/events", headers=sse)
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "limit.connections"
        third = await Raw.open(site, token=site.token())
        assert (await third.answer())["error"]["code"] == "limit.connections"
        assert await third.close_code() == 1013
        hello = await Raw.open(site)
        hello.say({"op": "hello", "id": 1, "token": site.token()})
        assert (await hello.answer())["error"]["code"] == "limit.connections"
        other = await Raw.open(site, token=site.token("user:bob"))
        await other.answer(op="welcome")
        other.writer.close()
    first.writer.close()
    async with asyncio.timeout(5):
        while site.edge.listener.connection_limits.total or site.edge.listener.connections:
            await asyncio.sleep(0.01)
    assert (
        not site.edge.listener.connection_limits.connections.root_count
        and not site.edge.listener.connection_limits.requests.root_count
    )
