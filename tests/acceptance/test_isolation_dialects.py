"""Every route of every dialect, and the operators': what a token does not grant is denied, and leaves no trace.

The rows are held against the routes as served, so a new route without a row fails here (ACC-2, ACC-3).
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, NamedTuple

import httpx
import jwt
import pytest
import websockets

from holdfast.edge.consumers import Consumers
from holdfast.edge.dialects.ag_ui.routes import AgUi
from holdfast.edge.dialects.ai_sdk.http import AiSdk
from holdfast.edge.dialects.openai_responses.routes import OpenAIResponses
from holdfast.edge.operators import Operators
from holdfast.session.access import VERBS

from .conftest import Site

pytestmark = [pytest.mark.anyio]

AG_UI, SDK = "/v1/ag-ui/agent/w", "/v1/ai-sdk/v7/w"


class Row(NamedTuple):
    """One way to ask: the verbs it needs on the session, and the request, with ``S`` and ``R`` for session and response."""

    name: str
    needs: str
    method: str
    path: str
    body: Any = None


def thread(**more: Any) -> dict[str, Any]:
    return {"threadId": "S", "runId": "client-run", "messages": [], **more}


def user_message(ident: str) -> dict[str, Any]:
    return {"id": ident, "role": "user", "content": "hi", "parts": [{"type": "text", "text": "hi"}]}


def deciding(approval: str, approved: bool = True) -> dict[str, Any]:
    answer = {"id": approval, "approved": approved}
    return {"type": "tool-t", "toolCallId": "c", "state": "approval-responded", "approval": answer}


RESPONSE = {"type": "mcp_approval_response", "approval_request_id": "A", "approve": True}
ROWS = (
    Row("respond", "read append", "POST", "/v1/responses", {"model": "w", "input": "x", "conversation": "S", "stream": True}),
    Row("respond after", "read append", "POST", "/v1/responses",
        {"model": "w", "input": "x", "previous_response_id": "R", "background": True}),
    Row("respond decision", "read approve", "POST", "/v1/responses", {"model": "w", "input": [RESPONSE], "conversation": "S"}),
    Row("response", "read", "GET", "/v1/responses/R"),
    Row("response stream", "read", "GET", "/v1/responses/R?stream=true"),
    Row("response items", "read", "GET", "/v1/responses/R/input_items"),
    Row("response cancel", "read control", "POST", "/v1/responses/R/cancel"),
    Row("response delete", "read admin", "DELETE", "/v1/responses/R"),
    Row("ag-ui run", "read append", "POST", f"{AG_UI}/run", thread(messages=[user_message("u1")])),
    Row("ag-ui state", "read append", "POST", f"{AG_UI}/run",
        thread(state={"a": 1}, forwardedProps={"holdfast": {"state": True}})),
    Row("ag-ui resume", "read approve", "POST", f"{AG_UI}/run", thread(resume=[{"interruptId": "A", "status": "resolved"}])),
    Row("ag-ui connect", "read", "POST", f"{AG_UI}/connect", thread()),
    Row("ag-ui stop", "read control", "POST", f"{AG_UI}/stop/S", {}),
    Row("sdk send", "read append", "POST", SDK, {"id": "S", "messages": [user_message("u2")]}),
    Row("sdk edit", "read append", "POST", SDK, {"id": "S", "messageId": "u3", "messages": [user_message("u3")]}),
    Row("sdk again", "read control", "POST", SDK, {"id": "S", "trigger": "regenerate-message", "messages": [user_message("M")]}),
    Row("sdk decide", "read approve", "POST", SDK,
        {"id": "S", "messages": [{"id": "an-answer", "role": "assistant", "parts": [deciding("A")]}]}),
    Row("sdk messages", "read", "GET", f"{SDK}/S"),
    Row("sdk resume", "read", "GET", f"{SDK}/S/stream"),
    Row("sdk stop", "read control", "DELETE", f"{SDK}/S/stream"),
)  # fmt: skip
OPERATORS = (
    ("GET", "/v1/connections"),
    ("DELETE", "/v1/connections/c1"),
    ("GET", "/v1/runs"),
    ("GET", "/v1/activity"),
    ("GET", "/v1/stats"),
    ("GET", "/v1/consumers"),
    ("DELETE", "/v1/consumers/c1"),
)
ROLES: dict[str, dict[str, list[str]]] = {
    "nothing": {}, "another session": {"s2": sorted(VERBS)}, "a longer prefix": {"s1x*": sorted(VERBS)},
    **{f"only {verb}": {"*": [verb]} for verb in sorted(VERBS)},
    **{f"read and {verb}": {"s*": ["read", verb]} for verb in sorted(VERBS - {"read"})},
    **{f"all but {verb}": {"s1": sorted(VERBS - {verb})} for verb in sorted(VERBS)},
    "split": {"s1": ["read"], "s1*": ["append"], "s*": ["control"]},
}  # fmt: skip


def test_every_route_has_a_row() -> None:
    served = set()
    for dialect in (OpenAIResponses, AgUi, AiSdk, Operators, Consumers):
        listener = type("Listener", (), {"hub": None, "socket_kinds": []})()
        for route in dialect(listener, None).routes():  # type: ignore[arg-type]
            if hasattr(route, "methods"):
                shape = re.sub(r"\{\w+\}", "*", route.path)
                served |= {(method, shape) for method in route.methods - {"HEAD"}}
    tried = [(row.method, row.path.partition("?")[0]) for row in ROWS] + list(OPERATORS)
    shapes = {(method, re.sub(r"(?<=/)(S|R|c1|v7|w)(?=/|$)", "*", path)) for method, path in tried}
    assert shapes == served


class Scene:
    """Session ``s1`` of tenant acme, with a queued run and a pending approval; ``theirs`` is its response."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.names: dict[str, str] = {"S": "s1"}

    async def set(self) -> Scene:
        async with self.site.http(self.site.token()) as ann:
            made = await ann.post("/v1/responses", json={
                "model": "w", "input": "secret-word", "conversation": "s1", "background": True,
            })  # fmt: skip
            assert made.status_code == 200, made.text
            self.names["R"] = made.json()["id"]
            view = (await ann.get("/v1/sessions/s1")).json()["view"]
            self.names["run"] = next(iter(view["runs"]))
            self.names["M"] = next(i["id"] for i in view["items"] if i["kind"] == "message")
            self.names["A"] = next((i["id"] for i in view["items"] if i["kind"] == "approval"), "no-such-approval")
        return self

    def request_of(self, row: Row, session: str = "s1") -> dict[str, Any]:
        names = {**self.names, "S": session}
        path = re.sub(r"(?<=/)[SR](?=[/?]|$)", lambda found: names[found[0]], row.path)
        return {
            "method": row.method,
            "url": path,
            **({"json": self._filled(row.body, names)} if row.body is not None else {}),
        }

    def _filled(self, value: Any, names: dict[str, str]) -> Any:
        if isinstance(value, dict):
            return {key: self._filled(item, names) for key, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item, names) for item in value]
        return names.get(value, value) if isinstance(value, str) else value

    def log(self) -> Any:
        """Everything that is stored: every session's frames, blobs and facts."""
        engine: Any = self.site.hub.engine
        return {key: (list(found.frames), dict(found.blobs)) for key, found in engine._sessions.items()}, dict(
            engine._facts
        )


