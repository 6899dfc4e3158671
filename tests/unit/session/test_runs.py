"""Runs: their table, attempts, leases, order, sub-runs, hand-off (RUN-1 to RUN-7, LOG-6, CTL-8)."""

from __future__ import annotations

import itertools

import pytest

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft
from holdfast.session import run as runs
from tests.property.histories import SESSION

from .conftest import ANN, BOB, WRITER, Room, said

TYPES = (e.RUN_QUEUED, e.RUN_STARTED, e.RUN_WAITING, e.RUN_ATTEMPT_LOST, e.RUN_ENDED)
ALLOWED = {
    ("", e.RUN_QUEUED), ("queued", e.RUN_STARTED), ("running", e.RUN_WAITING), ("waiting", e.RUN_QUEUED),
    ("running", e.RUN_ATTEMPT_LOST), ("queued", e.RUN_ENDED), ("running", e.RUN_ENDED), ("waiting", e.RUN_ENDED),
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "type_"), [*itertools.product(("", "queued", "running", "waiting", "ended"), TYPES)]
)
def test_the_table(status: str, type_: str) -> None:
    """RUN-1 as PROTOCOL.md section 7 has it."""
    if (status, type_) in ALLOWED:
        runs.check(status, type_)
    else:
        with pytest.raises(Refused) as refused:
            runs.check(status, type_)
        assert refused.value.code == "run.state"


def spawn(attempt: dict[str, object], name: str = "n", **fields: object) -> wire.Spawn:
    return wire.Spawn(session=SESSION, agent="helper", name=name, **attempt, **fields)  # type: ignore[arg-type]


def test_a_lost_attempt_is_queued_again_and_the_old_generation_is_fenced(room: Room) -> None:
    first = room.running()
    room.append(*said("a", "x", end=False), **first)
    room.lose(first)
    assert room.events[-1].data == {"generation": 1, "reason": "lease expired", "retry": True}
    assert room.item("message", "a")["status"] == "cut"
    second = room.claim(first["run"])
    assert second["generation"] == 2
    for op in (
        wire.Append(session=SESSION, events=said("b"), **first), wire.End(session=SESSION, **first),
        wire.Ask(session=SESSION, approval="a", tool="t", args={}, **first), spawn(first),
        wire.Received(session=SESSION, **first), wire.Wait(session=SESSION, approvals=["a"], **first),
    ):  # fmt: skip
        room.refuse("run.fenced", op, WRITER)
    tail = room.state.tail
    room.lose(first)
    assert room.state.tail == tail, "the loss of a superseded attempt is no news"


def test_the_last_try_that_is_lost_ends_the_run(room: Room) -> None:
    run = room.send(attempts=2)
    room.lose(room.claim(run))
    room.lose(room.claim(run))
    assert room.types()[-2:] == [e.RUN_ATTEMPT_LOST, e.RUN_ENDED]
    assert room.state.ended[run].status == "lost" and room.view.runs[run]["status"] == "lost"
    assert room.events[-1].actor == "system:session"


def test_runs_of_one_agent_come_one_after_another(room: Room) -> None:
    first, second, other = room.send(), room.send(), room.send(agent="critic")
    attempt = room.claim(first)
    room.refuse("run.state", runs.Claim(session=SESSION, run=second, worker="w", lease_s=1.0), WRITER)
    room.claim(other)
    beside = room.send(concurrent=True)
    room.claim(beside)
    room.end(attempt)
    room.claim(second)


def test_a_waiting_run_lets_the_next_begin_and_goes_on_beside_it(room: Room) -> None:
    attempt, following = room.running(), room.send()
    room.do(wire.Ask(session=SESSION, approval="a", tool="t", args={}, wait=True, **attempt), WRITER)
    room.claim(following)
    room.do(wire.Resolve(session=SESSION, approval="a", decision="approved"))
    assert room.claim(attempt["run"])["generation"] == 2


def test_ids_are_allocated_by_the_server_and_unique(room: Room) -> None:
    found = [room.send(concurrent=True) for _ in range(20)]
    assert len(set(found)) == 20


def test_open_runs_are_bounded(room: Room) -> None:
    for _ in range(limits.OPEN_RUNS):
        room.send()
    room.refuse("session.full", wire.Send(session=SESSION, text="x"))
    room.do(wire.Send(session=SESSION, text="x", silent=True))


def test_ended_runs_are_remembered_up_to_a_bound(room: Room) -> None:
    first = room.running()
    room.end(first)
    for _ in range(limits.KEPT_RUNS):
        room.end(room.running())
    assert len(room.state.ended) == limits.KEPT_RUNS
    room.refuse("run.not_found", wire.Append(session=SESSION, events=said("a"), **first), WRITER)


def test_closing_events_ride_with_the_end(room: Room) -> None:
    attempt = room.running()
    room.append(*said("a", "x", end=False), **attempt)
    room.end(attempt, events=[Draft(e.TEXT_END, {"messageId": "a"})])
    assert room.types()[-2:] == [e.TEXT_END, e.RUN_ENDED]
    assert room.item("message", "a")["status"] == "complete"


