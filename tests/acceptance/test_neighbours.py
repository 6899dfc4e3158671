"""What one principal, and every name it mints, has the server do and hold leaves their neighbours room and their turn.

Nothing here is timed: what is counted is bytes and values charged, held and refused, and who goes before whom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.edge.listener import ServerConnection
from holdfast.edge.pool import AccountKey
from holdfast.errors import Unavailable
from holdfast.protocol import limits

from .conftest import Site
from .test_hostile_input import Raw, lives

pytestmark = pytest.mark.anyio

MIB = 1 << 20
AGENT = {"capabilities": {"*": ["read", "append", "control", "presence"]}, "agents": ["evil"]}
EVIL = AccountKey("acme", "agent:evil")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """These clients do not answer pings."""
    monkeypatch.setattr(limits, "PING_IDLE_S", 300.0)
    monkeypatch.setattr(limits, "PING_REPLY_S", 300.0)


async def minted(site: Site, token: str, count: int) -> list[str]:
    """Names of sub-agents, minted with an agent's token."""
    tokens = []
    async with site.http(token) as http:
        for n in range(count):
            asked = {"sub": f"agent:evil/{n}", "caps": {"*": ["read", "append", "presence"]}}
            answered = await http.post("/v1/tokens", json=asked)
            assert answered.status_code == 201, answered.text
            tokens.append(answered.json()["token"])
    return tokens


