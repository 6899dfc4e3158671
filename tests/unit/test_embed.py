"""Holdfast inside somebody's own application."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import holdfast
from holdfast.agents.run import RunContext

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def answer(run: RunContext) -> None:
    async with run.message() as out:
        for word in ("one ", "two ", run.input.text):
            await out.write(word)
            await asyncio.sleep(0)


def messages(body: str) -> list[dict[str, Any]]:
    """The messages of a stream of server-sent events, with their ids."""
    found = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append({**json.loads(fields["data"]), "mark": fields.get("id")})
    return found


async def test_a_detached_run() -> None:
    async with holdfast.EmbeddedHub("memory:") as hub:
        run = await hub.session("s1").start(answer, "three")
        assert await run.text() == "one two three"
        again = await hub.session("s1").start("answer", "four")
        assert await again.text() == "one two four"
        session = await hub.session("s1").client()
        assert [m["role"] for m in (await session.state()).items] == ["user", "assistant"] * 2


async def test_sse_keeps_an_old_endpoint_and_a_reader_that_leaves_changes_nothing() -> None:
    async with holdfast.EmbeddedHub("memory:") as hub:
        run = await hub.session("s1").start(answer, "three")
        stream = run.sse().body_iterator
        first = await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        assert messages(str(bytes(first), "utf-8"))[0]["events"][0]["type"] == "input.message"
        body = "".join([bytes(part).decode() async for part in run.sse().body_iterator])
        events = [event for message in messages(body) for event in message["events"]]
        assert [event["seq"] for event in events] == list(range(events[0]["seq"], events[-1]["seq"] + 1))
        assert events[0]["type"] == "input.message" and events[-1]["type"] == "run.ended"
        text = "".join(e["data"]["delta"] for e in events if e["type"] == "TEXT_MESSAGE_CONTENT")
        assert text == "one two three"
        assert messages(body)[-1]["mark"].endswith(f":{events[-1]['seq']}")


def test_three_lines_in_a_fastapi_app(tmp_path: Path) -> None:
    hub = holdfast.EmbeddedHub(f"sqlite:///{tmp_path}/sessions.db", hosts=("testserver",))
    app = FastAPI()
    app.include_router(hub.router)

    @app.post("/chat")
    async def chat(text: str) -> Any:
        return (await hub.session("s1").start(answer, text)).sse()

    with TestClient(app) as http:
        body = http.post("/chat", params={"text": "three"}).text
        assert (
            "".join(
                e["data"]["delta"] for m in messages(body) for e in m["events"] if e["type"] == "TEXT_MESSAGE_CONTENT"
            )
            == "one two three"
        )
        headers = {"authorization": f"Bearer {hub.token('user:local')}"}
        assert http.get("/v1/sessions/s1", headers=headers).json()["view"]["items"][1]["text"] == "one two three"
        assert http.get("/v1/sessions/s1").status_code == 401
        assert http.get("/v1/sessions/s1", headers={**headers, "host": "evil.example"}).status_code == 421
        with http.websocket_connect("/v1/connect", headers=headers) as socket:
            assert socket.receive_json()["op"] == "welcome"
            socket.send_json({"op": "ping", "id": 1})
            assert socket.receive_json()["id"] == 1
            socket.close()
            while hub.edge.listener.connections:  # the test client cancels what has not ended by itself
                time.sleep(0.001)


async def test_a_router_whose_lifespan_was_not_run_says_so() -> None:
    hub = holdfast.EmbeddedHub("memory:")
    app = FastAPI()
    app.include_router(hub.router)
    transport = httpx.ASGITransport(app=app)  # runs no lifespan, like a mounted application
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        refused = await http.get("/v1/sessions/s1", headers={"authorization": f"Bearer {hub.token('user:ann')}"})
    assert refused.status_code == 500
    assert refused.json()["error"]["code"] == "config.invalid"
    assert "include_router" in refused.json()["error"]["message"]
    with pytest.raises(holdfast.HoldfastError):
        await hub.session("s1").start(answer, "x")


async def test_runs_and_sessions_survive_a_restart(tmp_path: Path) -> None:
    path = f"sqlite:///{tmp_path}/sessions.db"
    began = asyncio.Event()

    async def interrupted(run: RunContext) -> None:
        await run.say("first try")
        began.set()
        await asyncio.Event().wait()

    async with holdfast.EmbeddedHub(path, lease_s=0.3) as hub:
        hub.agent("writer")(interrupted)
        run = await hub.session("s1").start("writer", "hello")
        await hub.ensure_agent(interrupted)
        await began.wait()
    again = holdfast.EmbeddedHub(path, lease_s=0.3)
    again.agent("writer")(answer)
    async with again:
        session = await again.session("s1").client()
        assert await session.run(run.id).text() == "one two hello"


async def test_two_agents_of_one_name_are_refused() -> None:
    async with holdfast.EmbeddedHub("memory:") as hub:
        await hub.session("s1").start(answer, "x")

        async def other(run: RunContext) -> None: ...

        other.__name__ = "answer"
        with pytest.raises(holdfast.Refused) as refused:
            await hub.session("s1").start(other, "x")
        assert refused.value.code == "config.invalid"


async def test_blobs_in_process() -> None:
    async with holdfast.EmbeddedHub("memory:") as hub:
        client = await hub.client()
        await client.create("s1")
        blob = await client.blobs.put("s1", b"data", "text/plain")
        assert await client.blobs.get("s1", blob) == ("text/plain", b"data")


def test_public_names() -> None:
    for name in dir(holdfast):
        assert getattr(holdfast, name) is not None
    with pytest.raises(AttributeError):
        _ = holdfast.nonsense
