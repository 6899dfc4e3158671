"""Stop, steer, interrupt and their receipts (CTL-2 to CTL-5)."""

from __future__ import annotations

import pytest

from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft
from holdfast.session import program
from holdfast.session import run as runs
from tests.property.histories import SESSION

from .conftest import ANN, BOB, WRITER, Room, said

GRACE_MS = int(limits.CANCEL_GRACE_S * 1_000)


def cancel(**fields: object) -> wire.Cancel:
    return wire.Cancel(session=SESSION, **fields)  # type: ignore[arg-type]


def test_a_cancel_leaves_time_to_close_and_then_ends_the_run(room: Room) -> None:
    attempt = room.running()
    room.append(*said("a", "x", end=False), Draft(e.TOOL_START, {"toolCallId": "c"}), **attempt)
    answer = room.do(cancel(run=attempt["run"]))
    assert answer["ended"] == []
    for drafts in (said("b"), [Draft(e.CUSTOM, {})], [Draft(e.TEXT_CONTENT, {"messageId": "a", "delta": "y"})]):
        room.refuse("run.stopping", wire.Append(session=SESSION, events=drafts, **attempt), WRITER)
    room.append(
        Draft(e.TEXT_END, {"messageId": "a"}),
        Draft(e.TOOL_RESULT, {"toolCallId": "c", "content": "x"}),
        Draft(e.USAGE_RECORDED, {"model": "m"}),
        **attempt,
    )
    assert program.due_ms(room.state) == room.events[0].ts + GRACE_MS
    room.tick(GRACE_MS - 1)
    assert attempt["run"] in room.state.runs
    room.tick(1)
    assert room.types()[-2:] == [e.CANCEL_EFFECTIVE, e.RUN_ENDED]
    assert room.events[-1].data == {"status": "cancelled", "forced": True}
    room.refuse("run.fenced", wire.Append(session=SESSION, events=said("z"), **attempt), WRITER)
    room.refuse("run.fenced", wire.End(session=SESSION, **attempt), WRITER)