async def first(http: httpx.AsyncClient, asked: dict[str, Any]) -> tuple[int, str]:
    """Status and, of a refusal, the body; what streams is left at once (which stops nothing)."""
    async with http.stream(**asked) as response:
        return response.status_code, (await response.aread()).decode() if response.status_code >= 400 else ""


def check_shape(row: Row, text: str, status: int) -> None:
    """A refusal is of the dialect's shape and tells nothing of what it keeps."""
    assert "secret-word" not in text and "Traceback" not in text
    if row.name.startswith("sdk") and row.name in ("sdk send", "sdk edit", "sdk again", "sdk decide", "sdk resume"):
        assert re.match(r"[a-z]+\.[a-z_]+: ", text), text
        return
    error = httpx.Response(status, text=text).json()["error"]
    if row.name.startswith("respon"):
        assert set(error) == {"message", "type", "param", "code"}
    else:
        assert {"code", "request_id"} <= set(error)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_each_row_needs_its_verbs_and_no_more(site: Site, row: Row) -> None:
    scene = await Scene(site).set()
    before = scene.log()
    needs = set(row.needs.split())
    allowed = []
    for role, caps in ROLES.items():
        granted = {v for pattern, verbs in caps.items() if pattern in ("*", "s1", "s*", "s1*") for v in verbs}
        if needs <= granted:
            allowed.append((role, caps))
            continue
        for subject in ("user:bob", "agent:w"):
            async with site.http(site.token(subject, capabilities=caps, agents=["*"])) as http:
                status, text = await first(http, scene.request_of(row))
            assert status == 403 and "auth.denied" in text, (role, subject, status, text)
            check_shape(row, text, status)
    assert scene.log() == before, "a refused request left something"
    assert allowed
    for role, caps in allowed[:2]:
        async with site.http(site.token("user:bob", capabilities=caps)) as http:
            status, text = await first(http, scene.request_of(row))
        assert "auth." not in text and status not in (401, 403, 500), (role, status, text)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_who_has_no_good_token_gets_nothing(site: Site, row: Row) -> None:
    scene = await Scene(site).set()
    revoked, claims = site.token("user:bob"), {"sub": "user:bob", "tenant": "acme", "caps": {"*": sorted(VERBS)}}
    ident = jwt.decode(revoked, options={"verify_signature": False})["jti"]
    async with site.http(site.token()) as ann:
        assert (await ann.post("/v1/tokens/revoke", json={"jti": ident})).status_code == 200
    tokens = {
        "auth.required": None, "auth.invalid": "x.y.z", "auth.revoked": revoked,
        "auth.expired": site.token(ttl_s=-1), "AUTH.invalid": jwt.encode(claims, "k" * 32),
        "auth.INVALID": jwt.encode({**claims, "exp": 9e9}, None, algorithm="none"),
    }  # fmt: skip
    before = scene.log()
    for code, token in tokens.items():
        async with site.http(token) as http:
            status, text = await first(http, scene.request_of(row))
        assert status == 401 and code.lower() in text, (code, status, text)
        check_shape(row, text, status)
        assert token is None or token not in text
    assert scene.log() == before


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_another_tenant_cannot_tell_what_exists(site: Site, row: Row) -> None:
    """Answers about ids that acme has are those about ids that nobody has, word for word but for the ids."""
    scene = await Scene(site).set()
    before = scene.log()[0]
    async with site.http(site.token("user:ann", "evil")) as eve:
        theirs = await first(eve, scene.request_of(row))
        names = dict(scene.names)
        made = scene.log()[0]
        assert {key: found for key, found in made.items() if key.tenant == "acme"} == before
        scene.names |= {"R": names["R"].replace("_s1", "_s9"), "M": "nobodys", "A": "nobodys"}
        nobodys = await first(eve, scene.request_of(row, "s9"))
    assert theirs[0] == nobodys[0] and theirs[0] != 500
    masks = [(names[k], "X") for k in "RMA"] + [(scene.names[k], "X") for k in "RMA"]
    for old, new in masks:
        theirs, nobodys = (theirs[0], theirs[1].replace(old, new)), (nobodys[0], nobodys[1].replace(old, new))
    found = [re.sub(r'"request_id":"\w+"', "", text) for _, text in (theirs, nobodys)]
    assert found[0] == found[1]


