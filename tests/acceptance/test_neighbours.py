"""What one principal, and every name it mints, has the server do and hold leaves their neighbours room and their turn.

Nothing here is timed: what is counted is bytes and values charged, held and refused, and who goes before whom.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.edge.door import Visit
from holdfast.edge.pool import Who
from holdfast.errors import Unavailable
from holdfast.protocol import codec, limits, wire

from .conftest import Site
from .test_hostile_input import Raw, lives

pytestmark = pytest.mark.anyio

MIB = 1 << 20
AGENT = {"capabilities": {"*": ["read", "append", "control", "presence"]}, "agents": ["evil"]}
EVIL = Who("acme", "agent:evil")


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
        line = cls(*await asyncio.open_connection("127.0.0.1", site.port))
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
    memory = site.edge.door.charges.memory
    answers = [asyncio.create_task(upload.status()) for upload in uploads]
    await until(lambda: sum(answer.done() for answer in answers) == 13)
    assert {answer.result() for answer in answers if answer.done()} == {503}
    await until(lambda: memory.held == 3 * (sent - limits.HELD_FREE_BYTES))
    assert memory.held <= limits.HELD_EACH_BYTES and memory._roots.keys() == {EVIL}
    for tenant, size in (("globex", 16), ("globex", MIB - 100), ("acme", MIB - 100)):
        async with site.http(site.token("user:ann", tenant)) as ann:
            await ann.post("/v1/sessions", json={"session": "s2"})
            assert (await ann.post("/v1/sessions/s2/blobs", content=b"x" * size)).status_code == 201
            if size < 100:
                assert (await ann.post("/v1/sessions/s2/messages", json={"text": "hi"})).status_code == 201
    for answer, upload in zip(answers, uploads, strict=True):
        answer.cancel()
        upload.writer.transport.abort()
    await until(lambda: memory.held == 0 and not site.edge.door.crowd.requests.held)


async def test_tenants_that_take_all_they_can_leave_every_other_its_own(site: Site) -> None:
    memory = site.edge.door.charges.memory
    for tenant in range(40):
        for root in range(8):
            who = Who(f"t{tenant}", f"user:{root}")
            while memory.fits(who, MIB):
                memory.take(who, MIB)
    async with site.http(site.token("user:ann", "another")) as ann:
        await ann.post("/v1/sessions", json={"session": "s1"})
        blob = await ann.post("/v1/sessions/s1/blobs", content=b"x" * (limits.HELD_OWN_BYTES - MIB))
        assert blob.status_code == 201
        got = await ann.get(f"/v1/sessions/s1/blobs/{blob.json()['blob']}")
        assert len(got.content) == limits.HELD_OWN_BYTES - MIB


async def test_a_blob_is_not_read_before_there_is_room_for_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = site.hub.get_blob

    async def get_blob(principal: Any, session: str, blob: str) -> Any:
        read.append(blob)
        return await real(principal, session, blob)

    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        blob = (await http.post("/v1/sessions/s1/blobs", content=b"x" * MIB)).json()["blob"]
        monkeypatch.setattr(site.hub, "get_blob", get_blob)
        monkeypatch.setattr(site.edge.door.charges.memory, "each", MIB - 1)
        refused = await http.get(f"/v1/sessions/s1/blobs/{blob}")
        assert (refused.status_code, refused.json()["error"]["code"], read) == (503, "server.busy", [])
        assert (await http.get("/v1/sessions/s1/blobs/nothing")).json()["error"]["code"] == "blob.not_found"
        monkeypatch.setattr(site.edge.door.charges.memory, "each", MIB)
        assert (await http.get(f"/v1/sessions/s1/blobs/{blob}")).content == b"x" * MIB


async def test_answers_that_nobody_takes_count_for_who_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over however many connections: what does not fit any more ends the connection that asked for it."""
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        for _ in range(12):
            await http.post("/v1/sessions/s1/messages", json={"text": "x" * 40_000})
    memory = site.edge.door.charges.memory
    monkeypatch.setattr(memory, "each", 2 * MIB)
    ann = [await Raw.open(site, token=site.token(), window=4_096) for _ in range(10)]
    for raw in ann:
        await raw.answer(op="welcome")
        raw.say({"op": "subscribe", "id": 1, "session": "s1"})
    await until(lambda: len(site.edge.door.visits) < 10)
    assert 0 < memory.held <= 2 * MIB
    bob = await Raw.open(site, token=site.token("user:bob"))
    await bob.answer(op="welcome")
    bob.say({"op": "subscribe", "id": 1, "session": "s1"})
    assert len((await bob.answer(op="snapshot"))["view"]["items"]) == 12
    for raw in ann:
        raw.writer.transport.abort()
    await until(lambda: memory.held == 0)


