"""Connections over time: refresh, expiry, revocation, shutdown; the SSE tail; ASGI WebSockets; webhooks; health."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from standardwebhooks.webhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from holdfast.client.client import Client
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.memory import MemoryEngine
from holdfast.errors import HoldfastError
from holdfast.hub.hub import Hub
from holdfast.protocol import limits, wire
from tests.acceptance.test_hostile_input import Raw

from .conftest import Site

pytestmark = pytest.mark.anyio


async def test_a_token_expires_with_its_own_code_and_can_be_refreshed_before(site: Site) -> None:
    short = await Raw.open(site, token=site.token(ttl_s=4))
    await short.answer(op="welcome")
    refreshed = await Raw.open(site, token=site.token(ttl_s=4))
    await refreshed.answer(op="welcome")
    refreshed.say({"op": "auth", "id": 1, "token": site.token("user:bob")})
    assert (await refreshed.answer(op="error"))["error"]["code"] == "auth.denied"
    refreshed.say({"op": "auth", "id": 2, "token": site.token()})
    assert (await refreshed.answer(op="ok"))["id"] == 2
    assert await short.close_code() == 4410
    refreshed.say({"op": "ping", "id": 3})
    assert (await refreshed.answer(op="ok"))["id"] == 3


async def test_a_refresh_that_grants_less_ends_subscriptions(site: Site) -> None:
    raw = await Raw.open(site, token=site.token())
    await raw.answer(op="welcome")
    raw.say({"op": "create", "id": 1, "session": "s1"})
    raw.say({"op": "subscribe", "id": 2, "session": "s1"})
    await raw.answer(op="live")
    raw.say({"op": "auth", "id": 3, "token": site.token(capabilities={"s2": ["read"]})})
    assert (await raw.answer(op="closed"))["code"] == "auth.denied"


async def test_revocation_closes_open_connections_and_outlives_a_restart() -> None:
    engine = MemoryEngine()
    hub = Hub(engine)
    await hub.open()
    edge = Edge(hub, Settings(db="memory:", port=0, drain_s=1))
    async with running(edge) as server:
        site = Site(edge, port_of(server))
        token = site.token("user:gone")
        jti = edge.verifier.verify(token).token_id
        raw = await Raw.open(site, token=token)
        await raw.answer(op="welcome")
        async with site.http(site.token("user:bob", capabilities={"s*": ["read"]})) as bob:
            assert (await bob.post("/v1/tokens/revoke", json={"jti": jti})).status_code == 403
        async with site.http(site.token()) as admin:
            assert (await admin.post("/v1/tokens/revoke", json={"jti": jti})).status_code == 200
        assert await asyncio.wait_for(raw.close_code(), 1) == 4411
        assert (await Raw.open(site, token=token)).status == 401
        site.hang_up()
    again = Hub(engine)
    await again.open()
    restarted = Edge(again, Settings(db="memory:", port=0, drain_s=1))
    async with running(restarted) as server:
        site = Site(restarted, port_of(server))
        assert (await Raw.open(site, token=token)).status == 401
        site.hang_up()


async def test_minted_tokens_are_narrower(site: Site) -> None:
    async with site.http(site.token("agent:w", capabilities={"a*": ["read", "append"]})) as agent:
        ok = await agent.post("/v1/tokens", json={"sub": "agent:w/helper", "caps": {"ab": ["append"]}})
        assert ok.status_code == 201
        for sub, caps in (
            ("agent:w", {"*": ["read"]}),
            ("agent:w", {"a*": ["control"]}),
            ("user:ann", {"ab": ["read"]}),
            ("agent:other", {"ab": ["read"]}),
        ):
            refused = await agent.post("/v1/tokens", json={"sub": sub, "caps": caps})
            assert refused.status_code == 403, (sub, caps)
        minted = site.edge.verifier.verify(ok.json()["token"])
        assert minted.tenant == "acme" and not minted.may("read", "ab")


async def test_shutdown_tells_clients_to_reconnect() -> None:
    hub = Hub(MemoryEngine())
    await hub.open()
    edge = Edge(hub, Settings(db="memory:", port=0, drain_s=1))
    async with running(edge) as server:
        site = Site(edge, port_of(server))
        raw = await Raw.open(site, token=site.token())
        await raw.answer(op="welcome")
    assert (await raw.answer())["op"] == "goaway"
    assert await raw.close_code() == 1012
    site.hang_up()


async def read_sse(response: httpx.Response, until: str) -> list[dict[str, Any]]:
    found, mark = [], ""
    async for line in response.aiter_lines():
        if line.startswith("id: "):
            mark = line[4:]
        if line.startswith("data: "):
            found.append({**json.loads(line[6:]), "mark": mark})
            if found[-1]["op"] == until:
                break
    return found


async def test_the_sse_tail_resumes_by_last_event_id(site: Site) -> None:
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        accept = {"accept": "text/event-stream"}
        async with http.stream("GET", "/v1/sessions/s1/events", headers=accept) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            first = await read_sse(response, "live")
        assert [m["op"] for m in first][:2] == ["snapshot", "live"]
        for text in ("one", "two"):
            await http.post("/v1/sessions/s1/messages", json={"text": text})
        resume = {**accept, "last-event-id": first[-1]["mark"]}
        async with http.stream("GET", "/v1/sessions/s1/events", headers=resume) as response:
            rest = await read_sse(response, "live")
        events = [e for m in rest if m["op"] == "events" for e in m["events"]]
        assert [e["seq"] for e in events] == [2, 3]
        async with http.stream(
            "GET", "/v1/sessions/s1/events", headers={**accept, "last-event-id": "other:1"}
        ) as response:
            assert (await read_sse(response, "snapshot"))[-1]["reason"] == "reset"
        bad = await http.get("/v1/sessions/s1/events", headers={**accept, "last-event-id": "x"})
        assert bad.status_code == 400


@pytest.fixture
async def embedded() -> AsyncIterator[Site]:
    """The same edge under plain uvicorn with ASGI WebSockets, as in somebody's own application."""
    hub = Hub(MemoryEngine())
    await hub.open()
    edge = Edge(hub, Settings(db="memory:", port=0, drain_s=1))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        config = uvicorn.Config(edge.app, lifespan="off", log_config=None, ws="websockets-sansio")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            assert not task.done(), task
            await asyncio.sleep(0.01)
        site = Site(edge, sock.getsockname()[1])
        yield site
        site.hang_up()
        await hub.close(1)
        server.should_exit = True
        await task


