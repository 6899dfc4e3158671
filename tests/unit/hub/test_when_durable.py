"""The control state runs ahead of the commit; nobody outside may see what it holds before it is durable (LOG-4)."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.hub.port import Batch
from holdfast.protocol import events as e
from holdfast.protocol import wire

from .conftest import Pipe
from .test_leases import HubHarness, S, assigned, attempt, on_virtual_time


def remember_log(house: HubHarness, pipe: Pipe) -> list[tuple[dict[str, Any], list[str]]]:
    """Every message of a connection, with what was durable when it came."""
    deliveries: list[tuple[dict[str, Any], list[str]]] = []
    real_deliver = pipe.deliver

    def deliver(batch: Batch) -> None:
        before = len(pipe.received)
        real_deliver(batch)
        deliveries.extend((message, house.log()) for message in pipe.received[before:])

    pipe.deliver = deliver  # type: ignore[method-assign]
    return deliveries


@on_virtual_time
async def test_an_assignment_holds_nothing_that_is_decided_and_not_durable(house: HubHarness) -> None:
    ann, worker = await house.begin(), await house.worker()
    seen = remember_log(house, worker)
    sent = await ann.ask(wire.Send(**S, text="x"))
    state = next(iter(house.hub.sessions.values())).state
    assert state is not None
    while state.runs[sent["run"]].status != "running":  # decided; its commit is on its way
        await asyncio.sleep(0.0005)
    assert e.RUN_STARTED not in house.log()
    stopping = asyncio.ensure_future(ann.ask(wire.Cancel(**S, run=sent["run"], scope="run")))
    await worker.until(lambda m: m["op"] == "signal" and m["what"] == "cancel")
    await stopping
    message, durable = next((message, log) for message, log in seen if assigned(message))
    assert message["cancel"] is None and e.CANCEL_REQUESTED not in durable
    message, durable = next((message, log) for message, log in seen if message["op"] == "signal")
    assert e.CANCEL_REQUESTED in durable


@on_virtual_time
async def test_who_attaches_is_told_what_is_durable(house: HubHarness) -> None:
    ann, worker = await house.begin(), await house.worker()
    await ann.ask(wire.Send(**S, text="x"))
    mine = attempt(await worker.until(assigned))
    house.hub.disconnect(worker)
    again = await house.worker()
    seen = remember_log(house, again)
    hot = next(iter(house.hub.sessions.values()))
    stopping = asyncio.ensure_future(ann.ask(wire.Cancel(**S, run=mine["run"], scope="run")))
    while hot.state is not None and hot.state.runs[mine["run"]].cancel is None:
        await asyncio.sleep(0.0005)
    answer = await again.ask(wire.Attach(**S, **mine))
    await stopping
    durable = next(log for message, log in seen if message.get("id") == answer["id"])
    assert answer["op"] == "ok" and answer["cancel"] is not None
    assert e.CANCEL_REQUESTED in durable


@on_virtual_time
async def test_a_spawn_is_not_overtaken_by_the_end_that_was_sent_after_it(house: HubHarness) -> None:
    ann, worker = await house.begin(), await house.worker()
    await ann.ask(wire.Send(**S, text="x"))
    mine = attempt(await worker.until(assigned))
    spawning = asyncio.ensure_future(worker.ask(wire.Spawn(**S, **mine, agent="helper", name="one", local=True)))
    ending = asyncio.ensure_future(worker.ask(wire.End(**S, **mine, status="completed")))
    assert (await spawning)["op"] == "ok"
    assert (await ending)["op"] == "ok"
    child = (await spawning)["run"]
    frames = house.log()
    assert frames.count(e.RUN_ENDED) == 2, "the child ended with its parent"
    assert child in next(iter(house.hub.sessions.values())).view.runs
