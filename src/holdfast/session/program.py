"""The session program: ``decide`` turns a command into events, ``evolve`` folds an event into the control state.

Both are pure: no clock, no I/O. The hub calls ``decide``, stamps nothing, folds what came back with ``evolve``, and
commits. A refused command leaves the state untouched (LOG-5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.bounds import too_large
from holdfast.protocol.codec import check_text, check_value, encode
from holdfast.protocol.events import Event
from holdfast.session import approval, branch, content, control, handoff, permission, run, usage
from holdfast.session.access import Principal
from holdfast.session.policy import DEFAULT, Policy
from holdfast.session.state import State, trim_oldest
from holdfast.session.writer import SYSTEM, Writer

Decide = Callable[[State, Any, Writer], Any]
Evolve = Callable[[State, Event], None]


def _create(state: State, op: wire.Create, writer: Writer) -> None:
    """The first event of every session. Creating again with the same settings writes nothing."""
    check_value(op.meta, "meta")
    if len(encode(op.meta)) > limits.EVENT_BYTES:
        raise too_large("meta", limits.EVENT_BYTES, "bytes")
    writer.result = {"incarnation": state.incarnation}
    if state.tail:
        if (op.title and op.title != state.title) or (op.agent and op.agent != state.agent):
            raise Refused("session.exists")
        return
    data = {"title": check_text(op.title, "title"), "agent": check_text(op.agent, "agent"), "meta": op.meta}
    writer.write(e.SESSION_CREATED, {name: value for name, value in data.items() if value})


def _rename(state: State, op: wire.Rename, writer: Writer) -> None:
    if op.title != state.title:
        writer.write(e.SESSION_RENAMED, {"title": check_text(op.title, "title")})


def _end(state: State, op: wire.End, writer: Writer) -> None:
    """A run's last events and its end, in one append."""
    attempt = run.run_of_attempt(state, op.run, op.generation)
    if op.events:
        content.write_drafts(state, attempt, op.events, writer)
    run.end(state, op, writer)


def _tick(state: State, op: run.Tick, writer: Writer) -> None:
    control.tick(state, writer)
    ended = {event.run for event in writer.events if event.type == e.RUN_ENDED}
    if not ended:
        approval.tick(state, writer)


DECIDE: Final[dict[type[wire.Op], Decide]] = {
    wire.Create: _create,
    wire.Rename: _rename,
    wire.Append: content.append,
    wire.Send: branch.send,
    wire.Regenerate: branch.regenerate,
    wire.Select: branch.select,
    wire.Cancel: control.cancel,
    wire.Steer: control.steer,
    wire.Interrupt: control.interrupt,
    wire.Received: control.confirm_received,
    wire.Ask: approval.ask,
    wire.Resolve: approval.resolve,
    wire.Take: handoff.take,
    wire.GiveBack: handoff.give_back,
    wire.Spawn: run.spawn,
    wire.Wait: run.wait,
    wire.End: _end,
    run.Claim: run.claim,
    run.LeaseExpired: run.expire_lease,
    run.Tick: _tick,
}

CONTENT: Final = frozenset({wire.Append})
"""Commands that yield to control when both wait for the same commit."""

ESSENTIAL: Final = frozenset({wire.Cancel, wire.End, wire.Received, run.LeaseExpired, run.Tick})
"""Commands a full disk still admits, from the reserve."""

