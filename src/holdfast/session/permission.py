"""Commands that a policy lets pass, denies, or wants a person to approve first."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import ids, limits, wire
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.session import control, producer
from holdfast.session import policy as policies
from holdfast.session.approval import UNDECIDED, action_hash
from holdfast.session.run import topmost
from holdfast.session.state import ApprovalState, RunState, State
from holdfast.session.writer import SYSTEM, Writer

_BESIDE: Final = frozenset({"id", "key", "generation", "incarnation", "session"})
"""Fields of a command that are not what it asks for."""


def check(state: State, op: wire.Op, writer: Writer) -> None:
    """Ask the policy about a principal's command. Sets ``writer.refusal`` when a person has to approve it first, and when it
    is denied and its run is stopped for that.

    Raises:
        Refused: the policy denies it, or the person whom it had asked did.
    """
    principal, policy = writer.principal, writer.policy
    if principal is None or policy is policies.DEFAULT or not isinstance(op, wire.SessionOp):
        return
    facts = policies.facts_of(state, principal, op)
    verdict = policies.answer_of(policy, lambda: policy.judge(facts, principal, op))
    if isinstance(verdict, policies.Deny):
        if verdict.stop is None or facts.run is None:
            raise policies.refusal_of(verdict)
        _stop(state, facts.run, op, verdict, verdict.stop, writer)
    if isinstance(verdict, policies.RequireApproval):
        if not state.tail:
            raise Refused("policy.denied", f"{verdict.rule}: there is no session yet to ask for an approval in")
        _pass_once(state, op, verdict, writer)


def _stop(
    state: State, run: RunState, op: wire.SessionOp, denial: policies.Deny, stop: policies.Stop, writer: Writer
) -> None:
    """Cancel the run with everything above and below it, and show why; then what CTL-3 lets pass of it is decided, and
    anything else refused. Denied again while it stops, nothing is written twice."""
    if run.cancel is None:
        run = topmost(state, run)
        shown = {
            "messageId": f"{run.id}.{stop.activity}",
            "activityType": stop.activity,
            "content": stop.content,
            "replace": True,
        }
        writer.write(e.ACTIVITY_SNAPSHOT, shown, run=run.id, actor=stop.by, attempt=run.generation or None)
        reason = denial.why[: limits.REASON_CHARS]
        control.write_cancel(state, [run], writer, force=False, scope="run", reason=reason, actor=stop.by)
        writer.result = {}
    if not (isinstance(op, wire.Append) and all(draft.type in e.WHILE_STOPPING for draft in op.events)):
        writer.refusal = policies.refusal_of(denial)
        writer.refusal.fields["stopping"] = True


def _pass_once(state: State, op: wire.SessionOp, needed: policies.RequireApproval, writer: Writer) -> None:
    digest = f"{writer.actor} {producer.digest(op)}"
    ident, approval = _newest(state, digest, needed.rule)
    if approval is not None and approval.decision == "approved" and not approval.used:
        writer.write(e.APPROVAL_USED, {"approvalId": ident}, actor=SYSTEM)
        return
    if approval is not None and approval.decision == "denied" and approval.by != SYSTEM:
        raise Refused("policy.denied", f"{approval.by} denied it: {approval.note or needed.rule}")
    if approval is None or approval.decision:
        ident = _ask(state, op, digest, needed, writer)
    writer.refusal = Refused("approval.needed", needed.why or needed.rule, approval=ident)


def _newest(state: State, digest: str, rule: str) -> tuple[str, ApprovalState | None]:
    for ident, approval in reversed(state.approvals.items()):
        if (approval.command, approval.rule) == (digest, rule):
            return ident, approval
    return "", None


def _ask(state: State, op: wire.SessionOp, digest: str, needed: policies.RequireApproval, writer: Writer) -> str:
    if sum(not approval.decision for approval in state.approvals.values()) >= limits.PENDING_APPROVALS:
        raise Refused("session.full", f"more than {limits.PENDING_APPROVALS} approvals wait")
    ident = ids.make("p", writer.next_seq, state.incarnation)
    tool, args = f"command.{type(op).__struct_config__.tag}", _content(op)
    data = {
        "approvalId": ident, "tool": tool, "args": args, "hash": action_hash(tool, args),
        "deadline": writer.ts + int(limits.APPROVAL_DEADLINE_S * 1_000), "default": UNDECIDED, "requester": writer.actor,
        "rule": needed.rule, "command": digest,
    }  # fmt: skip
    if needed.why:
        data["why"] = needed.why
    writer.write(e.APPROVAL_REQUESTED, data, actor=SYSTEM)
    return ident


def _content(op: wire.SessionOp) -> dict[str, Any]:
    """What the command asks for, as people are shown it."""
    fields = {name: value for name, value in msgspec.to_builtins(op).items() if name not in (*_BESIDE, "op")}
    fields = {name: value for name, value in fields.items() if value not in (None, "", [], {}, False)}
    return fields if len(encode(fields)) <= limits.EVENT_BYTES // 2 else {"digest": producer.digest(op)}


# --- evolve -----------------------------------------------------------------------------------------------------------
def on_used(state: State, event: Event) -> None:
    """The command was let through."""
    approval = state.approvals.get(event.data["approvalId"])
    if approval is not None:
        approval.used = True
