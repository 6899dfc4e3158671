"""What agents are given to go by: the branch that ends at their input, turn by turn (CTL-7). What is shown: conformance."""

from __future__ import annotations

from holdfast.agents import history
from holdfast.protocol import wire
from tests.property.histories import SESSION

from .conftest import BOB, Room, said


def answered(room: Room, attempt: dict[str, object], ident: str) -> None:
    room.append(*said(ident, ident), **attempt)
    room.end(attempt)


def regenerated(room: Room, input: str) -> dict[str, object]:
    return room.claim(room.do(wire.Regenerate(session=SESSION, input=input))["run"])


def given(room: Room, attempt: dict[str, object]) -> list[str]:
    """The ids of what an attempt has to go by."""
    run = str(attempt["run"])
    return [item["id"] for item in history.branch(room.view, room.view.runs[run]["input"], run)]


def test_an_earlier_answer_given_anew_is_read_where_the_first_one_was(room: Room) -> None:
    answered(room, room.running(key="u1"), "a1")
    answered(room, room.running(key="u2"), "a2")
    answered(room, regenerated(room, "u1"), "b1")
    assert given(room, room.running(key="u3")) == ["u1", "b1", "u2", "a2", "u3"]


def test_an_answer_given_anew_knows_nothing_of_what_came_after_it(room: Room) -> None:
    answered(room, room.running(key="u1"), "a1")
    room.do(wire.Append(session=SESSION, events=said("p1", "hm")), BOB)
    answered(room, room.running(key="u2"), "a2")
    room.do(wire.Append(session=SESSION, events=said("p2", "so")), BOB)
    again = regenerated(room, "u1")
    assert given(room, again) == ["u1"]
    answered(room, again, "b1")
    assert given(room, room.running(key="u3")) == ["u1", "b1", "p1", "u2", "a2", "p2", "u3"]


def test_what_was_said_before_any_answer_is_known_to_each(room: Room) -> None:
    run = room.send(key="u1")
    room.do(wire.Append(session=SESSION, events=said("p1", "by the way")), BOB)
    first = room.claim(run)
    assert given(room, first) == ["u1", "p1"]
    answered(room, first, "a1")
    assert given(room, regenerated(room, "u1")) == ["u1", "p1"]


def test_answers_at_the_same_time_are_read_one_after_the_other(room: Room) -> None:
    one, two = room.running(key="u1", concurrent=True), room.running(key="u2", concurrent=True)
    room.append(*said("b1", "x"), **two)
    room.append(*said("a1", "x"), **one)
    room.end(one)
    room.end(two)
    assert given(room, room.running(key="u3")) == ["u1", "a1", "u2", "b1", "u3"]


def test_regenerating_may_show_the_branch_that_ends_there(room: Room) -> None:
    answered(room, room.running(key="u1"), "a1")
    answered(room, room.running(key="u2"), "a2")
    version = room.state.branch_version
    again = room.claim(room.do(wire.Regenerate(session=SESSION, input="u1", select=True))["run"])
    answered(room, again, "b1")
    assert [item["id"] for item in room.view.visible()] == ["u1", "b1"]
    assert room.state.branch_version == version + 1
    assert given(room, room.running(key="u3")) == ["u1", "b1", "u3"]
    room.do(wire.Select(session=SESSION, input="u2"))
    assert [item["id"] for item in room.view.visible()] == ["u1", "b1", "u2", "a2"], "siblings stay"


def test_a_message_may_go_on_from_another_answer_than_the_one_shown(room: Room) -> None:
    first = room.running(key="u1")
    answered(room, first, "a1")
    answered(room, regenerated(room, "u1"), "b1")
    next_ = room.running(key="u2", parent="u1", answer=first["run"])
    assert given(room, next_) == ["u1", "a1", "u2"]
    assert [item["id"] for item in room.view.visible()] == ["u1", "a1", "u2"]
    room.end(next_)
    for answer in ("r404", next_["run"]):
        room.refuse("run.not_found", wire.Send(session=SESSION, text="x", parent="u1", answer=answer))


def test_regenerating_at_the_end_selects_nothing(room: Room) -> None:
    answered(room, room.running(key="u1"), "a1")
    version = room.state.branch_version
    room.do(wire.Regenerate(session=SESSION, input="u1", select=True))
    assert room.state.branch_version == version
