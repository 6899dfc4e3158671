"""Everything an agent may do, as the unmodified chats show it: tools, sources, data, sub-agents, approvals, failures."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from tests.dialects.ai_sdk import agents
from tests.dialects.ai_sdk.agents import words
from tests.dialects.ai_sdk.conftest import Site
from tests.dialects.ai_sdk.test_chats import WIRES, assert_complete, every_wire, folded, texts_of

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
    assert texts_of(shown) == ["Six o'clock 😀."]
    custom = [part for part in shown["notes"]["data"] if part["type"] == "data-ping"]
    assert [part["data"] for part in custom] == [{"n": 1}] and not parts(shown, "data-ping")
    assert shown["notes"]["calls"] == []  # tools ran at the agent's: not the page's business
    about = shown["messages"][-1]["metadata"]["holdfast"]
    assert (about["agent"], about["status"], about["session"]) == ("maker", "completed", "c1")
    assert_complete(shown)


@every_wire
async def test_the_history_route_gives_what_the_chat_shows(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="maker")
    await chat.do("send", text="tides")
    shown = await chat.do("send", text="and winds?")
    async with site.http() as http:
        messages = (await http.get(f"/v1/ai-sdk/{version}/maker/c1")).json()
    assert [m["id"] for m in messages] == [m["id"] for m in shown["messages"]]
    for given, seen in zip(messages, shown["messages"], strict=True):
        assert [bare(p) for p in given["parts"]] == [bare(p) for p in seen["parts"]]
    await chat.do("fresh", messages=messages)  # the SDK goes on from it
    again = await chat.do("send", text="and moons?")
    assert [m["role"] for m in again["messages"]] == ["user", "assistant"] * 3
    assert_complete(again)


@every_wire
async def test_the_shared_state_stands_where_each_answer_showed_it(site: Site, version: str, wire: str) -> None:
    """Not at all before there was one, then where it came, then first; and each answer keeps what it became there."""
    chat = await site.chat(version, wire, agent="counter")
    for text in ("none", "set 1", "keep", "set 2", "none"):
        shown = await chat.do("send", text=text)
    parts = [
        [bare(p) for p in m["parts"] if p["type"] != "step-start"]
        for m in shown["messages"]
        if m["role"] == "assistant"
    ]
    states = [[(number, p["data"]) for number, p in enumerate(ps) if p["type"] == "data-state"] for ps in parts]
    assert states == [[], [(1, {"n": "1"})], [(0, {"n": "1"})], [(0, {"n": "2"})], [(0, {"n": "2"})]]
    async with site.http() as http:
        messages = (await http.get(f"/v1/ai-sdk/{version}/counter/c1")).json()
    again = [[bare(p) for p in m["parts"] if p["type"] != "step-start"] for m in messages if m["role"] == "assistant"]
    assert again == parts


async def test_a_resumed_answer_shows_the_state_where_it_came(site: Site) -> None:
    chat = await site.chat("v7", "sse", agent="counter")
    going = chat.begin("send", text="hold 1")
    await chat.do("until", part="data-state")
    other = await site.chat("v7", "sse", agent="counter")
    joining = other.begin("resume")
    await other.do("until", part="data-state")
    async with site.http() as http:
        run = next(iter((await site.log()).runs))
        assert (await http.post(f"/v1/sessions/c1/runs/{run}/steer", json={"text": "go"})).status_code == 201
    shown, joined = await going, await joining
    kinds = [[p["type"] for p in chat_["messages"][-1]["parts"]] for chat_ in (shown, joined)]
    assert kinds[0] == kinds[1] and "data-state" in kinds[0][2:]


@every_wire
async def test_a_persons_message_comes_back_as_it_was_sent(site: Site, version: str, wire: str) -> None:
    """Its metadata, its own data parts, and the order of all its parts."""
    chat = await site.chat(version, wire, agent="echo")
    picture = {"type": "file", "mediaType": "text/plain", "filename": "a.txt", "url": "data:text/plain;base64,aGk="}
    message = {
        "metadata": {"channel": "web", "n": [1, None]},
        "parts": [
            {"type": "data-place", "id": "p1", "data": {"x": 1}}, {"type": "text", "text": "one"}, picture,
            {"type": "text", "text": "two"}, {"type": "data-place", "id": "p2", "data": [2]},
        ],
    }  # fmt: skip
    shown = await chat.do("say", message=message)
    assert shown["messages"][-1]["parts"][-1]["text"] == "You said: one\n\ntwo"
    async with site.http() as http:
        (kept, _) = (await http.get(f"/v1/ai-sdk/{version}/echo/c1")).json()
        assert kept["metadata"] == {**message["metadata"], "holdfast": kept["metadata"]["holdfast"]}
        sent = shown["messages"][0]["parts"]
        assert [p for p in kept["parts"] if p["type"] != "file"] == [p for p in sent if p["type"] != "file"]
        assert [p["type"] for p in kept["parts"]] == [p["type"] for p in sent]
        (file,) = [p for p in kept["parts"] if p["type"] == "file"]
        assert (await http.get(file["url"])).content == b"hi"
        await chat.do("fresh", messages=[kept])
        only = {"parts": [{"type": "data-place", "data": 3}], "metadata": "plain"}
        await chat.do("say", message=only)
        last = (await http.get(f"/v1/ai-sdk/{version}/echo/c1")).json()[-2]
        assert (last["metadata"], last["parts"]) == ("plain", only["parts"])


@every_wire
async def test_a_file_that_is_not_there_is_refused(site: Site, version: str, wire: str) -> None:
    """Also in a chat that nobody has written to yet; and nothing is written."""
    chat = await site.chat(version, wire, agent="echo")
    missing = {"type": "file", "mediaType": "image/png", "url": f"/v1/sessions/c1/blobs/{'0' * 64}"}
    for _ in range(2):
        shown = await chat.do("send", text="look", files=[missing])
        assert shown["error"].startswith("blob.not_found"), shown["error"]
        async with site.http() as http:
            found = await http.get("/v1/ai-sdk/v7/echo/c1")
            assert found.status_code == 404 or found.json() == []
            await http.post("/v1/sessions", json={"session": "c1"})


def bare(part: dict[str, Any]) -> dict[str, Any]:
    return {
        k: v
        for k, v in part.items()
        if k in ("type", "text", "state", "input", "output", "errorText", "data", "url", "toolCallId")
    }


@every_wire
async def test_sub_agents_are_shown_under_their_own_names(
    site: Site, version: str, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "goes_on", goes_on := asyncio.Event())
    chat, late = await site.chat(version, wire, agent="editor"), await site.chat(version, wire, agent="editor")
    sending = chat.begin("send", text="go")
    await chat.do("until", chars=200)
    joining = late.begin("resume")
    await late.do("until", chars=200)
    goes_on.set()
    joined, shown = await joining, await sending
    view = await site.ended()
    assert sorted(texts_of(shown)) == sorted(texts_of(joined)) == sorted(folded(view))
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
        assert_complete(seen)


@pytest.mark.parametrize("text", ["tide at six", "tide at six, wait"])
@pytest.mark.parametrize(("version", "wire"), WIRES[:3])
async def test_an_approval_is_answered_in_the_chat(site: Site, version: str, wire: str, text: str) -> None:
    chat = await site.chat(version, wire, agent="clerk")
    pending = await chat.do("send", text=text)
    assert pending["status"] == "ready"
    (part,) = parts(pending, "tool-send_mail")
    assert (part["state"], part["input"]) == ("approval-requested", {"to": "ann@example.com", "text": text})
    await chat.do("approve", approval=part["approval"]["id"], approved=True)
    await site.ended()
    shown = await chat.do("until", status="ready")
    (part,) = parts(shown, "tool-send_mail")
    assert (part["state"], part["output"]) == ("output-available", "Sent to ann@example.com")
    assert [m["role"] for m in shown["messages"]] == ["user", "assistant"]
    view = await site.log()
    assert texts_of(shown) == folded(view) == ["I have a draft. ", "Sent to ann@example.com."]
    (approval,) = [item for item in view.items if item["kind"] == "approval"]
    assert (approval["status"], approval["by"]) == ("approved", "user:ann")
    assert_complete(shown)


@pytest.mark.parametrize(("version", "wire"), WIRES[:3])
async def test_a_reloaded_chat_may_deny(site: Site, version: str, wire: str) -> None:
    await (await site.chat(version, wire, agent="clerk")).do("send", text="tide at six")
    other = await site.chat(version, wire, agent="clerk")
    pending = await other.do("resume")
    (part,) = parts(pending, "tool-send_mail")
    await other.do("approve", approval=part["approval"]["id"], approved=False, reason="wrong day")
    await site.ended()
    shown = await other.do("until", status="ready")
    assert [p["state"] for p in parts(shown, "tool-send_mail")] == ["output-denied"]
    assert texts_of(shown) == ["I have a draft. ", "Not sent: wrong day."]
    assert_complete(shown)


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
    assert texts_of(shown) == ["I have a draft. ", "Sent to ann@example.com."]
    assert_complete(shown)


@pytest.mark.parametrize(("version", "wire"), WIRES[:3])
async def test_only_the_first_decision_stands(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="clerk")
    pending = await chat.do("send", text="tide at six")
    (part,) = parts(pending, "tool-send_mail")
    async with site.http(site.token("user:bob")) as http:
        path = f"/v1/sessions/c1/approvals/{part['approval']['id']}"
        assert (await http.post(path, json={"decision": "denied", "note": "too late"})).status_code == 200
    await chat.do("approve", approval=part["approval"]["id"], approved=True)
    await site.ended()
    shown = await chat.do("until", status="ready")
    assert [p["state"] for p in parts(shown, "tool-send_mail")] == ["output-denied"]
    assert texts_of(shown)[-1] == "Not sent: too late."


@every_wire
async def test_a_failed_run_is_an_error_with_nothing_left_open(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="failing")
    shown = await chat.do("send", text="go")
    assert (shown["status"], shown["error"]) == ("error", "failed: RuntimeError: out of ink")
    assert texts_of(shown) == ["I try. "]
    assert_complete(shown)
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
    assert texts_of(edited) == ["You said: two"]
    assert texts_of(await chat.do("regenerate")) == ["You said: two"]
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
        assert texts_of(await chat.do("regenerate")) == [f"You said: {text}"]
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
