"""Approvals: one winner, exact actions, deadlines, and runs that wait for them (CTL-6, RUN-5)."""

from __future__ import annotations

import pytest

from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Event
from holdfast.session.approval import action_hash
from tests.property.histories import SESSION

from .conftest import ANN, BOB, WRITER, Room


def ask(attempt: dict[str, object], ident: str = "a", **fields: object) -> wire.Ask:
    given = {"tool": "mail", "args": {"to": "x"}, **fields}
    return wire.Ask(session=SESSION, approval=ident, **attempt, **given)  # type: ignore[arg-type]


def resolve(decision: str = "approved", ident: str = "a", **fields: object) -> wire.Resolve:
    return wire.Resolve(session=SESSION, approval=ident, decision=decision, **fields)  # type: ignore[arg-type]


def test_fifty_race_and_one_wins(room: Room) -> None:
    attempt = room.running()
    room.do(ask(attempt), WRITER)
    winners = []
    for n in range(50):
        answer = room.ask(resolve("approved" if n % 2 else "denied"), f"user:u{n}")
        if answer is not None:
            winners.append((f"user:u{n}", answer["decision"]))
    assert winners == [("user:u0", "denied")]
    assert room.refused.count("approval.resolved") == 49
    assert [event.type for event in room.events].count(e.APPROVAL_RESOLVED) == 1
    assert room.item("approval", "a")["by"] == "user:u0"


def test_the_action_is_named_exactly(room: Room) -> None:
    attempt = room.running()
    answer = room.do(ask(attempt), WRITER)
    assert answer["hash"] == action_hash("mail", {"to": "x"}) == room.item("approval", "a")["hash"]
    assert action_hash("t", {"a": 1, "b": [1.0]}) == action_hash("t", {"b": [1], "a": 1.0})
    assert len({action_hash("t", {"a": v}) for v in (1, "1", True, None, [1], {"a": 1})}) == 6
    room.refuse("session.version", resolve(hash="0" * 64))
    room.do(resolve(hash=answer["hash"], note="fine"))
    assert room.item("approval", "a")["note"] == "fine"


def test_asking_again_answers_what_is_known(room: Room) -> None:
    attempt = room.running()
    room.do(ask(attempt), WRITER)
    tail = room.state.tail
    assert room.do(ask(attempt), WRITER)["decision"] == ""
    room.refuse("content.exists", ask(attempt, args={"to": "y"}), WRITER)
    assert room.state.tail == tail
    room.do(resolve())
    again = room.do(ask(attempt, wait=True), WRITER)
    assert (again["decision"], again["by"]) == ("approved", ANN)
    assert room.state.runs[attempt["run"]].status == "running", "no wait for what is decided"


def test_no_agent_decides(room: Room) -> None:
    attempt = room.running()
    room.do(ask(attempt), WRITER)
    for agent in (WRITER, "agent:writer/helper", "agent:supervisor"):
        for ident in ("a", "none"):
            room.refuse("approval.self", resolve(ident=ident), agent)
    room.do(resolve(), ANN)


@pytest.mark.parametrize(
    "loose", [{"self_approve": True}, {"default": "approved"}, {"default": "approved", "wait": True}]
)
def test_the_asker_does_not_loosen_the_rule(room: Room, loose: dict[str, object]) -> None:
    attempt = room.running()
    room.refuse("approval.rule", ask(attempt, **loose), WRITER)
    room.do(ask(attempt, default="denied", self_approve=False), WRITER)


def test_the_requester_is_the_person_whose_message_led_to_it(room: Room) -> None:
    attempt = room.running(actor=BOB)
    room.do(ask(attempt), WRITER)
    assert room.last(e.APPROVAL_REQUESTED).data["requester"] == room.item("approval", "a")["requester"] == BOB
    child = room.do(wire.Spawn(session=SESSION, agent="h", name="n", **attempt), WRITER)
    below = {"run": child["run"], "generation": 1}
    room.do(ask(below, "b"), WRITER)
    asked = room.item("approval", "b")
    assert (asked["actor"], asked["requester"]) == ("agent:writer/h", BOB)
    room.do(resolve(), BOB)
    assert room.item("approval", "a")["by"] == BOB, "who asked for the work may let it happen"


def test_what_no_person_asked_for_has_no_requester(room: Room) -> None:
    attempt = room.running(actor="agent:planner")
    room.do(ask(attempt), WRITER)
    assert "requester" not in room.last(e.APPROVAL_REQUESTED).data and "requester" not in room.item("approval", "a")


def test_what_an_agent_loosened_in_an_older_log_counts_no_more(room: Room) -> None:
    """Earlier versions took it; its events are read, and no agent gains by them."""
    attempt = room.running()
    data = {
        "approvalId": "old", "tool": "mail", "args": {}, "hash": action_hash("mail", {}), "deadline": room.now + 1_000,
        "default": "approved", "selfApprove": True,
    }  # fmt: skip
    room._fold(Event(room.state.tail + 1, room.now, WRITER, e.APPROVAL_REQUESTED, data, attempt["run"]))
    room.refuse("approval.self", resolve(ident="old"), WRITER)
    assert room.do(ask(attempt, "old", args={}, self_approve=True, default="approved"), WRITER)["decision"] == ""
    room.tick(1_000)
    assert (room.state.approvals["old"].decision, room.events[-1].data["decision"]) == ("denied", "denied")


