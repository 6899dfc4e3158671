"""Every operation × role × tenant × surface: what a token does not grant is denied, wherever it is asked (ACC-2, ACC-3).

The rows are generated from the operations and the routes, so a new one without a row fails here.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import msgspec
import pytest

from holdfast.client.client import Client
from holdfast.edge.http import OP_ROUTES
from holdfast.errors import HoldfastError
from holdfast.protocol import wire
from holdfast.protocol.events import Draft
from holdfast.session.access import NEEDS, VERBS

from .conftest import Site
from .test_hostile_input import Raw

pytestmark = [pytest.mark.anyio]

RUN = {"session": "s1", "run": "its-run", "generation": 1}
SAMPLES: dict[str, wire.Op] = {
    "subscribe": wire.Subscribe(session="s1"),
    "unsubscribe": wire.Unsubscribe(session="s1"),
    "history": wire.History(session="s1", page=1),
    "read": wire.Read(session="s1", seq=1),
    "presence": wire.Presence(session="s1"),
    "create": wire.Create(session="s1"),
    "append": wire.Append(session="s1", events=[Draft("CUSTOM", {"name": "x", "value": 1})]),
    "send": wire.Send(session="s1", text="x"),
    "rename": wire.Rename(session="s1", title="t"),
    "cancel": wire.Cancel(session="s1", scope="all"),
    "steer": wire.Steer(session="s1", run="its-run", text="x"),
    "interrupt": wire.Interrupt(session="s1", text="x", agent="w"),
    "regenerate": wire.Regenerate(session="s1", input="m"),
    "select": wire.Select(session="s1", input="m"),
    "take": wire.Take(session="s1"),
    "give_back": wire.GiveBack(session="s1"),
    "resolve": wire.Resolve(session="s1", approval="a", decision="approved"),
    "delete": wire.Delete(session="s1"),
    "attach": wire.Attach(**RUN),
    "received": wire.Received(**RUN),
    "end": wire.End(**RUN),
    "spawn": wire.Spawn(**RUN, agent="x", name="n"),
    "ask": wire.Ask(**RUN, approval="a", tool="t", args={}),
    "wait": wire.Wait(**RUN, approvals=["a"]),
}
NOT_OF_A_SESSION = {"hello", "auth", "ping", "watch", "unwatch", "serve", "heartbeat"}


def test_every_operation_has_a_row() -> None:
    assert set(SAMPLES) | NOT_OF_A_SESSION == set(wire.OPS)
    assert {wire.OPS[name] for name in SAMPLES} == set(NEEDS)


async def prepared(site: Site) -> str:
    """A session of tenant acme with a queued run, made by ann; the run's id."""
    async with site.http(site.token()) as ann:
        assert (await ann.post("/v1/sessions", json={"session": "s1", "agent": "w"})).status_code == 201
        answer = await ann.post("/v1/sessions/s1/messages", json={"text": "x"})
        assert answer.status_code == 201
        return str(answer.json()["run"])


async def code_over_socket(site: Site, token: str, op: wire.Op) -> str:
    async with Client(site.url, token) as hf:
        try:
            await hf.connection.request(msgspec.structs.replace(op))
        except HoldfastError as error:
            return error.code
        return "ok"


@pytest.mark.parametrize("name", sorted(SAMPLES))
async def test_each_operation_needs_its_own_verb(site: Site, name: str) -> None:
    await prepared(site)
    op = SAMPLES[name]
    needed = NEEDS[type(op)]
    without = {"*": sorted(VERBS - {needed})}
    assert await code_over_socket(site, site.token(capabilities=without), op) == "auth.denied"
    elsewhere = {"s2": sorted(VERBS), "s1x*": sorted(VERBS)}
    assert await code_over_socket(site, site.token(capabilities=elsewhere), op) == "auth.denied"
    assert await code_over_socket(site, site.token(capabilities={}), op) == "auth.denied"


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"create"}))
async def test_another_tenant_sees_no_session(site: Site, name: str) -> None:
    await prepared(site)
    code = await code_over_socket(site, site.token("user:eve", "evil", agents=["*"]), SAMPLES[name])
    # unsubscribing from nothing is no news; everything else finds nothing
    assert code in ({"ok"} if name == "unsubscribe" else {"session.not_found"}), code


