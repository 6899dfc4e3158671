"""What the hot path does at once is what would be done one by one; answers keep the order of the operations."""

from __future__ import annotations

import copy

import msgspec
import pytest
from hypothesis import given, settings

from holdfast.engines.memory import MemoryEngine
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft, Event
from holdfast.protocol.fold import View
from holdfast.session import program
from holdfast.session.state import State
from tests.property.histories import SESSION, History, control, histories

from .conftest import Pipe, agent, user


@settings(max_examples=100, deadline=None)
@given(histories())
def test_rows_of_deltas_fold_as_each_of_them_does(history: History) -> None:
    """FOLD-2: the order of folding does not change, only how often a text is looked up."""
    one_by_one, at_once = State(SESSION, "i1"), State(SESSION, "i1")
    seen, seen_at_once = View(), View()
    events = copy.deepcopy(history.events)
    for event in events:
        program.evolve(one_by_one, event)
    program.evolve_all(at_once, events)
    assert control(at_once) == control(one_by_one)
    for event in copy.deepcopy(events):
        seen.apply(event)
    seen_at_once.apply_all(copy.deepcopy(events))
    assert seen_at_once.export() == seen.export()


def delta(seq: int, ident: str, text: str, offset: int) -> Event:
    return Event(seq, 1, "user:ann", "TEXT_MESSAGE_CONTENT", {"messageId": ident, "delta": text}, offset=offset)


def test_rows_of_interleaved_texts_and_a_bad_join() -> None:
    """FOLD-3: a delta that does not begin where its text ends changes nothing, in a row or alone."""
    events = [
        Event(1, 1, "user:ann", "TEXT_MESSAGE_START", {"messageId": "a"}),
        Event(2, 1, "user:ann", "REASONING_MESSAGE_START", {"messageId": "a"}),
        delta(3, "a", "🌊", 0), delta(4, "a", "x", 2), delta(5, "a", "lost", 99), delta(6, "a", "y", 3),
        Event(7, 1, "user:ann", "REASONING_MESSAGE_CONTENT", {"messageId": "a", "delta": "r"}, offset=0),
        delta(8, "a", "z", 4), delta(9, "unknown", "z", 0),
    ]  # fmt: skip
    view, state = View(), State("s1", "i1")
    view.apply_all(events)
    program.evolve_all(state, events)
    assert [item["text"] for item in view.export()["items"]] == ["🌊xyz", "r"]
    assert state.loose["m:a"] == 5
    assert state.tail == 9


def test_two_people_who_write_one_text_both_take_part() -> None:
    """Who took part, and since when, is the same however the deltas are folded."""
    events = [
        Event(1, 1, "agent:a", "TEXT_MESSAGE_START", {"messageId": "a"}),
        *(delta(seq, "a", "x", seq - 2) for seq in (2, 3)),
        *(msgspec.structs.replace(delta(seq, "a", "x", seq - 2), actor="user:bob") for seq in (4, 5)),
    ]
    one_by_one, at_once = State("s1", "i1"), State("s1", "i1")
    for event in events:
        program.evolve(one_by_one, event)
    program.evolve_all(at_once, events)
    assert at_once.participants == one_by_one.participants == {"user:ann": 2, "user:bob": 4}


@pytest.mark.anyio
async def test_answers_come_in_the_order_of_the_operations(hub: Hub) -> None:
    """PROTOCOL.md, section 4: also when one in the middle is refused."""
    pipe = Pipe(hub, user())
    assert (await pipe.ask(wire.Create(session="s1")))["op"] == "ok"
    good, bad = [Draft("CUSTOM", {"name": "n", "value": 1})], [Draft("run.ended", {})]
    for ident, events in ((101, good), (102, bad), (103, good), (104, bad)):
        operations.dispatch(hub, pipe, wire.Append(id=ident, session="s1", events=events))
    await pipe.until(lambda m: m.get("id") == 104)
    answers = [(m["id"], m["op"]) for m in pipe.received if m.get("id", 0) > 100]
    assert answers == [(101, "ok"), (102, "error"), (103, "ok"), (104, "error")]


@pytest.mark.anyio
async def test_a_worker_with_room_takes_every_run_that_waits() -> None:
    """RUN-7: also when more wait than fit into one page of the engine's list."""
    engine, many = MemoryEngine(), limits.LIST_SESSIONS + 20
    hub = Hub(engine)
    await hub.open()
    try:
        ann = Pipe(hub, user())
        for number in range(many):
            await ann.ask(wire.Create(session=f"s{number}", agent="writer"))
            await ann.ask(wire.Send(session=f"s{number}", text="hello"))
        worker = Pipe(hub, agent())
        await worker.ask(wire.Serve(agents=["writer"], slots=many))
        await worker.until(lambda m: sum(one["op"] == "assigned" for one in worker.received) == many)
    finally:
        await hub.close(drain_s=1.0)
