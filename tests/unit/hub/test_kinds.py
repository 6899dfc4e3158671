"""A worker with too few slots: whose run it takes, on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.engines.port import Key
from holdfast.hub.hub import Hub
from holdfast.protocol import limits, wire
from holdfast.session.access import Principal

from .conftest import Pipe, user
from .test_leases import HubHarness, assigned, on_virtual_time

PEOPLE = {"usage": "seated"}
PROGRAMS = {"usage": "headless"}


def who(labels: dict[str, str]) -> Principal:
    return Principal("user:ann", "acme", user().capabilities, labels=tuple(sorted(labels.items())))


async def queue(hub: Hub, session: str, labels: dict[str, str]) -> None:
    """Queue a run with these labels; it has been looked at when this returns."""
    ann = Pipe(hub, who(labels))
    if Key("acme", session) not in hub.sessions:
        await ann.ask(wire.Create(session=session, agent="writer"))
    answer = await ann.ask(wire.Send(session=session, text="x", agent="writer"))
    assert answer["op"] == "ok", answer


def taken(worker: Pipe) -> list[str]:
    return [message["session"] for message in worker.received if assigned(message)]


async def end(worker: Pipe, number: int = -1) -> None:
    """End the run that was assigned last, or another one, and wait until the worker was offered what there is."""
    message: dict[str, Any] = [message for message in worker.received if assigned(message)][number]
    op = wire.End(session=message["session"], run=message["run"], generation=message["generation"])
    assert (await worker.ask(op))["op"] == "ok"
    await asyncio.sleep(1)  # virtual: all that can happen has


async def offer(worker: Pipe, slots: int, people: int = 0) -> None:
    await worker.ask(wire.Serve(agents=["writer"], slots=slots, slots_for_people=people))


@on_virtual_time
async def test_people_who_wait_go_before_programs_that_wait_longer(house: HubHarness) -> None:
    worker = await house.worker()
    await queue(house.hub, "first", PROGRAMS)
    for session, labels in (("batch", PROGRAMS), ("none", {}), ("person", PEOPLE), ("login", {"sign_in": "1"})):
        await queue(house.hub, session, labels)
    for _ in range(4):
        await end(worker)
    assert taken(worker)[0] == "first" and set(taken(worker)[1:3]) == {"person", "login"}
    assert set(taken(worker)[3:]) == {"batch", "none"}


@on_virtual_time
async def test_a_program_at_hand_does_not_pass_a_person_elsewhere(house: HubHarness) -> None:
    worker = await house.worker()
    await queue(house.hub, "batch", PROGRAMS)
    await queue(house.hub, "batch", PROGRAMS)
    await queue(house.hub, "person", PEOPLE)
    await end(worker)
    await end(worker)
    assert taken(worker) == ["batch", "person", "batch"]


@on_virtual_time
async def test_a_worker_that_comes_takes_people_first_and_loads_their_sessions(house: HubHarness) -> None:
    await queue(house.hub, "a-batch", PROGRAMS)
    await queue(house.hub, "person", PEOPLE)
    hub = await house.crash()
    assert not list(hub.sessions.values())
    worker = await house.worker()
    await asyncio.sleep(1)
    assert taken(worker) == ["person"]
    await end(worker)
    assert taken(worker) == ["person", "a-batch"]


@on_virtual_time
async def test_slots_for_people_are_kept_for_them(house: HubHarness) -> None:
    worker = await house.worker(slots=0)
    for number in range(3):
        await queue(house.hub, f"batch-{number}", PROGRAMS)
    await offer(worker, slots=2, people=1)
    await asyncio.sleep(1)
    assert taken(worker) == ["batch-0"]
    await queue(house.hub, "ann", PEOPLE)
    await queue(house.hub, "bob", PEOPLE)
    assert taken(worker) == ["batch-0", "ann"]
    await end(worker, 0)
    assert taken(worker)[2:] == ["bob"], "people have all slots"
    await end(worker, 1)
    assert taken(worker)[3:] == ["batch-1"], "one is kept, the other was a person's"
    await end(worker, 2)
    assert taken(worker)[4:] == [], "what is kept goes to no program"


@on_virtual_time
async def test_people_do_not_keep_a_worker_from_programs_for_ever(house: HubHarness) -> None:
    worker = await house.worker()
    await queue(house.hub, "person", PEOPLE)
    await queue(house.hub, "batch", PROGRAMS)
    await queue(house.hub, "batch-2", PROGRAMS)
    for _ in range(2):
        await queue(house.hub, "person", PEOPLE)
    await end(worker)
    assert taken(worker) == ["person", "person"]
    for _ in range(int(limits.HEADLESS_TURN_S // limits.HEARTBEAT_S) + 1):
        await asyncio.sleep(limits.HEARTBEAT_S)
        message = [m for m in worker.received if assigned(m)][-1]
        await worker.ask(wire.Heartbeat(runs=[wire.ActiveAttempt("person", message["run"], message["generation"])]))
    await end(worker)
    assert taken(worker)[2:] == ["batch"], "its turn has come, a person at hand or not"
    await end(worker)
    assert taken(worker)[3:] == ["person"], "one turn"


@on_virtual_time
async def test_a_quiet_hour_is_no_turn(house: HubHarness) -> None:
    worker = await house.worker()
    await asyncio.sleep(3_600)
    await queue(house.hub, "person", PEOPLE)
    await queue(house.hub, "batch", PROGRAMS)
    await queue(house.hub, "person-2", PEOPLE)
    await end(worker)
    assert taken(worker) == ["person", "person-2"]
