"""Answers leave in pieces, within memory that is counted, and within the time that bodies have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse

from holdfast.edge.pool import AccountKey, Allocation, Pool
from holdfast.edge.request import ActiveRequest
from holdfast.edge.response_sender import DROP_CONNECTION, ClientTooSlow, ResponseSender
from holdfast.errors import Unavailable
from holdfast.protocol import limits

pytestmark = pytest.mark.anyio

WHO = AccountKey("acme", "user:ann")


class Peer:
    """What an ASGI server does; ``taking`` says whether the client takes what it is sent."""

    def __init__(self, each: int = 1 << 20) -> None:
        self.pool = Pool("server.busy", "too much", tenant_limit=1 << 20, root_limit=each, tenant_guarantee=0)
        self.active = ActiveRequest()
        self.active.allocation = Allocation(self.pool, WHO)
        self.sent: list[dict[str, Any]] = []
        self.most = 0
        self.taking = asyncio.Event()
        self.taking.set()
        self.cut = asyncio.Event()
        self.scope: dict[str, Any] = {"type": "http", "method": "GET", DROP_CONNECTION: self.cut.set}
        self.out = ResponseSender(
            self.scope, self.receive, self.send, self.active, [(b"x-more", b"1"), (b"x-own", b"2")]
        )

    async def send(self, message: Any) -> None:
        await self.taking.wait()
        self.sent.append(message)
        self.most = max(self.most, self.pool.in_use)

    async def receive(self) -> Any:
        await self.cut.wait()
        return {"type": "http.disconnect"}

    async def answer(self, response: Response) -> None:
        await response(self.scope, self.receive, self.out.send)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def test_a_large_answer_leaves_in_pieces_and_is_counted_until_it_has_left() -> None:
    peer, data = Peer(), bytes(range(250)) * 1_000
    await peer.answer(Response(data, headers={"x-own": "mine"}))
    assert peer.body == data and peer.sent[0]["type"] == "http.response.start"
    assert [m["more_body"] for m in peer.sent[1:]] == [True, True, True, False]
    assert max(len(m["body"]) for m in peer.sent[1:]) <= limits.WRITE_HIGH_BYTES
    names = [name for name, _ in peer.sent[0]["headers"]]
    assert names.count(b"x-more") == names.count(b"x-own") == 1
    assert (peer.most, peer.pool.in_use) == (len(data), 0)


async def test_without_room_nothing_of_it_leaves() -> None:
    peer = Peer(each=100_000)
    with pytest.raises(Unavailable):
        await peer.answer(Response(bytes(200_000)))
    assert (peer.sent, peer.out.started, peer.pool.in_use) == ([], False, 0)
    await peer.answer(Response("why", 503))
    assert peer.sent[0]["status"] == 503 and peer.body == b"why"


async def test_what_was_kept_for_it_already_is_not_counted_twice() -> None:
    peer = Peer(each=200_000)
    assert peer.active.allocation is not None
    peer.active.allocation.grow(200_000)
    peer.active.response_bytes = 200_000
    await peer.answer(Response(bytes(200_000)))
    assert (peer.most, peer.pool.in_use) == (200_000, 200_000)


async def test_small_answers_and_streams_go_as_they_come() -> None:
    peer = Peer(each=0)
    await peer.answer(Response(b"x" * limits.WRITE_HIGH_BYTES))
    assert len(peer.sent) == 2
    peer = Peer(each=0)
    reached = asyncio.Event()

    async def body() -> Any:
        await reached.wait()
        yield b"late"

    task = asyncio.create_task(peer.answer(StreamingResponse(body())))
    while not peer.sent:
        await asyncio.sleep(0)
    assert peer.sent[0]["type"] == "http.response.start", "headers do not wait for the first of a stream"
    reached.set()
    await task
    assert peer.body == b"late"


async def test_who_takes_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_S", 0.01)
    monkeypatch.setattr(limits, "BODY_BYTES_PER_S", 1 << 40)
    peer = Peer()
    peer.taking.clear()
    await peer.answer(Response(bytes(200_000)))
    assert peer.cut.is_set() and peer.pool.in_use == 0
    peer = Peer()
    del peer.scope[DROP_CONNECTION]
    peer.taking.clear()
    with pytest.raises(ClientTooSlow):
        await peer.answer(Response(bytes(200_000)))
    assert peer.pool.in_use == 0


async def test_a_head_is_answered_without_a_body_to_wait_for() -> None:
    peer = Peer(each=0)
    peer.scope["method"] = "HEAD"
    await peer.out.send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"999999")]})
    assert len(peer.sent) == 1
