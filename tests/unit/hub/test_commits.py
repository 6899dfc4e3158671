"""Commits that fail, gather or flood: nobody learns what is not durable, and whoever must know learns what is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Key, LogAppend
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft

from .conftest import Pipe, agent, user

pytestmark = pytest.mark.anyio
KEY, S = Key("acme", "s1"), {"session": "s1"}


class GatedEngine(MemoryEngine):
    """Appends wait until the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, append: LogAppend) -> None:
        await self.gate.wait()
        await super().append(append)


@pytest.fixture
async def gated() -> Any:
    hub = Hub(GatedEngine())
    await hub.open()
    yield hub
    hub.engine.gate.set()  # type: ignore[attr-defined]
    await hub.close(drain_s=2.0)


def engine_of(hub: Hub) -> Any:
    return hub.engine


async def begin(hub: Hub) -> Pipe:
    ann = Pipe(hub, user())
    await ann.ask(wire.Create(**S, agent="writer"))
    return ann


async def running(hub: Hub, ann: Pipe) -> tuple[Pipe, dict[str, Any]]:
    worker = Pipe(hub, agent())
    await worker.ask(wire.Serve(agents=["writer"]))
    await ann.ask(wire.Send(**S, text="x"))
    assignment = await worker.until(lambda m: m["op"] == "assigned")
    return worker, {"run": assignment["run"], "generation": assignment["generation"]}


@pytest.mark.parametrize(("outcome", "applied"), [("not_applied", False), ("unknown", False), ("unknown", True)])
async def test_a_failed_commit_is_reported_and_a_retry_settles_it(hub: Hub, outcome: str, applied: bool) -> None:
    """LOG-7: whatever happened, the same key gives one event, and readers see it once."""
    ann = await begin(hub)
    await ann.ask(wire.Subscribe(**S))
    await ann.until(lambda m: m["op"] == "live")
    engine_of(hub).fail_next(outcome, applied=applied)
    op = wire.Append(**S, events=[Draft(e.CUSTOM, {"value": 1})], producer=wire.AppendId("p", 1, 1))
    failed = await ann.ask(op)
    assert failed["error"]["code"] == "commit.unknown" and failed["error"]["retry"]
    again = await ann.ask(op)
    assert again["op"] == "ok" and again.get("duplicate", False) is applied
    await ann.until(lambda m: any(event["type"] == e.CUSTOM for event in m.get("events", [])))
    await asyncio.sleep(0.01)
    assert [event["seq"] for event in ann.events()] == [2]


async def test_a_refusal_decided_on_what_was_never_stored_is_void(hub: Hub) -> None:
    """LOG-4 for answers: the loser of an approval is not told of a winner who lost too."""
    ann = await begin(hub)
    worker, attempt = await running(hub, ann)
    await worker.ask(wire.Ask(**S, approval="a", tool="t", args={}, **attempt))
    engine_of(hub).fail_next("not_applied")
    ops = [wire.Resolve(**S, approval="a", decision="approved"), wire.Resolve(**S, approval="a", decision="denied")]
    answers = await asyncio.gather(*[ann.ask(op) for op in ops])
    assert [answer["error"]["code"] for answer in answers] == ["commit.unknown", "commit.unknown"]
    assert (await ann.ask(ops[1]))["decision"] == "denied"


async def test_workers_hear_of_what_was_stored_by_a_commit_that_failed(hub: Hub) -> None:
    ann = await begin(hub)
    worker, attempt = await running(hub, ann)
    await worker.ask(wire.Ask(**S, approval="a", tool="t", args={}, **attempt))
    engine_of(hub).fail_next("unknown", applied=True)
    failed = await ann.ask(wire.Resolve(**S, approval="a", decision="approved"))
    assert failed["error"]["code"] == "commit.unknown"
    signal = await worker.until(lambda m: m.get("what") == "approval")  # nobody asked again: the hub looked itself
    assert signal["data"]["decision"] == "approved"
    engine_of(hub).fail_next("unknown", applied=True)
    await ann.ask(wire.Cancel(**S, run=attempt["run"]))
    await worker.until(lambda m: m.get("what") == "cancel")


async def test_a_claim_stored_by_a_commit_that_failed_is_assigned(hub: Hub) -> None:
    ann = await begin(hub)
    worker = Pipe(hub, agent())
    await ann.ask(wire.Send(**S, text="x"))
    engine_of(hub).fail_next("unknown", applied=True)
    await worker.ask(wire.Serve(agents=["writer"]))
    assignment = await worker.until(lambda m: m["op"] == "assigned")
    assert assignment["generation"] == 1
    answer = await worker.ask(wire.End(**S, run=assignment["run"], generation=1))
    assert answer["op"] == "ok"


async def test_nobody_sees_what_is_not_durable_yet(gated: Hub) -> None:
    ann = await begin(gated)
    await ann.ask(wire.Subscribe(**S))
    engine_of(gated).gate.clear()
    asking = asyncio.ensure_future(ann.ask(wire.Send(**S, text="secret")))
    await asyncio.sleep(0.01)
    joiner = Pipe(gated, user("bob"))
    await joiner.ask(wire.Subscribe(**S))
    snapshot = await joiner.until(lambda m: m["op"] == "snapshot")
    assert snapshot["seq"] == 1 and snapshot["view"]["items"] == []
    assert not asking.done() and ann.events() == []
    engine_of(gated).gate.set()
    await asking
    await joiner.until(lambda m: m["op"] == "events")
    assert joiner.events()[0]["data"]["text"] == "secret"


