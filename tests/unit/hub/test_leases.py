"""Leases, deadlines and what the hub does by itself, on virtual time (RUN-2, RUN-3, RUN-7, CTL-3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.engines.port import Key
from holdfast.hub.hub import Hub
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft
from holdfast.protocol.frames import decode_frame
from tests.sim.engine import SlowEngine
from tests.sim.loop import SimClock, SimLoop

from .conftest import Pipe, agent, user

KEY = Key("acme", "s1")
S = {"session": "s1"}


class HubHarness:
    """A hub on virtual time, and its restart."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self.engine = SlowEngine(1)

    async def open(self) -> Hub:
        self.hub = Hub(self.engine, clock=SimClock(self.loop))  # type: ignore[arg-type]
        await self.hub.open()
        return self.hub

    async def crash(self) -> Hub:
        """The process is gone, and another one is there."""
        self.hub.maintenance.stop()
        for session in self.hub.sessions.values():
            session.close()
        self.engine = self.engine.crash()
        return await self.open()

    async def worker(self, slots: int = 1, name: str = "writer") -> Pipe:
        pipe = Pipe(self.hub, agent(name))
        await pipe.ask(wire.Serve(agents=[name], slots=slots))
        return pipe

    async def begin(self, session: str = "s1") -> Pipe:
        ann = Pipe(self.hub, user())
        await ann.ask(wire.Create(session=session, agent="writer"))
        return ann

    def log(self, key: Key = KEY) -> list[str]:
        return [event.type for payload in self.engine.payloads(key) for event in decode_frame(payload).events]


