"""Work is charged to whom it is for before it is decoded, whichever way it comes, and begun in turns.

Nothing here is timed: what is counted is bytes and values charged and refused, and who goes before whom.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from holdfast.edge.listener import ServerConnection
from holdfast.protocol import codec, limits, wire

from .conftest import Site
from .test_hostile_input import Raw
from .test_neighbours import AGENT, EVIL, MIB, minted, opened, until

pytestmark = pytest.mark.anyio


# --- work: charged before it is decoded
def deep(events: int, session: str = "s1", ident: int = 1) -> bytes:
    event = {"type": "CUSTOM", "data": {"v": json.loads("[" * 30 + "]" * 30)}}
    return codec.encode({"op": "append", "id": ident, "session": session, "events": [event] * events})


def busy(name: str = "doing") -> bytes:
    """A presence of about a mebibyte."""
    return codec.encode(
        {"op": "presence", "id": 1, "session": "s1", name: {f"k{n}": [n, {"a": 1}] for n in range(40_000)}}
    )


async def test_bytes_and_values_are_charged_before_anything_is_decoded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, connection = await opened(site)
    charges, decoded, charged = site.edge.listener.charges, [], []

    def decode(raw: bytes, *more: Any, **named: Any) -> Any:
        decoded.append(len(raw))
        charged.append((charges.bytes, charges.nodes))
        return real(raw, *more, **named)

    real = codec.decode
    monkeypatch.setattr(codec, "decode", decode)
    message = deep(1_000)
    values = 1_000 * (30 + 4) + 4
    assert connection.account is not None
    before = connection.account.rate.available
    raw.say(message)
    await raw.answer(op="error")  # there is no such session
    assert (decoded, charged) == ([len(message)], [(len(message), values)])
    spent = before - connection.account.rate.available
    assert spent >= len(message) + values * limits.NODE_BYTES + limits.OPERATION_BYTES
    assert connection.account.tenant.rate.available <= site.edge.settings.work_per_s * limits.WORK_TENANT_TIMES - spent


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
    charges = site.edge.listener.charges
    async with site.http(site.token("agent:evil", **AGENT)) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        before = (charges.bytes, charges.nodes)
        body = codec.encode({"events": [{"type": "CUSTOM", "data": {"v": [[]] * 1_000}}]})
        assert (await http.post("/v1/sessions/s1/events", content=body)).status_code == 201
        assert (charges.bytes - before[0], charges.nodes - before[1]) == (len(body), 2_005)
        (evil,) = [account for key, account in charges._accounts._accounts.items() if key == EVIL]
        for share in (evil, evil.tenant):
            share.rate.has(share.rate.burst)
            share.rate._clock = lambda now=share.rate._at: now  # type: ignore[misc]  # time stands still
        charges.spend(evil, int(evil.rate.available) + 20 * MIB)
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
            before = site.edge.listener.charges.account(principal(site, "user:ann")).rate.available
            answer = await http.get(path)
            spent = before - site.edge.listener.charges.account(principal(site, "user:ann")).rate.available
            assert answer.status_code == 200 and spent >= max(limits.REQUEST_BYTES, len(answer.content) // 4), path
        raw, connection = await opened(site, "user:bob")
        assert connection.account is not None
        before = connection.account.rate.available
        raw.say({"op": "subscribe", "id": 1, "session": "s1"})
        await raw.answer(op="snapshot")
        assert before - connection.account.rate.available >= 300_000 // 4
        async with http.stream("GET", "/v1/sessions/s1/events", headers={"accept": "text/event-stream"}) as stream:
            async for _ in stream.aiter_bytes():
                break
        before = connection.account.rate.available
        for session in list(site.hub.sessions.values()):
            site.hub.sessions.evict(session)
        raw.say({"op": "read", "id": 2, "session": "s1", "seq": 1})
        await raw.answer(op="ok")
        assert before - connection.account.rate.available >= 512 << 10, "a session had to be loaded"


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
    real = ServerConnection._handle

    def work(self: ServerConnection, raw: bytes, work: int) -> None:
        order.append(self.principal.actor)
        real(self, raw, work)

    monkeypatch.setattr(ServerConnection, "_handle", work)
    evil = [await opened(site, "agent:evil") for _ in range(20)]
    names = await minted(site, site.token("agent:evil", **AGENT), 5)
    more = [await Raw.open(site, token=token) for token in names]
    ann, connection = await opened(site, "user:ann", "globex")
    for raw, _ in evil:
        raw.say({"op": "create", "id": 0, "session": "s1"})
        await raw.answer(op="ok")
    charges = site.edge.listener.charges
    assert {v.account for v in site.edge.listener.connections.values() if v is not connection} == {evil[0][1].account}
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
    await until(lambda: len(site.edge.listener.connections) == 1 and charges.in_progress == 0)


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

    raws, connections = map(list, zip(*[await opened(site) for _ in range(6)], strict=True))
    for n, raw in enumerate(raws):
        raw.say({"op": "create", "id": 0, "session": f"s{n}"})
        await raw.answer(op="ok")
    monkeypatch.setattr(site.hub.engine, "append", append)
    charges = site.edge.listener.charges
    message = deep(50)
    for ident in range(1, 13):
        for n, raw in enumerate(raws):
            raw.say(deep(50, f"s{n}", ident))
    await until(lambda: all(connection._inbox._queue for connection in connections))
    assert MIB <= charges.in_progress <= MIB + len(message) + 1_704 * limits.NODE_BYTES + limits.OPERATION_BYTES
    ann, _ = await opened(site, "user:ann", "globex")
    ann.say({"op": "ping", "id": 1})
    await ann.answer(op="ok")
    stuck.set()
    answers = [[(await raw.answer(op="ok"))["id"] for _ in range(12)] for raw in raws]
    assert answers == [list(range(1, 13))] * 6, "and all of it is done, in order"
    assert charges.in_progress == 0
