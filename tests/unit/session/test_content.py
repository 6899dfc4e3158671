"""What agents append: offsets, openness, names that are not used twice (FOLD-3, LOG-2, RUN-4)."""

from __future__ import annotations

import pytest

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft
from holdfast.session import program
from holdfast.session.state import State
from tests.property.histories import LIFE, SESSION

from .conftest import ANN, WRITER, SessionHarness, text_drafts


def delta(message: object, text: object) -> Draft:
    return Draft(e.TEXT_CONTENT, {"messageId": message, "delta": text})


def test_offsets_count_what_a_browser_counts(session: SessionHarness) -> None:
    attempt = session.running()
    session.append(*text_drafts("a", "x", "🌊", "é", end=False), **attempt)
    session.append(delta("a", "𝒳"), delta("a", "!"), **attempt)
    offsets = [event.offset for event in session.events if event.type == e.TEXT_CONTENT]
    assert offsets == [0, 1, 3, 4, 6]
    assert session.view.open["message", "a"].length == 7


def test_an_append_with_one_bad_event_writes_none(session: SessionHarness) -> None:
    attempt = session.running()
    bad = [*text_drafts("a", "x", end=False), delta("b", "y")]
    session.refuse("content.not_open", wire.Append(session=SESSION, events=bad, **attempt), WRITER)
    session.append(*text_drafts("a", "x"), **attempt)


def test_a_delta_names_its_text_by_a_string(session: SessionHarness) -> None:
    """``1`` and ``["m1"]`` print like names that are open; no fold would find them."""
    attempt = session.running()
    session.append(*text_drafts("1", end=False), *text_drafts("['m1']", end=False), **attempt)
    for name in (1, ["m1"], None, True):
        session.refuse("input.malformed", wire.Append(session=SESSION, events=[delta(name, "x")], **attempt), WRITER)


def test_a_name_is_used_once(session: SessionHarness) -> None:
    first = session.running(agent="writer")
    second = session.running(agent="critic")
    session.append(*text_drafts("a", "one", end=False), **first)
    again = wire.Append(session=SESSION, events=text_drafts("a", "two"), **second)
    session.refuse("content.exists", again, "agent:critic")  # while it is open in another run
    session.append(Draft(e.TEXT_END, {"messageId": "a"}), **first)
    session.refuse("content.exists", wire.Append(session=SESSION, events=text_drafts("a", "two"), **first), WRITER)
    session.end(first)
    session.refuse("content.exists", again, "agent:critic")
    assert session.item("message", "a")["text"] == "one"


def test_an_input_and_an_agents_message_never_share_a_name(session: SessionHarness) -> None:
    attempt = session.running(key="k1")
    session.refuse("content.exists", wire.Append(session=SESSION, events=text_drafts("k1", "x"), **attempt), WRITER)
    session.refuse("content.exists", wire.Append(session=SESSION, events=text_drafts("k1", "x")), WRITER)
    ahead = f"m{session.state.tail + 1}-{LIFE}"  # the name the next input will be given
    session.refuse("content.exists", wire.Append(session=SESSION, events=text_drafts(ahead, "mine"), **attempt), WRITER)
    assert session.do(wire.Send(session=SESSION, text="hello"))["messageId"] == ahead


def test_old_names_are_forgotten(session: SessionHarness) -> None:
    for n in range(0, limits.KEPT_TEXTS + 100, 100):
        session.append(*[draft for i in range(100) for draft in text_drafts(f"x{n + i}")])
    assert len(session.state.texts) == limits.KEPT_TEXTS


def test_a_result_ends_the_arguments_of_its_call_in_the_same_append(session: SessionHarness) -> None:
    attempt = session.running()
    call = {"toolCallId": "c1"}
    start = Draft(e.TOOL_START, {**call, "toolCallName": "t"})
    args, result = Draft(e.TOOL_ARGS, {**call, "delta": "{}"}), Draft(e.TOOL_RESULT, {**call, "content": "ok"})
    late = wire.Append(session=SESSION, events=[start, result, args], **attempt)
    session.refuse("content.not_open", late, WRITER)
    session.append(start, args, result, **attempt)
    assert not session.state.runs[attempt["run"]].open
    assert session.item("tool", "c1")["status"] == "done"


def test_a_call_is_journalled_and_not_made_twice(session: SessionHarness) -> None:
    attempt = session.running()
    start = Draft(e.TOOL_START, {"toolCallId": "c1", "toolCallName": "t"})
    result = Draft(e.TOOL_RESULT, {"toolCallId": "c1", "content": {"n": 1}})
    session.append(start, **attempt)
    session.refuse("content.exists", wire.Append(session=SESSION, events=[start], **attempt), WRITER)
    session.lose(attempt)
    assert session.item("tool", "c1")["status"] == "cut"
    attempt = session.claim(attempt["run"])
    session.append(start, result, **attempt)  # its outcome was not known: made again
    session.refuse("content.exists", wire.Append(session=SESSION, events=[result], **attempt), WRITER)
    session.lose(attempt)
    attempt = session.claim(attempt["run"])
    session.refuse("content.exists", wire.Append(session=SESSION, events=[start], **attempt), WRITER)
    call = session.state.runs[attempt["run"]].journal["c1"]
    assert call.done and call.content == {"n": 1}


