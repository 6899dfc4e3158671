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

from .conftest import ANN, BOB, WRITER, SessionHarness, text_drafts

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


def test_a_lost_attempt_is_queued_again_and_the_old_generation_is_fenced(session: SessionHarness) -> None:
    first = session.running()
    session.append(*text_drafts("a", "x", end=False), **first)
    session.lose(first)
    assert session.events[-1].data == {"generation": 1, "reason": "lease expired", "retry": True}
    assert session.item("message", "a")["status"] == "cut"
    second = session.claim(first["run"])
    assert second["generation"] == 2
    for op in (
        wire.Append(session=SESSION, events=text_drafts("b"), **first), wire.End(session=SESSION, **first),
        wire.Ask(session=SESSION, approval="a", tool="t", args={}, **first), spawn(first),
        wire.Received(session=SESSION, **first), wire.Wait(session=SESSION, approvals=["a"], **first),
    ):  # fmt: skip
        session.refuse("run.fenced", op, WRITER)
    tail = session.state.tail
    session.lose(first)
    assert session.state.tail == tail, "the loss of a superseded attempt is no news"


def test_the_last_try_that_is_lost_ends_the_run(session: SessionHarness) -> None:
    run = session.send(attempts=2)
    session.lose(session.claim(run))
    session.lose(session.claim(run))
    assert session.types()[-2:] == [e.RUN_ATTEMPT_LOST, e.RUN_ENDED]
    assert session.state.ended[run].status == "lost" and session.view.runs[run]["status"] == "lost"
    assert session.events[-1].actor == "system:session"


def test_runs_of_one_agent_come_one_after_another(session: SessionHarness) -> None:
    first, second, other = session.send(), session.send(), session.send(agent="critic")
    attempt = session.claim(first)
    session.refuse("run.state", runs.Claim(session=SESSION, run=second, worker="w", lease_s=1.0), WRITER)
    session.claim(other)
    beside = session.send(concurrent=True)
    session.claim(beside)
    session.end(attempt)
    session.claim(second)


def test_a_waiting_run_lets_the_next_begin_and_goes_on_beside_it(session: SessionHarness) -> None:
    attempt, following = session.running(), session.send()
    session.do(wire.Ask(session=SESSION, approval="a", tool="t", args={}, wait=True, **attempt), WRITER)
    session.claim(following)
    session.do(wire.Resolve(session=SESSION, approval="a", decision="approved"))
    assert session.claim(attempt["run"])["generation"] == 2


def test_ids_are_allocated_by_the_server_and_unique(session: SessionHarness) -> None:
    found = [session.send(concurrent=True) for _ in range(20)]
    assert len(set(found)) == 20


def test_open_runs_are_bounded(session: SessionHarness) -> None:
    for _ in range(limits.OPEN_RUNS):
        session.send()
    session.refuse("session.full", wire.Send(session=SESSION, text="x"))
    session.do(wire.Send(session=SESSION, text="x", silent=True))


def test_ended_runs_are_remembered_up_to_a_bound(session: SessionHarness) -> None:
    first = session.running()
    session.end(first)
    for _ in range(limits.KEPT_RUNS):
        session.end(session.running())
    assert len(session.state.ended) == limits.KEPT_RUNS
    session.refuse("run.not_found", wire.Append(session=SESSION, events=text_drafts("a"), **first), WRITER)


def test_closing_events_ride_with_the_end(session: SessionHarness) -> None:
    attempt = session.running()
    session.append(*text_drafts("a", "x", end=False), **attempt)
    session.end(attempt, events=[Draft(e.TEXT_END, {"messageId": "a"})])
    assert session.types()[-2:] == [e.TEXT_END, e.RUN_ENDED]
    assert session.item("message", "a")["status"] == "complete"


# --- sub-runs ---------------------------------------------------------------------------------------------------------------
def test_a_local_sub_run_starts_at_once_under_its_parents_agent(session: SessionHarness) -> None:
    attempt = session.running()
    child = session.do(spawn(attempt, input={"q": 1}), WRITER)
    assert child == {"run": child["run"], "generation": 1, "status": "running", "existing": False}
    run = session.state.runs[child["run"]]
    assert (run.agent, run.parent, run.input) == (
        "writer/helper",
        attempt["run"],
        session.state.runs[attempt["run"]].input,
    )


