"""Approvals: no agent decides, under no name and on no surface; the person whose message led to it may (CTL-6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httpx
import pytest

import holdfast
from holdfast.client import messages
from holdfast.client.client import Client
from holdfast.errors import HoldfastError
from holdfast.protocol import wire
from holdfast.session.access import SESSION_VERBS

from .conftest import Site
from .test_hostile_input import Raw

pytestmark = pytest.mark.anyio

SDK, AG_UI = "/v1/ai-sdk/v7/w", "/v1/ag-ui/agent/w/run"
ALL = {"*": sorted(SESSION_VERBS)}


class PendingApproval(NamedTuple):
    """An approval that waits: of which run and response."""

    run: str
    response: str


def assignments(worker: Client) -> asyncio.Queue[messages.Assignment]:
    """What the worker is assigned from now on."""
    assigned: asyncio.Queue[messages.Assignment] = asyncio.Queue()
    worker.connection.on_message(messages.Assignment, lambda message, size: assigned.put_nowait(message))
    return assigned


async def ask_for_approval(
    site: Site, worker: Client, tool: str = "mail", args: dict[str, Any] | None = None
) -> PendingApproval:
    """Ann says something; the agent that answers asks for approval ``a1`` and waits."""
    assigned = assignments(worker)
    await worker.connection.request(wire.Serve(agents=["w"]))
    async with site.http(site.token()) as ann:
        body = {"model": "w", "input": "mail it", "conversation": "s1", "background": True}
        response = (await ann.post("/v1/responses", json=body)).json()["id"]
    given = await asyncio.wait_for(assigned.get(), 10)
    ask = {"session": "s1", "run": given.run, "generation": given.generation, "approval": "a1"}
    await worker.connection.request(wire.Ask(**ask, tool=tool, args=args or {"to": "x"}, wait=True))
    return PendingApproval(given.run, response)


async def state(site: Site) -> dict[str, Any]:
    async with site.http(site.token()) as ann:
        view = (await ann.get("/v1/sessions/s1")).json()["view"]
    return next(item for item in view["items"] if item["kind"] == "approval")


# --- every way to decide: answers "ok" or what was said instead
async def over_socket(site: Site, token: str, about: PendingApproval) -> str:
    async with Client(site.url, token) as hf:
        try:
            await hf.connection.request(wire.Resolve(session="s1", approval="a1", decision="approved"))
        except HoldfastError as error:
            return error.code
    return "ok"


async def in_python(site: Site, token: str, about: PendingApproval) -> str:
    async with holdfast.connect(site.url, token=token) as hf:
        try:
            await hf.session("s1").approve("a1")
        except HoldfastError as error:
            return error.code
    return "ok"


def over_http(
    path: str, body: Callable[[PendingApproval], Any]
) -> Callable[[Site, str, PendingApproval], Awaitable[str]]:
    async def decide(site: Site, token: str, about: PendingApproval) -> str:
        async with site.http(token) as http, http.stream("POST", path, json=body(about)) as response:
            return "ok" if response.status_code < 300 else await read_text(response)

    return decide


async def read_text(response: httpx.Response) -> str:
    return (await response.aread()).decode()


async def over_sdk_socket(site: Site, token: str, about: PendingApproval) -> str:
    raw = await Raw.open(site, path=SDK)
    raw.say({"type": "send", "requestId": "q", "headers": {"authorization": f"Bearer {token}"}, **sdk(about)})
    while True:
        kind, payload = await raw.hear()
        if kind == 1:
            frame = json.loads(payload)
            return str(frame["errorText"]) if frame["type"] == "error" else "ok"


def sdk(about: PendingApproval) -> dict[str, Any]:
    part = {
        "type": "tool-mail", "toolCallId": "a1", "state": "approval-responded", "approval": {"id": "a1", "approved": True},
    }  # fmt: skip
    return {
        "id": "s1",
        "messages": [{"id": about.run, "role": "assistant", "parts": [part]}],
        "trigger": "submit-message",
    }


def ag_ui(about: PendingApproval) -> dict[str, Any]:
    answer = {"interruptId": "a1", "status": "resolved", "payload": {"approved": True}}
    return {"threadId": "s1", "runId": "c1", "messages": [], "tools": [], "context": [], "state": None, "forwardedProps": {}, "resume": [answer]}  # fmt: skip


def responses(about: PendingApproval) -> dict[str, Any]:
    answer = {"type": "mcp_approval_response", "approval_request_id": "a1", "approve": True}
    return {"model": "w", "input": [answer], "previous_response_id": about.response, "background": True}


WAYS: dict[str, Callable[[Site, str, PendingApproval], Awaitable[str]]] = {
    "websocket": over_socket,
    "python": in_python,
    "rest": over_http("/v1/sessions/s1/approvals/a1", lambda about: {"decision": "approved"}),
    "ai-sdk": over_http(SDK, sdk),
    "ai-sdk socket": over_sdk_socket,
    "ag-ui": over_http(AG_UI, ag_ui),
    "responses": over_http("/v1/responses", responses),
}


async def impostors(site: Site) -> dict[str, str]:
    """Tokens of agents, and of names that agents minted, each with every verb."""

    async def minted(parent: str, sub: str) -> str:
        async with site.http(parent) as http:
            answer = await http.post("/v1/tokens", json={"sub": sub, "caps": ALL})
            assert answer.status_code == 201, answer.text
            return str(answer.json()["token"])

    asker = site.token("agent:w", agents=["w"])
    person = await minted(asker, "user:ann")
    return {
        "the asker": asker, "a sub-agent": site.token("agent:w/helper"), "another agent": site.token("agent:boss"),
        "a person the asker minted": person, "a person that person minted": await minted(person, "user:bob"),
        "a person another agent minted": await minted(site.token("agent:boss"), "user:ann"),
    }  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
async def test_no_agent_decides_under_any_name(site: Site, way: str) -> None:
    async with Client(site.url, site.token("agent:w", agents=["w"])) as worker:
        about = await ask_for_approval(site, worker)
        for name, token in (await impostors(site)).items():
            said = await WAYS[way](site, token, about)
            assert "approval.self" in said, (name, said)
            assert (await state(site))["status"] == "pending", name
        assert await WAYS[way](site, site.token(), about) == "ok"
        shown = await state(site)
    assert (shown["status"], shown["actor"], shown["requester"], shown["by"]) == (
        "approved", "agent:w", "user:ann", "user:ann",
    )  # fmt: skip


@pytest.mark.parametrize("loose", [{"self_approve": True}, {"default": "approved"}])
async def test_no_asker_loosens_the_rule(site: Site, loose: dict[str, Any]) -> None:
    async with Client(site.url, site.token("agent:w", agents=["w"])) as worker:
        await ask_for_approval(site, worker)
        assigned = assignments(worker)
        async with site.http(site.token()) as ann:
            await ann.post("/v1/sessions/s1/approvals/a1", json={"decision": "denied"})
        again = await asyncio.wait_for(assigned.get(), 10)
        ask = {"session": "s1", "run": again.run, "generation": again.generation, "approval": "a2"}
        with pytest.raises(HoldfastError) as refused:
            await worker.connection.request(wire.Ask(**ask, tool="mail", args={}, **loose))
        assert refused.value.code == "approval.rule" and "policy" in refused.value.fix.lower()
        await worker.connection.request(wire.Ask(**ask, tool="mail", args={}))


async def test_a_page_still_takes_and_answers_calls_to_its_tools(site: Site) -> None:
    """They are approvals underneath: a person's page answers them as any other, and an agent does not."""
    args = {"toolCallId": "c1", "name": "where", "args": {}, "try": 1}
    async with Client(site.url, site.token("agent:w", agents=["w"])) as worker:
        about = await ask_for_approval(site, worker, "browser.claim", args)
        assert await over_socket(site, site.token("agent:boss"), about) == "approval.self"
        assert await over_socket(site, site.token(), about) == "ok"