def test_a_result_without_its_call(session: SessionHarness) -> None:
    attempt = session.running()
    result = Draft(e.TOOL_RESULT, {"toolCallId": "c1", "content": "x"})
    session.refuse("content.not_open", wire.Append(session=SESSION, events=[result], **attempt), WRITER)


@pytest.mark.parametrize(
    "type_", ["run.ended", "session.created", "input.message", "cancel.requested", "", "x" * 65, "a\nb"]
)
def test_families_of_the_session_are_not_appendable(session: SessionHarness, type_: str) -> None:
    session.refuse("input.event_type", wire.Append(session=SESSION, events=[Draft(type_, {})]), WRITER)


def test_unknown_types_are_kept(session: SessionHarness) -> None:
    session.append(Draft("vendor.thing", {"x": 1}))
    assert session.events[-1].type == "vendor.thing"


def test_compare_and_set_on_the_tail(session: SessionHarness) -> None:
    op = wire.Append(session=SESSION, events=[Draft(e.CUSTOM, {})], expect=wire.Cursor(LIFE, session.state.tail))
    session.do(op)
    session.refuse("session.tail", op)
    op.expect = wire.Cursor("i0", session.state.tail)
    session.refuse("session.incarnation", op)


def test_bounds_of_one_append(session: SessionHarness) -> None:
    attempt = session.running()
    big = Draft(e.CUSTOM, {"value": "x" * limits.EVENT_BYTES})
    session.refuse("input.too_large", wire.Append(session=SESSION, events=[big], **attempt), WRITER)
    long = [*text_drafts("a", end=False), delta("a", "x" * (limits.EVENT_BYTES // 4 + 1))]
    session.refuse("input.too_large", wire.Append(session=SESSION, events=long, **attempt), WRITER)
    number = Draft(e.CUSTOM, {"value": 2**53})
    session.refuse("input.number_range", wire.Append(session=SESSION, events=[number], **attempt), WRITER)
    deep: dict[str, object] = {}
    for _ in range(limits.JSON_DEPTH):
        deep = {"x": deep}
    session.refuse("input.too_deep", wire.Append(session=SESSION, events=[Draft(e.CUSTOM, deep)], **attempt), WRITER)
    fields = {f"f{n}": "x" * 50_000 for n in range(6)}
    smuggled = [*text_drafts("a", end=False), Draft(e.TEXT_CONTENT, {"messageId": "a", "delta": "", **fields})]
    session.refuse("input.too_large", wire.Append(session=SESSION, events=smuggled, **attempt), WRITER)


def test_open_texts_are_bounded(session: SessionHarness) -> None:
    for n in range(0, limits.OPEN_ENTITIES, 128):
        session.append(*[Draft(e.TEXT_START, {"messageId": f"x{n + i}"}) for i in range(128)])
    session.refuse("session.full", wire.Append(session=SESSION, events=text_drafts("one-more")), WRITER)


def test_the_shared_state_is_bounded(session: SessionHarness) -> None:
    session.append(Draft(e.STATE_SNAPSHOT, {"snapshot": {"x": "y" * 240_000}}))
    patch = [{"op": "add", "path": "/z", "value": "y" * 60_000}]
    session.refuse("session.full", wire.Append(session=SESSION, events=[Draft(e.STATE_DELTA, {"delta": patch})]), ANN)
    session.append(Draft(e.STATE_SNAPSHOT, {"snapshot": {}}))
    session.append(Draft(e.STATE_DELTA, {"delta": patch}))
    assert len(session.view.state["z"]) == 60_000


def test_a_text_has_an_end(session: SessionHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAMED_CHARS", 10)
    attempt = session.running()
    session.append(*text_drafts("a", "0123456789", end=False), **attempt)
    session.refuse("session.full", wire.Append(session=SESSION, events=[delta("a", "!")], **attempt), WRITER)
    session.append(Draft(e.TEXT_END, {"messageId": "a"}), **attempt)
    session.append(*text_drafts("b", "another"), **attempt)


def test_what_is_known_of_a_session_from_the_start_is_bounded() -> None:
    create = wire.Create(session=SESSION, meta={"x": "y" * limits.EVENT_BYTES})
    with pytest.raises(Refused) as refused:
        program.decide(State(SESSION, "i1"), create, ANN, 1)
    assert refused.value.code == "input.too_large"


def test_usage_is_recorded_by_its_run_or_by_a_recorder(session: SessionHarness) -> None:
    """Whoever may append could bill anybody for anything otherwise."""
    attempt = session.running()
    usage = Draft(e.USAGE_RECORDED, {"model": "m", "input_tokens": 7})
    for actor in (ANN, WRITER, "check:golden"):
        session.refuse("input.event_type", wire.Append(session=SESSION, events=[usage]), actor)
        session.refuse("input.event_type", wire.Append(session=SESSION, events=[*text_drafts("x", "y"), usage]), actor)
    session.append(usage, **attempt)
    session.end(attempt, events=[usage])
    session.do(wire.Append(session=SESSION, events=[usage]), "policy:meter")
    assert session.types().count(e.USAGE_RECORDED) == 3
