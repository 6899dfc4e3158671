"""A minted token carries its ancestry: what is revoked takes along all that was minted from it (ACC-2, ACC-4)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest

from holdfast.edge import auth
from holdfast.edge.local_subscription import LocalSubscription
from holdfast.edge.revocation import Revocations
from holdfast.errors import Refused
from holdfast.protocol import limits
from holdfast.session.access import SESSION_VERBS, Principal, actor_and_parents

from ...acceptance.test_hostile_input import Raw
from .conftest import Site

pytestmark = pytest.mark.anyio

ALL = {"*": sorted(SESSION_VERBS)}


def ident(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["jti"])


async def minted(site: Site, parent: str, sub: str, *, agents: list[str] | None = None, **more: Any) -> str:
    """A token minted over REST from another."""
    async with site.http(parent) as http:
        answer = await http.post("/v1/tokens", json={"sub": sub, "caps": ALL, "agents": agents or [], **more})
    assert answer.status_code == 201, answer.text
    token = answer.json()["token"]
    assert answer.json()["jti"] == ident(token), "whoever mints can revoke what it minted"
    return str(token)


async def code(site: Site, token: str) -> str:
    async with site.http(token) as http:
        answer = await http.get("/v1/sessions")
    return "ok" if answer.status_code == 200 else str(answer.json()["error"]["code"])


async def revoke(site: Site, **what: str) -> None:
    async with site.http(site.token("user:root")) as admin:
        assert (await admin.post("/v1/tokens/revoke", json=what)).status_code == 200


async def test_a_minted_token_says_what_it_was_minted_from(site: Site) -> None:
    root = site.token("user:ann")
    child = await minted(site, root, "agent:writer", agents=[])
    grandchild = await minted(site, child, "agent:writer/helper")
    first, second, third = map(site.edge.verifier.verify, (root, child, grandchild))
    assert (first.lineage, first.minters, first.root) == ((), (), "user:ann")
    assert (second.lineage, second.minters, second.root) == ((ident(root),), ("user:ann",), "user:ann")
    assert third.lineage == (ident(root), ident(child))
    assert (third.minters, third.root) == (("user:ann", "agent:writer"), "user:ann")


async def test_revoking_a_token_ends_all_that_was_minted_from_it(site: Site) -> None:
    root = site.token("user:ann")
    child = await minted(site, root, "user:bob")
    grandchild = await minted(site, child, "agent:w", agents=[])
    sibling = await minted(site, site.token("user:ann"), "user:bob")
    await revoke(site, jti=ident(root))
    assert [await code(site, token) for token in (root, child, grandchild)] == ["auth.revoked"] * 3
    assert await code(site, sibling) == "ok"
    async with site.http(child) as http:
        assert (await http.post("/v1/tokens", json={"sub": "user:bob", "caps": ALL})).status_code == 401
    again = Revocations(site.hub)
    await again.load()
    for token in (child, grandchild):
        with pytest.raises(Refused) as refused:
            again.check(Principal("user:x", "acme", (), token_id=ident(token), lineage=(ident(root),)))
        assert refused.value.code == "auth.revoked"


async def test_revoking_in_the_middle_spares_what_is_above(site: Site) -> None:
    root = site.token("user:ann")
    child = await minted(site, root, "user:bob")
    grandchild = await minted(site, child, "user:carl")
    async with site.http(child) as http:  # one's own token
        assert (await http.post("/v1/tokens/revoke", json={"jti": ident(child)})).status_code == 200
    assert [await code(site, token) for token in (root, child, grandchild)] == ["ok", "auth.revoked", "auth.revoked"]


async def test_revoking_an_agent_ends_its_sub_agents_and_whom_it_minted(site: Site) -> None:
    writer = site.token("agent:writer", agents=["writer"])
    pool = site.token("agent:pool", agents=["writer", "writer2"])
    revoked = [
        writer, await minted(site, writer, "agent:writer/x"), await minted(site, pool, "agent:writer/x"),
        await minted(site, writer, "user:made-up"), site.token("agent:writer/x/y"),
    ]  # fmt: skip
    valid = [pool, site.token("agent:writer2"), site.token("user:agent:writer"), site.token("agent:writer", "other")]
    await revoke(site, sub="agent:writer")
    assert [await code(site, token) for token in revoked] == ["auth.revoked"] * len(revoked)
    assert [await code(site, token) for token in valid] == ["ok"] * len(valid)
    await asyncio.sleep(0.002)  # tokens of the same millisecond count as issued before
    assert await code(site, site.token("agent:writer/x")) == "ok"


def test_names_above_a_name() -> None:
    assert list(actor_and_parents("agent:writer/x/y")) == ["agent:writer/x/y", "agent:writer/x", "agent:writer"]
    assert list(actor_and_parents("user:corp/ann")) == ["user:corp/ann"], "people are nobody's sub-agents"


# --- what is open
@asynccontextmanager
async def everything_open(site: Site, token: str) -> AsyncIterator[list[Any]]:
    """Every kind of connection a token can have: functions that wait until it is closed, and say how."""
    run = {"input": "x", "model": "w", "stream": True, "conversation": "s1"}
    async with AsyncExitStack() as stack:
        header = await Raw.open(site, token=token)
        hello = await Raw.open(site)
        hello.say({"op": "hello", "id": 1, "token": token})
        sdk = await Raw.open(site, path="/v1/ai-sdk/v7/w")
        resume = {"type": "resume", "requestId": "q", "id": "s1", "headers": {"authorization": f"Bearer {token}"}}
        sdk.say(resume)
        worker = await Raw.open(site, token=token)
        worker.say({"op": "serve", "id": 1, "agents": ["w"], "slots": 0})
        for raw in (header, hello, worker):
            await raw.answer(op="welcome")
        await asyncio.wait_for(sdk.hear(), 5)
        streams = []
        for method, path, body, headers in (
            ("GET", "/v1/sessions/s1/events", None, {"accept": "text/event-stream"}),
            ("POST", "/v1/responses", run, {}),
            ("POST", "/v1/ai-sdk/v7/w", saying("s1"), {}),
            ("POST", "/v1/ag-ui/agent/w/run", ag_ui("s1"), {}),
        ):
            http = await stack.enter_async_context(site.http(token))
            response = await stack.enter_async_context(http.stream(method, path, json=body, headers=headers))
            assert response.status_code == 200, await response.aread()
            streams.append(response)
        yield [*(raw.close_code for raw in (header, hello, sdk, worker)), *(ending(stream) for stream in streams)]


def saying(chat: str) -> dict[str, Any]:
    message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "x"}]}
    return {"id": chat, "messages": [message], "trigger": "submit-message"}


def ag_ui(thread: str) -> dict[str, Any]:
    message = {"id": "u2", "role": "user", "content": "x"}
    return {
        "threadId": thread, "runId": "r", "messages": [message], "state": None, "tools": [], "context": [],
        "forwardedProps": {},
    }  # fmt: skip


def ending(response: httpx.Response) -> Any:
    async def ended() -> str:
        async for _ in response.aiter_bytes():
            pass
        return "ended"

    return ended


async def test_everything_that_is_open_closes(site: Site) -> None:
    root = site.token("user:ann", agents=["w"])
    child = await minted(site, root, "user:ann", agents=["w"])
    grandchild = await minted(site, child, "user:ann", agents=["w"])
    async with site.http(root) as ann:
        await ann.post("/v1/sessions", json={"session": "s1", "agent": "w"})
        await ann.post("/v1/sessions/s1/messages", json={"text": "go"})
    stays = await Raw.open(site, token=site.token("user:ann"))
    await stays.answer(op="welcome")
    async with everything_open(site, grandchild) as waiters:
        async with asyncio.timeout(5):
            await revoke(site, jti=ident(root))
            assert [await wait() for wait in waiters] == [4411] * 4 + ["ended"] * 4
    stays.say({"op": "ping", "id": 1})
    await stays.answer(op="ok")


@pytest.mark.parametrize("what", ["body", "visit", "reading"])
async def test_what_was_let_in_before_and_acts_after(site: Site, what: str) -> None:
    """A token is looked at when a request begins; what follows may take long."""
    root = site.token("user:ann")
    child = await minted(site, root, "user:ann")
    async with site.http(root) as ann:
        await ann.post("/v1/sessions", json={"session": "s1"})
    principal = site.edge.verifier.verify(child)
    if what == "body":
        revoked = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            body = json.dumps({"text": "late"}).encode()
            yield body[:5]
            await revoked.wait()
            yield body[5:]

        async with site.http(child) as http:
            posting = asyncio.create_task(http.post("/v1/sessions/s1/messages", content=slowly()))
            while not site.edge.listener.connection_limits.requests.in_use:
                await asyncio.sleep(0)
            await revoke(site, jti=ident(root))
            revoked.set()
            assert (await posting).json()["error"]["code"] == "auth.revoked"
        assert (await site.hub.snapshot(principal, "s1"))[1] == 1, "nothing was said"
        return
    await revoke(site, jti=ident(root))
    with pytest.raises(Refused) as refused:
        if what == "visit":
            site.edge.listener.connect(NullTransport(), principal)
        else:
            await LocalSubscription.open(site.edge.listener, principal, "s1", "tail", surface="sse")
    assert refused.value.code == "auth.revoked"
    assert not [conn for conn in site.hub.connections.values() if conn.principal == principal]


class NullTransport:
    def write(self, batch: Any) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def abort(self) -> None: ...


# --- bounds
async def test_a_lineage_is_bounded(site: Site) -> None:
    token = site.token("user:ann")
    for _ in range(limits.LINEAGE_TOKENS):
        token = await minted(site, token, "user:ann")
    async with site.http(token) as http:
        answer = await http.post("/v1/tokens", json={"sub": "user:ann", "caps": ALL})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "auth.denied")


async def test_a_token_that_nobody_would_take_is_not_minted(site: Site) -> None:
    caps = {f"{n:02}{'s' * 120}": ["read", "append"] for n in range(limits.CAPABILITIES)}
    async with site.http(site.token()) as ann:
        answer = await ann.post("/v1/tokens", json={"sub": "user:ann", "caps": caps})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "input.too_large")


async def test_what_is_minted_never_outlives_its_parent_whatever_the_clocks_say(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's clock does not follow a step of the wall clock: what is left is no length of time but a moment."""
    parent = site.token("user:ann", ttl_s=60)
    monkeypatch.setattr(site.hub.clock, "wall_ms", lambda: 0)
    child = await minted(site, parent, "user:ann", ttl_s=3_600)
    ends = [jwt.decode(token, options={"verify_signature": False})["exp"] for token in (parent, child)]
    assert ends[1] <= ends[0]