# --- work: charged before it is decoded
def deep(events: int, session: str = "s1", ident: int = 1) -> bytes:
    event = {"type": "CUSTOM", "data": {"v": json.loads("[" * 30 + "]" * 30)}}
    return codec.encode({"op": "append", "id": ident, "session": session, "events": [event] * events})


def busy(name: str = "doing") -> bytes:
    """A presence of about a mebibyte."""
    return codec.encode(
        {"op": "presence", "id": 1, "session": "s1", name: {f"k{n}": [n, {"a": 1}] for n in range(40_000)}}
    )


async def opened(site: Site, subject: str = "agent:evil", tenant: str = "acme", **more: Any) -> tuple[Raw, Visit]:
    raw = await Raw.open(site, token=site.token(subject, tenant, **more))
    welcome = await raw.answer(op="welcome")
    return raw, site.edge.door.visits[welcome["connection"]]


async def test_bytes_and_values_are_charged_before_anything_is_decoded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, visit = await opened(site)
    charges, decoded, charged = site.edge.door.charges, [], []

    def decode(raw: bytes, *more: Any, **named: Any) -> Any:
        decoded.append(len(raw))
        charged.append((charges.bytes, charges.nodes))
        return real(raw, *more, **named)

    real = codec.decode
    monkeypatch.setattr(codec, "decode", decode)
    message = deep(1_000)
    values = 1_000 * (30 + 4) + 4
    assert visit.account is not None
    before = visit.account.rate.left
    raw.say(message)
    await raw.answer(op="error")  # there is no such session
    assert (decoded, charged) == ([len(message)], [(len(message), values)])
    spent = before - visit.account.rate.left
    assert spent >= len(message) + values * limits.NODE_BYTES + limits.OPERATION_BYTES
    assert visit.account.tenant.rate.left <= site.edge.settings.work_per_s * limits.WORK_TENANT_TIMES - spent


