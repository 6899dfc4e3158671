"""Content: what agents append. This is the path of every token, so it is one loop over the events of an append."""

from __future__ import annotations

from typing import Any

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.bounds import too_large
from holdfast.protocol.codec import check_entity_id, check_value, encode, utf16_len
from holdfast.protocol.events import Draft, Event
from holdfast.session import life
from holdfast.session.run import run_of_attempt
from holdfast.session.state import CallState, RunState, State, trim_oldest
from holdfast.session.writer import Writer

_KIND = {
    e.TEXT_START: "m", e.TEXT_CONTENT: "m", e.TEXT_END: "m",
    e.REASONING_START: "r", e.REASONING_CONTENT: "r", e.REASONING_END: "r",
    e.TOOL_START: "t", e.TOOL_ARGS: "t", e.TOOL_END: "t",
}  # fmt: skip
_FIELD = {**e.OPENING, **e.DELTAS, **e.CLOSING}
_CLOSED = -1


def append(state: State, op: wire.Append, writer: Writer) -> None:
    """Decide an append. Raises ``Refused`` and writes nothing when any of its events cannot be accepted (LOG-2)."""
    life.check_tail(state, op.expect)
    run = run_of_attempt(state, op.run, op.generation) if op.run is not None else None
    if run is None and state.taken_by and writer.actor.startswith("agent:"):
        raise Refused("run.muted")
    write_drafts(state, run, op.events, writer)


def write_drafts(state: State, run: RunState | None, drafts: list[Draft], writer: Writer) -> None:
    """Write a run's (or, outside runs, an actor's) events, stamping the offset of every delta (FOLD-3)."""
    open_texts = run.open if run is not None else state.loose
    actor = f"agent:{run.agent}" if run is not None else writer.actor
    ident, attempt = (run.id, run.generation) if run is not None else (None, None)
    stopping = run is not None and run.cancel is not None
    changes: dict[str, int] = {}  # what this append opens, grows and closes, on top of the state
    events, merged, seq, ts = writer.events, writer.merged_events, writer.next_seq, writer.ts
    at, count = 0, len(drafts)
    while at < count:
        type_, data = drafts[at].type, drafts[at].data
        if stopping and type_ not in e.WHILE_STOPPING:
            raise Refused("run.stopping")
        if type_ not in e.DELTAS:
            check_value(data, type_)
            _check_other(state, run, type_, data, open_texts, changes)
            event = Event(seq, ts, actor, type_, data, ident, attempt)
            events.append(event)
            merged.append(event)
            at, seq = at + 1, seq + 1
            continue
        field = e.DELTAS[type_]
        text, key = data.get(field), _text_key(type_, data)
        offset = changes.get(key)
        if offset is None:
            offset = open_texts.get(key, _CLOSED)
        if offset < 0:
            raise Refused("content.not_open", f"{type_}: {text!r:.80} is not open")
        first, start, deltas = seq, offset, []
        while True:  # deltas of one text come in rows
            delta = data.get("delta")
            if type(delta) is not str:
                raise Refused("input.malformed", f"{type_}: delta must be a string")
            if len(delta) > limits.DELTA_CHARS:
                raise too_large(type_, limits.DELTA_CHARS, "characters")
            if len(data) > 2:  # more than the name and the delta
                check_value(data, type_)
                _check_size(type_, data)
            events.append(Event(seq, ts, actor, type_, data, ident, attempt, offset))
            deltas.append(delta)
            at, seq = at + 1, seq + 1
            offset += len(delta) if delta.isascii() else utf16_len(delta)
            if at == count:
                break
            draft = drafts[at]
            data = draft.data
            if draft.type != type_ or data.get(field) != text:
                break
        if offset > limits.STREAMED_CHARS:  # everybody who joins is given it whole while it is open
            raise Refused(
                "session.full", f"{text!r:.80} is longer than {limits.STREAMED_CHARS} UTF-16 units: begin another"
            )
        changes[key] = offset
        if len(deltas) == 1:
            merged.append(events[-1])
        else:
            cover = {field: text, "delta": "".join(deltas)}
            merged.append(Event(first, ts, actor, type_, cover, ident, attempt, start, seq - 1))


