"""Tools of a page, called by an agent through unmodified AG-UI clients (CTL-6)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.protocol.browser_tools import CLAIM, RESULT
from tests.dialects.ag_ui.conftest import Agents, Node, Site, Start
from tests.dialects.ag_ui.holding import assert_same, view_of

pytestmark = [pytest.mark.anyio, pytest.mark.process]
VERSIONS = ["1.0", "0.0.59"]
TOOLS = [{"name": "pick_file", "description": "A file of the person's.", "parameters": {"type": "object"}}]
DECLARED = {"tools": TOOLS}


def pending_call(done: dict[str, Any]) -> str:
    """The one call that waits for the client."""
    answered = {m["toolCallId"] for m in done["messages"] if m["role"] == "tool"}
    calls = [call for m in done["messages"] for call in m.get("toolCalls") or [] if call["id"] not in answered]
    (call,) = calls
    assert call["function"]["name"] == "pick_file"
    return str(call["id"])


def answer(client: Node, call: str, content: str, **more: Any) -> None:
    message = {"id": f"result of {call}", "role": "tool", "toolCallId": call, "content": content, **more}
    client.do("add", message=message)
    client.do("run", parameters=DECLARED)


async def claims_of(site: Site, thread: str) -> list[tuple[str, str, str]]:
    """The asks in the log: tool, status, by whom decided."""
    items = (await view_of(site, thread))["items"]
    return [(i["tool"], i["status"], i.get("by", "")) for i in items if i["kind"] == "approval"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wait", [False, True])
async def test_a_declared_tool_is_left_to_the_client(
    site: Site, agents: Agents, node: Start, version: str, wait: bool
) -> None:
    client = await node("b1", version, agent="librarian")
    client.do("say", id="u1", text=json.dumps({"wait": wait}))
    client.do("run", parameters=DECLARED)
    outcome = await client.done()
    await assert_same(site, "b1", outcome, client)
    assert outcome["interrupts"] == []
    call = pending_call(outcome)
    assert client.events[-1]["type"] == "RUN_FINISHED"
    if version == "1.0":
        assert client.events[-1]["outcome"] == {"type": "success", "pendingToolCallIds": [call]}
    answer(client, call, json.dumps({"name": "tides.pdf"}))
    done = await client.done()
    await assert_same(site, "b1", done, client)
    assert done["messages"][-1]["content"] == 'Got {"name": "tides.pdf"}.'
    assert await claims_of(site, "b1") == [(CLAIM, "approved", "user:ann"), (RESULT, "approved", "user:ann")]
    assert [e for e in client.events if e["type"] == "CUSTOM"] == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_text_long_results_and_failures(site: Site, agents: Agents, node: Start, version: str) -> None:
    long = "tide 🌊 " * 100
    for number, (content, more, said) in enumerate(
        [
            ("no JSON", {}, 'Got "no JSON".'),
            (long, {}, f"Got {json.dumps(long)}."),
            ("", {"error": "no such file"}, "no such file"),
        ]
    ):
        client = await node(f"c{number}", version, agent="librarian")
        client.do("say", id="u1", text="{}")
        client.do("run", parameters=DECLARED)
        answer(client, pending_call(await client.done()), content, **more)
        assert said in (await client.done())["messages"][-1]["content"]


async def test_a_client_without_the_tool_reads_on_and_one_that_is_late_too(
    site: Site, agents: Agents, node: Start
) -> None:
    other, first, late = [await node("b2", agent="librarian") for _ in range(3)]
    other.do("say", id="u1", text="{}")
    other.do("run")
    await other.until_event("TOOL_CALL_END")
    for client in (first, late):
        client.do("connect", parameters=DECLARED)
    call = pending_call(await first.done())
    assert pending_call(await late.done()) == call
    answer(first, call, "1")
    answer(late, call, "2")
    for client in (other, first, late):
        done = await client.done()
        await assert_same(site, "b2", done, client)
        assert done["messages"][-1]["content"] in ("Got 1.", "Got 2.")
        assert done["interrupts"] == []
    assert len(await claims_of(site, "b2")) == 2


async def test_a_call_for_somebody_else_is_not_for_this_client(site: Site, agents: Agents, node: Start) -> None:
    ann, bob = await node("b3", agent="librarian"), await node("b3", agent="librarian", subject="user:bob")
    ann.do("say", id="u1", text=json.dumps({"person": "user:bob"}))
    ann.do("run", parameters=DECLARED)
    await ann.until_event("TOOL_CALL_END")
    bob.do("connect", parameters=DECLARED)
    call = pending_call(await bob.done())
    forger = await node("b3", agent="librarian")
    forger.do("connect", parameters=DECLARED)
    await forger.until_event("MESSAGES_SNAPSHOT")
    forger.do("abort")
    await forger.done()
    answer(forger, call, '"forged"')
    answer(bob, call, '"true"')
    for client in (ann, bob, forger):
        assert (await client.done())["messages"][-1]["content"] == 'Got "true".'
    assert {by for _, _, by in await claims_of(site, "b3")} == {"user:bob"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_sub_agent_calls(site: Site, agents: Agents, node: Start, version: str) -> None:
    client = await node("b4", version, agent="chief")
    client.do("say", id="u1", text="go")
    client.do("run", parameters=DECLARED)
    answer(client, pending_call(await client.done()), "7")
    done = await client.done()
    await assert_same(site, "b4", done, client)
    assert done["messages"][-1]["content"] == "Got 7."