@pytest.mark.parametrize("name", ["doing", "else"])
async def test_a_presence_that_is_too_long_is_refused_unread(
    site: Site, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, _ = await opened(site)
    read: list[bytes] = []
    monkeypatch.setattr(codec, "decode", lambda raw, *more, **named: read.append(raw))
    raw.say(busy(name))
    answer = await raw.answer(op="error")
    assert (answer["id"], answer["error"]["code"], read) == (1, "input.too_large", [])


@pytest.mark.parametrize("op", sorted(set(wire.OPS) - wire.BULKY))
async def test_so_is_every_operation_that_carries_little(site: Site, op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, _ = await opened(site)
    read: list[bytes] = []
    monkeypatch.setattr(codec, "decode", lambda raw, *more, **named: read.append(raw))
    raw.say(codec.encode({"junk": [[]] * 100_000, "op": op, "id": 1}))
    answer = await raw.answer(op="error")
    assert (answer["id"], answer["error"]["code"], read) == (1, "input.too_large", [])


async def test_a_rest_body_is_charged_and_whoever_owes_is_refused_before_it_comes(site: Site) -> None:
    charges = site.edge.door.charges
    async with site.http(site.token("agent:evil", **AGENT)) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        before = (charges.bytes, charges.nodes)
        body = codec.encode({"events": [{"type": "CUSTOM", "data": {"v": [[]] * 1_000}}]})
        assert (await http.post("/v1/sessions/s1/events", content=body)).status_code == 201
        assert (charges.bytes - before[0], charges.nodes - before[1]) == (len(body), 2_005)
        (evil,) = [account for who, account in charges._accounts._known.items() if who == EVIL]
        charges.spend(evil, int(evil.rate.left) + 20 * MIB)
        asked = (charges.bytes, charges.refused)
        refused = await http.post("/v1/sessions/s1/events", content=b"x" * 100_000)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "limit.rate")
        wait_s = refused.json()["error"]["retry_after_s"]
        assert 0 < wait_s <= 20 * MIB / site.edge.settings.work_per_s + 1
        assert int(refused.headers["retry-after"]) >= wait_s
        assert (charges.bytes, charges.refused) == (asked[0], asked[1] + 1)
        assert (await http.post("/v1/sessions/s1/cancel", json={"scope": "all"})).status_code == 200, "small work goes"
    async with site.http((await minted(site, site.token("agent:evil", **AGENT), 1))[0]) as http:
        refused = await http.post("/v1/sessions/s1/events", content=b"x" * 100_000)
        assert refused.status_code == 429, "a minted name pays from the same account"
    async with site.http(site.token("agent:good", **AGENT)) as http:
        assert (await http.post("/v1/sessions/s1/events", content=b"x" * 100_000)).status_code == 400


async def test_what_is_sent_is_paid_for_by_whoever_has_it_sent(site: Site) -> None:
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        for _ in range(3):
            await http.post("/v1/sessions/s1/messages", json={"text": "x" * 100_000})
        for path in ("/v1/sessions/s1", "/v1/sessions/s1/runs", "/v1/sessions/s1/events?after=0", "/v1/sessions"):
            before = site.edge.door.charges.account(principal(site, "user:ann")).rate.left
            answer = await http.get(path)
            spent = before - site.edge.door.charges.account(principal(site, "user:ann")).rate.left
            assert answer.status_code == 200 and spent >= max(limits.REQUEST_BYTES, len(answer.content) // 4), path
        raw, visit = await opened(site, "user:bob")
        assert visit.account is not None
        before = visit.account.rate.left
        raw.say({"op": "subscribe", "id": 1, "session": "s1"})
        await raw.answer(op="snapshot")
        assert before - visit.account.rate.left >= 300_000 // 4
        async with http.stream("GET", "/v1/sessions/s1/events", headers={"accept": "text/event-stream"}) as stream:
            async for _ in stream.aiter_bytes():
                break
        before = visit.account.rate.left
        site.hub.sessions.clear()
        raw.say({"op": "read", "id": 2, "session": "s1", "seq": 1})
        await raw.answer(op="ok")
        assert before - visit.account.rate.left >= 512 << 10, "a session had to be loaded"


def principal(site: Site, actor: str, tenant: str = "acme") -> Any:
    return site.edge.verifier.verify(site.token(actor, tenant))


# --- turns
@pytest.fixture
def small_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns so small that one message is a turn, as a heavy one is."""
    monkeypatch.setattr(limits, "WORK_TURN_BYTES", 1 << 10)
    monkeypatch.setattr(limits, "SMALL_WORK_BYTES", 16 << 10)


@pytest.mark.usefixtures("small_turns")
async def test_twenty_busy_connections_of_one_leave_another_the_next_turn(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real = Visit._work

    def work(self: Visit, raw: bytes, work: int) -> None:
        order.append(self.principal.actor)
        real(self, raw, work)

    monkeypatch.setattr(Visit, "_work", work)
    evil = [await opened(site, "agent:evil") for _ in range(20)]
    names = await minted(site, site.token("agent:evil", **AGENT), 5)
    more = [await Raw.open(site, token=token) for token in names]
    ann, visit = await opened(site, "user:ann", "globex")
    for raw, _ in evil:
        raw.say({"op": "create", "id": 0, "session": "s1"})
        await raw.answer(op="ok")
    charges = site.edge.door.charges
    assert {v.account for v in site.edge.door.visits.values() if v is not visit} == {evil[0][1].account}
    for n in range(1, 13):
        for raw in [*(raw for raw, _ in evil), *more]:
            raw.say(deep(20, ident=n))
    await until(lambda: charges.waited > 20)
    begun = order.count("agent:evil")
    ann.say({"op": "ping", "id": 1})
    assert (await ann.answer(op="ok"))["id"] == 1
    ahead = [actor for actor in order[begun:][: order[begun:].index("user:ann")] if actor != "user:ann"]
    left = 12 * 25 - begun - len(ahead)
    assert left > 150, "the test was too slow to see anything"
    assert len(ahead) <= 60, f"{len(ahead)} went before"
    for raw, _ in evil:
        raw.writer.transport.abort()
    for raw in more:
        raw.writer.transport.abort()
    await until(lambda: len(site.edge.door.visits) == 1 and charges.begun == 0)


async def test_what_is_begun_for_one_has_a_most_and_the_rest_is_not_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not answer: what is accepted meanwhile is bounded, over all connections of a root."""
    monkeypatch.setattr(limits, "WORK_EACH_BYTES", MIB)
    stuck = asyncio.Event()
    real = site.hub.engine.append

    async def append(what: Any) -> None:
        await stuck.wait()
        await real(what)

    raws, visits = map(list, zip(*[await opened(site) for _ in range(6)], strict=True))
    for n, raw in enumerate(raws):
        raw.say({"op": "create", "id": 0, "session": f"s{n}"})
        await raw.answer(op="ok")
    monkeypatch.setattr(site.hub.engine, "append", append)
    charges = site.edge.door.charges
    message = deep(50)
    for ident in range(1, 13):
        for n, raw in enumerate(raws):
            raw.say(deep(50, f"s{n}", ident))
    await until(lambda: all(visit._inbox._later for visit in visits))
    assert MIB <= charges.begun <= MIB + len(message) + 1_704 * limits.NODE_BYTES + limits.OPERATION_BYTES
    ann, _ = await opened(site, "user:ann", "globex")
    ann.say({"op": "ping", "id": 1})
    await ann.answer(op="ok")
    stuck.set()
    answers = [[(await raw.answer(op="ok"))["id"] for _ in range(12)] for raw in raws]
    assert answers == [list(range(1, 13))] * 6, "and all of it is done, in order"
    assert charges.begun == 0


# --- memory of what is on its way in
CREATE = b'{"op":"create","id":1,"session":"s1"}'


async def test_messages_that_never_end_keep_room_within_a_share(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = site.edge.door.charges.memory
    monkeypatch.setattr(memory, "each", 4 * MIB)
    raws, visits = map(list, zip(*[await opened(site) for _ in range(12)], strict=True))
    for raw in raws:
        raw.writer.write(b"\x81\xff" + (900_000).to_bytes(8, "big") + bytes(4) + b" " * 800_000)
    await until(lambda: memory.held == 4 * 900_000)
    ann, _ = await opened(site, "user:ann")
    ann.frame(b" " * 500_000 + CREATE)
    assert (await ann.answer(op="ok"))["id"] == 1, "another principal of the same tenant has room"
    first = next(n for n, visit in enumerate(visits) if visit._wire._room)  # type: ignore[union-attr]
    raws.pop(first).writer.transport.abort()
    await until(lambda: len(memory._waiting) == 7)
    for raw in raws:
        raw.writer.write(b" " * (100_000 - len(CREATE)) + CREATE)
    for raw in raws:
        assert (await raw.answer(op="ok"))["id"] == 1, "they go one after another"
    await until(lambda: memory.held == 0)


async def test_a_message_that_takes_too_long_ends_its_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLOSE_S", 0.0)
    monkeypatch.setattr(limits, "BODY_S", 0.05)
    monkeypatch.setattr(limits, "BODY_BYTES_PER_S", 1 << 30)
    raw, _ = await opened(site)
    raw.writer.write(b"\x81\xff" + (900_000).to_bytes(8, "big") + bytes(4) + b" " * 100)
    assert await raw.close_code() == 4408
    await until(lambda: site.edge.door.charges.memory.held == 0)


async def test_fragments_without_end_keep_room_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = site.edge.door.charges.memory
    monkeypatch.setattr(memory, "each", MIB)
    one, two = (await opened(site))[0], (await opened(site))[0]
    for raw in (one, two):
        raw.frame(b" " * 9_000, fin=False)
        raw.frame(b" " * 9_000, op=0, fin=False)
    await until(lambda: memory.held == MIB and len(memory._waiting) == 1)
    for raw in (one, two):
        raw.frame(b'{"op":"ping","id":1}', op=0)
    for raw in (one, two):
        assert (await raw.answer(op="ok"))["id"] == 1, "one after the other"
    await until(lambda: memory.held == 0)


# --- places
async def test_requests_at_a_time_have_places_and_streams_give_theirs_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = site.edge.door.crowd.requests
    monkeypatch.setattr(requests, "each", 3)
    token = site.token("agent:evil", **AGENT)
    async with site.http(token) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
    slow = [await Upload.begin(site, token, "/v1/sessions/s1/events", 100, 5) for _ in range(3)]
    await until(lambda: requests.held == 3)
    async with site.http(await minted_after(site, token, requests, slow)) as http:
        refused = await http.get("/v1/sessions/s1")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "limit.connections")
    async with site.http(site.token("user:ann")) as ann:
        assert (await ann.get("/v1/sessions/s1")).status_code == 200
    for upload in slow:
        upload.writer.transport.abort()
    await until(lambda: requests.held == 0)
    sse = {"accept": "text/event-stream"}
    async with site.http(token) as http:
        streams = [http.stream("GET", "/v1/sessions/s1/events", headers=sse) for _ in range(5)]
        for stream in streams:
            assert (await stream.__aenter__()).status_code == 200
        assert requests.held == 0 and site.edge.door.crowd.total == 5
        for stream in streams:
            await stream.__aexit__(None, None, None)
    await until(lambda: site.edge.door.crowd.total == 0)


async def minted_after(site: Site, token: str, requests: Any, slow: list[Upload]) -> str:
    """A minted name; minting is a request, too."""
    slow.pop().writer.transport.abort()
    await until(lambda: requests.held == 2)
    (name,) = await minted(site, token, 1)
    slow.append(await Upload.begin(site, token, "/v1/sessions/s1/events", 100, 5))
    await until(lambda: requests.held == 3)
    return name


async def test_a_minted_name_has_no_connections_of_its_own(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.edge.door.crowd.connections, "each", 3)
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
    monkeypatch.setattr(site.edge.door.charges.memory, "each", 10)
    async with site.http(site.token()) as http:
        refused = await http.post("/v1/sessions", content=b"x" * 100_000)
        assert refused.status_code == 503
        assert refused.json()["error"]["retry_after_s"] == limits.ROOM_RETRY_S
        assert refused.headers["retry-after"] == "1"
    with pytest.raises(Unavailable):
        site.edge.door.charges.memory.take(EVIL, 11)