async def test_a_response_is_found_only_where_it_is(site: Site) -> None:
    """Ids are not secret: an id put together by hand gives what its session gives to the same token, or nothing."""
    scene = await Scene(site).set()
    ident = scene.names["R"]
    head, queued, _, incarnation, _ = ident.split("_")
    async with site.http(site.token("user:eve", capabilities={"s2*": sorted(VERBS)})) as eve:
        await eve.post("/v1/sessions", json={"session": "s2"})
        for forged in (
            ident,
            f"{head}_{queued}_0_{incarnation}_s2",
            f"{head}_1_0_{incarnation}_s2",
            f"{head}_2_0_0_s1",
        ):
            for method, path in (
                ("GET", ""),
                ("GET", "?stream=true"),
                ("POST", "/cancel"),
                ("DELETE", ""),
                ("GET", "/input_items"),
            ):
                answer = await eve.request(method, f"/v1/responses/{forged}{path}")
                assert answer.status_code in (403, 404), (forged, method, path, answer.text)
                assert "secret-word" not in answer.text
        stolen = await eve.post("/v1/responses", json={"model": "w", "input": "x", "previous_response_id": ident})
        assert stolen.status_code == 403 and stolen.json()["error"]["code"] == "auth.denied"
        blob = {"type": "file", "url": f"/v1/sessions/s1/blobs/{'0' * 64}", "mediaType": "text/plain"}
        before = scene.log()
        refused = await eve.post(SDK, json={"id": "s2new", "messages": [{"id": "m", "role": "user", "parts": [blob]}]})
        assert refused.status_code == 404
        assert scene.log() == before, "a message that cannot be creates no session"
    async with site.http(site.token()) as ann:
        for odd in (f"{head}_{queued}_9_{incarnation}_s1", f"{head}_1_0_{incarnation}_s1", f"{head}_9999999999999999_0_{incarnation}_s1",
                    f"{head}_1\u0663_0_{incarnation}_s1", f"{ident}%00", f"{head}_-1_0_{incarnation}_s1"):  # fmt: skip
            assert (await ann.get(f"/v1/responses/{odd}")).status_code == 404, odd


