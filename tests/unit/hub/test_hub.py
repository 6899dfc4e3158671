"""The hub end to end, without sockets: read, run, control."""

from __future__ import annotations

import pytest

from holdfast.errors import Refused
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.protocol import wire
from holdfast.protocol.events import Draft, Event
from holdfast.protocol.fold import View

from .conftest import Pipe, agent, user

pytestmark = pytest.mark.anyio
S = {"session": "s1"}


async def create(hub: Hub) -> Pipe:
    ann = Pipe(hub, user())
    assert (await ann.ask(wire.Create(**S, agent="writer")))["op"] == "ok"
    return ann


async def running(hub: Hub, ann: Pipe, text: str = "hello") -> tuple[Pipe, dict]:
    worker = Pipe(hub, agent())
    await worker.ask(wire.Serve(agents=["writer"]))
    await ann.ask(wire.Send(**S, text=text, key="k1"))
    return worker, await worker.until(lambda m: m["op"] == "assigned")


def text_events(message: str, *deltas: str) -> list[Draft]:
    name = {"messageId": message}
    return [
        Draft("TEXT_MESSAGE_START", {**name, "role": "assistant"}),
        *[Draft("TEXT_MESSAGE_CONTENT", {**name, "delta": delta}) for delta in deltas],
        Draft("TEXT_MESSAGE_END", name),
    ]


async def test_an_answer_reaches_readers_and_a_joiner_gets_a_snapshot(hub: Hub) -> None:
    ann = await create(hub)
    await ann.ask(wire.Subscribe(**S))
    worker, assignment = await running(hub, ann)
    assert assignment["input"]["text"] == "hello"
    run = {"run": assignment["run"], "generation": assignment["generation"]}
    answer = await worker.ask(wire.Append(**S, **run, events=text_events("m9", "wa", "ve 🌊", "s")))
    assert answer["op"] == "ok", answer
    assert (await worker.ask(wire.End(**S, **run)))["op"] == "ok"
    await ann.until(lambda m: any(e["type"] == "run.ended" for e in m.get("events", [])))
    seqs = [e["seq"] for e in ann.events()]
    assert seqs == list(range(seqs[0], seqs[-1] + 1))
    offsets = [e.get("offset") for e in ann.events() if e["type"] == "TEXT_MESSAGE_CONTENT"]
    assert offsets == [0, 2, 7]

    late = Pipe(hub, user("bob"))
    await late.ask(wire.Subscribe(**S))
    snapshot = await late.until(lambda m: m["op"] == "snapshot")
    items = snapshot["view"]["items"]
    assert [i["text"] for i in items] == ["hello", "wave 🌊s"]
    assert snapshot["view"]["runs"][assignment["run"]]["status"] == "completed"

    first = await ann.until(lambda m: m["op"] == "snapshot")
    view = View.load(first["view"])
    for e in ann.events():
        assert view.apply(Event(**e))
    assert view.export() == snapshot["view"]


async def test_cancel_reaches_the_worker_and_its_receipts_come_in_order(hub: Hub) -> None:
    ann = await create(hub)
    await ann.ask(wire.Subscribe(**S))
    worker, assignment = await running(hub, ann)
    run = {"run": assignment["run"], "generation": assignment["generation"]}
    await ann.ask(wire.Cancel(**S, run=assignment["run"]))
    await worker.until(lambda m: m["op"] == "signal" and m["what"] == "cancel")
    await worker.ask(wire.Received(**S, **run))
    refused = await worker.ask(wire.Append(**S, **run, events=text_events("m9", "x")))
    assert refused["error"]["code"] == "run.stopping"
    await worker.ask(wire.End(**S, **run, status="completed"))
    await ann.until(lambda m: any(e["type"] == "run.ended" for e in m.get("events", [])))
    types = [e["type"] for e in ann.events()]
    assert [t for t in types if t.startswith("cancel.")] == ["cancel.requested", "cancel.delivered", "cancel.effective"]
    assert ann.events()[-1]["data"]["status"] == "cancelled"
    late = await worker.ask(wire.Append(**S, **run, events=text_events("m10", "x")))
    assert late["error"]["code"] == "run.fenced"


async def test_a_paused_reader_ends_exact(hub: Hub) -> None:
    ann = await create(hub)
    await ann.ask(wire.Subscribe(**S))
    slow = Pipe(hub, user("bob"))
    await slow.ask(wire.Subscribe(**S))
    await slow.until(lambda m: m["op"] == "live")
    slow.paused = True
    worker, assignment = await running(hub, ann)
    run = {"run": assignment["run"], "generation": assignment["generation"]}
    for i in range(20):
        await worker.ask(wire.Append(**S, **run, events=text_events(f"m{i}", "a", "b")))
    assert slow.events() == []
    slow.resume()
    await worker.ask(wire.End(**S, **run))
    await slow.until(lambda m: any(e["type"] == "run.ended" for e in m.get("events", [])))
    assert [e["seq"] for e in slow.events()] == [e["seq"] for e in ann.events()]


async def test_a_session_that_is_not_there(hub: Hub) -> None:
    with pytest.raises(Refused) as refused:
        await operations.execute(hub, user(), wire.Send(session="nope", text="x"))
    assert refused.value.code == "session.not_found"


async def test_the_same_key_answers_the_same(hub: Hub) -> None:
    ann = await create(hub)
    one = await ann.ask(wire.Send(**S, text="x", key="k"))
    two = await ann.ask(wire.Send(**S, text="x", key="k"))
    assert two["duplicate"] and (one["first"], one["last"], one["run"]) == (two["first"], two["last"], two["run"])
    other = await ann.ask(wire.Send(**S, text="y", key="k"))
    assert other["error"]["code"] == "producer.conflict"


async def test_presence_follows_readers_and_workers(hub: Hub) -> None:
    ann = await create(hub)
    await ann.ask(wire.Subscribe(**S))

    def shown(*actors: str) -> object:
        return lambda m: m["op"] == "presence" and [h["actor"] for h in m["here"]] == list(actors)

    await ann.until(shown("user:ann"))
    worker, assignment = await running(hub, ann)
    await ann.until(shown("user:ann", "agent:writer"))
    ann.received.clear()
    await worker.ask(wire.End(**S, run=assignment["run"], generation=assignment["generation"]))
    await ann.until(shown("user:ann"))
    bob = Pipe(hub, user("bob"))
    await bob.ask(wire.Subscribe(**S))
    await ann.until(shown("user:ann", "user:bob"))
    ann.received.clear()
    hub.disconnect(bob)
    await ann.until(shown("user:ann"))
