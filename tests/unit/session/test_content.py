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

from .conftest import ANN, WRITER, Room, said


def delta(message: object, text: object) -> Draft:
    return Draft(e.TEXT_CONTENT, {"messageId": message, "delta": text})


def test_offsets_count_what_a_browser_counts(room: Room) -> None:
    attempt = room.running()
    room.append(*said("a", "x", "🌊", "é", end=False), **attempt)
    room.append(delta("a", "𝒳"), delta("a", "!"), **attempt)
    offsets = [event.offset for event in room.events if event.type == e.TEXT_CONTENT]
    assert offsets == [0, 1, 3, 4, 6]
    assert room.view.open["message", "a"].length == 7


def test_an_append_with_one_bad_event_writes_none(room: Room) -> None:
    attempt = room.running()
    bad = [*said("a", "x", end=False), delta("b", "y")]
    room.refuse("content.not_open", wire.Append(session=SESSION, events=bad, **attempt), WRITER)
    room.append(*said("a", "x"), **attempt)


def test_a_delta_names_its_text_by_a_string(room: Room) -> None:
    """``1`` and ``["m1"]`` print like names that are open; no fold would find them."""
    attempt = room.running()
    room.append(*said("1", end=False), *said("['m1']", end=False), **attempt)
    for name in (1, ["m1"], None, True):
        room.refuse("input.malformed", wire.Append(session=SESSION, events=[delta(name, "x")], **attempt), WRITER)


def test_a_name_is_used_once(room: Room) -> None:
    first = room.running(agent="writer")
    second = room.running(agent="critic")
    room.append(*said("a", "one", end=False), **first)
    again = wire.Append(session=SESSION, events=said("a", "two"), **second)
    room.refuse("content.exists", again, "agent:critic")  # while it is open in another run
    room.append(Draft(e.TEXT_END, {"messageId": "a"}), **first)
    room.refuse("content.exists", wire.Append(session=SESSION, events=said("a", "two"), **first), WRITER)
    room.end(first)
    room.refuse("content.exists", again, "agent:critic")
    assert room.item("message", "a")["text"] == "one"


def test_an_input_and_an_agents_message_never_share_a_name(room: Room) -> None:
    attempt = room.running(key="k1")
    room.refuse("content.exists", wire.Append(session=SESSION, events=said("k1", "x"), **attempt), WRITER)
    room.refuse("content.exists", wire.Append(session=SESSION, events=said("k1", "x")), WRITER)
    ahead = f"m{room.state.tail + 1}-{LIFE}"  # the name the next input will be given
    room.refuse("content.exists", wire.Append(session=SESSION, events=said(ahead, "mine"), **attempt), WRITER)
    assert room.do(wire.Send(session=SESSION, text="hello"))["messageId"] == ahead


def test_old_names_are_forgotten(room: Room) -> None:
    for n in range(0, limits.KEPT_TEXTS + 100, 100):
        room.append(*[draft for i in range(100) for draft in said(f"x{n + i}")])
    assert len(room.state.texts) == limits.KEPT_TEXTS


def test_a_result_ends_the_arguments_of_its_call_in_the_same_append(room: Room) -> None:
    attempt = room.running()
    call = {"toolCallId": "c1"}
    start = Draft(e.TOOL_START, {**call, "toolCallName": "t"})
    args, result = Draft(e.TOOL_ARGS, {**call, "delta": "{}"}), Draft(e.TOOL_RESULT, {**call, "content": "ok"})
    late = wire.Append(session=SESSION, events=[start, result, args], **attempt)
    room.refuse("content.not_open", late, WRITER)
    room.append(start, args, result, **attempt)
    assert not room.state.runs[attempt["run"]].open
    assert room.item("tool", "c1")["status"] == "done"


def test_a_call_is_journalled_and_not_made_twice(room: Room) -> None:
    attempt = room.running()
    start = Draft(e.TOOL_START, {"toolCallId": "c1", "toolCallName": "t"})
    result = Draft(e.TOOL_RESULT, {"toolCallId": "c1", "content": {"n": 1}})
    room.append(start, **attempt)
    room.refuse("content.exists", wire.Append(session=SESSION, events=[start], **attempt), WRITER)
    room.lose(attempt)
    assert room.item("tool", "c1")["status"] == "cut"
    attempt = room.claim(attempt["run"])
    room.append(start, result, **attempt)  # its outcome was not known: made again
    room.refuse("content.exists", wire.Append(session=SESSION, events=[result], **attempt), WRITER)
    room.lose(attempt)
    attempt = room.claim(attempt["run"])
    room.refuse("content.exists", wire.Append(session=SESSION, events=[start], **attempt), WRITER)
    call = room.state.runs[attempt["run"]].journal["c1"]
    assert call.done and call.content == {"n": 1}


