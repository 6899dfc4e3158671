"""What agents are given to go by: the branch that ends at their input, turn by turn (CTL-7). What is shown: conformance."""

from __future__ import annotations

from holdfast.agents import history
from holdfast.protocol import wire
from tests.property.histories import SESSION

from .conftest import BOB, SessionHarness, text_drafts


def answered(session: SessionHarness, attempt: dict[str, object], ident: str) -> None:
    session.append(*text_drafts(ident, ident), **attempt)
    session.end(attempt)


def regenerated(session: SessionHarness, input: str) -> dict[str, object]:
    return session.claim(session.do(wire.Regenerate(session=SESSION, input=input))["run"])


def given(session: SessionHarness, attempt: dict[str, object]) -> list[str]:
    """The ids of what an attempt has to go by."""
    run = str(attempt["run"])
    return [item["id"] for item in history.branch(session.view, session.view.runs[run]["input"], run)]


def test_an_earlier_answer_given_anew_is_read_where_the_first_one_was(session: SessionHarness) -> None:
    answered(session, session.running(key="u1"), "a1")
    answered(session, session.running(key="u2"), "a2")
    answered(session, regenerated(session, "u1"), "b1")
    assert given(session, session.running(key="u3")) == ["u1", "b1", "u2", "a2", "u3"]


def test_an_answer_given_anew_knows_nothing_of_what_came_after_it(session: SessionHarness) -> None:
    answered(session, session.running(key="u1"), "a1")
    session.do(wire.Append(session=SESSION, events=text_drafts("p1", "hm")), BOB)
    answered(session, session.running(key="u2"), "a2")
    session.do(wire.Append(session=SESSION, events=text_drafts("p2", "so")), BOB)
    again = regenerated(session, "u1")
    assert given(session, again) == ["u1"]
    answered(session, again, "b1")
    assert given(session, session.running(key="u3")) == ["u1", "b1", "p1", "u2", "a2", "p2", "u3"]


def test_what_was_said_before_any_answer_is_known_to_each(session: SessionHarness) -> None:
    run = session.send(key="u1")
    session.do(wire.Append(session=SESSION, events=text_drafts("p1", "by the way")), BOB)
    first = session.claim(run)
    assert given(session, first) == ["u1", "p1"]
    answered(session, first, "a1")
    assert given(session, regenerated(session, "u1")) == ["u1", "p1"]


def test_answers_at_the_same_time_are_read_one_after_the_other(session: SessionHarness) -> None:
    one, two = session.running(key="u1", concurrent=True), session.running(key="u2", concurrent=True)
    session.append(*text_drafts("b1", "x"), **two)
    session.append(*text_drafts("a1", "x"), **one)
    session.end(one)
    session.end(two)
    assert given(session, session.running(key="u3")) == ["u1", "a1", "u2", "b1", "u3"]


def test_regenerating_may_show_the_branch_that_ends_there(session: SessionHarness) -> None:
    answered(session, session.running(key="u1"), "a1")
    answered(session, session.running(key="u2"), "a2")
    version = session.state.branch_version
    again = session.claim(session.do(wire.Regenerate(session=SESSION, input="u1", select=True))["run"])
    answered(session, again, "b1")
    assert [item["id"] for item in session.view.visible()] == ["u1", "b1"]
    assert session.state.branch_version == version + 1
    assert given(session, session.running(key="u3")) == ["u1", "b1", "u3"]
    session.do(wire.Select(session=SESSION, input="u2"))
    assert [item["id"] for item in session.view.visible()] == ["u1", "b1", "u2", "a2"], "siblings stay"


def test_a_message_may_go_on_from_another_answer_than_the_one_shown(session: SessionHarness) -> None:
    first = session.running(key="u1")
    answered(session, first, "a1")
    answered(session, regenerated(session, "u1"), "b1")
    next_ = session.running(key="u2", parent="u1", answer=first["run"])
    assert given(session, next_) == ["u1", "a1", "u2"]
    assert [item["id"] for item in session.view.visible()] == ["u1", "a1", "u2"]
    session.end(next_)
    for answer in ("r404", next_["run"]):
        session.refuse("run.not_found", wire.Send(session=SESSION, text="x", parent="u1", answer=answer))


def test_regenerating_at_the_end_selects_nothing(session: SessionHarness) -> None:
    answered(session, session.running(key="u1"), "a1")
    version = session.state.branch_version
    session.do(wire.Regenerate(session=SESSION, input="u1", select=True))
    assert session.state.branch_version == version
