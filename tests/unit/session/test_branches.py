"""What people say, and the branches it grows (RUN-7, CTL-7)."""

from __future__ import annotations

from holdfast.protocol import events as e
from holdfast.protocol import wire
from tests.property.histories import SESSION

from .conftest import SessionHarness, text_drafts


def test_input_queues_a_run_and_continues_the_branch(session: SessionHarness) -> None:
    one = session.do(wire.Send(session=SESSION, text="one", key="k1"))
    two = session.do(wire.Send(session=SESSION, text="two"))
    assert one["messageId"] == "k1" and session.item("message", two["messageId"])["parent"] == "k1"
    assert session.state.runs[one["run"]].input == "k1"


def test_editing_grows_a_sibling_and_the_old_branch_stays(session: SessionHarness) -> None:
    session.send(text="root", key="k0")
    session.send(text="old", key="k1")
    session.do(wire.Send(session=SESSION, text="new", key="k2", edits="k1"))
    assert session.item("message", "k2")["parent"] == "k0"
    assert [item["id"] for item in session.view.visible()] == ["k0", "k2"]
    session.do(wire.Select(session=SESSION, input="k1"))
    assert [item["id"] for item in session.view.visible()] == ["k0", "k1"]
    assert len(session.view.items) == 3


def test_regenerating_answers_again_beside_the_first_answer(session: SessionHarness) -> None:
    first = session.running(key="k1")
    session.append(*text_drafts("a", "one"), **first)
    session.end(first)
    again = session.do(wire.Regenerate(session=SESSION, input="k1"))
    second = session.claim(again["run"])
    session.append(*text_drafts("b", "two"), **second)
    session.end(second)
    assert [item.get("text") for item in session.view.visible()] == ["hi", "two"]
    session.do(wire.Select(session=SESSION, run=first["run"]))
    assert [item.get("text") for item in session.view.visible()] == ["hi", "one"]


def test_select_compares_the_branchs_version(session: SessionHarness) -> None:
    session.send(key="k1")
    version = session.state.branch_version
    session.refuse("session.version", wire.Select(session=SESSION, input="k1", version=version + 1))
    assert session.do(wire.Select(session=SESSION, input="k1", version=version))["version"] == version + 1
    session.refuse("input.malformed", wire.Select(session=SESSION))
    session.refuse("input.not_found", wire.Select(session=SESSION, input="zz"))
    session.refuse("run.not_found", wire.Select(session=SESSION, run="zz"))


def test_names_that_are_not_there(session: SessionHarness) -> None:
    session.refuse("input.not_found", wire.Send(session=SESSION, text="x", edits="zz"))
    session.refuse("input.not_found", wire.Send(session=SESSION, text="x", parent="zz"))
    session.refuse("input.not_found", wire.Regenerate(session=SESSION, input="zz"))


def test_a_silent_input_and_one_for_nobody_queue_nothing(session: SessionHarness) -> None:
    assert session.do(wire.Send(session=SESSION, text="x", silent=True))["run"] is None
    session.state.agent = ""
    assert session.do(wire.Send(session=SESSION, text="x"))["run"] is None
    ident = session.do(wire.Send(session=SESSION, text="x"))["messageId"]
    session.refuse("run.no_agent", wire.Regenerate(session=SESSION, input=ident))


def test_creating_again_and_renaming(session: SessionHarness) -> None:
    tail = session.state.tail
    session.do(wire.Create(session=SESSION, title="t", agent="writer"))
    session.do(wire.Rename(session=SESSION, title="t"))
    assert session.state.tail == tail
    session.refuse("session.exists", wire.Create(session=SESSION, title="other"))
    session.do(wire.Rename(session=SESSION, title="other"))
    assert session.view.title == "other" and session.types()[-1] == e.SESSION_RENAMED
