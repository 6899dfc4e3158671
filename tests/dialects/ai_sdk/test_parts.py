"""Everything an agent may do, as the unmodified chats show it: tools, sources, data, sub-agents, approvals, failures."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.dialects.ai_sdk.agents import words
from tests.dialects.ai_sdk.conftest import Site
from tests.dialects.ai_sdk.test_chats import WIRES, every_wire, folded, spoken, whole

pytestmark = [pytest.mark.anyio, pytest.mark.process]


def parts(chat: dict[str, Any], type_: str) -> list[dict[str, Any]]:
    """The parts of the last message of a type."""
    return [part for part in chat["messages"][-1]["parts"] if part["type"] == type_]


@every_wire
async def test_every_kind_of_part(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="maker")
    shown = await chat.do("send", text="tides")
    assert shown["status"] == "ready", shown
    (reasoning,) = parts(shown, "reasoning")
    assert (reasoning["text"], reasoning["state"]) == ("Let me think.", "done")
    (lookup,) = parts(shown, "tool-lookup")
    assert (lookup["state"], lookup["input"], lookup["output"]) == (
        "output-available",
        {"q": "tides"},
        {"found": "tides"},
    )
    (broken,) = parts(shown, "tool-broken")
    assert (broken["state"], broken["errorText"]) == ("output-error", "ValueError: no such thing")
    assert [p["data"] for p in parts(shown, "data-step")] == [{"name": "search", "status": "complete"}]
    assert [p["data"] for p in parts(shown, "data-plan")] == [{"steps": ["one", "two"]}]
    assert [p["data"] for p in parts(shown, "data-state")] == [{"count": 1}]
    assert [p["url"] for p in parts(shown, "file")] == ["https://example.com/a.png"]
    (source,) = parts(shown, "source-url")
    assert (source["sourceId"], source["url"], source["title"]) == ("s1", "https://example.com/tides", "Tides")
    assert spoken(shown) == ["Six o'clock 😀."]
    custom = [part for part in shown["notes"]["data"] if part["type"] == "data-ping"]
    assert [part["data"] for part in custom] == [{"n": 1}] and not parts(shown, "data-ping")
    assert shown["notes"]["calls"] == []  # tools ran at the agent's: not the page's business
    about = shown["messages"][-1]["metadata"]["holdfast"]
    assert (about["agent"], about["status"], about["session"]) == ("maker", "completed", "c1")
    whole(shown)


@every_wire
async def test_the_history_route_gives_what_the_chat_shows(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="maker")
    await chat.do("send", text="tides")
    shown = await chat.do("send", text="and winds?")
    async with site.http() as http:
        messages = (await http.get(f"/v1/ai-sdk/{version}/maker/c1")).json()
    assert [m["id"] for m in messages] == [m["id"] for m in shown["messages"]]
    for given, seen in zip(messages, shown["messages"], strict=True):
        assert [bare(p) for p in given["parts"] if kept(p)] == [bare(p) for p in seen["parts"] if kept(p)]
    await chat.do("fresh", messages=messages)  # the SDK goes on from it
    again = await chat.do("send", text="and moons?")
    assert [m["role"] for m in again["messages"]] == ["user", "assistant"] * 3
    whole(again)


def kept(part: dict[str, Any]) -> bool:
    return part["type"] != "data-state"


def bare(part: dict[str, Any]) -> dict[str, Any]:
    return {
        k: v
        for k, v in part.items()
        if k in ("type", "text", "state", "input", "output", "errorText", "data", "url", "toolCallId")
    }


@every_wire
async def test_sub_agents_are_shown_under_their_own_names(site: Site, version: str, wire: str) -> None:
    chat, late = await site.chat(version, wire, agent="editor"), await site.chat(version, wire, agent="editor")
    sending = chat.begin("send", text="go")
    await chat.do("until", chars=200)
    joined = await late.do("resume")
    shown = await sending
    view = await site.ended()
    assert sorted(spoken(shown)) == sorted(spoken(joined)) == sorted(folded(view))
    for seen in (shown, joined):
        texts = {
            p["providerMetadata"]["holdfast"]["agent"]: p["text"]
            for p in parts(seen, "text")
            if "providerMetadata" in p
        }
        assert texts == {f"editor/{n}": "".join(f"{n}-{w}" for w in words(40)) for n in ("north", "south")}
        runs = [p["data"] for p in parts(seen, "data-run")]
        assert sorted((r["agent"], r["status"]) for r in runs) == [
            ("editor/north", "completed"),
            ("editor/south", "completed"),
        ]
        whole(seen)


@pytest.mark.parametrize("text", ["tide at six", "tide at six, wait"])
@pytest.mark.parametrize(("version", "wire"), WIRES[:3])
async def test_an_approval_is_answered_in_the_chat(site: Site, version: str, wire: str, text: str) -> None:
    chat = await site.chat(version, wire, agent="clerk")
    asked = await chat.do("send", text=text)
    assert asked["status"] == "ready"
    (part,) = parts(asked, "tool-send_mail")
    assert (part["state"], part["input"]) == ("approval-requested", {"to": "ann@example.com", "text": text})
    await chat.do("approve", approval=part["approval"]["id"], approved=True)
    await site.ended()
    shown = await chat.do("until", status="ready")
    (part,) = parts(shown, "tool-send_mail")
    assert (part["state"], part["output"]) == ("output-available", "Sent to ann@example.com")
    assert [m["role"] for m in shown["messages"]] == ["user", "assistant"]
    view = await site.log()
    assert spoken(shown) == folded(view) == ["I have a draft. ", "Sent to ann@example.com."]
    (approval,) = [item for item in view.items if item["kind"] == "approval"]
    assert (approval["status"], approval["by"]) == ("approved", "user:ann")
    whole(shown)


@pytest.mark.parametrize(("version", "wire"), WIRES[:3])
async def test_a_reloaded_chat_may_deny(site: Site, version: str, wire: str) -> None:
    await (await site.chat(version, wire, agent="clerk")).do("send", text="tide at six")
    other = await site.chat(version, wire, agent="clerk")
    asked = await other.do("resume")
    (part,) = parts(asked, "tool-send_mail")
    await other.do("approve", approval=part["approval"]["id"], approved=False, reason="wrong day")
    await site.ended()
    shown = await other.do("until", status="ready")
    assert [p["state"] for p in parts(shown, "tool-send_mail")] == ["output-denied"]
    assert spoken(shown) == ["I have a draft. ", "Not sent: wrong day."]
    whole(shown)


async def test_version_5_shows_approvals_as_data_and_answers_over_http(site: Site) -> None:
    chat = await site.chat("v5", "sse", agent="clerk")
    sending = chat.begin("send", text="tide at six")
    await chat.do("until", chars=10)
    async with site.http() as http:
        (waiting,) = (await chat.do("until", part="data-approval"))["messages"][-1]["parts"][-1:]
        approval = waiting["data"]
        body = {"decision": "approved", "hash": approval["hash"]}
        assert (await http.post(f"/v1/sessions/c1/approvals/{approval['id']}", json=body)).status_code == 200
    shown = await sending
    assert [p["data"]["status"] for p in parts(shown, "data-approval")] == ["approved"]
    assert spoken(shown) == ["I have a draft. ", "Sent to ann@example.com."]
    whole(shown)


@pytest.mark.parametrize(("version", "wire"), WIRES[:3])
async def test_only_the_first_decision_stands(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="clerk")
    asked = await chat.do("send", text="tide at six")
    (part,) = parts(asked, "tool-send_mail")
    async with site.http(site.token("user:bob")) as http:
        path = f"/v1/sessions/c1/approvals/{part['approval']['id']}"
        assert (await http.post(path, json={"decision": "denied", "note": "too late"})).status_code == 200
    await chat.do("approve", approval=part["approval"]["id"], approved=True)
    await site.ended()
    shown = await chat.do("until", status="ready")
    assert [p["state"] for p in parts(shown, "tool-send_mail")] == ["output-denied"]
    assert spoken(shown)[-1] == "Not sent: too late."


@every_wire
async def test_a_failed_run_is_an_error_with_nothing_left_open(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="failing")
    shown = await chat.do("send", text="go")
    assert (shown["status"], shown["error"]) == ("error", "failed: RuntimeError: out of ink")
    assert spoken(shown) == ["I try. "]
    whole(shown)
    async with site.http() as http:
        messages = (await http.get(f"/v1/ai-sdk/{version}/failing/c1")).json()
    assert messages[-1]["metadata"]["holdfast"]["status"] == "failed"


@every_wire
async def test_regenerate_and_edit_branch_the_conversation(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="echo")
    first = await chat.do("send", text="one")
    said, answered = (m["id"] for m in first["messages"])
    again = await chat.do("regenerate")
    assert again["messages"][-1]["id"] != answered
    named = await chat.do("regenerate", messageId=again["messages"][-1]["id"])
    assert [m["role"] for m in named["messages"]] == ["user", "assistant"]
    edited = await chat.do("send", text="two", messageId=said)
    assert spoken(edited) == ["You said: two"]
    assert spoken(await chat.do("regenerate")) == ["You said: two"]
    view = await site.ended(runs=5)
    inputs = [i for i in view.items if i["kind"] == "message" and i["role"] == "user"]
    assert [(i["text"], i.get("edits")) for i in inputs] == [("one", None), ("two", said)]
    assert [r["input"] for r in view.runs.values()] == [said] * 3 + [inputs[1]["id"]] * 2


@every_wire
async def test_a_message_that_never_arrived_is_sent_by_trying_again(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="echo")
    for number, text in enumerate(("one", "two"), 1):  # in a session that is not there yet, and in one that is
        before = (await chat.do("look"))["messages"]
        await chat.do(
            "fresh", messages=[*before, {"id": f"u{number}", "role": "user", "parts": [{"type": "text", "text": text}]}]
        )
        assert spoken(await chat.do("regenerate")) == [f"You said: {text}"]
    assert [i["id"] for i in (await site.log()).items if i.get("role") == "user"] == ["u1", "u2"]


@every_wire
async def test_files_become_blobs(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="echo")
    url = "data:image/png;base64," + base64.b64encode(b"not really a picture").decode()
    files = [{"type": "file", "mediaType": "image/png", "filename": "a.png", "url": url}]
    await chat.do("send", text="look", files=files)
    (attached,) = (await site.log()).items[0]["attachments"]
    assert (attached["name"], attached["mediaType"]) == ("a.png", "image/png")
    async with site.http() as http:
        blob = await http.get(f"/v1/sessions/c1/blobs/{attached['blob']}")
        assert (blob.content, blob.headers["content-type"]) == (b"not really a picture", "image/png")
        (file,) = [
            p for p in (await http.get(f"/v1/ai-sdk/{version}/echo/c1")).json()[0]["parts"] if p["type"] == "file"
        ]
    assert file["url"].endswith(attached["blob"])
    again = await chat.do("send", text="again", files=[file])
    assert again["status"] == "ready", again
    assert (await site.log()).items[2]["attachments"] == [attached]
