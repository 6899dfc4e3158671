"""Connections that have not said who they are: next to nothing is kept of them, and they keep out nobody who has a token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.edge.config import Settings
from holdfast.edge.frame_splitter import FrameSplitter
from holdfast.edge.head_reader import HeadReader
from holdfast.edge.upgrade import UpgradeProtocol
from holdfast.protocol import limits
from tests.unit.edge.test_connections import embedded

from .conftest import Site
from .test_hostile_http import HEAD, Line
from .test_hostile_input import Raw, lives
from .test_neighbours import until

__all__ = ["embedded"]
pytestmark = pytest.mark.anyio

SDK = "/v1/ai-sdk/v7/writer"
LONG = b"\x81\xff" + (900_000).to_bytes(8, "big") + bytes(4)  # the head of a frame of 900,000 bytes


@pytest.fixture
def settings() -> Settings:
    return Settings(db="memory:", port=0, drain_s=1, connections=40, strangers=12)


@pytest.fixture(params=["picows", "asgi"])
async def either(request: pytest.FixtureRequest, site: Site, embedded: Site) -> AsyncIterator[Site]:
    yield site if request.param == "picows" else embedded


def waiting(site: Site) -> list[Any]:
    """What the server has made of those who wait."""
    return list(site.edge.listener.connection_limits.strangers._connections)


# --- what is kept of them
async def test_an_unfinished_first_message_is_kept_as_it_came_and_no_longer_than_a_hello(site: Site) -> None:
    raws = [await Raw.open(site) for _ in range(8)]
    for raw in raws:
        raw.frame(b'{"op":"hello","surface":"' + b"x" * 2_000, fin=False)
        raw.writer.write(b"\x80\xfe" + (3_000).to_bytes(2, "big") + bytes(4) + b"x" * 2_000)
    await until(lambda: sum(len(room._buffer) for room in waiting(site)) == 8 * 4_041)
    assert all(isinstance(room, UpgradeProtocol) for room in waiting(site))
    assert site.edge.listener.connections == {} and site.edge.listener.charges.memory.in_use == 0
    ended = [asyncio.create_task(raw.close_code()) for raw in raws]
    for raw in raws:
        raw.writer.write(b"x" * 1_000 + LONG)
    assert await asyncio.gather(*ended) == [4400] * 8, "the message is complete, and no hello"


@pytest.mark.parametrize("sent", [LONG, LONG + b"x" * 800_000])
async def test_a_frame_longer_than_a_hello_ends_the_connection(either: Site, sent: bytes) -> None:
    raw = await Raw.open(either)
    raw.writer.write(sent)
    assert await raw.close_code() == 1009
    await until(lambda: not waiting(either))
    await lives(either)


@pytest.mark.parametrize("kind", ["fragments", "pings", "one frame"])
async def test_so_does_anything_else_that_comes_to_more(either: Site, kind: str) -> None:
    raw = await Raw.open(either)
    if kind == "one frame":
        raw.frame(b'{"op":"hello","id":1,"token":"' + b"x" * limits.HELLO_BYTES + b'"}')
    for n in range(40):
        if kind == "fragments":
            raw.frame(b"x" * 500, op=0 if n else 1, fin=False)
        elif kind == "pings":
            raw.frame(b"x" * 120, op=9)
            raw.frame(b"x" * 120, op=10)
    if kind == "pings" and not isinstance(next(iter(waiting(either)), None), UpgradeProtocol):
        pytest.skip("an ASGI server answers pings itself")
    assert await raw.close_code() == 1009
    await lives(either)


async def test_a_hello_of_several_pieces_with_pings_between_is_taken(either: Site) -> None:
    raw = await Raw.open(either)
    hello = json.dumps({"op": "hello", "id": 1, "token": either.token()}).encode()
    raw.frame(b"one", op=9)
    raw.frame(hello[:50], fin=False)
    raw.frame(b"two", op=9)
    for at in range(50, len(hello), 100):
        raw.frame(hello[at : at + 100], op=0, fin=at + 100 >= len(hello))
    raw.say({"op": "ping", "id": 2})
    assert (await raw.answer())["op"] == "welcome"
    assert [(await raw.answer())["id"] for _ in range(2)] == [1, 2]
    raw.frame(b" " * 200_000 + b'{"op":"create","id":3,"session":"s1"}')
    assert (await raw.answer())["id"] == 3, "who is known may say more"


async def test_a_silent_one_is_told_and_closed(either: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELLO_S", 0.1)
    raw = await Raw.open(either)
    assert await raw.close_code() == 4408
    raw = await Raw.open(either)
    raw.writer.write(b"\x81\xfe")
    assert await raw.close_code() == 4408


async def test_a_head_is_kept_as_it_came_until_it_is_whole(site: Site) -> None:
    """Not parsed: short headers take thirty times their size."""
    lines = [await Line.open(site) for _ in range(6)]
    for line in lines:
        line.say(HEAD + b"a:\r\n" * 1_500)
    await until(lambda: sum(len(lobby._head._bytes) for lobby in waiting(site)) == 6 * (len(HEAD) + 6_000))
    assert all(isinstance(lobby, HeadReader) for lobby in waiting(site))
    for line in lines:
        line.say(b"a:\r\n" * 1_000)
        assert (await line.all()).startswith(b"HTTP/1.1 431")
    line = await Line.open(site)
    line.say(HEAD + b"a:\r\n" * limits.HEADERS + b"\r\n")
    assert (await line.all()).startswith(b"HTTP/1.1 400"), "nor are so many taken whole"
    line = await Line.open(site)
    for byte in b"\r\n" + HEAD + b"Connection: close\r\n\r\n":
        line.say(bytes([byte]))
        await asyncio.sleep(0)
    assert (await line.all()).startswith(b"HTTP/1.1 200")


async def test_the_next_head_on_a_connection_is_no_different(site: Site) -> None:
    line = await Line.open(site)
    line.say(HEAD + b"\r\n")
    assert (await line.reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
    (http,) = waiting(site)
    line.say(HEAD + b"a:\r\n" * 1_000)
    await until(lambda: http._head is not None and len(http._head._bytes) == len(HEAD) + 4_000)
    line.say(b"a:\r\n" * 1_500)
    assert (await line.all()).startswith(b"HTTP/1.1 431")
    line = await Line.open(site)
    for _ in range(3):
        line.say(HEAD + b"\r\n")
        assert (await line.reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
    await until(lambda: len(waiting(site)) == 1)


# --- how many of them
async def strangers(site: Site, kind: str, count: int) -> list[Any]:
    if kind == "tcp":
        return [await Line.open(site) for _ in range(count)]
    if kind == "requests":
        lines = [await Line.open(site) for _ in range(count)]
        for line in lines:
            line.say(HEAD + b"\r\n")
        return lines
    return [await Raw.open(site, path=SDK if kind == "sdk" else "/v1/connect") for _ in range(count)]


@pytest.mark.parametrize("kind", ["tcp", "requests", "websockets", "sdk"])
async def test_silent_strangers_keep_out_nobody_with_a_token(site: Site, kind: str) -> None:
    """However many come; the first to come go first."""
    connection_limits = site.edge.listener.connection_limits
    silent = []
    for _ in range(20):
        silent += await strangers(site, kind, 5)
        async with site.http(site.token()) as http:
            assert (await http.get("/v1/sessions")).status_code == 200
        known = await Raw.open(site, token=site.token())
        assert (await known.answer())["op"] == "welcome"
        said = await Raw.open(site)
        said.say({"op": "hello", "id": 1, "token": site.token()})
        assert (await said.answer())["op"] == "welcome"
        for raw in (known, said):
            raw.writer.transport.abort()
    await until(lambda: len(connection_limits.strangers) <= 12 and connection_limits.total == 0)
    assert connection_limits.strangers.dropped >= 80
    assert len(site.edge.listener.connections) == 0
    left = {getattr(room, "_transport", None) or room.transport for room in waiting(site)}
    ports = {line.writer.get_extra_info("sockname")[1] for line in silent[-12:]}
    assert {transport.get_extra_info("peername")[1] for transport in left} <= ports, "the last to come are left"
    assert len(left) >= 9
    await lives(site)


async def test_those_who_are_known_are_none_and_keep_out_no_stranger(site: Site) -> None:
    known = []
    for n in range(45):
        known.append(await Raw.open(site, token=site.token(f"user:{n}")))
    codes = [(await raw.answer())["op"] for raw in known]
    assert codes == ["welcome"] * 40 + ["error"] * 5, "a tenant has its connections"
    other = await Raw.open(site)
    other.say({"op": "hello", "id": 1, "token": site.token("user:ann", "globex")})
    assert (await other.answer())["op"] == "welcome", "and no other's"
    assert len(site.edge.listener.connection_limits.strangers) == 0


async def test_strangers_over_asgi_are_as_many(embedded: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.edge.listener.connection_limits.strangers, "_most", 12)
    silent = [await Raw.open(embedded) for _ in range(60)]
    known = await Raw.open(embedded, token=embedded.token())
    assert (await known.answer())["op"] == "welcome"
    codes = [asyncio.create_task(raw.close_code()) for raw in silent]
    await until(lambda: sum(code.done() for code in codes) == 48 and len(waiting(embedded)) == 12)
    assert {code.result() for code in codes if code.done()} == {1013}
    for code in codes:
        code.cancel()


# --- a dialect whose first message is long
async def test_long_first_frames_share_what_there_is_for_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The AI SDK's transport sends its token behind the whole conversation."""
    monkeypatch.setattr(limits, "STRANGERS_BYTES", 600_000)
    strangers = site.edge.listener.connection_limits.strangers
    first = json.dumps(
        {
            "type": "send", "requestId": "q1", "id": "chat", "trigger": "submit-message", "messageId": None,
            "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "x" * 150_000}]}],
            "headers": {"authorization": f"Bearer {site.token()}"},
        }
    ).encode()  # fmt: skip
    raw = await Raw.open(site, path=SDK)
    raw.frame(first)
    await until(lambda: "chat" in {key.session for key in site.hub.sessions})
    assert strangers.buffered == 0 and site.edge.listener.charges.bytes >= len(first)
    greedy = [await Raw.open(site, path=SDK) for _ in range(8)]
    for line in greedy:
        line.writer.write(LONG + b"x" * 150_000)
    await until(lambda: strangers.dropped >= 4)
    assert strangers.buffered <= 600_000 + 150_014
    again = await Raw.open(site, path=SDK)
    again.frame(first.replace(b'"chat"', b'"other"').replace(b'"m1"', b'"m2"'))
    await until(lambda: "other" in {key.session for key in site.hub.sessions})
    plain = await Raw.open(site)
    plain.writer.write(LONG)
    assert await plain.close_code() == 1009


async def test_nothing_of_picows_is_made_before_a_first_message(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    real = FrameSplitter.reset
    monkeypatch.setattr(FrameSplitter, "reset", lambda self: made.append(self) or real(self))  # type: ignore[func-returns-value]
    raw = await Raw.open(site)
    raw.frame(b'{"op":"hel', fin=False)
    await until(lambda: sum(len(room._buffer) for room in waiting(site)) > 0)
    assert made == []
    raw.frame(b'lo"}', op=0)
    assert (await raw.answer())["error"]["code"] == "input.malformed"
    assert len(made) == 1
