"""Joining at every position of a log full of everything: real clients hold exactly what the log's fold says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from ag_ui.core import Event as AnyEvent
from pydantic import TypeAdapter

import holdfast
from holdfast.edge.dialects.ag_ui.messages import MessageHistory
from holdfast.edge.dialects.ag_ui.routes import _encode
from holdfast.edge.dialects.ag_ui.stream import Stream
from holdfast.edge.dialects.ag_ui.versions import VERSIONS
from holdfast.engines.port import Key
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.session.access import full_access
from holdfast.session.run import LeaseExpired
from tests.dialects.ag_ui.conftest import HERE, Agents, Site

pytestmark = [pytest.mark.anyio, pytest.mark.process]
CHECK: TypeAdapter[Any] = TypeAdapter(AnyEvent)


async def odd(run: holdfast.RunContext) -> None:
    """Appends what a careless agent may: a client must not choke on it."""
    await run.emit("STATE_DELTA", {"delta": "nonsense"})
    await run.emit("STATE_DELTA", {"delta": [{"op": "remove", "path": "/not/there"}]})
    await run.emit("ACTIVITY_SNAPSHOT", {"messageId": f"{run.id}.a", "activityType": "LIST", "content": ["bare"]})
    await run.emit("ACTIVITY_DELTA", {"messageId": f"{run.id}.a", "activityType": "LIST", "patch": [{"op": "dance"}]})
    await run.emit("CUSTOM", {"unnamed": True})
    await run.emit("RAW", {})
    await run.emit("weather.changed", {"to": "rain"})
    await run.emit("TEXT_MESSAGE_START", {"messageId": f"{run.id}.x", "role": "pirate", "name": 7})
    await run.emit("TEXT_MESSAGE_CONTENT", {"messageId": f"{run.id}.x", "delta": ""})
    await run.emit("TEXT_MESSAGE_CONTENT", {"messageId": f"{run.id}.x", "delta": "Arr 🌊"})
    async with run.step("same"), run.step("same"), run.sub("mate") as child, child.step("same"):
        await child.emit(
            "TOOL_CALL_START", {"toolCallId": f"{run.id}.t", "toolCallName": "haul", "parentMessageId": "m?"}
        )
        await child.emit("TOOL_CALL_RESULT", {"toolCallId": f"{run.id}.t", "content": {"hauled": 3}})
        other = {"toolCallId": f"{run.id}.u", "toolCallName": "reef", "parentMessageId": f"{run.id}.x"}
        await child.emit("TOOL_CALL_START", other)
    shown = await run.activity("PLAN", {"steps": ["reef"]})
    await shown.set({"steps": ["reef", "haul"]})
    await run.emit("TOOL_CALL_START", {"toolCallId": f"{run.id}.v", "toolCallName": "left open"})


class Flaky:
    """An agent whose first attempt stops in the middle of everything; the second makes its tool call again."""

    def __init__(self) -> None:
        self.stuck = asyncio.Event()

    async def __call__(self, run: holdfast.RunContext) -> None:
        call = {"toolCallId": f"{run.input.message_id}.again"}
        async with run.message() as out, run.step("try"):
            await out.write(f"Attempt {run.attempt_number} 🌊 ")
            await run.emit("TOOL_CALL_START", {**call, "toolCallName": "pump"})
            await run.emit("TOOL_CALL_ARGS", {**call, "delta": '{"litres": "🌊'})
            await run.flush()
            if run.attempt_number == 1:
                self.stuck.set()
                await asyncio.Event().wait()
            await run.emit("TOOL_CALL_ARGS", {**call, "delta": '🌊"}'})
            await run.emit("TOOL_CALL_RESULT", {**call, "content": "dry"})
            await out.write("is done.")


async def everything(site: Site, agents: Agents) -> list[Event]:
    """A log with everything in it, as its frames were stored."""
    agents.gate.set()
    async with holdfast.connect(site.url, token=site.token("agent:odd", agents=["odd", "flaky"])) as hf:
        hf.agent("odd")(odd)
        flaky = Flaky()
        hf.agent("flaky")(flaky)
        serving = asyncio.create_task(hf.serve())
        async with holdfast.connect(site.url, token=site.token()) as person:
            session = await person.create("all")
            for agent in ("writer", "odd", "team", "failing"):
                run = await session.send(f"Go, {agent}!", agent=agent)
                await run.finished()
            run = await session.send("Pump!", agent="flaky")
            await flaky.stuck.wait()
            lost = LeaseExpired(session="all", run=run.id, generation=1, reason="lease")
            await site.hub.sessions.hot(Key("acme", "all")).submit(lost, "system:session")
            await run.finished()
            run = await session.send("Mail it.", agent="clerk")
            async with asyncio.timeout(20):
                while not (pending := [i for i in (await state(site))["items"] if i["kind"] == "approval"]):
                    await asyncio.sleep(0.02)
            await session.approve(pending[0]["id"])
            await run.finished()
            first = next(i for i in (await state(site))["items"] if i["kind"] == "message")
            again = await session.send("Go, writer, once more!", agent="writer", edits=first["id"])
            await again.finished()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    _, _, frames = await site.hub.read(full_access("acme", "user:ann"), "all", 0)
    return [event for frame in frames for event in msgspec.json.decode(frame, type=Frame).events]


class Frame(msgspec.Struct):
    events: list[Event] = []


async def state(site: Site) -> dict[str, Any]:
    _, _, view = await site.hub.snapshot(full_access("acme", "user:ann"), "all")
    return dict(msgspec.json.decode(view))


def view_at(events: list[Event], seq: int) -> View:
    view = View()
    view.apply_all([event for event in events if event.last <= seq])
    return View.load(msgspec.json.decode(msgspec.json.encode(view.export())))


def joined(events: list[Event], version: str, at: int, step: int) -> tuple[bytes, int]:
    """What a client that joins at a position is sent until its run ends, and where that is."""
    stream = Stream(VERSIONS[version], "t", "", None)
    sent = stream.snapshot(at, view_at(events, at), None)
    rest = [event for event in events if event.seq > at]
    while not (ending := stream.end_events()):
        if at % 2 and len(rest) > 4 and len(rest) % 5 == 0:  # a slow reader: what it missed comes as a snapshot
            later = rest[3].last
            sent += stream.snapshot(later, view_at(events, later), None)
            rest = rest[4:]
            continue
        if stream.stale:
            sent += stream.snapshot(stream.seq, view_at(events, stream.seq), None)
            continue
        if not rest:
            return _encode(sent), stream.seq
        sent += stream.events(rest[:step])
        rest = rest[step:]
    sent += ending
    if version == "1.0":
        for one in sent:
            CHECK.validate_python(msgspec.json.decode(msgspec.json.encode(one)))
    return _encode(sent), stream.seq


def tools_last(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tools = [message for message in messages if message["role"] == "tool"]
    return [m for m in messages if m["role"] != "tool"] + sorted(tools, key=lambda message: str(message["id"]))


def without_client_only(
    messages: list[dict[str, Any]], want: list[dict[str, Any]], version: str
) -> list[dict[str, Any]]:
    """Clients keep reasoning (before 1.0: activities too) that a snapshot without any leaves out; nothing can tell them."""
    client_only = {"reasoning"} if version == "1.0" else {"reasoning", "activity"}
    ids = {message["id"] for message in want}
    return [message for message in messages if message["role"] not in client_only or message["id"] in ids]


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("version", list(VERSIONS))
async def test_every_position(site: Site, agents: Agents, version: str) -> None:
    events = await everything(site, agents)
    assert len(events) > 100
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / "canned.mjs"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 26
    )
    cases = []
    for at in range(1, len(events) + 1):
        body, end = joined(events, version, at, 1 + at % 3)
        # and a client that was there at another time before: nothing of then stays twice
        before, _ = joined(events, version, max(1, at // 2), 2)
        cases.append((at, end, [before, body]))
    raw = b"".join(
        json.dumps({"version": version, "bodies": [b.decode() for b in bodies]}).encode() + b"\n"
        for *_, bodies in cases
    )
    told, _ = await asyncio.wait_for(process.communicate(raw), 120)
    for (at, end, _), line in zip(cases, told.splitlines(), strict=True):
        view = view_at(events, end)
        want = MessageHistory("t", view, subagents=VERSIONS[version].subagents).messages
        held = json.loads(line)[-1]
        assert held["error"] is None, (at, held)
        assert held["complaints"] == [], at
        messages = without_client_only(held["messages"], want, version)
        if at % 2:  # clients put what a snapshot has and they had not at the end, results of tools too
            messages, want = tools_last(messages), tools_last(want)
        assert messages == want, at
        assert held["state"] == view.state, at
