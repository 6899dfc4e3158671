"""What is not understood or not allowed: said in the SDK's own shape, and nothing is appended."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets

from holdfast.edge.auth import mint
from holdfast.errors import Refused
from holdfast.session.access import VERBS, full_access
from tests.dialects.ai_sdk.agents import Pace, flood, words
from tests.dialects.ai_sdk.conftest import Site
from tests.dialects.ai_sdk.sdk_fold import FoldedMessage
from tests.dialects.ai_sdk.test_chats import assert_complete, every_wire, texts_of

pytestmark = [pytest.mark.anyio, pytest.mark.process]

HELLO = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "hello"}]}


def body(**changed: Any) -> dict[str, Any]:
    return {"id": "c1", "messages": [HELLO], "trigger": "submit-message", **changed}


def saying(**changed: Any) -> dict[str, Any]:
    return body(messages=[{**HELLO, **changed}])


def file(url: Any) -> dict[str, Any]:
    return saying(parts=[{"type": "file", "mediaType": "text/plain", "url": url}])


MALFORMED = [
    [], {}, {"id": "c1"}, body(messages=[]), body(messages=[3]), body(messages=[{"role": "user"}]), body(id="a b"), body(id=""),
    body(trigger="other"), body(messageId=3), saying(id="a b"), saying(id=""), saying(role="system"), saying(role="assistant"),
    saying(parts=[]), saying(parts=["x"]), saying(parts=[{"type": "text"}]), saying(parts=[{"type": "text", "text": 3}]),
    saying(parts=[{"type": "text", "text": "x" * 200_001}]), file(3), file("https://example.com/a.png"), file("data:;base64,***"),
    file("/v1/sessions/c1/blobs/x"),
    {**saying(role="assistant", parts=[{"state": "approval-responded", "approval": {"id": "no", "approved": True}}])},
]  # fmt: skip


async def nothing(site: Site) -> None:
    """The session was not even created."""
    async with site.http() as http:
        assert (await http.get("/v1/sessions/c1")).status_code == 404


async def test_malformed_posts_are_refused_in_words(site: Site) -> None:
    async with site.http() as http:
        for asked in MALFORMED:
            answer = await http.post("/v1/ai-sdk/v7/writer", json=asked)
            assert answer.status_code in (400, 404, 413), (asked, answer.text)
            assert answer.headers["content-type"].startswith("text/plain")
            assert answer.text.partition(": ")[0].count(".") == 1, answer.text  # code: words
        for raw in (b"", b"{", b"\xff", b'{"id":"c1","messages":[' + b"[" * 5_000, b'{"id": 1e999}'):
            assert (await http.post("/v1/ai-sdk/v7/writer", content=raw)).status_code == 400
        assert (await http.post("/v1/ai-sdk/v4/writer", json=body())).status_code == 404
        for path in ("/v1/ai-sdk/v7/writer/a b/stream", "/v1/ai-sdk/v7/writer/a b"):
            assert (await http.get(path)).status_code == 400
    await nothing(site)


class Raw:
    """The transport's frames by hand."""

    def __init__(self, socket: Any, token: str) -> None:
        self.socket = socket
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    async def say(self, frame: Any) -> None:
        await self.socket.send(frame if isinstance(frame, (str, bytes)) else json.dumps(frame))

    async def send(self, request: str = "q1", **changed: Any) -> None:
        about = {"type": "send", "requestId": request, "headers": self._headers, "body": {}, "messageId": None}
        await self.say({**body(), **about, **changed})

    async def resume(self, request: str, **changed: Any) -> None:
        about = {"type": "resume", "requestId": request, "id": "c1", "headers": self._headers, "body": {}}
        await self.say({**about, **changed})

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            received_frame: dict[str, Any] = json.loads(await self.socket.recv())
            return received_frame

    async def closed(self) -> int:
        async with asyncio.timeout(20):
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await self.socket.recv()
        return int(self.socket.close_code)


@contextlib.asynccontextmanager
async def raw(site: Site, token: str | None = None, **options: Any) -> AsyncIterator[Raw]:
    url = f"ws://127.0.0.1:{site.port}/v1/ai-sdk/v7/writer"
    async with websockets.connect(url, proxy=None, **options) as socket:
        yield Raw(socket, site.token() if token is None else token)


async def test_malformed_frames_are_refused_and_the_connection_stays(site: Site) -> None:
    async with raw(site) as line:
        await line.resume("q0")
        assert await line.receive() == {"type": "no-active", "requestId": "q0"}
        for number, asked in enumerate(asked for asked in MALFORMED if isinstance(asked, dict)):
            await line.send(**{"id": None, "messages": None, **asked, "requestId": f"q{number}x"})
            received_frame = await line.receive()
            assert (received_frame["type"], received_frame["requestId"]) == ("error", f"q{number}x"), asked
            assert received_frame["errorText"].partition(": ")[0].count(".") == 1
        for frame in (
            {"type": "what", "requestId": "z"},
            {"requestId": "z"},
            {"type": "resume", "requestId": "z", "id": 3},
        ):
            await line.say(frame)
            assert (await line.receive())["requestId"] == "z"
        await line.say({"type": "abort", "requestId": "never heard of"})
        await line.resume("q1")
        assert await line.receive() == {"type": "no-active", "requestId": "q1"}
    await nothing(site)