async def test_an_agent_cannot_act_in_another_agents_run(site: Site) -> None:
    run = await prepared(site)
    async with Client(site.url, site.token("agent:w", agents=["w"])) as worker:
        await worker.connection.request(wire.Serve(agents=["w"]))
        with pytest.raises(HoldfastError) as refused:
            await worker.connection.request(wire.Serve(agents=["other"]))
        assert refused.value.code == "auth.denied"
        for name in ("append", "received", "end", "spawn", "ask", "wait", "attach"):
            op: Any = msgspec.structs.replace(SAMPLES[name], run=run, generation=1)  # type: ignore[call-arg]
            code = await code_over_socket(site, site.token("agent:x", agents=["x"]), op)
            assert code == "auth.denied", (name, code)


def routes() -> list[tuple[str, str]]:
    """Every route of the REST edge: those of operations and those that read."""
    found = [(r.method, r.path) for r in OP_ROUTES]
    found += [
        ("GET", f"/v1/sessions/{{session}}{rest}") for rest in ("", "/events", "/runs", "/runs/its-run", "/approvals")
    ]
    found += [("GET", "/v1/sessions/{session}/presence"), ("POST", "/v1/sessions/{session}/blobs")]
    found += [("GET", f"/v1/sessions/{{session}}/blobs/{'0' * 64}")]
    return [(m, p) for m, p in found if "{session}" in p]


def test_every_route_is_in_the_matrix() -> None:
    """The routes as served and the routes tried here are the same."""
    from holdfast.edge.http import Rest

    served = {
        (method, re.sub(r"\{\w+\}", "*", route.path))
        for route in Rest(None, None, None).routes()  # type: ignore[arg-type]
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
        if "{session}" in route.path  # type: ignore[attr-defined]
    }
    tried = {(m, re.sub(r"\{\w+\}|(?<=/)its-run$|0{64}", "*", p)) for m, p in routes()}
    assert served == tried


BODIES = {
    "PATCH /v1/sessions/{session}": {"title": "x"},
    "POST /v1/sessions/{session}/events": {"events": [{"type": "CUSTOM", "data": {}}]},
    "POST /v1/sessions/{session}/messages": {"text": "x"},
    "POST /v1/sessions/{session}/cancel": {"scope": "all"},
    "POST /v1/sessions/{session}/runs/{run}/steer": {"text": "x"},
    "POST /v1/sessions/{session}/interrupt": {"text": "x", "agent": "w"},
    "POST /v1/sessions/{session}/approvals/{approval}": {"decision": "approved"},
    "POST /v1/sessions/{session}/branch": {"input": "m"},
    "PUT /v1/sessions/{session}/read": {"seq": 1},
}


async def ask(client: httpx.AsyncClient, method: str, path: str) -> httpx.Response:
    real = (
        path.replace("{session}", "s1")
        .replace("{run}", "its-run")
        .replace("{approval}", "a")
        .replace("{input}", "m")
        .replace("{page}", "1")
    )
    body = BODIES.get(f"{method} {path}", {}) if method != "GET" else None
    return await client.request(method, real, json=body)


@pytest.mark.parametrize(("method", "path"), routes())
async def test_rest(site: Site, method: str, path: str) -> None:
    await prepared(site)
    async with site.http() as nobody, site.http(site.token(capabilities={"other": sorted(VERBS)})) as stranger:
        assert (await ask(nobody, method, path)).status_code == 401
        denied = await ask(stranger, method, path)
        assert denied.status_code == 403 and denied.json()["error"]["code"] == "auth.denied"
    async with site.http(site.token("user:eve", "evil")) as eve:
        missing = await ask(eve, method, path)
        assert missing.status_code == 404 and missing.json()["error"]["code"] == "session.not_found"
        assert (await eve.get("/v1/sessions")).json()["sessions"] == []