class Upload:
    """A request with a long body that never ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def begin(cls, site: Site, token: str, path: str, size: int, sent: int) -> Upload:
        line = cls(*await site.line())
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
        )
        line.writer.write(head.encode() + b"x" * sent)
        return line

    async def status(self) -> int:
        return int((await asyncio.wait_for(self.reader.readuntil(b"\r\n"), 10)).split()[1])


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.002)


async def opened(
    site: Site, subject: str = "agent:evil", tenant: str = "acme", **more: Any
) -> tuple[Raw, ServerConnection]:
    raw = await Raw.open(site, token=site.token(subject, tenant, **more))
    welcome = await raw.answer(op="welcome")
    return raw, site.edge.listener.connections[welcome["connection"]]


# --- memory: uploads, downloads, answers nobody takes
async def test_unfinished_uploads_of_one_agent_hinder_nobody(site: Site) -> None:
    """16 of 32 MiB, of one agent and five names it minted: case 16."""
    evil = site.token("agent:evil", **AGENT)
    async with site.http(evil) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
    tokens = [evil, *await minted(site, evil, 5)]
    sent = limits.BLOB_BYTES - 1_000
    uploads = [
        await Upload.begin(site, tokens[n % 6], "/v1/sessions/s1/blobs", limits.BLOB_BYTES, sent) for n in range(16)
    ]
    memory = site.edge.listener.charges.memory
    answers = [asyncio.create_task(upload.status()) for upload in uploads]
    await until(lambda: sum(answer.done() for answer in answers) == 13)
    assert {answer.result() for answer in answers if answer.done()} == {503}
    await until(lambda: memory.in_use == 3 * (sent - limits.HELD_FREE_BYTES))
    assert memory.in_use <= limits.HELD_EACH_BYTES and memory._roots.keys() == {EVIL}
    for tenant, size in (("globex", 16), ("globex", MIB - 100), ("acme", MIB - 100)):
        async with site.http(site.token("user:ann", tenant)) as ann:
            await ann.post("/v1/sessions", json={"session": "s2"})
            assert (await ann.post("/v1/sessions/s2/blobs", content=b"x" * size)).status_code == 201
            if size < 100:
                assert (await ann.post("/v1/sessions/s2/messages", json={"text": "hi"})).status_code == 201
    for answer, upload in zip(answers, uploads, strict=True):
        answer.cancel()
        upload.writer.transport.abort()
    await until(lambda: memory.in_use == 0 and not site.edge.listener.connection_limits.requests.in_use)


async def test_tenants_that_take_all_they_can_leave_every_other_its_own(site: Site) -> None:
    memory = site.edge.listener.charges.memory
    for tenant in range(40):
        for root in range(8):
            key = AccountKey(f"t{tenant}", f"user:{root}")
            while memory.fits(key, MIB):
                memory.acquire(key, MIB)
    async with site.http(site.token("user:ann", "another")) as ann:
        await ann.post("/v1/sessions", json={"session": "s1"})
        blob = await ann.post("/v1/sessions/s1/blobs", content=b"x" * (limits.HELD_OWN_BYTES - MIB))
        assert blob.status_code == 201
        got = await ann.get(f"/v1/sessions/s1/blobs/{blob.json()['blob']}")
        assert len(got.content) == limits.HELD_OWN_BYTES - MIB


async def test_a_blob_is_not_read_before_there_is_room_for_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = site.hub.blobs.get

    async def get_blob(principal: Any, session: str, blob: str) -> Any:
        read.append(blob)
        return await real(principal, session, blob)

    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        blob = (await http.post("/v1/sessions/s1/blobs", content=b"x" * MIB)).json()["blob"]
        monkeypatch.setattr(site.hub.blobs, "get", get_blob)
        monkeypatch.setattr(site.edge.listener.charges.memory, "root_limit", MIB - 1)
        refused = await http.get(f"/v1/sessions/s1/blobs/{blob}")
        assert (refused.status_code, refused.json()["error"]["code"], read) == (503, "server.busy", [])
        assert (await http.get("/v1/sessions/s1/blobs/nothing")).json()["error"]["code"] == "blob.not_found"
        monkeypatch.setattr(site.edge.listener.charges.memory, "root_limit", MIB)
        assert (await http.get(f"/v1/sessions/s1/blobs/{blob}")).content == b"x" * MIB


async def test_answers_that_nobody_takes_count_for_who_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over however many connections: what does not fit any more ends the connection that asked for it."""
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        for _ in range(12):
            await http.post("/v1/sessions/s1/messages", json={"text": "x" * 40_000})
    memory = site.edge.listener.charges.memory
    monkeypatch.setattr(memory, "root_limit", 2 * MIB)
    ann = [await Raw.open(site, token=site.token(), window=4_096) for _ in range(10)]
    for raw in ann:
        await raw.answer(op="welcome")
        raw.say({"op": "subscribe", "id": 1, "session": "s1"})
    await until(lambda: len(site.edge.listener.connections) < 10)
    assert 0 < memory.in_use <= 2 * MIB
    bob = await Raw.open(site, token=site.token("user:bob"))
    await bob.answer(op="welcome")
    bob.say({"op": "subscribe", "id": 1, "session": "s1"})
    assert len((await bob.answer(op="snapshot"))["view"]["items"]) == 12
    for raw in ann:
        raw.writer.transport.abort()
    await until(lambda: memory.in_use == 0)


# --- memory of what is on its way in
CREATE = b'{"op":"create","id":1,"session":"s1"}'