async def test_a_minted_token_has_the_labels_of_its_parent_and_others_only_from_who_administers(site: Site) -> None:
    parent = site.token("user:ann", labels={"team": "sales"})
    child = await minted(site, parent, "user:bob", labels={"workflow": "offers", "team": "sales"})
    assert jwt.decode(child, options={"verify_signature": False})["labels"] == {"team": "sales", "workflow": "offers"}
    reader = site.token("user:ann", capabilities={"*": ["read"]}, labels={"team": "sales"})
    for token, labels, wanted in (
        (parent, {"team": "legal"}, "auth.denied"), (reader, {"workflow": "offers"}, "auth.denied"),
        (parent, {"Team": "sales"}, "input.malformed"), (parent, {"team": ""}, "input.malformed"),
    ):  # fmt: skip
        async with site.http(token) as http:
            answer = await http.post("/v1/tokens", json={"sub": "user:ann", "caps": {"*": ["read"]}, "labels": labels})
        assert answer.json().get("error", {}).get("code") == wanted, labels
    async with site.http(reader) as http:
        body = {"sub": "user:ann", "caps": {"*": ["read"]}, "labels": {"team": "sales"}}
        assert (await http.post("/v1/tokens", json=body)).status_code == 201, "the same is not more"


@pytest.mark.parametrize(
    "lineage",
    [
        "t1", {"t1": "user:ann"}, [["t1"]], [["t1", "user:ann", 1]], [[1, "user:ann"]], [["t1", "ann"]], [["t 1", "user:ann"]],
        [["t1", "user:ann"]] * (limits.LINEAGE_TOKENS + 1), [None],
    ],
)  # fmt: skip
def test_a_lineage_that_makes_no_sense_is_no_token(lineage: Any) -> None:
    claims = {"sub": "user:ann", "tenant": "acme", "caps": {}, "jti": "t2", "lineage": lineage}
    with pytest.raises(Refused) as refused:
        auth.principal_of(claims, 1.0)
    assert refused.value.code == "auth.invalid"