async def test_sse_passes_the_same_function(site: Site) -> None:
    await prepared(site)
    accept = {"accept": "text/event-stream"}
    async with site.http(site.token(capabilities={"*": ["append"]})) as writer:
        assert (await writer.get("/v1/sessions/s1/events", headers=accept)).status_code == 403
    async with site.http(site.token("user:eve", "evil")) as eve:
        assert (await eve.get("/v1/sessions/s1/events", headers=accept)).status_code == 404


async def test_the_list_shows_people_only_what_is_theirs(site: Site) -> None:
    await prepared(site)
    async with site.http(site.token("user:bob")) as bob:
        assert (await bob.get("/v1/sessions")).json()["sessions"] == []
        await bob.post("/v1/sessions/s1/messages", json={"text": "may I"})
        assert [row["session"] for row in (await bob.get("/v1/sessions")).json()["sessions"]] == ["s1"]
    async with site.http(site.token("user:bob", capabilities={"s2": ["read"]})) as narrowed:
        assert (await narrowed.get("/v1/sessions")).json()["sessions"] == []


async def test_the_same_ids_in_two_tenants_are_two_sessions(site: Site) -> None:
    """Everything that can be read, read from both sides: nothing of the other tenant is in it."""
    accept = {"accept": "text/event-stream"}
    async with site.http(site.token()) as ann, site.http(site.token("user:ann", "evil")) as eve:
        blobs = []
        for http, word in ((ann, b"acme-word"), (eve, b"evil-word")):
            await http.post("/v1/sessions", json={"session": "s1", "title": f"{word.decode()} title"})
            await http.post("/v1/sessions/s1/messages", json={"text": word.decode()})
            blobs.append((await http.post("/v1/sessions/s1/blobs", content=word)).json()["blob"])
        assert (await eve.get(f"/v1/sessions/s1/blobs/{blobs[0]}")).status_code == 404
        assert (await ann.get(f"/v1/sessions/s1/blobs/{blobs[1]}")).status_code == 404
        for path in ("", "/s1", "/s1/events", "/s1/runs", "/s1/approvals", "/s1/presence"):
            read = await eve.get(f"/v1/sessions{path}")
            assert read.status_code == 200 and "acme-word" not in read.text, path
        assert (await eve.get("/v1/sessions", params={"search": "acme-word"})).json()["sessions"] == []
        async with eve.stream("GET", "/v1/sessions/s1/events", headers=accept) as response:
            seen = []
            async for line in response.aiter_lines():
                seen.append(line)
                if '"op":"live"' in line:
                    break
            assert (await ann.get("/v1/sessions/s1/presence")).json()["here"] == []
        assert "evil-word" in "".join(seen) and "acme-word" not in "".join(seen)
        assert (await eve.delete("/v1/sessions/s1")).status_code == 200
        assert (await ann.get("/v1/sessions/s1")).status_code == 200


async def test_live_readers_and_lists_of_another_tenant_hear_nothing(site: Site) -> None:
    async with site.http(site.token()) as ann, site.http(site.token("user:ann", "evil")) as eve:
        for http in (ann, eve):
            await http.post("/v1/sessions", json={"session": "s1"})
        raw = await Raw.open(site, token=site.token("user:ann", "evil"))
        await raw.answer(op="welcome")
        raw.say({"op": "watch", "id": 1})
        raw.say({"op": "subscribe", "id": 2, "session": "s1"})
        await raw.answer(op="live")
        await ann.post("/v1/sessions/s1/messages", json={"text": "acme-word"})
        await eve.post("/v1/sessions/s1/messages", json={"text": "last"})
        heard = []
        while not heard or "last" not in heard[-1]:
            heard.append(str(await raw.answer()))
        assert "acme-word" not in "".join(heard)
        raw.writer.close()