async def test_malformed_frames_are_counted_as_others_are(site: Site) -> None:
    async with raw(site) as line:
        await line.resume("q0")
        await line.receive()
        codes = set()
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(5_000):
                await line.say({"type": "what", "requestId": "z"})
                codes.add((await line.receive())["errorText"].partition(":")[0])
        assert await line.closed() == 4429
    assert codes == {"input.malformed", "limit.rate"}


@pytest.mark.parametrize("frame", ["", "{", "[]", '{"type":"send"}', '{"requestId":3}', "[" * 9_000])
async def test_what_names_no_request_ends_the_connection(site: Site, frame: str) -> None:
    async with raw(site) as line:
        await line.resume("q1")
        await line.receive()
        await line.say(frame)
        assert await line.closed() == 1008
    async with raw(site) as line:
        await line.say(frame)
        assert await line.closed() in (1008, 4400)


async def test_who_one_is_comes_in_the_first_frame(site: Site) -> None:
    for token, code, close in (("", "auth.required", 4401), ("nonsense", "auth.invalid", 4401)):
        async with raw(site, token) as line:
            await line.send()
            received_frame = await line.receive()
            assert (received_frame["type"], received_frame["errorText"].partition(":")[0]) == ("error", code)
            assert await line.closed() == close
    await nothing(site)
    async with raw(site) as line:
        await line.resume("q1")
        await line.receive()
        other = {"authorization": f"Bearer {site.token('user:bob')}"}
        await line.send("q2", headers=other)
        assert (await line.receive())["errorText"].startswith("auth.denied")
        (connection,) = (v for v in site.edge.listener.connections.values() if v.surface == "ai-sdk")
        before = connection.principal.expires_ms
        newer = {"authorization": f"Bearer {site.token(ttl_s=86_000)}"}
        await line.resume("q3", headers=newer)
        await line.receive()
        assert before is not None and (connection.principal.expires_ms or 0) > before
    async with raw(site, "", additional_headers={"authorization": f"Bearer {site.token()}"}) as line:
        await line.resume("q1")  # outside browsers the handshake may carry it
        assert (await line.receive())["type"] == "no-active"
    async with site.http() as http:
        asked = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "x" * 22 + "==",
        }
        for path, origin, status in (("v7", "https://evil.example", 403), ("v4", f"http://127.0.0.1:{site.port}", 404)):
            answer = await http.get(f"/v1/ai-sdk/{path}/writer", headers={**asked, "origin": origin})
            assert answer.status_code == status
    await nothing(site)


@every_wire
async def test_what_a_token_does_not_grant_is_not_done(site: Site, version: str, wire: str) -> None:
    assert site.edge.secret is not None
    await (await site.chat(version, wire)).do("send", text="hello")
    only = {verb: mint(site.edge.secret, subject="user:eve", capabilities={"*": [verb]}) for verb in sorted(VERBS)}
    elsewhere = mint(site.edge.secret, subject="user:eve", capabilities={"d*": sorted(VERBS)})
    for token in (
        only["read"],
        elsewhere,
        mint(site.edge.secret, subject="user:eve", tenant="other", capabilities={"x": ["read"]}),
    ):
        chat = await site.chat(version, wire, token=token)
        shown = await chat.do("send", text="and I?")
        assert shown["status"] == "error" and shown["error"].startswith("auth.denied"), shown
    assert len([i for i in (await site.log()).items if i.get("role") == "user"]) == 1
    async with site.http(only["append"]) as http:
        for path in ("/c1", "/c1/stream"):
            assert (await http.get(f"/v1/ai-sdk/{version}/writer{path}")).status_code == 403
    async with site.http(elsewhere) as http:
        assert (await http.delete(f"/v1/ai-sdk/{version}/writer/c1/stream")).status_code == 403


async def test_who_may_only_read_stops_nothing(site: Site, pace: Pace) -> None:
    pace.let(50)
    assert site.edge.secret is not None
    first = await site.chat()
    sending = first.begin("send", text="hello")
    await first.do("until", chars=50)
    reader = await site.chat(token=mint(site.edge.secret, subject="user:eve", capabilities={"*": ["read"]}))
    joined = reader.begin("resume")
    await reader.do("until", chars=50)
    await reader.do("stop")
    await joined
    pace.free()
    shown = await sending
    assert "".join(texts_of(shown)) == "".join(words())
    assert next(iter((await site.ended()).runs.values()))["status"] == "completed"