# --- operators
@pytest.mark.parametrize(("method", "path"), OPERATORS)
async def test_operators_have_admin_over_everything(site: Site, method: str, path: str) -> None:
    scene = await Scene(site).set()
    before = scene.log()
    for token in (None, "x.y.z", site.token(ttl_s=-1)):
        async with site.http(token) as http:
            assert (await http.request(method, path)).status_code == 401
    for caps in ({}, {"s1": sorted(VERBS)}, {"s*": ["admin"]}, {"*": sorted(VERBS - {"admin"})}):
        for subject in ("user:bob", "agent:w"):
            async with site.http(site.token(subject, capabilities=caps, agents=["*"])) as http:
                denied = await http.request(method, path)
                assert denied.status_code == 403 and denied.json()["error"]["code"] == "auth.denied", (
                    caps,
                    denied.text,
                )
    assert scene.log() == before


async def test_operators_see_and_cut_only_their_tenant(site: Site) -> None:
    await Scene(site).set()
    async with site.http(site.token("user:eve", "evil", capabilities={"*": ["admin"]})) as eve:
        async with await connected(site, site.token(ttl_s=60)) as socket:
            await socket.send('{"type":"resume","requestId":"q","id":"s1"}')
            await socket.recv()
            (connection,) = site.edge.listener.connections
            assert (await eve.get("/v1/connections")).json() == {"connections": [], "all": 0}
            assert (await eve.get("/v1/runs")).json()["runs"] == []
            cut = await eve.delete(f"/v1/connections/{connection}")
            none = await eve.delete("/v1/connections/c999-none")
            assert cut.status_code == none.status_code == 404
            assert connection in site.edge.listener.connections
        assert "s1" not in (await eve.get("/v1/stats")).text


# --- the SDK's WebSocket
async def connected(site: Site, token: str | None, path: str = SDK) -> websockets.ClientConnection:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await websockets.connect(site.url.replace("http", "ws") + path, additional_headers=headers, proxy=None)


async def receive(socket: websockets.ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 5))
    return found


async def test_the_socket_decides_as_the_requests_do(site: Site) -> None:
    scene = await Scene(site).set()
    before = scene.log()
    frames = {
        "read append": {"type": "send", "id": "s1", "messages": [user_message("u9")]},
        "read control": {
            "type": "send",
            "id": "s1",
            "trigger": "regenerate-message",
            "messages": [user_message(scene.names["M"])],
        },
        "read approve": {
            "type": "send",
            "id": "s1",
            "messages": [{"id": "an-answer", "role": "assistant", "parts": [deciding("A")]}],
        },
        "read": {"type": "resume", "id": "s1"},
    }
    for needs, frame in frames.items():
        for role, caps in ROLES.items():
            granted = {v for pattern, verbs in caps.items() if pattern in ("*", "s1", "s*", "s1*") for v in verbs}
            if set(needs.split()) <= granted:
                continue
            async with await connected(site, site.token("user:bob", capabilities=caps)) as socket:
                await socket.send(json.dumps({**frame, "requestId": "q"}))
                told = await receive(socket)
                assert told["type"] == "error" and told["errorText"].startswith("auth.denied"), (needs, role, told)
    for token in ("x.y.z", site.token(ttl_s=-1)):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connected(site, token)
        assert refused.value.response.status_code == 401
        async with await connected(site, None) as socket:
            frame = {"type": "resume", "requestId": "q", "id": "s1", "headers": {"authorization": f"Bearer {token}"}}
            await socket.send(json.dumps(frame))
            told = await receive(socket)
            assert told["errorText"].startswith("auth.") and token not in told["errorText"]
            with pytest.raises(websockets.ConnectionClosed):
                await receive(socket)
    async with await connected(site, site.token("user:ann", "evil")) as socket:
        await socket.send('{"type":"resume","requestId":"q","id":"s1"}')
        assert (await receive(socket))["type"] == "no-active"
    assert scene.log() == before


async def test_an_abort_needs_control_and_stops_only_ones_own_request(site: Site) -> None:
    scene = await Scene(site).set()
    async with await connected(site, site.token("user:bob", capabilities={"*": ["read"]})) as reader:
        await reader.send('{"type":"resume","requestId":"q","id":"s1"}')
        assert (await receive(reader))["type"] == "start"
        await reader.send('{"type":"abort","requestId":"q"}')
        async with await connected(site, site.token("user:eve")) as other:
            await other.send('{"type":"abort","requestId":"q"}')
            await other.send('{"type":"resume","requestId":"x","id":"s7"}')
            assert (await receive(other))["type"] == "no-active"
        await asyncio.sleep(0.7)
    async with site.http(site.token()) as ann:
        assert (await ann.get(f"/v1/sessions/s1/runs/{scene.names['run']}")).json()["status"] == "queued"


async def test_a_long_request_id_is_refused(site: Site) -> None:
    """Every chunk of an answer carries it: what is sent is not what one frame of the client multiplied by."""
    await Scene(site).set()
    async with await connected(site, site.token()) as socket:
        await socket.send('{"type":"resume","id":"s1","requestId":"%s"}' % ("q" * 300_000))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await receive(socket)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