def test_pressing_stop_again_does_not_put_off_the_end(room: Room) -> None:
    attempt = room.running()
    room.do(cancel(run=attempt["run"]))
    for _ in range(4):
        room.now += GRACE_MS // 5
        room.do(cancel(run=attempt["run"]), BOB)
    room.tick(GRACE_MS // 5)
    assert room.events[-1].type == e.RUN_ENDED


def test_force_ends_at_once_what_is_open_included(room: Room) -> None:
    attempt = room.running()
    child = room.do(wire.Spawn(session=SESSION, agent="a", name="n", **attempt), WRITER)["run"]
    room.append(*said("a", "x", end=False), **attempt)
    since = len(room.events)
    answer = room.do(cancel(run=attempt["run"], force=True))
    assert answer["ended"] == [attempt["run"]]
    ended = [event.run for event in room.events[since:] if event.type == e.RUN_ENDED]
    assert ended == [child, attempt["run"]], "children first"
    assert room.item("message", "a")["status"] == "cut"
    room.refuse("run.fenced", wire.Append(session=SESSION, events=said("b"), **attempt), WRITER)


def test_the_receipts(room: Room) -> None:
    attempt = room.running()
    room.do(cancel(run=attempt["run"]))
    room.do(wire.Received(session=SESSION, **attempt), WRITER)
    tail = room.state.tail
    room.do(wire.Received(session=SESSION, **attempt), WRITER)
    assert room.state.tail == tail, "confirming twice writes nothing"
    room.end(attempt, status="completed")
    shown = room.view.runs[attempt["run"]]
    assert shown["status"] == "cancelled"
    assert shown["cancel"]["delivered"] and shown["cancel"]["effective"]


def test_a_failure_during_the_grace_stays_a_failure(room: Room) -> None:
    attempt = room.running()
    room.do(cancel(run=attempt["run"]))
    room.end(attempt, status="failed", error={"code": "x", "message": "y" * 5_000})
    assert room.events[-1].data["status"] == "failed"
    assert len(room.events[-1].data["error"]["message"]) == 2_000


def test_scopes_are_judged_at_the_cancels_position(room: Room) -> None:
    anns, bobs = room.running(agent="writer"), room.running(actor=BOB, agent="critic")
    queued = room.send(agent="writer")
    answer = room.do(cancel(scope="mine"))
    assert answer == {"runs": [anns["run"], queued], "ended": [queued]}
    assert bobs["run"] in room.state.runs and room.state.runs[bobs["run"]].cancel is None
    later = room.send()
    assert room.state.runs[later].cancel is None
    room.do(cancel(scope="all"))
    assert room.state.runs[bobs["run"]].cancel is not None and later not in room.state.runs
    room.end(anns)
    assert room.do(cancel(scope="mine")) == {"runs": [], "ended": []}
    room.refuse("input.malformed", cancel())
    room.refuse("run.not_found", cancel(run="r999"))
    room.refuse("run.ended", cancel(run=queued))


def test_an_input_cancelled_before_it_arrives_never_runs(room: Room) -> None:
    room.do(cancel(input="k1"))
    answer = room.do(wire.Send(session=SESSION, text="x", key="k1"))
    assert room.types()[-4:] == [e.INPUT_MESSAGE, e.RUN_QUEUED, e.CANCEL_EFFECTIVE, e.RUN_ENDED]
    assert room.state.ended[answer["run"]].status == "cancelled"
    assert room.send(key="k2") in room.state.runs


def test_an_input_that_runs_is_cancelled_by_its_key(room: Room) -> None:
    attempt = room.running(key="k1")
    room.do(cancel(input="k1"))
    assert room.state.runs[attempt["run"]].cancel is not None
    room.end(attempt)
    room.refuse("run.ended", cancel(input="k1"))


def test_what_is_precancelled_is_bounded(room: Room) -> None:
    for n in range(limits.PRECANCELLED + 5):
        room.do(cancel(input=f"k{n}"))
    assert len(room.state.precancelled) == limits.PRECANCELLED
    assert room.send(key="k0") in room.state.runs, "the oldest is forgotten"


def test_compare_and_set_on_a_run(room: Room) -> None:
    attempt = room.running()
    version = room.state.runs[attempt["run"]].version
    room.refuse("session.version", cancel(run=attempt["run"], version=version + 1))
    room.do(cancel(run=attempt["run"], version=version))


def test_a_stopping_run_is_not_started_again(room: Room) -> None:
    """A sub-run that waits for a worker is cancelled with its parent and never begins."""
    attempt = room.running()
    child = room.do(wire.Spawn(session=SESSION, agent="critic", name="n", local=False, **attempt), WRITER)["run"]
    assert runs.claimable(room.state, room.state.runs[child])
    room.do(cancel(run=attempt["run"]))
    assert not runs.claimable(room.state, room.state.runs[child])
    room.refuse("run.state", runs.Claim(session=SESSION, run=child, worker="w", lease_s=1.0), "agent:critic")
    room.end(attempt)
    assert child not in room.state.runs


def test_cancelling_a_run_cancels_what_is_below_it(room: Room) -> None:
    attempt = room.running()
    spawn = wire.Spawn(session=SESSION, agent="a", name="n", **attempt)
    child = room.do(spawn, WRITER)
    below = room.do(wire.Spawn(session=SESSION, run=child["run"], generation=1, agent="b", name="n"), WRITER)
    room.do(cancel(run=attempt["run"]))
    for ident in (attempt["run"], child["run"], below["run"]):
        assert room.state.runs[ident].cancel is not None
    room.refuse("run.stopping", wire.Spawn(session=SESSION, agent="a", name="o", **attempt), WRITER)
    room.tick(GRACE_MS)
    assert not room.state.runs


def test_a_lease_that_runs_out_during_the_grace_ends_the_run(room: Room) -> None:
    attempt = room.running()
    room.do(cancel(run=attempt["run"]))
    room.lose(attempt)
    assert room.state.ended[attempt["run"]].status == "cancelled"


# --- steer ----------------------------------------------------------------------------------------------------------------
def test_a_steer_is_delivered_or_dropped_by_the_append_that_ends_the_run(room: Room) -> None:
    attempt = room.running()
    steers = [room.do(wire.Steer(session=SESSION, run=attempt["run"], text=f"t{n}"))["steerId"] for n in range(2)]
    room.do(wire.Received(session=SESSION, steer=steers[0], **attempt), WRITER)
    room.do(wire.Received(session=SESSION, steer=steers[0], **attempt), WRITER)
    since = len(room.events)
    room.end(attempt)
    assert room.types(since) == [e.STEER_DROPPED, e.RUN_ENDED]
    assert room.item("steer", steers[0])["status"] == "delivered"
    assert room.item("steer", steers[1])["status"] == "dropped"
    room.refuse("run.ended", wire.Steer(session=SESSION, run=attempt["run"], text="late"))


def test_a_steer_outlives_a_lost_attempt(room: Room) -> None:
    attempt = room.running()
    steer = room.do(wire.Steer(session=SESSION, run=attempt["run"], text="t"))["steerId"]
    room.lose(attempt)
    again = room.claim(attempt["run"])
    room.do(wire.Received(session=SESSION, steer=steer, **again), WRITER)
    assert room.item("steer", steer)["status"] == "delivered"


def test_steers_are_bounded_and_not_for_stopping_runs(room: Room) -> None:
    attempt = room.running()
    for n in range(limits.PENDING_STEERS):
        room.do(wire.Steer(session=SESSION, run=attempt["run"], text=str(n)))
    room.refuse("session.full", wire.Steer(session=SESSION, run=attempt["run"], text="x"))
    room.do(cancel(run=attempt["run"]))
    room.refuse("run.stopping", wire.Steer(session=SESSION, run=attempt["run"], text="x"))


# --- interrupt --------------------------------------------------------------------------------------------------------------
def test_an_interrupt_is_cancel_input_and_run_in_one_append(room: Room) -> None:
    attempt = room.running()
    since = len(room.events)
    answer = room.do(wire.Interrupt(session=SESSION, text="rather this"))
    assert room.types(since) == [e.CANCEL_REQUESTED, e.INPUT_MESSAGE, e.RUN_QUEUED]
    assert answer["cancelled"] == [attempt["run"]]
    following = room.state.runs[answer["run"]]
    assert following.after == [attempt["run"]] and not runs.claimable(room.state, following)
    room.refuse("run.state", runs.Claim(session=SESSION, run=following.id, worker="w", lease_s=1.0), WRITER)
    room.end(attempt)
    room.claim(following.id)


def test_a_forced_interrupt_starts_at_once(room: Room) -> None:
    room.running()
    answer = room.do(wire.Interrupt(session=SESSION, text="x", force=True))
    room.claim(answer["run"])


def test_an_interrupt_of_one_run_leaves_the_others(room: Room) -> None:
    one, other = room.running(agent="writer"), room.running(agent="critic")
    answer = room.do(wire.Interrupt(session=SESSION, text="x", run=other["run"]))
    assert room.state.runs[answer["run"]].agent == "critic"
    assert room.state.runs[one["run"]].cancel is None


def test_an_interrupt_with_nobody_to_answer(room: Room) -> None:
    room.state.agent = ""
    room.refuse("run.no_agent", wire.Interrupt(session=SESSION, text="x"))


@pytest.mark.parametrize("actor", [ANN, BOB])
def test_a_tick_with_nothing_due_writes_nothing(room: Room, actor: str) -> None:
    room.running(actor=actor)
    tail = room.state.tail
    room.tick(10)
    assert room.state.tail == tail


def test_a_cancel_says_why_to_everybody(room: Room) -> None:
    run = room.running()["run"]
    room.do(cancel(run=run, reason="the budget of sales is spent"), "policy:budget")
    assert room.last(e.CANCEL_REQUESTED).data["reason"] == "the budget of sales is spent"
    assert room.view.runs[run]["cancel"]["reason"] == "the budget of sales is spent"
    state = room.state.runs[run].cancel
    assert state is not None and state.reason == "the budget of sales is spent"
    room.do(cancel(run=run))
    assert "reason" not in room.view.runs[run]["cancel"], "the last one who stopped it did not say"
