"""What was read in another life of a session is refused, and what says no life is not guessed (LIFE-1)."""

from __future__ import annotations

import pytest

from holdfast.protocol import events as e
from holdfast.protocol import ids, wire
from holdfast.protocol.events import Draft
from holdfast.session import life
from tests.property.histories import LIFE, SESSION

from .conftest import ANN, BOB, WRITER, SessionHarness, text_drafts

OTHER = "ffeeddccbbaa"


def named(run: str, message: str) -> list[wire.Op]:
    """Every operation that names something of the session, with ids as they were read."""
    attempt = {"session": SESSION, "run": run, "generation": 1}
    return [
        wire.Cancel(session=SESSION, run=run), wire.Cancel(session=SESSION, input=message), wire.Steer(session=SESSION, run=run, text="x"),
        wire.Interrupt(session=SESSION, text="x", run=run), wire.Resolve(session=SESSION, approval=f"{run}.a", decision="approved"),
        wire.Regenerate(session=SESSION, input=message), wire.Select(session=SESSION, input=message),
        wire.Select(session=SESSION, run=run), wire.Send(session=SESSION, text="x", parent=message),
        wire.Send(session=SESSION, text="x", edits=message), wire.Send(session=SESSION, text="x", answer=run),
        wire.Attach(**attempt), wire.Received(**attempt),
        wire.End(**attempt), wire.Spawn(**attempt, agent="a", name="n"), wire.Wait(**attempt, approvals=["a"]),
        wire.Ask(**attempt, approval="a", tool="t", args={}), wire.Append(**attempt, events=[Draft(e.CUSTOM, {})]),
    ]  # fmt: skip


def code(op: wire.Op) -> str:
    return "run.fenced" if life.is_attempt_op(op) else "session.incarnation"


def test_every_operation_that_names_something_is_listed() -> None:
    fields = {"run", "input", "approval", "parent", "edits", "answer"}
    for op in wire.OPS.values():
        if issubclass(op, wire.SessionOp):
            found = fields & set(op.__struct_fields__)
            found -= {"input"} if op is wire.Spawn else {"approval"} if op is wire.Ask else set()  # what they make
            assert found == set(life.NAMES.get(op, {})), op


@pytest.mark.parametrize("number", range(len(named("r", "m"))))
def test_an_id_of_a_former_life_names_nothing_here(session: SessionHarness, number: int) -> None:
    session.running()
    for run, message in ((ids.make("r", 3, OTHER), ids.make("m", 2, OTHER)), ("r3-" + OTHER, "m2-" + OTHER)):
        op = named(run, message)[number]
        with pytest.raises(Exception) as refused:
            life.check(session.state, op)
        assert refused.value.code == code(op)  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", range(len(named("r", "m"))))
def test_an_id_of_this_life_says_enough_and_another_life_beside_it_does_not(
    session: SessionHarness, number: int
) -> None:
    attempt = session.running()
    message = next(iter(session.state.inputs))
    life.check(session.state, named(attempt["run"], message)[number])
    for incarnation in (OTHER, "x"):
        op = named(attempt["run"], message)[number]
        op.incarnation = incarnation  # type: ignore[attr-defined]
        with pytest.raises(Exception) as refused:
            life.check(session.state, op)
        assert refused.value.code == code(op)  # type: ignore[attr-defined]


def test_a_position_without_a_life_is_not_guessed(session: SessionHarness) -> None:
    attempt = session.running()
    number = ids.parse(attempt["run"]).seq  # type: ignore[union-attr]
    session.refuse("run.not_found", wire.Cancel(session=SESSION, run=f"r{number}"))
    session.refuse("run.not_found", wire.End(session=SESSION, run=f"r{number}", generation=1), WRITER)
    session.state.runs[f"r{number}"] = session.state.runs.pop(attempt["run"])  # as version 0.1 named it
    session.refuse("session.incarnation", wire.Cancel(session=SESSION, run=f"r{number}"))
    session.refuse("run.fenced", wire.End(session=SESSION, run=f"r{number}", generation=1), WRITER)
    life.check(session.state, wire.Cancel(session=SESSION, run=f"r{number}", incarnation=LIFE))


