"""What people say, and the branches it grows: send, edit, regenerate, select (RUN-7, CTL-7)."""

from __future__ import annotations

from typing import Any

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import ids, limits, wire
from holdfast.protocol.codec import check_entity_id, check_text, check_value, encode
from holdfast.protocol.events import Event
from holdfast.session import life
from holdfast.session import run as runs
from holdfast.session.state import InputState, State, trim_oldest
from holdfast.session.writer import SYSTEM, Writer


def send(state: State, op: wire.Send, writer: Writer, *, after: list[str] | None = None) -> None:
    """Write an input message and, when it is addressed to an agent, queue the run that answers it."""
    ident = _message_id(state, op.key, writer)
    edits = resolve_input(state, writer.actor, op.edits) if op.edits is not None else None
    parent = _parent(state, op, writer.actor, edits)
    operator = state.taken_by is not None and state.taken_by == writer.actor
    agent = op.agent or state.agent
    _check_meta(op.meta)
    data: dict[str, Any] = {"messageId": ident, "text": check_text(op.text, "text")}
    optional = {
        "agent": agent,
        "parent": parent,
        "edits": edits,
        "role": "operator" if operator else "",
        "key": op.key if op.key != ident else None,
        "attachments": [{"blob": a.blob, "name": a.name, "mediaType": a.media_type} for a in op.attachments],
        "meta": op.meta,
    }
    data.update({name: value for name, value in optional.items() if value})
    if op.answer is not None:
        _check_answers(state, op.answer, parent)
        writer.write(e.BRANCH_SELECTED, {"run": op.answer})
    writer.write(e.INPUT_MESSAGE, data)
    writer.result = {**writer.result, "messageId": ident, "run": None}
    if not agent or op.silent or state.taken_by is not None:
        return
    facts = {"input": ident, "attempts": op.attempts, "concurrent": op.concurrent, "after": after or []}
    run = runs.queue(state, writer, agent, **facts)
    writer.result["run"] = run
    if f"{writer.actor} {op.key}" in state.precancelled:  # cancelled before it arrived (CTL-2)
        writer.write(e.CANCEL_EFFECTIVE, {}, run=run, actor=SYSTEM)
        writer.write(e.RUN_ENDED, {"status": "cancelled", "forced": True}, run=run, actor=SYSTEM)


def _message_id(state: State, key: str | None, writer: Writer) -> str:
    """The message's id: its key, unless something has that id or the server makes such ids itself; else one of the
    server's. Keys are the actor's own: what somebody else said under the same key, or an agent, is no obstacle.

    Raises ``producer.expired`` for a key that this actor used before, so long ago that its answer is forgotten.
    """
    server_id = ids.make("m", writer.next_seq, state.incarnation)
    if key is None:
        return server_id
    check_entity_id(key, "key")
    existing = state.inputs.get(key)
    if f"{writer.actor} {key}" in state.aliases or (existing is not None and existing.by in ("", writer.actor)):
        raise Refused("producer.expired", f"a message was sent with the key {key!r:.80} before")
    in_use = existing is not None or f"m:{key}" in state.texts or life.owner(state, key) is not None
    return server_id if in_use else key


def _check_meta(meta: dict[str, Any]) -> None:
    check_value(meta, "meta")
    if len(encode(meta)) > limits.MESSAGE_META_BYTES:
        raise Refused("input.too_large", f"meta: more than {limits.MESSAGE_META_BYTES} bytes")


def _parent(state: State, op: wire.Send, actor: str, edits: str | None) -> str | None:
    if edits is not None:
        return _find_input(state, edits).parent
    if op.parent is not None:
        parent = resolve_input(state, actor, op.parent)
        _find_input(state, parent)
        return parent
    return state.head


def resolve_input(state: State, actor: str, reference: str) -> str:
    """The id of an input that an actor names, by its id or by the key with which this actor sent it."""
    return state.aliases.get(f"{actor} {reference}", reference)


def _find_input(state: State, ident: str) -> InputState:
    if ident not in state.inputs:
        raise Refused("input.not_found", f"no input {ident!r:.80}")
    return state.inputs[ident]


def _check_answers(state: State, answer: str, parent: str | None) -> None:
    run = state.runs.get(answer) or state.ended.get(answer)
    if run is None or run.parent is not None or run.input is None or run.input != parent:
        raise Refused("run.not_found", f"no run {answer!r:.80} that answers {parent!r:.80}")


def regenerate(state: State, op: wire.Regenerate, writer: Writer) -> None:
    """Queue another answer to an input; the earlier answer stays as a sibling."""
    ident = resolve_input(state, writer.actor, op.input)
    input_ = _find_input(state, ident)
    agent = op.agent or input_.agent or state.agent
    if not agent:
        raise Refused("run.no_agent")
    if state.taken_by is not None:
        raise Refused("run.muted")
    if op.select and state.head != ident:
        writer.write(e.BRANCH_SELECTED, {"input": ident})
    run = runs.queue(state, writer, agent, input=ident, attempts=limits.ATTEMPTS, regenerates=True)
    writer.result = {"run": run, "messageId": ident}


def select(state: State, op: wire.Select, writer: Writer) -> None:
    """Show another branch."""
    if op.version is not None and op.version != state.branch_version:
        raise Refused("session.version", "the branch changed", version=state.branch_version)
    input_id = resolve_input(state, writer.actor, op.input) if op.input is not None else None
    if input_id is not None:
        _find_input(state, input_id)
    if op.run is not None and op.run not in state.runs and op.run not in state.ended:
        raise Refused("run.not_found", f"no run {op.run!r:.80}")
    data = {name: value for name, value in (("input", input_id), ("run", op.run)) if value is not None}
    if not data:
        raise Refused("input.malformed", "select: name an input or a run")
    writer.write(e.BRANCH_SELECTED, data)
    writer.result = {"version": state.branch_version + 1}


# --- evolve -----------------------------------------------------------------------------------------------------------
def on_input_message(state: State, event: Event) -> None:
    """An input message is in the log; the branch shown ends at it."""
    ident = event.data["messageId"]
    state.inputs[ident] = InputState(event.data.get("parent"), event.data.get("agent", ""), event.actor)
    trim_oldest(state.inputs, limits.KEPT_INPUTS)
    if "key" in event.data:
        state.aliases[f"{event.actor} {event.data['key']}"] = ident
        trim_oldest(state.aliases, limits.KEPT_INPUTS)
    state.head = ident
    state.branch_version += 1


def on_branch_selected(state: State, event: Event) -> None:
    """Another branch is shown."""
    state.head = event.data.get("input", state.head)
    state.branch_version += 1
