"""Approvals: one winner, exact actions, deadlines, and runs that wait for them (CTL-6, RUN-5)."""

from __future__ import annotations

import pytest

from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft, Event
from holdfast.session.approval import action_hash
from tests.property.histories import SESSION

from .conftest import ANN, BOB, WRITER, SessionHarness


def ask(attempt: dict[str, object], ident: str = "a", **fields: object) -> wire.Ask:
    given = {"tool": "mail", "args": {"to": "x"}, **fields}
    return wire.Ask(session=SESSION, approval=ident, **attempt, **given)  # type: ignore[arg-type]


def resolve(decision: str = "approved", ident: str = "a", **fields: object) -> wire.Resolve:
    return wire.Resolve(session=SESSION, approval=ident, decision=decision, **fields)  # type: ignore[arg-type]


def test_fifty_race_and_one_wins(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(ask(attempt), WRITER)
    winners = []
    for n in range(50):
        answer = session.ask(resolve("approved" if n % 2 else "denied"), f"user:u{n}")
        if answer is not None:
            winners.append((f"user:u{n}", answer["decision"]))
    assert winners == [("user:u0", "denied")]
    assert session.refused.count("approval.resolved") == 49
    assert [event.type for event in session.events].count(e.APPROVAL_RESOLVED) == 1
    assert session.item("approval", "a")["by"] == "user:u0"


def test_the_action_is_named_exactly(session: SessionHarness) -> None:
    attempt = session.running()
    answer = session.do(ask(attempt), WRITER)
    assert answer["hash"] == action_hash("mail", {"to": "x"}) == session.item("approval", "a")["hash"]
    assert action_hash("t", {"a": 1, "b": [1.0]}) == action_hash("t", {"b": [1], "a": 1.0})
    assert len({action_hash("t", {"a": v}) for v in (1, "1", True, None, [1], {"a": 1})}) == 6
    session.refuse("session.version", resolve(hash="0" * 64))
    session.do(resolve(hash=answer["hash"], note="fine"))
    assert session.item("approval", "a")["note"] == "fine"


def test_asking_again_answers_what_is_known(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(ask(attempt), WRITER)
    tail = session.state.tail
    assert session.do(ask(attempt), WRITER)["decision"] == ""
    session.refuse("content.exists", ask(attempt, args={"to": "y"}), WRITER)
    assert session.state.tail == tail
    session.do(resolve())
    again = session.do(ask(attempt, wait=True), WRITER)
    assert (again["decision"], again["by"]) == ("approved", ANN)
    assert session.state.runs[attempt["run"]].status == "running", "no wait for what is decided"


def test_no_agent_decides(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(ask(attempt), WRITER)
    for agent in (WRITER, "agent:writer/helper", "agent:supervisor"):
        for ident in ("a", "none"):
            session.refuse("approval.self", resolve(ident=ident), agent)
    session.do(resolve(), ANN)


@pytest.mark.parametrize(
    "loose", [{"self_approve": True}, {"default": "approved"}, {"default": "approved", "wait": True}]
)
def test_the_asker_does_not_loosen_the_rule(session: SessionHarness, loose: dict[str, object]) -> None:
    attempt = session.running()
    session.refuse("approval.rule", ask(attempt, **loose), WRITER)
    session.do(ask(attempt, default="denied", self_approve=False), WRITER)


def test_the_requester_is_the_person_whose_message_led_to_it(session: SessionHarness) -> None:
    attempt = session.running(actor=BOB)
    session.do(ask(attempt), WRITER)
    assert session.last(e.APPROVAL_REQUESTED).data["requester"] == session.item("approval", "a")["requester"] == BOB
    child = session.do(wire.Spawn(session=SESSION, agent="h", name="n", **attempt), WRITER)
    below = {"run": child["run"], "generation": 1}
    session.do(ask(below, "b"), WRITER)
    asked = session.item("approval", "b")
    assert (asked["actor"], asked["requester"]) == ("agent:writer/h", BOB)
    session.do(resolve(), BOB)
    assert session.item("approval", "a")["by"] == BOB, "who asked for the work may let it happen"


def test_what_no_person_asked_for_has_no_requester(session: SessionHarness) -> None:
    attempt = session.running(actor="agent:planner")
    session.do(ask(attempt), WRITER)
    assert "requester" not in session.last(e.APPROVAL_REQUESTED).data and "requester" not in session.item(
        "approval", "a"
    )


def test_what_an_agent_loosened_in_an_older_log_counts_no_more(session: SessionHarness) -> None:
    """Earlier versions took it; its events are read, and no agent gains by them."""
    attempt = session.running()
    data = {
        "approvalId": "old", "tool": "mail", "args": {}, "hash": action_hash("mail", {}), "deadline": session.now + 1_000,
        "default": "approved", "selfApprove": True,
    }  # fmt: skip
    session._fold(Event(session.state.tail + 1, session.now, WRITER, e.APPROVAL_REQUESTED, data, attempt["run"]))
    session.refuse("approval.self", resolve(ident="old"), WRITER)
    assert session.do(ask(attempt, "old", args={}, self_approve=True, default="approved"), WRITER)["decision"] == ""
    session.tick(1_000)
    assert (session.state.approvals["old"].decision, session.events[-1].data["decision"]) == ("denied", "denied")


def test_the_deadline_is_tested_at_the_position(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(ask(attempt, deadline_s=10.0), WRITER)
    session.now += 10_000
    session.refuse("approval.resolved", resolve("approved"))
    session.tick()
    assert session.events[-1].type == e.APPROVAL_EXPIRED
    assert session.state.approvals["a"].decision == "denied"
    assert (
        session.item("approval", "a")["status"] == "expired" and session.item("approval", "a")["decision"] == "denied"
    )
    session.refuse("approval.resolved", resolve())


def test_one_millisecond_before_the_deadline_is_in_time(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(ask(attempt, deadline_s=10.0), WRITER)
    session.tick(9_999)
    session.do(resolve())


def test_a_run_waits_and_wakes_with_the_answer(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(ask(attempt, "a"), WRITER)
    session.do(ask(attempt, "b"), WRITER)
    session.do(wire.Wait(session=SESSION, approvals=["a", "b"], **attempt), WRITER)
    run = session.state.runs[attempt["run"]]
    assert run.status == "waiting"
    session.refuse("run.fenced", wire.Append(session=SESSION, events=[], **attempt), WRITER)
    session.do(resolve(ident="a"))
    assert run.status == "waiting"
    session.do(resolve("denied", ident="b"), BOB)
    assert run.status == "queued" and session.events[-1].data["answers"] == ["a", "b"]
    assert session.claim(run.id)["generation"] == 2


def test_a_deadline_wakes_a_waiting_run(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(ask(attempt, deadline_s=1.0, wait=True), WRITER)
    session.tick(1_000)
    assert session.types()[-2:] == [e.APPROVAL_EXPIRED, e.RUN_QUEUED]


def test_nothing_is_waited_for_that_is_decided_or_somebody_elses(session: SessionHarness) -> None:
    attempt, other = session.running(agent="writer"), session.running(agent="critic")
    session.do(ask(attempt), WRITER)
    session.do(ask(other, "o"), "agent:critic")
    session.refuse("approval.not_found", wire.Wait(session=SESSION, approvals=["zz"], **attempt), WRITER)
    session.refuse("approval.not_found", wire.Wait(session=SESSION, approvals=["a", "o"], **attempt), WRITER)
    session.do(resolve())
    answer = session.do(wire.Wait(session=SESSION, approvals=["a"], **attempt), WRITER)
    assert answer == {"waiting": False} and session.state.runs[attempt["run"]].status == "running"


def test_a_run_with_a_sub_run_of_its_own_attempt_does_not_wait(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(wire.Spawn(session=SESSION, agent="h", name="n", **attempt), WRITER)
    session.refuse("run.state", ask(attempt, wait=True), WRITER)
    assert "a" not in session.state.approvals


@pytest.mark.parametrize("force", [True, False])
def test_a_waiting_run_that_is_cancelled_ends_at_once_and_its_approval_with_it(
    session: SessionHarness, force: bool
) -> None:
    attempt = session.running()
    session.do(ask(attempt, wait=True), WRITER)
    session.do(wire.Cancel(session=SESSION, run=attempt["run"], force=force))
    assert not session.state.runs
    assert session.item("approval", "a")["status"] == "expired"
    session.refuse("approval.resolved", resolve())


def test_the_end_of_a_run_settles_its_approvals(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(ask(attempt), WRITER)
    session.end(attempt)
    assert session.types()[-2:] == [e.APPROVAL_EXPIRED, e.RUN_ENDED]
    assert session.state.approvals["a"].decision == "denied"


def test_an_approval_outlives_a_lost_attempt(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(ask(attempt), WRITER)
    session.lose(attempt)
    session.do(resolve())
    again = session.claim(attempt["run"])
    assert session.do(ask(again), WRITER)["decision"] == "approved"


def test_approvals_are_bounded(session: SessionHarness) -> None:
    attempt = session.running()
    for n in range(limits.PENDING_APPROVALS):
        session.do(ask(attempt, f"a{n}"), WRITER)
    session.refuse("session.full", ask(attempt, "more"), WRITER)
    for n in range(limits.PENDING_APPROVALS):
        session.do(resolve(ident=f"a{n}"))
    session.end(attempt)
    for _ in range(3):
        attempt = session.running()
        for n in range(limits.PENDING_APPROVALS):
            ident = f"b{session.state.tail}.{n}"
            session.do(ask(attempt, ident), WRITER)
            session.do(resolve(ident=ident))
        session.end(attempt)
    assert len(session.state.approvals) <= limits.KEPT_APPROVALS + limits.PENDING_APPROVALS


# --- approvals of a call --------------------------------------------------------------------------------------------------
def call(session: SessionHarness, attempt: dict[str, object], *, end: bool = False, ident: str = "c") -> None:
    about = {"toolCallId": ident}
    drafts = [Draft(e.TOOL_START, {**about, "toolCallName": "mail"}), Draft(e.TOOL_ARGS, {**about, "delta": "{}"})]
    session.append(*drafts, *([Draft(e.TOOL_END, about)] if end else []), **attempt)


def test_asking_about_a_call_closes_its_arguments_in_the_same_append(session: SessionHarness) -> None:
    attempt = session.running()
    call(session, attempt)
    before = len(session.events)
    session.do(ask(attempt, call="c"), WRITER)
    assert session.types(before) == [e.TOOL_END, e.APPROVAL_REQUESTED]
    assert session.item("tool", "c")["status"] == "called"
    assert (session.item("approval", "a")["call"], session.item("tool", "c")["approval"]) == ("c", "a")
    assert session.state.runs[attempt["run"]].journal["c"].paused == "asks"  # type: ignore[index]


def test_a_call_that_people_allowed_is_made_by_the_same_attempt_once(session: SessionHarness) -> None:
    attempt = session.running()
    call(session, attempt)
    session.refuse("content.exists", again(attempt), WRITER)
    session.do(ask(attempt, call="c"), WRITER)
    session.do(resolve(), BOB)
    call(session, attempt, end=True)
    assert session.state.runs[attempt["run"]].journal["c"].paused == "", "it has begun"  # type: ignore[index]
    session.refuse("content.exists", again(attempt), WRITER)
    session.append(Draft(e.TOOL_RESULT, {"toolCallId": "c", "content": "sent"}), **attempt)
    assert (session.item("tool", "c")["status"], session.item("tool", "c")["result"]) == ("done", "sent")


def again(attempt: dict[str, object]) -> wire.Append:
    start = Draft(e.TOOL_START, {"toolCallId": "c", "toolCallName": "mail"})
    return wire.Append(session=SESSION, events=[start], **attempt)  # type: ignore[arg-type]


def test_a_call_that_waits_for_people_is_not_cut_by_a_wait_or_a_loss(session: SessionHarness) -> None:
    attempt = session.running()
    call(session, attempt)
    call(session, attempt, ident="other")
    session.do(ask(attempt, call="c"), WRITER)
    session.lose(attempt)
    assert (session.item("tool", "c")["status"], session.item("tool", "other")["status"]) == ("called", "cut")
    attempt = session.claim(str(attempt["run"]))
    session.do(ask(attempt, call="c", wait=True), WRITER)
    assert session.item("tool", "c")["status"] == "called"
    session.do(resolve("denied"), BOB)
    attempt = session.claim(str(attempt["run"]))
    error = {"code": "tool.denied", "message": "no"}
    session.append(Draft(e.TOOL_RESULT, {"toolCallId": "c", "content": "", "error": error}), **attempt)
    assert (session.item("tool", "c")["args"], session.item("tool", "c")["error"]) == ("{}", error)


def test_a_call_that_asked_while_it_was_made_counts_as_not_begun(session: SessionHarness) -> None:
    attempt = session.running()
    call(session, attempt, end=True)
    session.append(Draft(e.TOOL_PAUSED, {"toolCallId": "c", "why": "tool.asks"}), **attempt)
    session.do(ask(attempt, call="c"), WRITER)
    assert session.state.runs[attempt["run"]].journal["c"].paused == "tool.asks"  # type: ignore[index]
    call(session, attempt, end=True)
    assert session.item("tool", "c")["status"] == "called"


def test_only_a_call_of_the_run_without_a_result_may_be_asked_about(session: SessionHarness) -> None:
    attempt = session.running()
    session.refuse("content.not_open", ask(attempt, call="c"), WRITER)
    call(session, attempt, end=True)
    session.append(Draft(e.TOOL_RESULT, {"toolCallId": "c", "content": "sent"}), **attempt)
    session.refuse("content.exists", ask(attempt, call="c"), WRITER)
    paused = Draft(e.TOOL_PAUSED, {"toolCallId": "c"})
    session.refuse("content.exists", wire.Append(session=SESSION, events=[paused], **attempt), WRITER)  # type: ignore[arg-type]