async def test_control_is_decided_before_content_that_gathered_with_it(gated: Hub) -> None:
    ann = await begin(gated)
    worker, attempt = await running(gated, ann)
    engine_of(gated).gate.clear()
    blocker = asyncio.ensure_future(ann.ask(wire.Rename(**S, title="x")))
    await asyncio.sleep(0.01)
    words = [Draft(e.CUSTOM, {"value": 1})]
    late = [asyncio.ensure_future(worker.ask(wire.Append(**S, events=words, **attempt))) for _ in range(3)]
    await asyncio.sleep(0.01)
    stop = asyncio.ensure_future(ann.ask(wire.Cancel(**S, run=attempt["run"], force=True)))
    await asyncio.sleep(0.01)
    engine_of(gated).gate.set()
    await asyncio.gather(blocker, stop)
    assert {(await one)["error"]["code"] for one in late} == {"run.fenced"}


async def test_a_session_begins_with_its_creation_whatever_came_with_it(hub: Hub) -> None:
    ann = Pipe(hub, user())
    ops: list[wire.Op] = [
        wire.Create(**S, agent="writer", title="t"), wire.Send(**S, text="a"), wire.Interrupt(**S, text="b"),
    ]  # fmt: skip
    answers = await asyncio.gather(*[ann.ask(op) for op in ops])
    assert [answer["op"] for answer in answers] == ["ok"] * 3
    assert answers[0]["first"] == 1
    state = hub.sessions[KEY].state
    assert state is not None and state.created_by == "user:ann" and state.title == "t"


async def test_a_flood_of_content_leaves_room_for_control(gated: Hub) -> None:
    ann = await begin(gated)
    worker, attempt = await running(gated, ann)
    engine_of(gated).gate.clear()
    blocker = asyncio.ensure_future(ann.ask(wire.Rename(**S, title="x")))
    await asyncio.sleep(0.01)
    words = [Draft(e.CUSTOM, {})]
    flood = [wire.Append(**S, events=words, id=10_000 + n, **attempt) for n in range(limits.GATHER_COMMANDS + 5)]
    for op in flood:
        operations.dispatch(gated, worker, op)
    busy = [m for m in worker.received if m.get("error", {}).get("code") == "server.busy"]
    assert len(busy) == 5
    stop = asyncio.ensure_future(ann.ask(wire.Cancel(**S, run=attempt["run"], force=True)))
    await asyncio.sleep(0.01)
    engine_of(gated).gate.set()
    assert (await stop)["op"] == (await blocker)["op"] == "ok"


async def test_one_commit_takes_what_gathered(gated: Hub) -> None:
    ann = await begin(gated)
    engine_of(gated).gate.clear()
    first = asyncio.ensure_future(ann.ask(wire.Rename(**S, title="0")))
    await asyncio.sleep(0.01)
    commits = gated.stats.commits
    rest = [asyncio.ensure_future(ann.ask(wire.Send(**S, text=str(n)))) for n in range(50)]
    await asyncio.sleep(0.01)
    engine_of(gated).gate.set()
    await asyncio.gather(first, *rest)
    assert gated.stats.commits == commits + 2
    positions = [(await one)["first"] for one in rest]
    assert positions == sorted(positions), "answers come in the order of the operations"


async def test_a_subscription_that_is_replaced_while_it_begins_does_not_go_on(gated: Hub) -> None:
    class SlowReads(GatedEngine):
        async def read(self, key: Key, after: int, *, max_bytes: int, incarnation: str | None = None) -> Any:
            frames = await super().read(key, after, max_bytes=max_bytes, incarnation=incarnation)
            await self.gate.wait()
            return frames

    gated.runtime.engine = SlowReads()
    ann = await begin(gated)
    for n in range(5):
        await ann.ask(wire.Send(**S, text=str(n)))
    session = gated.sessions[KEY]
    session.ring.clear()
    engine_of(gated).gate.clear()
    bob = Pipe(gated, user("bob"))
    for start in (wire.Cursor(session.incarnation, 3), wire.Cursor(session.incarnation, 5)):
        operations.dispatch(gated, bob, wire.Subscribe(**S, start=start))
        await asyncio.sleep(0.01)
    engine_of(gated).gate.set()
    await bob.until(lambda m: m["op"] == "live")
    await asyncio.sleep(0.01)
    assert [m["op"] for m in bob.received].count("live") == 1
    seqs = [event["seq"] for event in bob.events()]
    assert seqs == list(range(6, session.tail + 1))
    assert len(session.readers) == 1 and gated.stats.subscriptions == 1


async def test_reading_goes_on_while_commits_fail(hub: Hub) -> None:
    """Who waits for the session to be loaded does not share the fate of the commands that gathered with it."""
    ann = await begin(hub)
    engine_of(hub).fail_next("not_applied")
    await ann.ask(wire.Send(**S, text="x"))  # the session is unloaded now
    engine_of(hub).fail_next("not_applied")
    failing = asyncio.ensure_future(ann.ask(wire.Send(**S, text="y")))
    bob = Pipe(hub, user("bob"))
    answer = await bob.ask(wire.Subscribe(**S))
    assert answer["op"] == "ok"
    assert (await failing)["error"]["code"] == "commit.unknown"