def test_a_result_without_its_call(room: Room) -> None:
    attempt = room.running()
    result = Draft(e.TOOL_RESULT, {"toolCallId": "c1", "content": "x"})
    room.refuse("content.not_open", wire.Append(session=SESSION, events=[result], **attempt), WRITER)


@pytest.mark.parametrize(
    "type_", ["run.ended", "session.created", "input.message", "cancel.requested", "", "x" * 65, "a\nb"]
)
def test_families_of_the_session_are_not_appendable(room: Room, type_: str) -> None:
    room.refuse("input.event_type", wire.Append(session=SESSION, events=[Draft(type_, {})]), WRITER)


def test_unknown_types_are_kept(room: Room) -> None:
    room.append(Draft("vendor.thing", {"x": 1}))
    assert room.events[-1].type == "vendor.thing"


def test_compare_and_set_on_the_tail(room: Room) -> None:
    op = wire.Append(session=SESSION, events=[Draft(e.CUSTOM, {})], expect=wire.Cursor(LIFE, room.state.tail))
    room.do(op)
    room.refuse("session.tail", op)
    op.expect = wire.Cursor("i0", room.state.tail)
    room.refuse("session.incarnation", op)


def test_bounds_of_one_append(room: Room) -> None:
    attempt = room.running()
    big = Draft(e.CUSTOM, {"value": "x" * limits.EVENT_BYTES})
    room.refuse("input.too_large", wire.Append(session=SESSION, events=[big], **attempt), WRITER)
    long = [*said("a", end=False), delta("a", "x" * (limits.EVENT_BYTES // 4 + 1))]
    room.refuse("input.too_large", wire.Append(session=SESSION, events=long, **attempt), WRITER)
    number = Draft(e.CUSTOM, {"value": 2**53})
    room.refuse("input.number_range", wire.Append(session=SESSION, events=[number], **attempt), WRITER)
    deep: dict[str, object] = {}
    for _ in range(limits.JSON_DEPTH):
        deep = {"x": deep}
    room.refuse("input.too_deep", wire.Append(session=SESSION, events=[Draft(e.CUSTOM, deep)], **attempt), WRITER)
    fields = {f"f{n}": "x" * 50_000 for n in range(6)}
    smuggled = [*said("a", end=False), Draft(e.TEXT_CONTENT, {"messageId": "a", "delta": "", **fields})]
    room.refuse("input.too_large", wire.Append(session=SESSION, events=smuggled, **attempt), WRITER)


def test_open_texts_are_bounded(room: Room) -> None:
    for n in range(0, limits.OPEN_ENTITIES, 128):
        room.append(*[Draft(e.TEXT_START, {"messageId": f"x{n + i}"}) for i in range(128)])
    room.refuse("session.full", wire.Append(session=SESSION, events=said("one-more")), WRITER)


def test_the_shared_state_is_bounded(room: Room) -> None:
    room.append(Draft(e.STATE_SNAPSHOT, {"snapshot": {"x": "y" * 240_000}}))
    patch = [{"op": "add", "path": "/z", "value": "y" * 60_000}]
    room.refuse("session.full", wire.Append(session=SESSION, events=[Draft(e.STATE_DELTA, {"delta": patch})]), ANN)
    room.append(Draft(e.STATE_SNAPSHOT, {"snapshot": {}}))
    room.append(Draft(e.STATE_DELTA, {"delta": patch}))
    assert len(room.view.state["z"]) == 60_000


def test_a_text_has_an_end(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAMED_CHARS", 10)
    attempt = room.running()
    room.append(*said("a", "0123456789", end=False), **attempt)
    room.refuse("session.full", wire.Append(session=SESSION, events=[delta("a", "!")], **attempt), WRITER)
    room.append(Draft(e.TEXT_END, {"messageId": "a"}), **attempt)
    room.append(*said("b", "another"), **attempt)


def test_what_is_known_of_a_session_from_the_start_is_bounded() -> None:
    create = wire.Create(session=SESSION, meta={"x": "y" * limits.EVENT_BYTES})
    with pytest.raises(Refused) as refused:
        program.decide(State(SESSION, "i1"), create, ANN, 1)
    assert refused.value.code == "input.too_large"


def test_usage_is_recorded_by_its_run_or_by_a_recorder(room: Room) -> None:
    """Whoever may append could bill anybody for anything otherwise."""
    attempt = room.running()
    usage = Draft(e.USAGE_RECORDED, {"model": "m", "input_tokens": 7})
    for actor in (ANN, WRITER, "check:golden"):
        room.refuse("input.event_type", wire.Append(session=SESSION, events=[usage]), actor)
        room.refuse("input.event_type", wire.Append(session=SESSION, events=[*said("x", "y"), usage]), actor)
    room.append(usage, **attempt)
    room.end(attempt, events=[usage])
    room.do(wire.Append(session=SESSION, events=[usage]), "policy:meter")
    assert room.types().count(e.USAGE_RECORDED) == 3
