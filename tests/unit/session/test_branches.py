"""What people say, and the branches it grows (RUN-7, CTL-7)."""

from __future__ import annotations

from holdfast.protocol import events as e
from holdfast.protocol import wire
from tests.property.histories import SESSION

from .conftest import Room, said


def test_input_queues_a_run_and_continues_the_branch(room: Room) -> None:
    one = room.do(wire.Send(session=SESSION, text="one", key="k1"))
    two = room.do(wire.Send(session=SESSION, text="two"))
    assert one["messageId"] == "k1" and room.item("message", two["messageId"])["parent"] == "k1"
    assert room.state.runs[one["run"]].input == "k1"


def test_editing_grows_a_sibling_and_the_old_branch_stays(room: Room) -> None:
    room.send(text="root", key="k0")
    room.send(text="old", key="k1")
    room.do(wire.Send(session=SESSION, text="new", key="k2", edits="k1"))
    assert room.item("message", "k2")["parent"] == "k0"
    assert [item["id"] for item in room.view.visible()] == ["k0", "k2"]
    room.do(wire.Select(session=SESSION, input="k1"))
    assert [item["id"] for item in room.view.visible()] == ["k0", "k1"]
    assert len(room.view.items) == 3


def test_regenerating_answers_again_beside_the_first_answer(room: Room) -> None:
    first = room.running(key="k1")
    room.append(*said("a", "one"), **first)
    room.end(first)
    again = room.do(wire.Regenerate(session=SESSION, input="k1"))
    second = room.claim(again["run"])
    room.append(*said("b", "two"), **second)
    room.end(second)
    assert [item.get("text") for item in room.view.visible()] == ["hi", "two"]
    room.do(wire.Select(session=SESSION, run=first["run"]))
    assert [item.get("text") for item in room.view.visible()] == ["hi", "one"]


def test_select_compares_the_branchs_version(room: Room) -> None:
    room.send(key="k1")
    version = room.state.branch_version
    room.refuse("session.version", wire.Select(session=SESSION, input="k1", version=version + 1))
    assert room.do(wire.Select(session=SESSION, input="k1", version=version))["version"] == version + 1
    room.refuse("input.malformed", wire.Select(session=SESSION))
    room.refuse("input.not_found", wire.Select(session=SESSION, input="zz"))
    room.refuse("run.not_found", wire.Select(session=SESSION, run="zz"))


def test_names_that_are_not_there(room: Room) -> None:
    room.refuse("input.not_found", wire.Send(session=SESSION, text="x", edits="zz"))
    room.refuse("input.not_found", wire.Send(session=SESSION, text="x", parent="zz"))
    room.refuse("input.not_found", wire.Regenerate(session=SESSION, input="zz"))


def test_a_silent_input_and_one_for_nobody_queue_nothing(room: Room) -> None:
    assert room.do(wire.Send(session=SESSION, text="x", silent=True))["run"] is None
    room.state.agent = ""
    assert room.do(wire.Send(session=SESSION, text="x"))["run"] is None
    ident = room.do(wire.Send(session=SESSION, text="x"))["messageId"]
    room.refuse("run.no_agent", wire.Regenerate(session=SESSION, input=ident))


def test_creating_again_and_renaming(room: Room) -> None:
    tail = room.state.tail
    room.do(wire.Create(session=SESSION, title="t", agent="writer"))
    room.do(wire.Rename(session=SESSION, title="t"))
    assert room.state.tail == tail
    room.refuse("session.exists", wire.Create(session=SESSION, title="other"))
    room.do(wire.Rename(session=SESSION, title="other"))
    assert room.view.title == "other" and room.types()[-1] == e.SESSION_RENAMED