def on_virtual_time(test: Callable[[HubHarness], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        loop = SimLoop()

        async def work() -> None:
            house = HubHarness(loop)
            await house.open()
            await test(house)
            await house.hub.close(drain_s=1.0)

        loop.run(work())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def assigned(message: dict[str, Any]) -> bool:
    return message["op"] == "assigned"


def attempt(message: dict[str, Any]) -> dict[str, Any]:
    return {"run": message["run"], "generation": message["generation"]}


@on_virtual_time
async def test_a_silent_worker_loses_its_attempt_and_another_gets_it(house: HubHarness) -> None:
    ann, worker = await house.begin(), await house.worker()
    await ann.ask(wire.Send(**S, text="x"))
    first = await worker.until(assigned)
    other = await house.worker()
    await asyncio.sleep(limits.LEASE_S - 1)
    assert e.RUN_ATTEMPT_LOST not in house.log()
    again = await other.until(assigned)
    assert (again["run"], again["generation"], again["losses"]) == (first["run"], 2, 1)
    assert (await worker.until(lambda m: m.get("what") == "fenced"))["generation"] == 1
    late = await worker.ask(wire.Append(**S, events=[Draft(e.CUSTOM, {})], **attempt(first)))
    assert late["error"]["code"] == "run.fenced"


@on_virtual_time
async def test_heartbeats_keep_a_lease_without_writing(house: HubHarness) -> None:
    ann, worker = await house.begin(), await house.worker()
    await ann.ask(wire.Send(**S, text="x"))
    claimed = attempt(await worker.until(assigned))
    tail = len(house.log())
    for _ in range(40):
        await asyncio.sleep(limits.HEARTBEAT_S)
        answer = await worker.ask(wire.Heartbeat(runs=[("s1", claimed["run"], claimed["generation"])]))
        assert answer["fenced"] == []
    assert len(house.log()) == tail
    assert (await worker.ask(wire.Heartbeat(runs=[("s1", claimed["run"], 2), ("s2", "r1", 1)])))["fenced"] == [
        ["s1", claimed["run"], 2],
        ["s2", "r1", 1],
    ]


@on_virtual_time
async def test_a_closed_connection_means_nothing_until_the_lease_is_over(house: HubHarness) -> None:
    """CTL-1; and who attaches in time goes on."""
    ann, worker = await house.begin(), await house.worker()
    await ann.ask(wire.Send(**S, text="x"))
    claimed = attempt(await worker.until(assigned))
    house.hub.disconnect(worker)
    await asyncio.sleep(limits.LEASE_S - 1)
    again = await house.worker(slots=0)
    attached = await again.ask(wire.Attach(**S, **claimed))
    assert attached["op"] == "ok" and attached["generation"] == 1
    await asyncio.sleep(limits.LEASE_S - 1)
    assert (await again.ask(wire.End(**S, **claimed)))["op"] == "ok"
    assert e.RUN_ATTEMPT_LOST not in house.log()


@on_virtual_time
async def test_time_in_which_the_hub_stood_still_does_not_count(house: HubHarness) -> None:
    """The lease's timer is overdue before the hub knows that it stood still."""
    ann, worker = await house.begin(), await house.worker()
    await ann.ask(wire.Send(**S, text="x"))
    claimed = attempt(await worker.until(assigned))
    for stall in (limits.LEASE_S - 0.5, limits.LEASE_S + 0.3, 100.0):
        house.loop.now += stall  # nothing ran
        await asyncio.sleep(2.0)
        answer = await worker.ask(wire.Heartbeat(runs=[("s1", claimed["run"], 1)]))
        assert answer["fenced"] == []
    assert house.hub.stats.stalls == 3
    await asyncio.sleep(limits.LEASE_S + 2)
    assert e.RUN_ATTEMPT_LOST in house.log()


@on_virtual_time
async def test_a_restarted_hub_grants_a_full_lease(house: HubHarness) -> None:
    ann, worker = await house.begin(), await house.worker()
    await ann.ask(wire.Send(**S, text="x"))
    claimed = attempt(await worker.until(assigned))
    await asyncio.sleep(limits.LEASE_S - 1)
    await house.crash()
    worker = await house.worker(slots=0)
    answer = await worker.ask(
        wire.Heartbeat(runs=[("s1", claimed["run"], 1)])
    )  # before anything has loaded the session
    assert answer["fenced"] == []
    await asyncio.sleep(limits.LEASE_S - 1)
    assert e.RUN_ATTEMPT_LOST not in house.log()
    await asyncio.sleep(2)
    assert e.RUN_ATTEMPT_LOST in house.log()


@on_virtual_time
async def test_nobody_asks_for_it_and_a_lost_attempt_is_recorded_all_the_same(house: HubHarness) -> None:
    """Cold sessions wake for their deadlines, however many there are."""
    count = limits.LIST_SESSIONS + 40
    worker = await house.worker(slots=count)
    for n in range(count):
        ann = await house.begin(f"s{n}")
        await ann.ask(wire.Send(session=f"s{n}", text="x", attempts=1))
    await worker.until(lambda m: len([x for x in worker.received if x["op"] == "assigned"]) == count)
    await house.crash()
    await asyncio.sleep(60)
    left = [n for n in range(count) if house.log(Key("acme", f"s{n}"))[-1] != e.RUN_ENDED]
    assert left == []


@on_virtual_time
async def test_running_sessions_do_not_crowd_out_those_that_are_due(house: HubHarness) -> None:
    ann = await house.begin("cold")
    worker = await house.worker(slots=limits.LIST_SESSIONS + 60)
    await ann.ask(wire.Send(session="cold", text="x"))
    assignment = await worker.until(assigned)
    ask = wire.Ask(session="cold", approval="a", tool="t", args={}, deadline_s=200.0, wait=True, **attempt(assignment))
    assert (await worker.ask(ask))["op"] == "ok"
    await asyncio.sleep(limits.HOT_IDLE_S + 5)
    assert Key("acme", "cold") not in house.hub.sessions
    runs = []
    for n in range(limits.LIST_SESSIONS + 50):
        ben = await house.begin(f"s{n}")
        await ben.ask(wire.Send(session=f"s{n}", text="x"))
        runs.append((f"s{n}", (await worker.until(lambda m, n=n: assigned(m) and m["session"] == f"s{n}"))["run"], 1))
    for _ in range(50):
        await asyncio.sleep(limits.HEARTBEAT_S)
        assert (await worker.ask(wire.Heartbeat(runs=runs)))["fenced"] == []
    assert e.APPROVAL_EXPIRED in house.log(Key("acme", "cold"))


@on_virtual_time
async def test_a_claim_that_could_not_be_stored_is_made_again(house: HubHarness) -> None:
    """Nobody else touches the session: the hub itself must come back to it."""
    ann = await house.begin()
    await ann.ask(wire.Send(**S, text="x"))
    house.engine.failures = (1.0, 0.0, 0.0)
    worker = await house.worker()
    await asyncio.sleep(0.5)
    assert not any(map(assigned, worker.received))
    house.engine.failures = (0.0, 0.0, 0.0)
    await asyncio.sleep(3)
    assert any(map(assigned, worker.received))


@pytest.mark.parametrize("failures", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_the_end_of_a_grace_survives_a_failed_commit(failures: tuple[float, float, float]) -> None:
    @on_virtual_time
    async def run(house: HubHarness) -> None:
        ann, worker = await house.begin(), await house.worker()
        await ann.ask(wire.Send(**S, text="x"))
        assignment = await worker.until(assigned)
        await ann.ask(wire.Cancel(**S, run=assignment["run"]))
        house.engine.failures = failures
        await asyncio.sleep(limits.CANCEL_GRACE_S + 1)
        house.engine.failures = (0.0, 0.0, 0.0)
        await asyncio.sleep(3)
        assert house.log()[-1] == e.RUN_ENDED
        assert house.log().count(e.RUN_ENDED) == 1

    run()


@on_virtual_time
async def test_a_worker_that_left_before_it_was_told_does_not_hold_the_run_up(house: HubHarness) -> None:
    ann = await house.begin()
    worker = await house.worker()
    ann_says = asyncio.ensure_future(ann.ask(wire.Send(**S, text="x")))
    while e.RUN_QUEUED not in house.log():
        await asyncio.sleep(0.0005)
    await ann_says
    house.hub.disconnect(worker)  # its claim is being committed
    other = await house.worker()
    began = house.loop.now
    await other.until(assigned)
    assert house.loop.now - began < limits.LEASE_S


@on_virtual_time
async def test_the_wall_clock_may_step_and_no_deadline_fires_early(house: HubHarness) -> None:
    """LOG-10: time in the log never runs backwards either."""
    ann, worker = await house.begin(), await house.worker()
    await ann.ask(wire.Send(**S, text="x"))
    assignment = await worker.until(assigned)
    await worker.ask(wire.Ask(**S, approval="a", tool="t", args={}, deadline_s=30.0, **attempt(assignment)))
    house.hub.clock._epoch_ms -= 3_600_000  # type: ignore[attr-defined]
    await ann.ask(wire.Send(**S, text="y"))
    stamps = [event.ts for payload in house.engine.payloads(KEY) for event in decode_frame(payload).events]
    assert stamps == sorted(stamps)
    assert e.APPROVAL_EXPIRED not in house.log()