def test_a_principal_inside_the_process_is_its_own_root() -> None:
    assert (Principal("user:ann", "acme", ()).root, Principal("user:ann", "acme", ()).lineage) == ("user:ann", ())


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


async def narrowed(site: Site, token: str, subject: str, labels: dict[str, str], **more: Any) -> httpx.Response:
    async with site.http(token) as http:
        body = {"sub": subject, "caps": {"*": ["read"]}, "labels": labels, **more}
        return await http.post("/v1/tokens", json=body)


async def test_when_somebody_signed_in_goes_on_with_their_tokens_and_their_agents_and_nobody_says_it_anew(
    site: Site,
) -> None:
    signed_in = str(int(time.time()) - 3_600)
    ann = site.token("user:ann", labels={"sign_in": signed_in})
    without = site.token("user:ann")
    for token, labels in ((ann, {"sign_in": str(int(time.time()))}), (without, {"sign_in": signed_in})):
        for subject in ("user:ann", "user:bob", "agent:writer"):
            refused = await narrowed(site, token, subject, labels)
            assert refused.json()["error"]["code"] == "auth.denied", (subject, labels)
            assert "login" in refused.text

    same = await narrowed(site, ann, "user:ann", {"sign_in": signed_in})
    assert same.status_code == 201, "the same is not newer"
    agent = await minted(site, ann, "agent:writer", caps={"*": ["read", "admin"]})
    assert claims_of(agent)["labels"] == {"sign_in": signed_in}
    back = await minted(site, agent, "user:ann", caps={"*": ["read"]})
    assert claims_of(back)["labels"] == {"sign_in": signed_in}, "what an agent mints for its person is as old"
    anew = await narrowed(site, agent, "user:ann", {"sign_in": str(int(time.time()))})
    assert anew.json()["error"]["code"] == "auth.denied"


async def test_nobody_signs_in_for_somebody_else(site: Site) -> None:
    signed_in = str(int(time.time()))
    ann = site.token("user:ann", labels={"sign_in": signed_in, "team": "sales"})
    for token in (ann, await minted(site, ann, "agent:writer", caps={"*": ["read", "admin"]})):
        bob = await minted(site, token, "user:bob", caps={"*": ["read", "admin"]})
        assert claims_of(bob)["labels"] == {"team": "sales"}
        said = await narrowed(site, token, "user:bob", {"sign_in": signed_in})
        assert said.json()["error"]["code"] == "auth.denied"
        again = await minted(site, bob, "user:ann", caps={"*": ["read"]})
        assert claims_of(again)["labels"] == {"team": "sales"}, "what was lost on the way stays lost"


async def test_a_sign_in_is_beside_the_bound_of_labels(site: Site) -> None:
    labels = {f"l{i}": "x" for i in range(limits.LABELS)} | {"sign_in": "1"}
    token = site.token("user:ann", labels=labels)
    assert claims_of(await minted(site, token, "user:ann"))["labels"] == labels