class Restored(SessionHarness):
    """The log of one life, going on in another: ids of the former life name what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.attempt = self.running()
        self.message = next(iter(self.state.inputs))
        self.do(wire.Ask(session=SESSION, approval="a", tool="t", args={}, **self.attempt), WRITER)
        self.state.incarnation = OTHER


def test_in_a_restored_session_one_says_the_life_in_which_one_reads() -> None:
    session = Restored()
    run: str = session.attempt["run"]
    steer = {"session": SESSION, "run": run, "text": "x"}
    session.refuse("session.incarnation", wire.Steer(**steer))
    session.refuse("session.incarnation", wire.Steer(**steer, incarnation=LIFE))
    session.do(wire.Steer(**steer, incarnation=OTHER))
    session.do(wire.Steer(**{**steer, "run": ids.bind(run, OTHER)}))
    session.refuse("session.incarnation", wire.Steer(**{**steer, "run": ids.bind(run, "0" * 12)}))
    session.do(wire.Regenerate(session=SESSION, input=ids.bind(session.message, OTHER), agent="writer"))


def test_an_attempt_of_the_former_life_is_fenced_in_the_restored_one() -> None:
    session = Restored()
    end = {"session": SESSION, **session.attempt}
    session.refuse("run.fenced", wire.End(**end), WRITER)
    session.refuse("run.fenced", wire.End(**end, incarnation=LIFE), WRITER)
    session.do(wire.End(**end, incarnation=OTHER), WRITER)


def test_the_names_agents_give_approvals_say_enough_in_a_first_life_only() -> None:
    session = Restored()
    resolve = {"session": SESSION, "approval": "a", "decision": "approved"}
    session.refuse("session.incarnation", wire.Resolve(**resolve))
    session.do(wire.Resolve(**{**resolve, "approval": ids.bind("a", OTHER)}))
    first = SessionHarness()
    first.do(wire.Ask(session=SESSION, approval="a", tool="t", args={}, **first.running()), WRITER)
    first.do(wire.Resolve(**resolve))


@pytest.mark.parametrize("ident", ["r7-3f9a0c21be", "r7-3f9a0c21be.1.m1", "a", "call_1", "m5-3f9a0c21be", "r7"])
def test_what_is_bound_is_unbound(ident: str) -> None:
    for present in ("3f9a0c21be", OTHER):
        bound = ids.bind(ident, present)
        assert ids.unbind(bound) in ((ident, present), (ident, None))
        assert (ids.unbind(bound)[1] is None) == ids.names_life(ident, present)


def test_an_id_that_only_looks_like_one_of_the_server_s_is_its_maker_s() -> None:
    for ident in ("r", "r0", "run7", "r7x", "m7", "s1", "m7-xyz", "x-r7-3f9a0c21be", "r7-3f9a0c21bez", "R7", "r7_"):
        known = ids.parse(ident)
        assert known is None or known.life == "", ident


# --- whose ids are whose
def test_only_a_run_makes_ids_that_begin_with_its_own(session: SessionHarness) -> None:
    attempt = session.running()
    mine = f"{attempt['run']}.1.m1"
    ahead = f"r{session.state.tail + 2}-{LIFE}.1.m1"  # of the run that the next input queues
    for ident in (mine, ahead):
        session.refuse("content.exists", wire.Append(session=SESSION, events=text_drafts(ident, "mine!")), BOB)
    other = session.running(agent="critic")
    session.refuse(
        "content.exists", wire.Append(session=SESSION, events=text_drafts(mine, "x"), **other), "agent:critic"
    )
    session.append(*text_drafts(mine, "as it should be"), **attempt)
    session.refuse(
        "auth.denied", wire.Append(session=SESSION, events=[Draft(e.SOURCE_CITED, {"messageId": mine})]), BOB
    )


def test_nobody_else_answers_a_call_of_a_run_that_goes_on(session: SessionHarness) -> None:
    attempt = session.running()
    session.append(Draft(e.TOOL_START, {"toolCallId": "c1", "toolCallName": "t"}), **attempt)
    forged = wire.Append(session=SESSION, events=[Draft(e.TOOL_RESULT, {"toolCallId": "c1", "content": "x"})])
    session.refuse("run.state", forged, BOB)
    session.end(attempt)
    session.do(forged, BOB)  # a page answers what an agent left to it


def test_a_key_is_each_actor_s_own(session: SessionHarness) -> None:
    first = session.do(wire.Send(session=SESSION, text="a", key="msg-1"), ANN)
    second = session.do(wire.Send(session=SESSION, text="b", key="msg-1"), BOB)
    assert first["messageId"] == "msg-1" and second["messageId"] != "msg-1"
    assert [session.item("message", said["messageId"])["text"] for said in (first, second)] == ["a", "b"]
    assert session.do(wire.Send(session=SESSION, text="b", key="msg-1"), BOB)["messageId"] == second["messageId"]
    session.refuse("producer.conflict", wire.Send(session=SESSION, text="c", key="msg-1"), BOB)


@pytest.mark.parametrize("taken", ["k1", "r9-0a1b2c3d4e.1.m1"])
def test_a_key_that_an_agent_s_message_has_or_will_have_is_a_key_all_the_same(
    session: SessionHarness, taken: str
) -> None:
    if taken == "k1":
        session.append(*text_drafts(taken, "x"), **session.running())
    answer = session.do(wire.Send(session=SESSION, text="hi", key=taken))
    assert answer["messageId"] != taken and session.item("message", answer["messageId"])["text"] == "hi"


def test_a_key_whose_answer_is_forgotten_is_no_new_message(session: SessionHarness) -> None:
    session.do(wire.Send(session=SESSION, text="a", key="k"), ANN)
    session.do(wire.Send(session=SESSION, text="b", key="k"), BOB)
    session.state.keyed.clear()
    session.refuse("producer.expired", wire.Send(session=SESSION, text="a", key="k"), ANN)
    session.refuse("producer.expired", wire.Send(session=SESSION, text="b", key="k"), BOB)


def test_who_names_an_input_by_its_key_means_their_own(session: SessionHarness) -> None:
    first = session.do(wire.Send(session=SESSION, text="a", key="k", agent="writer"), ANN)["messageId"]
    mine = session.do(wire.Send(session=SESSION, text="b", key="k", agent="writer"), BOB)["messageId"]
    assert session.do(wire.Regenerate(session=SESSION, input="k"), BOB)["messageId"] == mine
    session.do(wire.Select(session=SESSION, input="k"), ANN)
    assert session.state.head == first
    session.do(wire.Select(session=SESSION, input="k"), BOB)
    assert session.state.head == mine
    again = session.do(wire.Send(session=SESSION, text="c", edits="k"), BOB)["messageId"]
    assert session.view.by_id["message", again]["edits"] == mine
    below = session.do(wire.Send(session=SESSION, text="d", parent="k"), BOB)["messageId"]
    assert session.view.by_id["message", below]["parent"] == mine


def test_who_stops_an_input_by_its_key_stops_their_own(session: SessionHarness) -> None:
    session.do(wire.Send(session=SESSION, text="a", key="k", agent="writer"), ANN)
    answer = session.do(wire.Send(session=SESSION, text="b", key="k", agent="writer"), BOB)
    assert session.do(wire.Cancel(session=SESSION, input="k"), BOB)["runs"] == [answer["run"]]
    assert [run.input for run in session.state.runs.values()] == ["k"]
    session.do(wire.Cancel(session=SESSION, input="later"), "user:eve")
    assert (
        session.do(wire.Send(session=SESSION, text="c", key="later", agent="writer"), BOB)["run"] in session.state.runs
    )
