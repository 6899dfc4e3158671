"""What is not metered is refused by its name, and reaches no upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import websockets
import websockets.exceptions

from holdfast.gateway.wires import MODELS, UNMETERED, WIRES, unmetered
from tests.fake_upstream.process import FakeUpstream

from .conftest import KEY, served, upstreams_of

pytestmark = pytest.mark.anyio

ASKED = [
    ("POST", "/v1/images/generations", "images"), ("POST", "/v1/images/edits", "images"),
    ("POST", "/v1/audio/speech", "speech"), ("POST", "/v1/audio/transcriptions", "speech"),
    ("POST", "/v1/videos", "videos"), ("POST", "/v1/batches", "batches"), ("POST", "/v1/messages/batches", "batches"),
    ("POST", "/v1/messages/count_tokens", "counting"), ("POST", "/v1/files", "files"), ("GET", "/v1/files/f/content", "files"),
    ("POST", "/v1/uploads", "uploads"), ("POST", "/v1/realtime/sessions", "realtime"), ("GET", "/v1/realtime", "realtime"),
    ("POST", "/v1/completions", "legacy"), ("POST", "/v1/complete", "legacy"), ("POST", "/v1/moderations", "moderations"),
    ("POST", "/v1/fine_tuning/jobs", "fine tuning"), ("POST", "/v1/assistants", "assistants"),
    ("POST", "/v1/threads/runs", "threads"), ("POST", "/v1/vector_stores", "vector stores"),
    ("POST", "/v1/containers", "containers"), ("POST", "/v1/conversations", "conversations"), ("POST", "/v1/evals", "evaluations"),
    ("POST", "/v1/skills", "skills"), ("GET", "/v1/responses/resp_1", "stored"), ("POST", "/v1/responses/resp_1/cancel", "stored"),
    ("POST", "/v1/responses/compact", "stored"), ("GET", "/v1/chat/completions/c1", "stored"),
    ("POST", "/v1beta/models/gemini:generateContent", "Gemini"), ("POST", "/openai/deployments/x/chat/completions", "Azure"),
    ("POST", "/model/claude/invoke", "Bedrock"), ("POST", "/api/chat", "another"), ("POST", "/v2/chat", "another"),
    ("POST", "/v1/rerank", "ranking"), ("POST", "/v1/ocr", "documents"), ("GET", "/v1/organization/costs", "administration"),
    ("DELETE", "/v1/models/gpt-5", "models"),
]  # fmt: skip
NOWHERE = [
    "/", "/v1", "/v1/", "/v1/chat/completions/", "/v1//chat/completions", "/V1/chat/completions", "/v1/chat/completions%00",
    "/v1/chat%2Fcompletions/x", "/v1/chat%2Fcompletions", "/v1/chat/%63ompletions", "/v1/%6dessages?beta=true", "/v1/./chat/completions", "/chat/completions", "/v1/messages/", "/v1/embeddings/x",
    "/v1/something-new", "/v1/chat/completions;x", "/with/tokens=5/v1/chat/completions", "/stats", "/../v1/messages",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_arrives(fake: FakeUpstream) -> Iterator[None]:
    fake.reset()
    before = fake.stats()
    yield
    assert fake.stats().started == before.started == 0


@pytest.mark.parametrize(("method", "path", "word"), ASKED)
async def test_what_is_not_metered_is_refused_by_name(fake: FakeUpstream, method: str, path: str, word: str) -> None:
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        answer = await http.request(method, path, json={"model": "gpt-5"} if method == "POST" else None)
        assert answer.status_code == 404, answer.text
        error = answer.json()["error"]
        assert error["code"] == "call.unmetered"
        assert error["message"].startswith(f"{path} (") and word in error["message"].removeprefix(path).split(")")[0]
        assert answer.headers["x-should-retry"] == "false" and not site.meter.opened


@pytest.mark.parametrize("path", NOWHERE)
async def test_no_other_spelling_of_a_path_is_one(fake: FakeUpstream, path: str) -> None:
    body = b'{"model":"gpt-5","messages":[{"role":"user","content":"Hi"}]}'
    async with served(*upstreams_of(fake)) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rsplit(":", 1)[1]))
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: {KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read()
        writer.close()
        assert answer.split(b" ", 2)[1] in (b"400", b"404", b"405") and not site.meter.opened


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", [*WIRES, MODELS])
async def test_other_methods(fake: FakeUpstream, path: str, method: str) -> None:
    if (method, path) == ("GET", MODELS):
        return
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        answer = await http.request(method, path)
        assert answer.status_code in (404, 405) and not site.meter.opened


async def test_a_websocket_is_refused(fake: FakeUpstream) -> None:
    async with served(*upstreams_of(fake)) as site:
        address = site.url.replace("http", "ws") + "/v1/realtime?model=gpt-5"
        with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
            await websockets.connect(address, additional_headers={"authorization": f"Bearer {KEY}"}, proxy=None)
        assert caught.value.response.status_code == 404
        async with site.http() as http:
            upgrade = {
                "connection": "upgrade",
                "upgrade": "websocket",
                "sec-websocket-version": "13",
                "sec-websocket-key": "eA==",
            }
            answer = await http.get("/v1/responses", headers=upgrade)
            assert answer.status_code in (404, 405)


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
async def test_a_server_that_takes_websockets_refuses_them(fake: FakeUpstream, extensions: dict[str, Any]) -> None:
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        messages.append(message)

    async with served(*upstreams_of(fake)) as site:
        scope = {"type": "websocket", "path": "/v1/realtime", "headers": [], "extensions": extensions}
        await site.gateway(scope, receive, send)
    assert messages[0].get("status", 404) == 404 and messages[0]["type"] != "websocket.accept"
    if extensions:
        assert b"realtime" in messages[1]["body"] and b"call.unmetered" in messages[1]["body"]


async def test_without_a_key_not_even_that_is_said(fake: FakeUpstream) -> None:
    async with served(*upstreams_of(fake)) as site, httpx.AsyncClient(base_url=site.url, trust_env=False) as http:
        answer = await http.post("/v1/images/generations", json={})
        assert answer.status_code == 401 and answer.json()["error"]["code"] == "key.required"
        [stranger] = site.keys.strangers
        assert (stranger.path, stranger.fingerprint) == ("/v1/images/generations", "")


def test_every_path_in_the_table_has_a_name_and_none_is_served() -> None:
    assert all(UNMETERED.values())
    for path in (*WIRES, MODELS):
        assert path not in UNMETERED or unmetered(f"{path}/x")
    assert unmetered("/v1/messages/batches") == "batches" and unmetered("/v1/filesystem") == ""