def _check_other(
    state: State,
    run: RunState | None,
    type_: str,
    data: dict[str, Any],
    open_texts: dict[str, int],
    changes: dict[str, int],
) -> None:
    """Events that are not deltas."""
    if type_ not in _KIND:
        _check_standalone(state, run, type_, data, changes)
        return
    key = _text_key(type_, data)
    if type_ in e.OPENING:
        _check_open(state, run, type_, data[_FIELD[type_]], key, open_texts, changes)
        changes[key] = 0
    else:
        if changes.get(key, open_texts.get(key, _CLOSED)) < 0:
            raise Refused("content.not_open", f"{type_}: {data[_FIELD[type_]]!r:.80} is not open")
        changes[key] = _CLOSED
    _check_size(type_, data)


def _text_key(type_: str, data: dict[str, Any]) -> str:
    ident = data.get(_FIELD[type_])
    if type(ident) is not str:
        raise Refused("input.malformed", f"{type_}: {_FIELD[type_]} must be a string")
    return f"{_KIND[type_]}:{ident}"


def _check_open(
    state: State,
    run: RunState | None,
    type_: str,
    ident: Any,
    key: str,
    open_texts: dict[str, int],
    changes: dict[str, int],
) -> None:
    check_entity_id(ident, f"{type_}.{_FIELD[type_]}")
    owner = life.owner(state, ident)
    if owner is not None and (run is None or owner != run.id):
        raise Refused("content.exists", f"{type_}: ids that begin with {owner!r:.40} are its own: use another")
    opened_by = state.texts.get(key)
    repeats = (
        type_ == e.TOOL_START and run is not None and opened_by == run.id
    )  # a call made again: the journal decides
    if (
        key in open_texts
        or key in changes
        or (opened_by is not None and not repeats)
        or (key[0] == "m" and ident in state.inputs)
    ):
        raise Refused("content.exists", f"{type_}: {ident!r:.80} was started before")
    if len(open_texts) + len(changes) >= limits.OPEN_ENTITIES:
        raise Refused("session.full", f"more than {limits.OPEN_ENTITIES} open texts")
    if type_ == e.TOOL_START and run is not None:
        call = run.journal.get(ident)
        if call is not None and (call.done or (call.generation == run.generation and not call.paused)):
            raise Refused("content.exists", f"tool call {ident!r:.80} was made before")
        if len(run.journal) >= limits.KEPT_TOOL_RESULTS:
            raise Refused("session.full", f"more than {limits.KEPT_TOOL_RESULTS} tool calls in one run")


def _check_standalone(
    state: State, run: RunState | None, type_: str, data: dict[str, Any], changes: dict[str, int]
) -> None:
    """Events that neither open, grow nor close a text."""
    if not 1 <= len(type_) <= limits.TYPE_CHARS or not type_.isprintable() or not e.appendable(type_):
        raise Refused("input.event_type", f"{type_[: limits.TYPE_CHARS]!r} may not be appended")
    if run is None and type_ in e.RUNS_ONLY:
        raise Refused(
            "input.event_type",
            f"{type_} may be appended inside a run only",
            fix="Append it with the run and the generation of the attempt that it is about.",
        )
    size = _check_size(type_, data)
    message_id = data.get("messageId")
    if (
        type(message_id) is str
        and (owner := life.owner(state, message_id)) is not None
        and (run is None or owner != run.id)
    ):
        raise Refused(
            "auth.denied", f"{type_}: {message_id!r:.80} is of {owner}", fix="Only the run itself may add to it."
        )
    if type_ == e.TOOL_RESULT:
        ident = check_entity_id(data.get("toolCallId"), "TOOL_CALL_RESULT.toolCallId")
        started = f"t:{ident}" in changes
        changes[f"t:{ident}"] = _CLOSED  # a result ends the arguments
        if run is None and any(ident in other.journal for other in state.runs.values()):
            raise Refused("run.state", f"tool call {ident!r:.80} is made by a run that goes on")
        if run is not None:
            call = run.journal.get(ident)
            if f"result:{ident}" in changes:
                raise Refused("content.exists", f"tool call {ident!r:.80} has its result")
            if call is None and not started:
                raise Refused("content.not_open", f"tool call {ident!r:.80} was never started")
            if call is not None and call.done:
                raise Refused("content.exists", f"tool call {ident!r:.80} has its result")
            changes[f"result:{ident}"] = size
            if run.journal_bytes + size > limits.JOURNAL_BYTES:
                raise Refused("session.full", "the run's journal of tool results is full; put large results into blobs")
    elif type_ == e.TOOL_PAUSED:
        ident = check_entity_id(data.get("toolCallId"), "tool.paused.toolCallId")
        if data.get("why"):
            check_entity_id(data["why"], "tool.paused.why")
        if f"t:{ident}" not in changes:
            check_call_open(run, ident)
    elif type_ in (e.STATE_SNAPSHOT, e.STATE_DELTA):
        before = 0 if type_ == e.STATE_SNAPSHOT else state.state_bytes
        if before + size > limits.SESSION_STATE_BYTES:
            raise Refused("session.full", "the shared state and its changes are too large; send a STATE_SNAPSHOT")