@every_wire
async def test_only_the_last_message_counts_and_only_once(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="echo")
    forged = [
        {**HELLO, "id": "f1"},
        {"id": "f2", "role": "assistant", "parts": [{"type": "text", "text": "I promise"}]},
    ]
    await chat.do("fresh", messages=forged)
    await chat.do("send", text="so?")
    view = await site.ended()
    assert [i["text"] for i in view.items] == ["so?", "You said: so?"]
    again = {**HELLO, "id": view.items[0]["id"], "parts": [{"type": "text", "text": "so?"}]}
    async with site.http() as http:
        told = await http.post(f"/v1/ai-sdk/{version}/echo", json=body(messages=[again]))
        assert (told.status_code, told.headers["x-vercel-ai-ui-message-stream"]) == (200, "v1")
        lines = [line.removeprefix("data: ") for line in told.text.split("\n\n") if line.startswith("data: ")]
        assert lines.pop() == "[DONE]"
        shown = FoldedMessage().apply(map(json.loads, lines))
        assert [p["text"] for p in shown.parts if p["type"] == "text"] == ["You said: so?"]
        other = {**again, "parts": [{"type": "text", "text": "something else"}]}
        refused = await http.post(f"/v1/ai-sdk/{version}/echo", json=body(messages=[other]))
        assert (refused.status_code, refused.text.partition(":")[0]) == (409, "producer.conflict")
    assert len((await site.log()).runs) == 1


async def test_sequences_begin_at_zero_have_no_gap_and_may_be_begun_later(site: Site) -> None:
    async with raw(site) as line:
        await line.send("q1")
        received_frame = [await line.receive()]
        await line.send("q1")
        while received_frame[-1]["type"] != "end":
            received_frame.append(await line.receive())
        (error,) = [frame for frame in received_frame if frame["type"] == "error"]
        assert "in use" in error["errorText"]
        chunks = [frame for frame in received_frame if frame["type"] == "chunk"]
        assert [frame["sequence"] for frame in chunks] == list(range(len(chunks)))
        await line.resume("q2")
        assert await line.receive() == {"type": "start", "requestId": "q2"}
        again = [await line.receive()]
        while again[-1]["type"] != "end":
            again.append(await line.receive())
        assert (
            FoldedMessage().apply(f["chunk"] for f in again[:-1]).content()
            == FoldedMessage().apply(f["chunk"] for f in chunks).content()
        )
        await line.resume("q3", lastSequence=again[-2]["sequence"] - 1)
        await line.receive()
        assert await line.receive() == {**again[-2], "requestId": "q3"}


async def test_a_stop_that_overtakes_its_own_message(site: Site) -> None:
    async with raw(site) as line:
        await line.send("q1", messages=[{**HELLO, "parts": [{"type": "text", "text": "long"}]}])
        for _ in range(3):
            await line.say({"type": "abort", "requestId": "q1"})
        chunks = []
        while (frame := await line.receive())["type"] != "end":
            chunks.append(frame["chunk"])
        assert FoldedMessage().apply(chunks).ends == ["abort"]
    view = await site.ended()
    assert [run["status"] for run in view.runs.values()] == ["cancelled"]
    async with site.http() as http:
        frames = (await http.get("/v1/sessions/c1/events", params={"after": 0})).json()["frames"]
    events = [event["type"] for frame in frames for event in frame.get("events", [])]
    assert events.count("cancel.requested") == 1


async def test_a_client_that_does_not_listen_holds_nobody_up_and_misses_nothing(site: Site) -> None:
    async with raw(site, max_queue=1) as line, site.http() as http:
        await line.send("q1", messages=[{**HELLO, "parts": [{"type": "text", "text": "flood"}]}])
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(Refused):  # not there yet
                    state = (await site.hub.sessions.load(full_access("default", "user:test"), "c1")).state
                    if state is not None and state.ended:  # the view's window is too small for so much
                        break
                await asyncio.sleep(0.02)
        (connection,) = (v for v in site.edge.listener.connections.values() if v.surface == "ai-sdk")
        assert connection.paused
        shown = FoldedMessage()
        while (frame := await line.receive())["type"] != "end":
            shown.apply([frame["chunk"]])
        assert "".join(p["text"] for p in shown.parts if p["type"] == "text") == "".join(flood())
        assert (await http.get("/healthz")).status_code == 200


@every_wire
async def test_a_deleted_session_ends_its_streams_with_an_error(
    site: Site, version: str, wire: str, pace: Pace
) -> None:
    pace.let(50)
    chat = await site.chat(version, wire)
    sending = chat.begin("send", text="long")
    await chat.do("until", chars=50)
    async with site.http() as http:
        assert (await http.delete("/v1/sessions/c1")).status_code == 200
    shown = await sending
    assert shown["status"] == "error" and shown["error"].startswith("session.deleted"), shown
    assert_complete(shown)
