"""Operations name runs, inputs and approvals as they were read; in another life of the session they would name others (LIFE-1).

An operation says the life it was read in by its ``incarnation``, or by ids that were made in that life. One that says
neither is refused, not guessed.
"""

from __future__ import annotations

from typing import Final

from holdfast.errors import Code, Refused
from holdfast.protocol import ids, wire
from holdfast.session.state import State

_RUN: Final = {"run": "r"}
NAMES: Final[dict[type[wire.Op], dict[str, str]]] = {
    wire.Append: _RUN, wire.Send: {"parent": "m", "edits": "m", "answer": "r"}, wire.Regenerate: {"input": "m"},
    wire.Select: {"input": "m", "run": "r"}, wire.Cancel: {"run": "r", "input": "m"}, wire.Steer: _RUN,
    wire.Interrupt: _RUN, wire.Resolve: {"approval": ""}, wire.Attach: _RUN, wire.Received: _RUN, wire.End: _RUN,
    wire.Spawn: _RUN, wire.Ask: _RUN, wire.Wait: _RUN,
}  # fmt: skip
"""The fields in which an operation names something of the session, and which ids the server makes for it: ids of other
kinds are their makers' own, and are not made from a position. Approvals are named by agents, who may count them."""


def check(state: State, op: wire.Op) -> None:
    """Refuse what was read in another life: ``run.fenced`` for an attempt's own operations, else ``session.incarnation``.

    From ids that were handed out together with their life (``ids.bind``) it is taken off.
    """
    incarnation = getattr(op, "incarnation", None)
    if incarnation is not None and incarnation != state.incarnation:
        raise _refusal(state, op, f"it was read in life {incarnation!r:.40}")
    for field, kind in NAMES.get(type(op), {}).items():
        value = getattr(op, field)
        if value is None:
            continue
        ident, bound = ids.unbind(value)
        server_id = ids.parse(ident)
        if kind and (server_id is None or server_id.kind != kind):
            continue
        read_in = bound or incarnation
        if read_in is None and (server_id is None or not server_id.life) and not _is_here(state, ident):
            continue  # there is no such thing in any life that could be meant
        if not (read_in == state.incarnation if read_in is not None else ids.names_life(ident, state.incarnation)):
            raise _refusal(state, op, f"{ident!r:.80} was read in another life, or does not say in which")
        if bound is not None:
            setattr(op, field, ident)


def _is_here(state: State, ident: str) -> bool:
    return ident in state.runs or ident in state.ended or ident in state.approvals


def is_of_life(life: str, run: str, incarnation: str | None) -> bool:
    """Whether a run is meant that lives in this life: as ``incarnation`` says, or else the run's id."""
    return incarnation == life if incarnation is not None else ids.parse(run) is not None and ids.names_life(run, life)


def owner(state: State, ident: str) -> str | None:
    """The id of this session with which another id begins: only what it names may make such ids. None: anybody may."""
    server_id = ids.parse(ident)
    ours = server_id is not None and (
        server_id.life == state.incarnation or (bool(server_id.life) and server_id.ident in state.runs)
    )
    return server_id.ident if server_id is not None and ours else None


def check_tail(state: State, expect: wire.Cursor | None) -> None:
    """Refuse a command that expects another tail (LOG-8): ``session.incarnation`` or ``session.tail``."""
    if expect is not None:
        check_life(state.incarnation, expect.incarnation)
        if expect.seq != state.tail:
            raise Refused("session.tail", f"the tail is {state.tail}", tail=state.tail)


def check_life(current: str, incarnation: str | None) -> None:
    """Refuse (``session.incarnation``) a position that was read in another life than the present one."""
    if incarnation is not None and incarnation != current:
        raise Refused("session.incarnation", incarnation=current)


def _refusal(state: State, op: wire.Op, reason: str) -> Refused:
    code: Code = "run.fenced" if is_attempt_op(op) else "session.incarnation"
    return Refused(code, f"the session lives another life now: {reason}", incarnation=state.incarnation)


def is_attempt_op(op: wire.Op) -> bool:
    """Whether the operation is one of an attempt at a run."""
    return isinstance(op, wire.RunOp) or (isinstance(op, wire.Append) and op.run is not None)