async def test_asgi_websockets_are_the_same_door(embedded: Site) -> None:
    async with Client(embedded.url, embedded.token()) as hf:
        session = await hf.create("s1")
        events = session.events(after="tail")
        reading = asyncio.create_task(anext(events))
        await asyncio.sleep(0.1)
        await session.send("hello")
        assert (await asyncio.wait_for(reading, 5)).data["text"] == "hello"  # type: ignore[union-attr]
        with pytest.raises(HoldfastError):
            await hf.session("nope").send("x")
    denied = await Raw.open(embedded, "Origin: http://evil.example", token=embedded.token())
    assert denied.status == 403
    assert (await Raw.open(embedded, token="nonsense")).status == 401
    assert (await Raw.open(embedded, host="rebound.example", token=embedded.token())).status == 421


async def test_asgi_websockets_close_as_the_others_do(embedded: Site) -> None:
    silent = await Raw.open(embedded)
    silent.say({"op": "ping", "id": 1})
    assert (await silent.answer())["error"]["code"] == "auth.required"
    assert await silent.close_code() == 4401
    short = await Raw.open(embedded, token=embedded.token(ttl_s=3))
    await short.answer(op="welcome")
    assert await short.close_code() == 4410
    dropped = await Raw.open(embedded, token=embedded.token("user:gone"))
    await dropped.answer(op="welcome")
    async with embedded.http(embedded.token()) as admin:
        assert (await admin.post("/v1/tokens/revoke", json={"sub": "user:gone"})).status_code == 200
    assert await dropped.close_code() == 4411
    binary = await Raw.open(embedded, token=embedded.token())
    await binary.answer(op="welcome")
    binary.frame(b"{}", op=2)
    assert await binary.close_code() == 1003
    async with asyncio.timeout(5):
        while embedded.edge.listener.connection_limits.total:
            await asyncio.sleep(0.01)