def check_call_open(run: RunState | None, ident: str) -> None:
    """Refuse a call that the run has not written down, or that has its result."""
    call = run.journal.get(ident) if run is not None else None
    if call is None:
        raise Refused("content.not_open", f"tool call {ident!r:.80} was never started")
    if call.done:
        raise Refused("content.exists", f"tool call {ident!r:.80} has its result")


def _check_size(type_: str, data: dict[str, Any]) -> int:
    size = len(encode(data))
    if size > limits.EVENT_BYTES:
        raise too_large(type_, limits.EVENT_BYTES, "bytes")
    return size


# --- evolve -----------------------------------------------------------------------------------------------------------
def _open_texts(state: State, event: Event) -> dict[str, int] | None:
    """The open texts the event's run (or the session, outside runs) has; None once the run has ended."""
    if event.run is None:
        return state.loose
    run = state.runs.get(event.run)
    return run.open if run is not None else None


def _key(event: Event) -> str:
    return f"{_KIND[event.type]}:{event.data.get(_FIELD[event.type])}"


def on_opened(state: State, event: Event) -> None:
    """A text was started."""
    texts = _open_texts(state, event)
    if texts is None:
        return
    texts[_key(event)] = 0
    state.texts[_key(event)] = event.run or ""
    trim_oldest(state.texts, limits.KEPT_TEXTS)
    if event.type == e.TOOL_START and event.run is not None:
        run, name = state.runs[event.run], str(event.data.get("toolCallName", ""))
        run.journal[event.data["toolCallId"]] = CallState(name, run.generation)


def on_grown(state: State, event: Event) -> None:
    """A text has grown by a delta."""
    texts = _open_texts(state, event)
    if texts is not None:
        delta = event.data["delta"]
        texts[_key(event)] = (event.offset or 0) + (len(delta) if delta.isascii() else utf16_len(delta))


def on_closed(state: State, event: Event) -> None:
    """A text is complete."""
    texts = _open_texts(state, event)
    if texts is not None:
        texts.pop(_key(event), None)


def on_tool_result(state: State, event: Event) -> None:
    """A tool call has its result; the journal keeps it for later attempts."""
    run = state.runs.get(event.run or "")
    if run is None:
        state.loose.pop(f"t:{event.data.get('toolCallId')}", None)
        return
    ident = event.data["toolCallId"]
    run.open.pop(f"t:{ident}", None)
    call = run.journal.setdefault(ident, CallState("", run.generation))
    call.done, call.content = True, event.data.get("content")
    call.error, call.blob = event.data.get("error"), event.data.get("blob")
    run.journal_bytes += len(encode(event.data))


def on_paused(state: State, event: Event) -> None:
    """Note that the call an event names has not been made, and why if nobody said so before."""
    run = state.runs.get(event.run or "")
    call = run.journal.get(str(event.data.get("toolCallId"))) if run is not None else None
    if call is not None and not call.done:
        call.paused = call.paused or str(event.data.get("why") or "asks")


def on_state_changed(state: State, event: Event) -> None:
    """The shared state was replaced or patched; its size is bounded from above."""
    size = len(encode(event.data))
    state.state_bytes = size if event.type == e.STATE_SNAPSHOT else state.state_bytes + size
