"""Labels come from signed claims, are bounded, and go where the work goes."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.session import labels, program
from holdfast.session import run as runs
from holdfast.session.access import Principal
from holdfast.session.state import State

S = {"session": "s1"}
SALES = Principal("user:ann", "acme", (), labels=labels.parse({"usage": "seated", "team": "sales"}))
OTHER = Principal("agent:writer", "acme", (), labels=(("team", "engines"),))


@pytest.mark.parametrize(
    "claim",
    [
        [], "team", {"Team": "x"}, {"team": 1}, {"team": ""}, {"team": None}, {"team": "a\nb"}, {"": "x"}, {"1a": "x"},
        {"team": "x" * (limits.LABEL_CHARS + 1)}, {"t" * (limits.LABEL_NAME_CHARS + 1): "x"},
        {f"l{number}": "x" for number in range(limits.LABELS + 1)},
    ],
)  # fmt: skip
def test_what_is_no_bounded_text_is_no_token(claim: Any) -> None:
    with pytest.raises(Refused) as refused:
        labels.parse(claim)
    assert refused.value.code == "auth.invalid"


def test_a_run_has_the_labels_of_who_asked_and_its_sub_runs_those_of_the_run() -> None:
    state = State("s1", "3f9a0c21be")

    def do(op: wire.Op, principal: Principal) -> dict[str, Any]:
        written = program.decide(state, op, principal.actor, 1_000, principal)
        program.evolve_all(state, written.merged_events)
        return written.result

    do(wire.Create(**S, agent="writer"), SALES)
    run = do(wire.Send(**S, text="x"), SALES)["run"]
    do(runs.Claim(**S, run=run, worker="w", lease_s=15.0), OTHER)
    attempt: dict[str, Any] = {**S, "run": run, "generation": 1}
    child = do(wire.Spawn(**attempt, agent="clerk", name="a"), OTHER)["run"]
    wanted = {"team": "sales", "usage": "seated"}
    assert [state.runs[ident].labels for ident in (run, child)] == [wanted, wanted]
    again = do(wire.Regenerate(**S, input=state.head or ""), Principal("user:bob", "acme", ()))["run"]
    assert state.runs[again].labels == {}, "bob's token says nothing"
    do(wire.End(**attempt), OTHER)
    assert state.ended[run].labels == wanted


def test_they_come_from_nothing_that_a_client_says_itself() -> None:
    state = State("s1", "3f9a0c21be")
    said: dict[str, Any] = {"labels": {"team": "engines", "cost": "0"}, "team": "engines"}
    for op in (
        wire.Create(**S, agent="writer", meta=said),
        wire.Send(**S, text="x", meta=said),
        wire.Send(**S, text="y", meta=said, concurrent=True),
    ):
        written = program.decide(state, op, "user:ann", 1_000, SALES)
        program.evolve_all(state, written.merged_events)
    assert [run.labels for run in state.runs.values()] == [{"team": "sales", "usage": "seated"}] * 2


def test_the_event_says_them() -> None:
    state = State("s1", "3f9a0c21be")
    written = program.decide(state, wire.Send(**S, text="x", agent="writer"), "user:ann", 1_000, SALES)
    (queued,) = [event for event in written.events if event.type == e.RUN_QUEUED]
    assert queued.data["labels"] == {"team": "sales", "usage": "seated"}