async def test_webhooks_reach_those_who_are_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_BACKOFF_S", 0.01)
    requests: list[tuple[dict[str, str], bytes]] = []
    failures = 2

    async def receive(request: Request) -> Response:
        nonlocal failures
        if failures:
            failures -= 1
            return PlainTextResponse("later", 503)
        requests.append((dict(request.headers), await request.body()))
        return PlainTextResponse("ok")

    receiver = uvicorn.Server(
        uvicorn.Config(Starlette(routes=[Route("/hook", receive, methods=["POST"])]), log_config=None, port=0)
    )
    receiving = asyncio.create_task(receiver.serve())
    while not receiver.started:
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{receiver.servers[0].sockets[0].getsockname()[1]}/hook"
    hub = Hub(MemoryEngine())
    await hub.open()
    edge = Edge(hub, Settings(db="memory:", port=0, drain_s=1, webhook_url=url))
    async with running(edge) as server:
        site = Site(edge, port_of(server))
        async with site.http(site.token()) as http:
            await http.post("/v1/sessions", json={"session": "s1", "agent": "w"})
            run = (await http.post("/v1/sessions/s1/messages", json={"text": "x"})).json()["run"]
            await http.post(f"/v1/sessions/s1/runs/{run}/cancel")
        async with asyncio.timeout(5):
            while not requests:
                await asyncio.sleep(0.01)
        secret = edge.webhooks.secret
        async with Client(site.url, site.token()) as hf:  # somebody is here: no webhook
            session = hf.session("s1")
            async with session.live():
                answer = await hf.connection.request(wire.Send(session="s1", text="y"))
                await session.cancel(answer["run"])
            await asyncio.sleep(0.2)
    headers, body = requests[0]
    assert Webhook(secret).verify(body, headers)["type"] == "run.ended"
    data = json.loads(body)["data"]
    assert data["session"] == "s1" and data["status"] == "cancelled" and "text" not in data
    assert len({h["webhook-id"] for h, _ in requests}) == len(requests) == 1
    receiver.should_exit = True
    await receiving


async def test_health_and_metrics(site: Site) -> None:
    async with site.http() as http:
        assert (await http.get("/healthz")).text == "ok\n"
        assert (await http.get("/readyz")).json() == {"ready": True, "mode": "ok"}
        text = (await http.get("/metrics")).text
        assert "holdfast_connections 0.0" in text and 'holdfast_commit_seconds_bucket{le="+Inf"}' in text
        proxied = await http.get("/metrics", headers={"x-forwarded-for": "198.51.100.7"})
        assert proxied.status_code == 401
        site.hub.engine.mode = "failed"  # type: ignore[attr-defined]
        assert (await http.get("/readyz")).status_code == 503


async def test_blobs_are_never_run_by_a_browser(site: Site) -> None:
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        page = b"<script>alert(1)</script>"
        blob = (await http.post("/v1/sessions/s1/blobs", content=page, headers={"content-type": "text/html"})).json()[
            "blob"
        ]
        got = await http.get(f"/v1/sessions/s1/blobs/{blob}")
        assert got.content == page
        assert got.headers["content-type"] == "application/octet-stream"
        assert (
            got.headers["content-disposition"] == "attachment" and "sandbox" in got.headers["content-security-policy"]
        )


async def test_a_session_too_many_is_refused_and_answered_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SUBSCRIPTIONS", 2)
    async with Client(site.url, site.token()) as hf:
        for name in ("s1", "s2", "s3"):
            await hf.create(name)
        streams = [hf.session(name).events() for name in ("s1", "s2")]
        for events in streams:
            await asyncio.wait_for(anext(events), 5)
        with pytest.raises(HoldfastError) as refused:
            await asyncio.wait_for(anext(hf.session("s3").events()), 5)
        assert refused.value.code == "limit.subscriptions"
        await asyncio.wait_for(hf.session("s1").state(), 5)
