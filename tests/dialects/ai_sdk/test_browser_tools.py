"""Tools of a page, called by an agent through the unmodified chats of ``ai`` 5, 6 and 7 (CTL-6)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.protocol.browser_tools import CLAIM, RESULT
from tests.dialects.ai_sdk.conftest import SdkChat, Site
from tests.dialects.ai_sdk.test_chats import assert_complete, every_wire, texts_of

pytestmark = [pytest.mark.anyio, pytest.mark.process]
PICK = {"name": "pick_file", "args": {"accept": ".pdf"}}


def call(**more: Any) -> str:
    """What makes the librarian call ``pick_file``."""
    return json.dumps([{**PICK, **more}])


async def page(site: Site, version: str, wire: str, *, tools: dict[str, Any] | None = None, **more: Any) -> SdkChat:
    chat = await site.chat(version, wire, agent="librarian", **more)
    await chat.do("tools", tools={"pick_file": {"output": {"name": "tides.pdf"}}} if tools is None else tools)
    return chat


def tool_part(shown: dict[str, Any]) -> dict[str, Any]:
    (part,) = [p for p in shown["messages"][-1]["parts"] if p["type"].startswith("tool-")]
    return dict(part)


async def claims_of(site: Site) -> list[tuple[str, str, str]]:
    """The asks in the log: tool, status, by whom decided."""
    items = (await site.log()).items
    return [(i["tool"], i["status"], i.get("by", "")) for i in items if i["kind"] == "approval"]


@every_wire
@pytest.mark.parametrize("wait", [False, True])
async def test_the_page_runs_the_tool_and_the_answer_goes_on(site: Site, version: str, wire: str, wait: bool) -> None:
    chat = await page(site, version, wire)
    await chat.do("send", text=call(wait=wait))
    shown = await chat.do("until", said="Got")
    assert shown["notes"]["errors"] == []
    assert texts_of(shown) == ["I ask you. ", 'Got [{"name": "tides.pdf"}].']
    part = tool_part(shown)
    assert (part["type"], part["state"], part["input"]) == ("tool-pick_file", "output-available", {"accept": ".pdf"})
    assert part["output"] == {"name": "tides.pdf"}
    assert shown["notes"]["calls"] == ["pick_file"]
    assert [m["role"] for m in shown["messages"]] == ["user", "assistant"]
    assert_complete(shown)
    assert await claims_of(site) == [(CLAIM, "approved", "user:ann"), (RESULT, "approved", "user:ann")]
    await site.ended()
    async with site.http() as http:
        history = (await http.get(f"/v1/ai-sdk/{version}/librarian/c1")).json()
    assert [p["type"] for p in history[-1]["parts"]] == [p["type"] for p in shown["messages"][-1]["parts"]]


@every_wire
async def test_a_tool_that_fails_in_the_page(site: Site, version: str, wire: str) -> None:
    chat = await page(site, version, wire, tools={"pick_file": {"error": "no such file"}})
    await chat.do("send", text=call())
    shown = await chat.do("until", said="Got")
    assert "no such file" in texts_of(shown)[-1]
    assert tool_part(shown)["state"] == "output-error"
    assert await claims_of(site) == [(CLAIM, "approved", "user:ann"), (RESULT, "denied", "user:ann")]


@pytest.mark.parametrize(("version", "wire"), [("v7", "ws"), ("v5", "sse")])
async def test_a_long_result_travels_as_a_blob(site: Site, version: str, wire: str) -> None:
    text = "tide 🌊 " * 200
    chat = await page(site, version, wire, tools={"pick_file": {"output": text}})
    await chat.do("send", text=call())
    shown = await chat.do("until", said="Got")
    assert texts_of(shown)[-1] == f"Got {json.dumps([text])}."


@every_wire
async def test_several_calls_at_once(site: Site, version: str, wire: str) -> None:
    calls = [{"name": "pick_file", "args": {"n": n}, "call_id": f"c{n}"} for n in range(3)]
    chat = await page(site, version, wire)
    await chat.do("send", text=json.dumps(calls))
    shown = await chat.do("until", said="Got")
    assert texts_of(shown)[-1] == "Got " + json.dumps([{"name": "tides.pdf"}] * 3) + "."
    assert shown["notes"]["errors"] == []
    assert_complete(shown)


@every_wire
async def test_who_comes_late_reads_on(site: Site, version: str, wire: str) -> None:
    """Two pages are told of the call. Both run it; the first answer counts, and both show it."""
    first = await page(site, version, wire, tools={})
    second = await page(site, version, wire, tools={})
    waiting = await first.do("send", text=call())
    assert (waiting["status"], tool_part(waiting)["state"]) == ("ready", "input-available")
    joined = await second.do("resume")
    ident = tool_part(joined)["toolCallId"]
    assert joined["notes"]["calls"] == ["pick_file"]
    await first.do("output", tool="pick_file", call=ident, output="first")
    assert texts_of(await first.do("until", said="Got"))[-1] == 'Got ["first"].'
    await second.do("output", tool="pick_file", call=ident, output="second")
    late = await second.do("until", said="Got")
    assert texts_of(late)[-1] == 'Got ["first"].'
    assert tool_part(late)["output"] == "first"
    assert late["notes"]["errors"] == []
    assert len(await claims_of(site)) == 2


@every_wire
async def test_a_call_for_somebody_else_is_not_for_this_page(site: Site, version: str, wire: str) -> None:
    ann, bob = await page(site, version, wire), await page(site, version, wire, token=site.token("user:bob"))
    sending = ann.begin("send", text=call(person="user:bob"))
    await ann.do("until", part="tool-pick_file")
    shown = await bob.do("resume")
    assert 'Got [{"name": "tides.pdf"}].' in texts_of(await bob.do("until", said="Got"))
    assert shown["notes"]["calls"] == ["pick_file"]
    read = await sending  # one stream: it never waited for ann
    assert texts_of(read)[-1] == 'Got [{"name": "tides.pdf"}].'
    assert read["notes"]["calls"] == []
    assert tool_part(read)["providerExecuted"] is True
    assert {by for _, _, by in await claims_of(site)} == {"user:bob"}


@pytest.mark.parametrize(("version", "wire"), [("v7", "ws"), ("v7", "sse"), ("v5", "sse")])
async def test_a_page_that_says_it_has_other_tools_reads_on(site: Site, version: str, wire: str) -> None:
    other, has = (
        await site.chat(version, wire, agent="librarian", tools="selection"),
        await site.chat(version, wire, agent="librarian", tools="pick_file"),
    )
    await other.do("tools", tools={})
    sending = other.begin("send", text=call())
    await other.do("until", part="tool-pick_file")
    await has.do("tools", tools={"pick_file": {"output": 7}})
    await has.do("resume")
    await has.do("until", said="Got [7]")
    shown = await sending
    assert texts_of(shown)[-1] == "Got [7]."
    assert shown["notes"]["calls"] == []


async def test_an_answer_is_delivered_though_its_page_is_gone(site: Site) -> None:
    """The page came back with the output and was closed at once, while the agent had no worker."""
    chat = await page(site, "v7", "sse", tools={})
    waiting = await chat.do("send", text=call(wait=True))
    async with site.http() as http:
        messages = waiting["messages"]
        part = next(p for p in messages[-1]["parts"] if p["type"] == "tool-pick_file")
        part |= {"state": "output-available", "output": "there"}
        async with http.stream("POST", "/v1/ai-sdk/v7/librarian", json={"id": "c1", "messages": messages}) as answer:
            assert answer.status_code == 200
    view = await site.ended()
    assert [i["text"] for i in view.items if i["kind"] == "message"][-1] == 'Got ["there"].'


async def test_without_the_right_to_approve_nothing_is_taken(site: Site) -> None:
    token = site.token("user:eve", capabilities={"*": ["read", "append"]})
    chat = await page(site, "v7", "sse", token=token)
    await chat.do("send", text=call())
    shown = await chat.do("until", status="error")
    assert "auth.denied" in shown["error"]
    assert await claims_of(site) == [(CLAIM, "pending", "")]
    async with site.http(token) as http:  # and it is no approval that waits for a person
        (row,) = (await http.get("/v1/sessions")).json()["sessions"]
    assert "approvals" not in row.get("card", {})


@pytest.mark.parametrize(("version", "wire"), [("v7", "ws"), ("v7", "sse"), ("v6", "sse")])
async def test_a_tool_of_the_page_and_then_an_approval(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="notary")
    await chat.do("tools", tools={"pick_file": {"output": "tides.pdf"}})
    await chat.do("send", text="sign it")
    shown = await chat.do("until", part="tool-sign")
    approval = next(p["approval"]["id"] for p in shown["messages"][-1]["parts"] if "approval" in p)
    await chat.do("until", status="ready")
    await chat.do("approve", approval=approval, approved=True)
    shown = await chat.do("until", said="Got")
    assert texts_of(shown) == ["Got signed tides.pdf."]
    states = {p["type"]: p["state"] for p in shown["messages"][-1]["parts"] if p["type"].startswith("tool-")}
    assert states == {"tool-pick_file": "output-available", "tool-sign": "output-available"}
    assert shown["notes"]["errors"] == []
    assert_complete(shown)
