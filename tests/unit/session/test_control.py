"""Stop, steer, interrupt and their receipts (CTL-2 to CTL-5)."""

from __future__ import annotations

import pytest

from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft
from holdfast.session import program
from holdfast.session import run as runs
from tests.property.histories import SESSION

from .conftest import ANN, BOB, WRITER, SessionHarness, text_drafts

GRACE_MS = int(limits.CANCEL_GRACE_S * 1_000)


def cancel(**fields: object) -> wire.Cancel:
    return wire.Cancel(session=SESSION, **fields)  # type: ignore[arg-type]


def test_a_cancel_leaves_time_to_close_and_then_ends_the_run(session: SessionHarness) -> None:
    attempt = session.running()
    session.append(*text_drafts("a", "x", end=False), Draft(e.TOOL_START, {"toolCallId": "c"}), **attempt)
    answer = session.do(cancel(run=attempt["run"]))
    assert answer["ended"] == []
    for drafts in (text_drafts("b"), [Draft(e.CUSTOM, {})], [Draft(e.TEXT_CONTENT, {"messageId": "a", "delta": "y"})]):
        session.refuse("run.stopping", wire.Append(session=SESSION, events=drafts, **attempt), WRITER)
    session.append(
        Draft(e.TEXT_END, {"messageId": "a"}),
        Draft(e.TOOL_RESULT, {"toolCallId": "c", "content": "x"}),
        Draft(e.USAGE_RECORDED, {"model": "m"}),
        **attempt,
    )
    assert program.due_ms(session.state) == session.events[0].ts + GRACE_MS
    session.tick(GRACE_MS - 1)
    assert attempt["run"] in session.state.runs
    session.tick(1)
    assert session.types()[-2:] == [e.CANCEL_EFFECTIVE, e.RUN_ENDED]
    assert session.events[-1].data == {"status": "cancelled", "forced": True}
    session.refuse("run.fenced", wire.Append(session=SESSION, events=text_drafts("z"), **attempt), WRITER)
    session.refuse("run.fenced", wire.End(session=SESSION, **attempt), WRITER)