# --- sub-runs ---------------------------------------------------------------------------------------------------------------
def test_a_local_sub_run_starts_at_once_under_its_parents_agent(room: Room) -> None:
    attempt = room.running()
    child = room.do(spawn(attempt, input={"q": 1}), WRITER)
    assert child == {"run": child["run"], "generation": 1, "status": "running", "existing": False}
    run = room.state.runs[child["run"]]
    assert (run.agent, run.parent, run.input) == (
        "writer/helper",
        attempt["run"],
        room.state.runs[attempt["run"]].input,
    )


def test_the_same_name_is_the_same_sub_run(room: Room) -> None:
    attempt = room.running()
    child = room.do(spawn(attempt), WRITER)
    tail = room.state.tail
    assert room.do(spawn(attempt), WRITER)["existing"] is True
    assert room.state.tail == tail
    room.end({"run": child["run"], "generation": 1})
    done = room.do(spawn(attempt), WRITER)
    assert done == {"run": child["run"], "generation": 0, "status": "completed", "existing": True}


def test_a_failed_sub_run_may_be_tried_again(room: Room) -> None:
    attempt = room.running()
    child = room.do(spawn(attempt), WRITER)
    room.end({"run": child["run"], "generation": 1}, status="failed")
    assert room.do(spawn(attempt), WRITER)["run"] != child["run"]


def test_the_end_of_a_run_ends_what_is_below_it(room: Room) -> None:
    attempt = room.running()
    child = room.do(spawn(attempt), WRITER)
    grand = room.do(spawn({"run": child["run"], "generation": 1}), WRITER)
    room.end(attempt)
    ended = [(event.run, event.data["status"]) for event in room.events if event.type == e.RUN_ENDED]
    assert ended == [(grand["run"], "cancelled"), (child["run"], "cancelled"), (attempt["run"], "completed")]


def test_a_lost_attempt_takes_its_local_sub_runs_and_keeps_the_others(room: Room) -> None:
    attempt = room.running()
    local, far = room.do(spawn(attempt), WRITER), room.do(spawn(attempt, name="far", local=False), WRITER)
    room.lose(attempt)
    assert room.state.ended[local["run"]].status == "lost"
    assert far["run"] in room.state.runs
    again = room.claim(attempt["run"])
    assert room.do(spawn(again, name="far", local=False), WRITER)["run"] == far["run"]
    assert room.do(spawn(again), WRITER)["run"] != local["run"]


def test_sub_runs_are_nested_up_to_a_bound(room: Room) -> None:
    attempt = room.running()
    for _ in range(limits.RUN_DEPTH - 1):
        child = room.do(spawn(attempt), WRITER)
        attempt = {"run": child["run"], "generation": 1}
    room.refuse("session.full", spawn(attempt), WRITER)


# --- hand-off ---------------------------------------------------------------------------------------------------------------
def test_taking_over_mutes_the_agents_until_it_is_given_back(room: Room) -> None:
    attempt, queued = room.running(), room.send(agent="critic")
    room.do(wire.Take(session=SESSION))
    assert room.state.runs[attempt["run"]].cancel is not None
    room.refuse("run.state", runs.Claim(session=SESSION, run=queued, worker="w", lease_s=1.0), "agent:critic")
    room.refuse("run.muted", wire.Append(session=SESSION, events=said("a")), WRITER)
    room.end(attempt)
    spoken = room.do(wire.Send(session=SESSION, text="I am here"))
    assert spoken["run"] is None and room.view.items[-1]["role"] == "operator"
    room.refuse("run.muted", wire.Regenerate(session=SESSION, input=spoken["messageId"]))
    room.refuse("handoff.taken", wire.Take(session=SESSION), BOB)
    room.refuse("handoff.taken", wire.GiveBack(session=SESSION), BOB)
    room.do(wire.Take(session=SESSION))
    room.do(wire.GiveBack(session=SESSION))
    room.claim(queued)
    room.refuse("handoff.not_taken", wire.GiveBack(session=SESSION))


def test_taking_over_reaches_a_sub_run_whose_parent_waits(room: Room) -> None:
    attempt = room.running()
    child = room.do(spawn(attempt, local=False), WRITER)["run"]
    room.do(runs.Claim(session=SESSION, run=child, worker="w", lease_s=15.0), "agent:helper")
    room.do(wire.Ask(session=SESSION, approval="a", tool="t", args={}, wait=True, **attempt), WRITER)
    room.do(wire.Take(session=SESSION))
    assert room.state.runs[child].cancel is not None


def test_a_force_takes_from_whoever_has_it(room: Room) -> None:
    room.do(wire.Take(session=SESSION))
    room.do(wire.Take(session=SESSION, force=True), BOB)
    assert room.state.taken_by == BOB and room.view.handoff == {"by": BOB, "ts": room.now}
    room.do(wire.GiveBack(session=SESSION, force=True), ANN)
