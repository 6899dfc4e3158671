"""The unmodified chats of ``ai`` 5, 6 and 7 against a real server: what they show is what the log holds."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.hub.hub import Hub
from holdfast.protocol.fold import View
from tests.dialects.ai_sdk.agents import Pace, serve, words
from tests.dialects.ai_sdk.conftest import Line, Site

pytestmark = [pytest.mark.anyio, pytest.mark.process]

WIRES = [("v7", "ws"), ("v7", "sse"), ("v6", "sse"), ("v5", "sse")]
every_wire = pytest.mark.parametrize(("version", "wire"), WIRES)
SETTLED = {"output-available", "output-error", "output-denied"}


def texts_of(chat: dict[str, Any]) -> list[str]:
    """The texts of the last message, in order."""
    return [part["text"] for part in chat["messages"][-1]["parts"] if part["type"] == "text"]


def folded(view: View) -> list[str]:
    """What the agents said, as the log has it."""
    return [item["text"] for item in view.visible() if item["kind"] == "message" and "run" in item]


def assert_complete(chat: dict[str, Any]) -> None:
    """Nothing of any message is left open, and no message is there twice."""
    idents = [message["id"] for message in chat["messages"]]
    assert len(idents) == len(set(idents))
    for part in (part for message in chat["messages"] for part in message["parts"]):
        assert part.get("state") in {None, "done", *SETTLED}, part


@every_wire
async def test_an_answer_is_what_the_log_holds(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire)
    shown = await chat.do("send", text="hello")
    assert (shown["status"], shown.get("error", None)) == ("ready", None)
    assert [m["role"] for m in shown["messages"]] == ["user", "assistant"]
    assert "".join(texts_of(shown)) == "".join(words())
    view = await site.ended()
    assert texts_of(shown) == folded(view)
    assert shown["messages"][0]["id"] == view.items[0]["id"]
    assert shown["messages"][1]["id"] in view.runs
    assert_complete(shown)
    again = await chat.do("send", text="and again")
    assert [m["role"] for m in again["messages"]] == ["user", "assistant"] * 2
    assert_complete(again)


@every_wire
async def test_a_cut_line_is_resumed_without_a_repeat(site: Site, version: str, wire: str, pace: Pace) -> None:
    chat = await site.chat(version, wire, through=site.line.port)
    pace.let(50)
    sending = chat.begin("send", text="hello")
    await chat.do("until", chars=200)
    assert site.line.cut()
    broken = await sending
    assert broken["status"] == "error"
    if version == "v5":  # it would go on with what it has: a chat of its own, with what is settled
        async with site.http() as http:
            messages = (await http.get(f"/v1/ai-sdk/{version}/writer/c1")).json()
        assert [m["role"] for m in messages] == ["user"]
        await chat.do("fresh", messages=messages)
    resuming = chat.begin("resume")
    await chat.do("until", status="streaming")
    pace.free()
    shown = await resuming
    view = await site.ended()
    assert shown["status"] == "ready"
    assert texts_of(shown) == folded(view) == ["".join(words())]
    assert next(iter(view.runs.values()))["status"] == "completed"
    assert_complete(shown)


@every_wire
async def test_a_reload_and_a_second_client_join_the_active_answer(
    site: Site, version: str, wire: str, pace: Pace
) -> None:
    first, second = await site.chat(version, wire), await site.chat(version, wire)
    pace.let(30)
    sending = first.begin("send", text="hello")
    await first.do("until", chars=100)
    joined = second.begin("resume")
    await second.do("until", chars=100)
    pace.let(60)
    await first.do("until", chars=300)
    await second.do("fresh")  # reloaded in the middle
    reloading = second.begin("resume")
    await second.do("until", chars=300)
    pace.free()
    reloaded = await reloading
    await joined
    shown = await sending
    view = await site.ended()
    assert texts_of(shown) == texts_of(reloaded) == folded(view)
    assert shown["messages"][-1]["id"] == reloaded["messages"][-1]["id"]
    assert_complete(reloaded)
    assert next(iter(view.runs.values()))["status"] == "completed"


@pytest.mark.parametrize(("version", "wire"), WIRES[:3])
async def test_a_line_that_breaks_again_and_again(site: Site, version: str, wire: str, pace: Pace) -> None:
    chat = await site.chat(version, wire, through=site.line.port)
    going = chat.begin("send", text="hello")
    for count in (20, 40, 60, 80):
        pace.let(count)
        await chat.do("until", chars=len("hello" + "".join(words(count))))
        assert site.line.cut()
        assert (await going)["status"] == "error"
        going = chat.begin("resume")
    await chat.do("until", status="streaming")
    pace.free()
    shown = await going
    assert texts_of(shown) == folded(await site.ended()) == ["".join(words())]
    assert_complete(shown)


async def test_an_answer_that_ended_meanwhile_is_told_to_version_7(site: Site, pace: Pace) -> None:
    for version, wire in WIRES[:3]:
        pace.let(50)
        chat = await site.chat(version, wire, chat=f"c-{version}-{wire}", through=site.line.port)
        sending = chat.begin("send", text="hello")
        await chat.do("until", chars=100)
        site.line.cut()
        broken = await sending
        pace.free()
        view = await site.ended(f"c-{version}-{wire}")
        shown = await chat.do("resume")
        assert texts_of(shown) == (folded(view) if version == "v7" else texts_of(broken))
        assert len(shown["messages"]) == 2


async def test_idle_chats_have_nothing_to_resume(site: Site) -> None:
    for version, wire in WIRES:
        chat = await site.chat(version, wire, chat="nobody")
        assert (await chat.do("resume"))["messages"] == []
    async with site.http() as http:
        assert (await http.get("/v1/ai-sdk/v6/writer/nobody/stream")).status_code == 204


async def test_stop_over_the_socket_cancels_the_run_and_a_closed_socket_does_not(site: Site, pace: Pace) -> None:
    pace.let(50)
    first, second = await site.chat(), await site.chat(through=site.line.port)
    sending = first.begin("send", text="long")
    await first.do("until", chars=100)
    joined = second.begin("resume")
    await second.do("until", chars=100)
    site.line.cut()
    assert (await joined)["status"] == "error"
    assert next(iter((await site.log()).runs.values()))["status"] == "running"
    again = second.begin("resume")
    await second.do("until", status="streaming")
    assert (await first.do("stop"))["status"] == "ready"
    await sending
    other = await again
    view = await site.ended()
    run = next(iter(view.runs.values()))
    assert (run["status"], run["cancel"]["by"]) == ("cancelled", "user:ann")
    assert other["status"] == "ready"
    assert texts_of(other) == folded(view)
    assert other["messages"][-1]["metadata"]["holdfast"]["status"] == "cancelled"
    assert_complete(other)


@pytest.mark.parametrize("version", ["v5", "v6", "v7"])
async def test_stop_over_http_is_a_request_of_its_own(site: Site, version: str, pace: Pace) -> None:
    pace.let(50)
    chat = await site.chat(version, "sse")
    sending = chat.begin("send", text="long")
    await chat.do("until", chars=100)
    other = await site.chat(version, "sse")
    joined = other.begin("resume")
    await other.do("until", chars=100)
    await other.do("stop")  # aborts the request: as a lost Wi-Fi does
    await joined
    assert next(iter((await site.log()).runs.values()))["status"] == "running"
    async with site.http() as http:
        answered = await http.delete(f"/v1/ai-sdk/{version}/writer/c1/stream")
    assert answered.json()["runs"]
    shown = await sending
    view = await site.ended()
    assert next(iter(view.runs.values()))["status"] == "cancelled"
    assert (shown["status"], texts_of(shown)) == ("ready", folded(view))
    assert_complete(shown)


async def test_a_resume_that_gives_way_to_another_stops_nothing(site: Site, pace: Pace) -> None:
    pace.let(50)
    first, second = await site.chat(), await site.chat()
    sending = first.begin("send", text="hello")
    await first.do("until", chars=50)
    given_up = second.begin("resume")
    await second.do("until", chars=50)
    resuming = second.begin("resume")  # the SDK aborts the one before
    await given_up
    pace.free()
    shown, _ = await asyncio.gather(resuming, sending)
    view = await site.ended()
    assert next(iter(view.runs.values()))["status"] == "completed"
    assert texts_of(shown) == folded(view)


@every_wire
async def test_a_person_takes_over(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="echo")
    await chat.do("send", text="hello")
    async with site.http(site.token("user:bob")) as http:
        assert (await http.post("/v1/sessions/c1/take", json={})).status_code == 200
        shown = await chat.do("send", text="anybody?")
        assert (shown["status"], [m["role"] for m in shown["messages"]]) == ("ready", ["user", "assistant", "user"])
        assert (await http.post("/v1/sessions/c1/messages", json={"text": "I am Bob."})).status_code == 201
        messages = (await http.get(f"/v1/ai-sdk/{version}/echo/c1")).json()
    assert [(m["role"], m["parts"][-1]["text"]) for m in messages[2:]] == [
        ("user", "anybody?"),
        ("assistant", "I am Bob."),
    ]


@pytest.mark.parametrize(("version", "wire"), [("v7", "ws"), ("v6", "sse")])
async def test_a_restart_of_the_server(tmp_path: Path, packages: None, version: str, wire: str, pace: Pace) -> None:
    db = str(tmp_path / "holdfast.db")
    pace.let(50)

    async def edge() -> Edge:
        hub = Hub(SqliteEngine(db))
        await hub.open()
        return Edge(hub, Settings(db=db, port=0, drain_s=1.0))

    async with contextlib.AsyncExitStack() as stack:
        line = await stack.enter_async_context(Line().running())
        first = await edge()
        async with running(first) as server:
            line.server_port = port_of(server)
            site = Site(first, line.port, line)
            await stack.enter_async_context(serve(site.url, site.token("agent:host", agents=["*"])))
            chat = await site.chat(version, wire)
            stack.push_async_callback(chat.end)
            sending = chat.begin("send", text="hello")
            await chat.do("until", chars=100)
        assert (await sending)["status"] == "error"
        async with running(await edge()) as server:
            line.server_port = port_of(server)
            resuming = chat.begin("resume")
            await chat.do("until", status="streaming")
            pace.free()
            shown = await resuming
            view = await site.log()
            assert texts_of(shown) == folded(view) == ["".join(words())]
            assert_complete(shown)


def texts(messages: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Each message's id, role and words."""
    return [
        (m["id"], m["role"], "".join(p.get("text", "") for p in m["parts"] if p["type"] == "text")) for m in messages
    ]


@every_wire
async def test_an_earlier_answer_given_anew_is_where_the_page_has_it(site: Site, version: str, wire: str) -> None:
    chat = await site.chat(version, wire, agent="reader")
    for words_ in ("one", "two", "three"):
        shown = await chat.do("send", text=words_)
    shown = await chat.do("regenerate", messageId=shown["messages"][3]["id"])
    assert [text for _, _, text in texts(shown["messages"])] == [
        "one",
        "user one",
        "two",
        "user one · assistant user one · user two",
    ]
    async with site.http() as http:
        kept = (await http.get(f"/v1/ai-sdk/{version}/reader/c1")).json()
        assert texts(kept) == texts(shown["messages"])
        shown = await chat.do("send", text="four")
        said = " · ".join(f"{role} {text}" for _, role, text in texts(shown["messages"][:-1]))
        assert texts(shown["messages"])[-1][2] == said, "the agent knows what the page shows"
        kept = (await http.get(f"/v1/ai-sdk/{version}/reader/c1")).json()
        assert texts(kept) == texts(shown["messages"])