def test_pressing_stop_again_does_not_put_off_the_end(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(cancel(run=attempt["run"]))
    for _ in range(4):
        session.now += GRACE_MS // 5
        session.do(cancel(run=attempt["run"]), BOB)
    session.tick(GRACE_MS // 5)
    assert session.events[-1].type == e.RUN_ENDED


def test_force_ends_at_once_what_is_open_included(session: SessionHarness) -> None:
    attempt = session.running()
    child = session.do(wire.Spawn(session=SESSION, agent="a", name="n", **attempt), WRITER)["run"]
    session.append(*text_drafts("a", "x", end=False), **attempt)
    since = len(session.events)
    answer = session.do(cancel(run=attempt["run"], force=True))
    assert answer["ended"] == [attempt["run"]]
    ended = [event.run for event in session.events[since:] if event.type == e.RUN_ENDED]
    assert ended == [child, attempt["run"]], "children first"
    assert session.item("message", "a")["status"] == "cut"
    session.refuse("run.fenced", wire.Append(session=SESSION, events=text_drafts("b"), **attempt), WRITER)


def test_the_receipts(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(cancel(run=attempt["run"]))
    session.do(wire.Received(session=SESSION, **attempt), WRITER)
    tail = session.state.tail
    session.do(wire.Received(session=SESSION, **attempt), WRITER)
    assert session.state.tail == tail, "confirming twice writes nothing"
    session.end(attempt, status="completed")
    shown = session.view.runs[attempt["run"]]
    assert shown["status"] == "cancelled"
    assert shown["cancel"]["delivered"] and shown["cancel"]["effective"]


def test_a_failure_during_the_grace_stays_a_failure(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(cancel(run=attempt["run"]))
    session.end(attempt, status="failed", error={"code": "x", "message": "y" * 5_000})
    assert session.events[-1].data["status"] == "failed"
    assert len(session.events[-1].data["error"]["message"]) == 2_000


def test_scopes_are_judged_at_the_cancels_position(session: SessionHarness) -> None:
    anns, bobs = session.running(agent="writer"), session.running(actor=BOB, agent="critic")
    queued = session.send(agent="writer")
    answer = session.do(cancel(scope="mine"))
    assert answer == {"runs": [anns["run"], queued], "ended": [queued]}
    assert bobs["run"] in session.state.runs and session.state.runs[bobs["run"]].cancel is None
    later = session.send()
    assert session.state.runs[later].cancel is None
    session.do(cancel(scope="all"))
    assert session.state.runs[bobs["run"]].cancel is not None and later not in session.state.runs
    session.end(anns)
    assert session.do(cancel(scope="mine")) == {"runs": [], "ended": []}
    session.refuse("input.malformed", cancel())
    session.refuse("run.not_found", cancel(run="r999"))
    session.refuse("run.ended", cancel(run=queued))


def test_an_input_cancelled_before_it_arrives_never_runs(session: SessionHarness) -> None:
    session.do(cancel(input="k1"))
    answer = session.do(wire.Send(session=SESSION, text="x", key="k1"))
    assert session.types()[-4:] == [e.INPUT_MESSAGE, e.RUN_QUEUED, e.CANCEL_EFFECTIVE, e.RUN_ENDED]
    assert session.state.ended[answer["run"]].status == "cancelled"
    assert session.send(key="k2") in session.state.runs


def test_an_input_that_runs_is_cancelled_by_its_key(session: SessionHarness) -> None:
    attempt = session.running(key="k1")
    session.do(cancel(input="k1"))
    assert session.state.runs[attempt["run"]].cancel is not None
    session.end(attempt)
    session.refuse("run.ended", cancel(input="k1"))


def test_what_is_precancelled_is_bounded(session: SessionHarness) -> None:
    for n in range(limits.PRECANCELLED + 5):
        session.do(cancel(input=f"k{n}"))
    assert len(session.state.precancelled) == limits.PRECANCELLED
    assert session.send(key="k0") in session.state.runs, "the oldest is forgotten"


def test_compare_and_set_on_a_run(session: SessionHarness) -> None:
    attempt = session.running()
    version = session.state.runs[attempt["run"]].version
    session.refuse("session.version", cancel(run=attempt["run"], version=version + 1))
    session.do(cancel(run=attempt["run"], version=version))


def test_a_stopping_run_is_not_started_again(session: SessionHarness) -> None:
    """A sub-run that waits for a worker is cancelled with its parent and never begins."""
    attempt = session.running()
    child = session.do(wire.Spawn(session=SESSION, agent="critic", name="n", local=False, **attempt), WRITER)["run"]
    assert runs.claimable(session.state, session.state.runs[child])
    session.do(cancel(run=attempt["run"]))
    assert not runs.claimable(session.state, session.state.runs[child])
    session.refuse("run.state", runs.Claim(session=SESSION, run=child, worker="w", lease_s=1.0), "agent:critic")
    session.end(attempt)
    assert child not in session.state.runs


def test_cancelling_a_run_cancels_what_is_below_it(session: SessionHarness) -> None:
    attempt = session.running()
    spawn = wire.Spawn(session=SESSION, agent="a", name="n", **attempt)
    child = session.do(spawn, WRITER)
    below = session.do(wire.Spawn(session=SESSION, run=child["run"], generation=1, agent="b", name="n"), WRITER)
    session.do(cancel(run=attempt["run"]))
    for ident in (attempt["run"], child["run"], below["run"]):
        assert session.state.runs[ident].cancel is not None
    session.refuse("run.stopping", wire.Spawn(session=SESSION, agent="a", name="o", **attempt), WRITER)
    session.tick(GRACE_MS)
    assert not session.state.runs


def test_a_lease_that_runs_out_during_the_grace_ends_the_run(session: SessionHarness) -> None:
    attempt = session.running()
    session.do(cancel(run=attempt["run"]))
    session.lose(attempt)
    assert session.state.ended[attempt["run"]].status == "cancelled"


# --- steer ----------------------------------------------------------------------------------------------------------------
def test_a_steer_is_delivered_or_dropped_by_the_append_that_ends_the_run(session: SessionHarness) -> None:
    attempt = session.running()
    steers = [session.do(wire.Steer(session=SESSION, run=attempt["run"], text=f"t{n}"))["steerId"] for n in range(2)]
    session.do(wire.Received(session=SESSION, steer=steers[0], **attempt), WRITER)
    session.do(wire.Received(session=SESSION, steer=steers[0], **attempt), WRITER)
    since = len(session.events)
    session.end(attempt)
    assert session.types(since) == [e.STEER_DROPPED, e.RUN_ENDED]
    assert session.item("steer", steers[0])["status"] == "delivered"
    assert session.item("steer", steers[1])["status"] == "dropped"
    session.refuse("run.ended", wire.Steer(session=SESSION, run=attempt["run"], text="late"))


def test_a_steer_outlives_a_lost_attempt(session: SessionHarness) -> None:
    attempt = session.running()
    steer = session.do(wire.Steer(session=SESSION, run=attempt["run"], text="t"))["steerId"]
    session.lose(attempt)
    again = session.claim(attempt["run"])
    session.do(wire.Received(session=SESSION, steer=steer, **again), WRITER)
    assert session.item("steer", steer)["status"] == "delivered"


def test_steers_are_bounded_and_not_for_stopping_runs(session: SessionHarness) -> None:
    attempt = session.running()
    for n in range(limits.PENDING_STEERS):
        session.do(wire.Steer(session=SESSION, run=attempt["run"], text=str(n)))
    session.refuse("session.full", wire.Steer(session=SESSION, run=attempt["run"], text="x"))
    session.do(cancel(run=attempt["run"]))
    session.refuse("run.stopping", wire.Steer(session=SESSION, run=attempt["run"], text="x"))


# --- interrupt --------------------------------------------------------------------------------------------------------------
def test_an_interrupt_is_cancel_input_and_run_in_one_append(session: SessionHarness) -> None:
    attempt = session.running()
    since = len(session.events)
    answer = session.do(wire.Interrupt(session=SESSION, text="rather this"))
    assert session.types(since) == [e.CANCEL_REQUESTED, e.INPUT_MESSAGE, e.RUN_QUEUED]
    assert answer["cancelled"] == [attempt["run"]]
    following = session.state.runs[answer["run"]]
    assert following.after == [attempt["run"]] and not runs.claimable(session.state, following)
    session.refuse("run.state", runs.Claim(session=SESSION, run=following.id, worker="w", lease_s=1.0), WRITER)
    session.end(attempt)
    session.claim(following.id)


def test_a_forced_interrupt_starts_at_once(session: SessionHarness) -> None:
    session.running()
    answer = session.do(wire.Interrupt(session=SESSION, text="x", force=True))
    session.claim(answer["run"])


def test_an_interrupt_of_one_run_leaves_the_others(session: SessionHarness) -> None:
    one, other = session.running(agent="writer"), session.running(agent="critic")
    answer = session.do(wire.Interrupt(session=SESSION, text="x", run=other["run"]))
    assert session.state.runs[answer["run"]].agent == "critic"
    assert session.state.runs[one["run"]].cancel is None


def test_an_interrupt_with_nobody_to_answer(session: SessionHarness) -> None:
    session.state.agent = ""
    session.refuse("run.no_agent", wire.Interrupt(session=SESSION, text="x"))


@pytest.mark.parametrize("actor", [ANN, BOB])
def test_a_tick_with_nothing_due_writes_nothing(session: SessionHarness, actor: str) -> None:
    session.running(actor=actor)
    tail = session.state.tail
    session.tick(10)
    assert session.state.tail == tail


def test_a_cancel_says_why_to_everybody(session: SessionHarness) -> None:
    run = session.running()["run"]
    session.do(cancel(run=run, reason="the budget of sales is spent"), "policy:budget")
    assert session.last(e.CANCEL_REQUESTED).data["reason"] == "the budget of sales is spent"
    assert session.view.runs[run]["cancel"]["reason"] == "the budget of sales is spent"
    state = session.state.runs[run].cancel
    assert state is not None and state.reason == "the budget of sales is spent"
    session.do(cancel(run=run))
    assert "reason" not in session.view.runs[run]["cancel"], "the last one who stopped it did not say"