async def test_messages_that_never_end_keep_room_within_a_share(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = site.edge.listener.charges.memory
    monkeypatch.setattr(memory, "root_limit", 4 * MIB)
    raws, connections = map(list, zip(*[await opened(site) for _ in range(12)], strict=True))
    for raw in raws:
        raw.writer.write(b"\x81\xff" + (900_000).to_bytes(8, "big") + bytes(4) + b" " * 800_000)
    await until(lambda: memory.in_use == 4 * 900_000)
    ann, _ = await opened(site, "user:ann")
    ann.frame(b" " * 500_000 + CREATE)
    assert (await ann.answer(op="ok"))["id"] == 1, "another principal of the same tenant has room"
    first = next(n for n, connection in enumerate(connections) if connection._transport._allocated)  # type: ignore[union-attr]
    raws.pop(first).writer.transport.abort()
    await until(lambda: len(memory._waiting) == 7)
    for raw in raws:
        raw.writer.write(b" " * (100_000 - len(CREATE)) + CREATE)
    for raw in raws:
        assert (await raw.answer(op="ok"))["id"] == 1, "they go one after another"
    await until(lambda: memory.in_use == 0)


async def test_a_message_that_takes_too_long_ends_its_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLOSE_S", 0.0)
    monkeypatch.setattr(limits, "BODY_S", 0.05)
    monkeypatch.setattr(limits, "BODY_BYTES_PER_S", 1 << 30)
    raw, _ = await opened(site)
    raw.writer.write(b"\x81\xff" + (900_000).to_bytes(8, "big") + bytes(4) + b" " * 100)
    assert await raw.close_code() == 4408
    await until(lambda: site.edge.listener.charges.memory.in_use == 0)


async def test_fragments_without_end_keep_room_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = site.edge.listener.charges.memory
    monkeypatch.setattr(memory, "root_limit", MIB)
    one, two = (await opened(site))[0], (await opened(site))[0]
    for raw in (one, two):
        raw.frame(b" " * 9_000, fin=False)
        raw.frame(b" " * 9_000, op=0, fin=False)
    await until(lambda: memory.in_use == MIB and len(memory._waiting) == 1)
    for raw in (one, two):
        raw.frame(b'{"op":"ping","id":1}', op=0)
    for raw in (one, two):
        assert (await raw.answer(op="ok"))["id"] == 1, "one after the other"
    await until(lambda: memory.in_use == 0)


# --- places
async def test_requests_at_a_time_have_places_and_streams_give_theirs_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = site.edge.listener.connection_limits.requests
    monkeypatch.setattr(requests, "root_limit", 3)
    token = site.token("agent:evil", **AGENT)
    async with site.http(token) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
    slow = [await Upload.begin(site, token, "/v1/sessions/s1/events", 100, 5) for _ in range(3)]
    await until(lambda: requests.in_use == 3)
    async with site.http(await minted_after(site, token, requests, slow)) as http:
        refused = await http.get("/v1/sessions/s1")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "limit.connections")
    async with site.http(site.token("user:ann")) as ann:
        assert (await ann.get("/v1/sessions/s1")).status_code == 200
    for upload in slow:
        upload.writer.transport.abort()
    await until(lambda: requests.in_use == 0)
    sse = {"accept": "text/event-stream"}
    async with site.http(token) as http:
        streams = [http.stream("GET", "/v1/sessions/s1/events", headers=sse) for _ in range(5)]
        for stream in streams:
            assert (await stream.__aenter__()).status_code == 200
        assert requests.in_use == 0 and site.edge.listener.connection_limits.total == 5
        for stream in streams:
            await stream.__aexit__(None, None, None)
    await until(lambda: site.edge.listener.connection_limits.total == 0)


async def minted_after(site: Site, token: str, requests: Any, slow: list[Upload]) -> str:
    """A minted name; minting is a request, too."""
    slow.pop().writer.transport.abort()
    await until(lambda: requests.in_use == 2)
    (name,) = await minted(site, token, 1)
    slow.append(await Upload.begin(site, token, "/v1/sessions/s1/events", 100, 5))
    await until(lambda: requests.in_use == 3)
    return name


async def test_a_minted_name_has_no_connections_of_its_own(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.edge.listener.connection_limits.connections, "root_limit", 3)
    evil = site.token("agent:evil", **AGENT)
    kept = [await Raw.open(site, token=token) for token in [evil, *await minted(site, evil, 2)]]
    for raw in kept:
        await raw.answer(op="welcome")
    refused = await Raw.open(site, token=(await minted(site, evil, 1))[0])
    assert (await refused.answer())["error"]["code"] == "limit.connections"
    assert await refused.close_code() == 1013
    await (await Raw.open(site, token=site.token("agent:good"))).answer(op="welcome")
    await lives(site)


async def test_a_refusal_for_room_says_when_to_come_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.edge.listener.charges.memory, "root_limit", 10)
    async with site.http(site.token()) as http:
        refused = await http.post("/v1/sessions", content=b"x" * 100_000)
        assert refused.status_code == 503
        assert refused.json()["error"]["retry_after_s"] == limits.ROOM_RETRY_S
        assert refused.headers["retry-after"] == "1"
    with pytest.raises(Unavailable):
        site.edge.listener.charges.memory.acquire(EVIL, 11)