def test_the_same_name_is_the_same_sub_run(session: SessionHarness) -> None:
    attempt = session.running()
    child = session.do(spawn(attempt), WRITER)
    tail = session.state.tail
    assert session.do(spawn(attempt), WRITER)["existing"] is True
    assert session.state.tail == tail
    session.end({"run": child["run"], "generation": 1})
    done = session.do(spawn(attempt), WRITER)
    assert done == {"run": child["run"], "generation": 0, "status": "completed", "existing": True}


def test_a_failed_sub_run_may_be_tried_again(session: SessionHarness) -> None:
    attempt = session.running()
    child = session.do(spawn(attempt), WRITER)
    session.end({"run": child["run"], "generation": 1}, status="failed")
    assert session.do(spawn(attempt), WRITER)["run"] != child["run"]


def test_the_end_of_a_run_ends_what_is_below_it(session: SessionHarness) -> None:
    attempt = session.running()
    child = session.do(spawn(attempt), WRITER)
    grand = session.do(spawn({"run": child["run"], "generation": 1}), WRITER)
    session.end(attempt)
    ended = [(event.run, event.data["status"]) for event in session.events if event.type == e.RUN_ENDED]
    assert ended == [(grand["run"], "cancelled"), (child["run"], "cancelled"), (attempt["run"], "completed")]


def test_a_lost_attempt_takes_its_local_sub_runs_and_keeps_the_others(session: SessionHarness) -> None:
    attempt = session.running()
    local, far = session.do(spawn(attempt), WRITER), session.do(spawn(attempt, name="far", local=False), WRITER)
    session.lose(attempt)
    assert session.state.ended[local["run"]].status == "lost"
    assert far["run"] in session.state.runs
    again = session.claim(attempt["run"])
    assert session.do(spawn(again, name="far", local=False), WRITER)["run"] == far["run"]
    assert session.do(spawn(again), WRITER)["run"] != local["run"]


def test_sub_runs_are_nested_up_to_a_bound(session: SessionHarness) -> None:
    attempt = session.running()
    for _ in range(limits.RUN_DEPTH - 1):
        child = session.do(spawn(attempt), WRITER)
        attempt = {"run": child["run"], "generation": 1}
    session.refuse("session.full", spawn(attempt), WRITER)


# --- hand-off ---------------------------------------------------------------------------------------------------------------
def test_taking_over_mutes_the_agents_until_it_is_given_back(session: SessionHarness) -> None:
    attempt, queued = session.running(), session.send(agent="critic")
    session.do(wire.Take(session=SESSION))
    assert session.state.runs[attempt["run"]].cancel is not None
    session.refuse("run.state", runs.Claim(session=SESSION, run=queued, worker="w", lease_s=1.0), "agent:critic")
    session.refuse("run.muted", wire.Append(session=SESSION, events=text_drafts("a")), WRITER)
    session.end(attempt)
    spoken = session.do(wire.Send(session=SESSION, text="I am here"))
    assert spoken["run"] is None and session.view.items[-1]["role"] == "operator"
    session.refuse("run.muted", wire.Regenerate(session=SESSION, input=spoken["messageId"]))
    session.refuse("handoff.taken", wire.Take(session=SESSION), BOB)
    session.refuse("handoff.taken", wire.GiveBack(session=SESSION), BOB)
    session.do(wire.Take(session=SESSION))
    session.do(wire.GiveBack(session=SESSION))
    session.claim(queued)
    session.refuse("handoff.not_taken", wire.GiveBack(session=SESSION))


def test_taking_over_reaches_a_sub_run_whose_parent_waits(session: SessionHarness) -> None:
    attempt = session.running()
    child = session.do(spawn(attempt, local=False), WRITER)["run"]
    session.do(runs.Claim(session=SESSION, run=child, worker="w", lease_s=15.0), "agent:helper")
    session.do(wire.Ask(session=SESSION, approval="a", tool="t", args={}, wait=True, **attempt), WRITER)
    session.do(wire.Take(session=SESSION))
    assert session.state.runs[child].cancel is not None


def test_a_force_takes_from_whoever_has_it(session: SessionHarness) -> None:
    session.do(wire.Take(session=SESSION))
    session.do(wire.Take(session=SESSION, force=True), BOB)
    assert session.state.taken_by == BOB and session.view.handoff == {"by": BOB, "ts": session.now}
    session.do(wire.GiveBack(session=SESSION, force=True), ANN)