def test_the_deadline_is_tested_at_the_position(room: Room) -> None:
    attempt = room.running()
    room.do(ask(attempt, deadline_s=10.0), WRITER)
    room.now += 10_000
    room.refuse("approval.resolved", resolve("approved"))
    room.tick()
    assert room.events[-1].type == e.APPROVAL_EXPIRED
    assert room.state.approvals["a"].decision == "denied"
    assert room.item("approval", "a")["status"] == "expired" and room.item("approval", "a")["decision"] == "denied"
    room.refuse("approval.resolved", resolve())


def test_one_millisecond_before_the_deadline_is_in_time(room: Room) -> None:
    attempt = room.running()
    room.do(ask(attempt, deadline_s=10.0), WRITER)
    room.tick(9_999)
    room.do(resolve())


def test_a_run_waits_and_wakes_with_the_answer(room: Room) -> None:
    attempt = room.running()
    room.do(ask(attempt, "a"), WRITER)
    room.do(ask(attempt, "b"), WRITER)
    room.do(wire.Wait(session=SESSION, approvals=["a", "b"], **attempt), WRITER)
    run = room.state.runs[attempt["run"]]
    assert run.status == "waiting"
    room.refuse("run.fenced", wire.Append(session=SESSION, events=[], **attempt), WRITER)
    room.do(resolve(ident="a"))
    assert run.status == "waiting"
    room.do(resolve("denied", ident="b"), BOB)
    assert run.status == "queued" and room.events[-1].data["answers"] == ["a", "b"]
    assert room.claim(run.id)["generation"] == 2


def test_a_deadline_wakes_a_waiting_run(room: Room) -> None:
    attempt = room.running()
    room.do(ask(attempt, deadline_s=1.0, wait=True), WRITER)
    room.tick(1_000)
    assert room.types()[-2:] == [e.APPROVAL_EXPIRED, e.RUN_QUEUED]


def test_nothing_is_waited_for_that_is_decided_or_somebody_elses(room: Room) -> None:
    attempt, other = room.running(agent="writer"), room.running(agent="critic")
    room.do(ask(attempt), WRITER)
    room.do(ask(other, "o"), "agent:critic")
    room.refuse("approval.not_found", wire.Wait(session=SESSION, approvals=["zz"], **attempt), WRITER)
    room.refuse("approval.not_found", wire.Wait(session=SESSION, approvals=["a", "o"], **attempt), WRITER)
    room.do(resolve())
    answer = room.do(wire.Wait(session=SESSION, approvals=["a"], **attempt), WRITER)
    assert answer == {"waiting": False} and room.state.runs[attempt["run"]].status == "running"


def test_a_run_with_a_sub_run_of_its_own_attempt_does_not_wait(room: Room) -> None:
    attempt = room.running()
    room.do(wire.Spawn(session=SESSION, agent="h", name="n", **attempt), WRITER)
    room.refuse("run.state", ask(attempt, wait=True), WRITER)
    assert "a" not in room.state.approvals


@pytest.mark.parametrize("force", [True, False])
def test_a_waiting_run_that_is_cancelled_ends_at_once_and_its_approval_with_it(room: Room, force: bool) -> None:
    attempt = room.running()
    room.do(ask(attempt, wait=True), WRITER)
    room.do(wire.Cancel(session=SESSION, run=attempt["run"], force=force))
    assert not room.state.runs
    assert room.item("approval", "a")["status"] == "expired"
    room.refuse("approval.resolved", resolve())


def test_the_end_of_a_run_settles_its_approvals(room: Room) -> None:
    attempt = room.running()
    room.do(ask(attempt), WRITER)
    room.end(attempt)
    assert room.types()[-2:] == [e.APPROVAL_EXPIRED, e.RUN_ENDED]
    assert room.state.approvals["a"].decision == "denied"


def test_an_approval_outlives_a_lost_attempt(room: Room) -> None:
    attempt = room.running()
    room.do(ask(attempt), WRITER)
    room.lose(attempt)
    room.do(resolve())
    again = room.claim(attempt["run"])
    assert room.do(ask(again), WRITER)["decision"] == "approved"


def test_approvals_are_bounded(room: Room) -> None:
    attempt = room.running()
    for n in range(limits.PENDING_APPROVALS):
        room.do(ask(attempt, f"a{n}"), WRITER)
    room.refuse("session.full", ask(attempt, "more"), WRITER)
    for n in range(limits.PENDING_APPROVALS):
        room.do(resolve(ident=f"a{n}"))
    room.end(attempt)
    for _ in range(3):
        attempt = room.running()
        for n in range(limits.PENDING_APPROVALS):
            ident = f"b{room.state.tail}.{n}"
            room.do(ask(attempt, ident), WRITER)
            room.do(resolve(ident=ident))
        room.end(attempt)
    assert len(room.state.approvals) <= limits.KEPT_APPROVALS + limits.PENDING_APPROVALS
