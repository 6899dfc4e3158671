"""LOG-6: what a fenced attempt says it used is in the log once, by the session; nothing else of it is."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.hub.hub import Hub
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.events import Draft
from holdfast.session.writer import SYSTEM

from .conftest import Pipe, agent, user

pytestmark = pytest.mark.anyio
S = {"session": "s1"}
USAGE = {"model": "m", "input_tokens": 7}
DRAFTS = [Draft(e.CUSTOM, {"value": "words"}), Draft(e.USAGE_RECORDED, USAGE), Draft(e.USAGE_RECORDED, {"model": "n"})]


async def ended(hub: Hub) -> tuple[Pipe, Pipe, dict[str, Any]]:
    """An attempt whose run a person has ended by force."""
    ann, worker = Pipe(hub, user()), Pipe(hub, agent())
    await ann.ask(wire.Create(**S, agent="writer"))
    await ann.ask(wire.Subscribe(**S))
    await worker.ask(wire.Serve(agents=["writer"]))
    await ann.ask(wire.Send(**S, text="x"))
    given = await worker.until(lambda m: m["op"] == "assigned")
    attempt = {"run": given["run"], "generation": given["generation"]}
    await ann.ask(wire.Cancel(**S, run=attempt["run"], force=True))
    return ann, worker, attempt


def recorded(pipe: Pipe) -> list[dict[str, Any]]:
    return [event for event in pipe.events() if event["type"] == e.USAGE_RECORDED]


async def test_it_is_recorded_once_and_the_append_stays_refused(hub: Hub) -> None:
    ann, worker, attempt = await ended(hub)
    op = wire.Append(**S, events=DRAFTS, producer=wire.AppendId("p", 1, 1), **attempt)
    for _ in range(3):  # sent again after a lost answer
        answer = await worker.ask(op)
        assert answer["error"]["code"] == "run.fenced"
    await ann.ask(wire.Rename(**S, title="later"))
    await ann.until(lambda m: any(event["type"] == e.SESSION_RENAMED for event in m.get("events", [])))
    found = recorded(ann)
    assert [(one["actor"], one["run"], one["attempt"]) for one in found] == [(SYSTEM, attempt["run"], 1)] * 2
    assert [one["data"] for one in found] == [USAGE, {"model": "n"}]
    assert not [event for event in ann.events() if event["type"] == e.CUSTOM]


async def test_of_an_end_too(hub: Hub) -> None:
    ann, worker, attempt = await ended(hub)
    answer = await worker.ask(wire.End(**S, events=DRAFTS, key="k", **attempt))
    assert answer["error"]["code"] == "run.fenced"
    await ann.ask(wire.Rename(**S, title="later"))
    await ann.until(lambda m: any(event["type"] == e.SESSION_RENAMED for event in m.get("events", [])))
    assert len(recorded(ann)) == 2


@pytest.mark.parametrize("generation", [0, 2])
async def test_an_attempt_that_never_was_used_nothing(hub: Hub, generation: int) -> None:
    ann, worker, attempt = await ended(hub)
    answer = await worker.ask(wire.Append(**S, events=DRAFTS, run=attempt["run"], generation=generation))
    assert answer["error"]["code"] == "run.fenced"
    await ann.ask(wire.Rename(**S, title="later"))
    await ann.until(lambda m: any(event["type"] == e.SESSION_RENAMED for event in m.get("events", [])))
    assert not recorded(ann)


async def test_nobody_else_bills_an_ended_run(hub: Hub) -> None:
    ann, _, attempt = await ended(hub)
    stranger = Pipe(hub, agent("other"))
    for pipe in (ann, stranger):
        answer = await pipe.ask(wire.Append(**S, events=DRAFTS, **attempt))
        assert answer["error"]["code"] == "auth.denied"
    assert not recorded(ann)
