"""The session program and the fold, held to their laws on random legal histories (LOG-*, RUN-*, FOLD-*)."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.protocol import limits
from holdfast.protocol.codec import encode
from holdfast.protocol.compaction import merge
from holdfast.protocol.events import Event
from holdfast.protocol.fold import HANDLERS, View
from holdfast.protocol.view import UNFINISHED
from holdfast.session import producer, program
from holdfast.session.state import State

from .histories import LIFE, SESSION, History, control, histories

EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES", "150"))
long = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def copied(view: View) -> dict[str, Any]:
    """A view as a reader gets it."""
    return msgspec.json.decode(encode(view.export()))  # type: ignore[no-any-return]


def fold(events: list[Event], view: View | None = None) -> View:
    view = view or View()
    for event in events:
        assert view.apply(event)
    return view


@long
@given(histories())
def test_a_snapshot_anywhere_and_the_rest_give_the_same_view(history: History) -> None:
    """FOLD-2 at every position: also inside a message, a tool call, a wait."""
    whole = copied(history.view)
    assert copied(fold(history.events)) == whole
    at_once = View()
    at_once.apply_all(history.events)
    assert copied(at_once) == whole and at_once.size == history.view.size
    assert len(history.view.visible()) <= len(history.view.items)
    growing = View()
    for n, event in enumerate(history.events, 1):
        growing.apply(event)
        if n % 3 == 0 or n == len(history.events):
            assert copied(fold(history.events[n:], View.load(copied(growing)))) == whole, f"snapshot at {n}"


@long
@given(histories())
def test_the_control_state_is_a_fold_of_the_log(history: History) -> None:
    """A restart, with or without a stored snapshot, decides as if nothing had happened."""
    cut = len(history.events) // 2
    again, restored = State(SESSION, LIFE), None
    keys = list(history.keys)
    for event in history.events:
        program.evolve(again, event)
        while keys and keys[0].last <= event.seq and (event.seq == len(history.events) or keys[0].last < event.seq + 1):
            producer.remember(again, keys.pop(0))
        if restored is not None:
            program.evolve(restored, event)
        if event.seq == cut:
            restored = msgspec.msgpack.decode(control(again), type=State)
    again.producers, again.keyed = restored_keys(history)
    paged = State(SESSION, LIFE)
    for start in range(0, len(history.events), 7):  # as pages of frames are folded
        program.evolve_all(paged, history.events[start : start + 7])
    assert paged.participants.keys() == again.participants.keys()
    paged.producers, paged.keyed, paged.participants = again.producers, again.keyed, again.participants
    assert control(paged) == control(history.state)
    assert control(again) == control(history.state)
    if restored is not None:
        restored.producers, restored.keyed = again.producers, again.keyed
        assert control(restored) == control(history.state)


def restored_keys(history: History) -> tuple[dict[str, Any], dict[str, Any]]:
    """The producer windows as the stored keys alone give them."""
    empty = State(SESSION, LIFE)
    for key in history.keys:
        producer.remember(empty, msgspec.msgpack.decode(msgspec.msgpack.encode(key), type=type(key)))
    return empty.producers, empty.keyed


@long
@given(histories())
def test_nothing_stays_open_under_a_run_that_has_ended(history: History) -> None:
    """FOLD-4; and what the session remembers is bounded."""
    for item in history.view.items:
        run = history.view.runs.get(item.get("run", ""))
        if run is not None and run["status"] in ("completed", "failed", "cancelled", "lost"):
            assert item.get("status") not in UNFINISHED, item
        if run is not None and run["status"] in ("queued", "waiting"):
            assert item.get("status") not in ("open", "called"), item
    for approval in history.state.approvals.values():
        assert approval.decision or approval.run in history.state.runs
    for ident, run in history.state.runs.items():
        assert all(history.state.approvals[w].run == ident for w in run.waits), "waits for what nobody will wake it"
        if run.status == "waiting":
            assert any(not history.state.approvals[w].decision for w in run.waits), "waits for nothing"
    assert len(history.state.runs) <= limits.OPEN_RUNS


@long
@given(histories(), st.data())
def test_compaction_changes_nothing_that_is_seen(history: History, data: st.DataObject) -> None:
    """FOLD-5: covers are contiguous, never reorder, and fold to the same view; so does the control state."""
    merged = merge(history.events)
    position = 0
    state = State(SESSION, LIFE)
    for event in merged:
        assert event.seq == position + 1
        position = event.last
        program.evolve(state, event)
    assert position == len(history.events)
    assert copied(fold(merged)) == copied(history.view)
    state.producers, state.keyed = history.state.producers, history.state.keyed
    state.ts = history.state.ts  # a cover has the time of its first event
    assert control(state) == control(history.state)
    edges = [event.last for event in merged]
    at = data.draw(st.sampled_from(edges))
    before = fold([event for event in history.events if event.seq <= at])
    rest = [event for event in merged if event.seq > at]
    assert copied(fold(rest, View.load(copied(before)))) == copied(history.view)
    assert merge(merged) == merged


# --- totality ---------------------------------------------------------------------------------------------------------
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False)
words = st.sampled_from(["", "m1", "a0", "r1", "add", "/x", "text", "completed", "user", "🌊"])
values = st.recursive(
    scalars | words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8
)
FIELDS = (
    "messageId", "toolCallId", "delta", "role", "content", "stepName", "snapshot", "patch", "approvalId", "steerId", "runs",
    "status", "agent", "input", "parent", "decision", "text", "attempts", "generation", "by", "force", "title", "run", "replace",
)  # fmt: skip
garbage = st.builds(
    Event,
    seq=st.just(0), ts=st.integers(0, 9), actor=words, type=st.sampled_from(sorted(HANDLERS)) | words,
    data=st.dictionaries(st.sampled_from(FIELDS), values, max_size=6), run=st.none() | st.sampled_from(["r1", "r2", ""]),
    attempt=st.none() | st.integers(0, 3), offset=st.none() | st.integers(0, 3),
)  # fmt: skip


@settings(max_examples=4 * EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(garbage, max_size=25))
def test_the_fold_takes_anything(events: list[Event]) -> None:
    """FOLD-1: whatever the events hold, folding them raises nothing, and the view can be exported and loaded."""
    view = View()
    for seq, event in enumerate(events, 1):
        view.apply(msgspec.structs.replace(event, seq=seq))
    exported = copied(view)
    assert copied(View.load(copied(view))) == exported