EVOLVE: Final[dict[str, Evolve]] = {
    e.INPUT_MESSAGE: branch.on_input_message,
    e.BRANCH_SELECTED: branch.on_branch_selected,
    e.RUN_QUEUED: run.on_queued,
    e.RUN_STARTED: run.on_started,
    e.RUN_WAITING: run.on_waiting,
    e.RUN_ATTEMPT_LOST: run.on_attempt_lost,
    e.RUN_ENDED: run.on_ended,
    e.CANCEL_REQUESTED: control.on_cancel_requested,
    e.CANCEL_DELIVERED: control.on_cancel_delivered,
    e.CANCEL_EFFECTIVE: control.on_cancel_effective,
    e.INPUT_STEER: control.on_steer,
    e.STEER_DELIVERED: control.on_steer_closed,
    e.STEER_DROPPED: control.on_steer_closed,
    e.APPROVAL_REQUESTED: approval.on_requested,
    e.APPROVAL_RESOLVED: approval.on_decided,
    e.APPROVAL_EXPIRED: approval.on_decided,
    e.APPROVAL_USED: permission.on_used,
    e.HANDOFF_TAKEN: handoff.on_taken,
    e.HANDOFF_RETURNED: handoff.on_returned,
    e.TOOL_RESULT: content.on_tool_result,
    e.TOOL_PAUSED: content.on_paused,
    e.STATE_SNAPSHOT: content.on_state_changed,
    e.STATE_DELTA: content.on_state_changed,
    **dict.fromkeys(e.OPENING, content.on_opened),
    **dict.fromkeys(e.DELTAS, content.on_grown),
    **dict.fromkeys(e.CLOSING, content.on_closed),
}


def _on_created(state: State, event: Event) -> None:
    state.created_by = event.actor
    state.title = event.data.get("title", "")
    state.agent = event.data.get("agent", "")


def _on_renamed(state: State, event: Event) -> None:
    state.title = event.data["title"]


EVOLVE[e.SESSION_CREATED] = _on_created
EVOLVE[e.SESSION_RENAMED] = _on_renamed


def decide(
    state: State, op: wire.Op, actor: str, now_ms: int, principal: Principal | None = None, policy: Policy = DEFAULT
) -> Writer:
    """What a command writes, and what it answers; or its ``refusal``, when something is written all the same.

    Args:
        state: the control state; not changed.
        op: a command of ``DECIDE``; authorised already.
        actor: who asks.
        now_ms: wall time, Unix milliseconds.
        principal: what the token of the one who asks says; None for what the hub itself asks.
        policy: who is asked about rules.

    Raises:
        Refused: the command cannot be accepted; nothing is written.
    """
    writer = Writer(state, actor, now_ms, principal, policy)
    permission.check(state, op, writer)
    if writer.refusal is not None:
        return writer
    try:
        DECIDE[type(op)](state, op, writer)
    except Refused as refusal:
        left = Writer(state, SYSTEM, now_ms)
        if not usage.of_fenced(state, op, refusal, left):
            raise
        left.refusal = refusal
        return left
    return writer


def evolve(state: State, event: Event) -> None:
    """Fold one event into the control state."""
    handler = EVOLVE.get(event.type)
    if handler is not None:
        handler(state, event)
    state.tail = event.to or event.seq
    state.ts = event.ts
    if _is_new(state, event.actor):
        state.participants[event.actor] = event.seq
        trim_oldest(state.participants, limits.PARTICIPANTS)


def _is_new(state: State, actor: str) -> bool:
    """Whether a person acts in the session for the first time."""
    return actor.startswith("user:") and actor not in state.participants


def evolve_all(state: State, events: Sequence[Event]) -> None:
    """Fold consecutive events, as ``evolve`` folds each; of a text that grows by many deltas only the last is looked at."""
    newest: Event | None = None  # of deltas that belong to one text
    kind, field, ident = "", "", None  # of that text
    for event in events:
        if newest is not None:
            if event.type == kind and event.data.get(field) == ident and event.run == newest.run:
                if event.actor != newest.actor or _is_new(state, newest.actor):  # people may share a text, outside runs
                    evolve(state, newest)
                newest = event
                continue
            evolve(state, newest)
            newest = None
        if event.type in e.DELTAS:
            newest, kind, field = event, event.type, e.DELTAS[event.type]
            ident = event.data.get(field)
        else:
            evolve(state, event)
    if newest is not None:
        evolve(state, newest)


def due_ms(state: State) -> int | None:
    """The earliest deadline the session keeps by itself: the end of a grace, or of an approval's time."""
    graces = (r.cancel.deadline_ms for r in state.runs.values() if r.cancel is not None)
    approvals = (a.deadline_ms for a in state.approvals.values() if approval.waits(state, a))
    return min((*graces, *approvals), default=None)
