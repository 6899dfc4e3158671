"""What a worker is sent with an attempt: everything it needs to begin, or to go on."""

from __future__ import annotations

from typing import Any, Protocol

from holdfast.engines.port import Key
from holdfast.protocol.fold import View
from holdfast.session.state import RunState, State


class AssignedSession(Protocol):
    """The part of a session in memory that an assignment is made of."""

    key: Key
    incarnation: str
    tail: int
    state: State | None
    view: View


def assignment_of(session: AssignedSession, run: RunState) -> dict[str, Any]:
    """Everything an attempt needs to begin, or to go on."""
    state = session.state
    assert state is not None
    message = session.view.by_id.get(("message", run.input or ""))
    input_: dict[str, Any] = dict(run.task)
    if message is not None and run.parent is None:
        input_ = {
            "messageId": message["id"],
            "text": message["text"],
            "attachments": message.get("attachments", []),
        }
        input_ |= {"meta": message["meta"]} if "meta" in message else {}
    decisions = {
        ident: {"decision": a.decision, "args": a.args, "tool": a.tool, "by": a.by, "note": a.note}
        for ident, a in state.approvals.items()
        if a.run == run.id and a.decision
    }
    cancel = {"by": run.cancel.by, "deadline": run.cancel.deadline_ms, "force": False} if run.cancel else None
    if cancel is not None and run.cancel is not None and run.cancel.reason:
        cancel["reason"] = run.cancel.reason
    return {
        "session": session.key.session,
        "run": run.id,
        "generation": run.generation,
        "agent": run.agent,
        "incarnation": session.incarnation,
        "lease_s": run.lease_s,
        "input": input_,
        "by": run.by,
        "labels": run.labels,
        "turn": run.input,
        "parent": run.parent,
        "name": run.name,
        "attempts": run.attempts,
        "losses": run.losses,
        "journal": run.journal,
        "approvals": decisions,
        "steers": [{"steerId": i, "text": s.text, "by": s.by} for i, s in run.steers.items()],
        "cancel": cancel,
        "seq": session.tail,
    }
