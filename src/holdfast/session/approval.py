"""Approvals: exact actions people let happen or not (CTL-6).

Three parts are told apart: the **requester**, whose message led to the run; the **asker**, the agent that wants to act; the
**approver**, who decides. An agent is never an approver, and loosens no rule: what nobody decides is denied.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from holdfast.errors import Refused
from holdfast.protocol import browser_tools, limits, wire
from holdfast.protocol import events as e
from holdfast.protocol.bounds import too_large
from holdfast.protocol.codec import canonical, check_entity_id, check_value, encode
from holdfast.protocol.events import Event
from holdfast.session import content, life
from holdfast.session import policy as policies
from holdfast.session import run as runs
from holdfast.session.access import inside
from holdfast.session.state import ApprovalState, RunState, State
from holdfast.session.writer import SYSTEM, Writer

UNDECIDED: Final = "denied"
"""What the deadline decides. An agent could say otherwise once; what it said then stands in the log and counts no more."""

_UNKNOWN: Final = ApprovalState("", "", {}, "", "", 0)
"""What a policy is asked about when there is no such approval: whoever may decide none learns no more."""


def action_hash(tool: str, args: dict[str, Any]) -> str:
    """SHA-256, in hex, of the canonical JSON ``{"args": …, "tool": …}``."""
    return hashlib.sha256(canonical({"tool": tool, "args": args})).hexdigest()


def ask(state: State, op: wire.Ask, writer: Writer) -> None:
    """Request an approval. Asking again for the same action answers what is known of it: an attempt may be retried."""
    run = runs.run_of_attempt(state, op.run, op.generation)
    if run.cancel is not None:
        raise Refused("run.stopping")
    ident = check_entity_id(op.approval, "approval")
    if (owner := life.owner(state, ident)) is not None and owner != run.id:
        raise Refused("content.exists", f"approval: ids that begin with {owner!r:.40} are its own: use another")
    check_value(op.args, "args")
    if len(encode(op.args)) > limits.EVENT_BYTES:
        raise too_large("args", limits.EVENT_BYTES, "bytes")
    digest = action_hash(op.tool, op.args)
    existing = state.approvals.get(ident)
    if existing is not None and (existing.run != run.id or existing.hash != digest):
        raise Refused("content.exists", f"approval {ident!r:.80} is about another action")
    if existing is None:
        rule = _rule(state, op, writer)
        if sum(not a.decision for a in state.approvals.values()) >= limits.PENDING_APPROVALS:
            raise Refused("session.full", f"more than {limits.PENDING_APPROVALS} approvals wait")
        data = {
            "approvalId": ident,
            "tool": op.tool,
            "args": op.args,
            "hash": digest,
            "deadline": writer.ts + int(op.deadline_s * 1_000),
            "default": op.default if rule else UNDECIDED,
        }
        if op.call is not None:
            data["toolCallId"] = _close(run, op.call, writer)
        if person := requester(state, run):
            data["requester"] = person
        if rule:
            data["rule"] = rule
        if op.purpose != "decision":
            data["purpose"] = op.purpose
        writer.write(e.APPROVAL_REQUESTED, data, run=run.id, actor=f"agent:{run.agent}")
    decision = existing.decision if existing is not None else ""
    by, note = (existing.by, existing.note) if existing is not None else ("", "")
    writer.result = {"approvalId": ident, "decision": decision, "by": by, "note": note, "hash": digest}
    if op.wait and not decision:
        runs.release(state, run, [ident], writer)


def _close(run: RunState, call: str, writer: Writer) -> str:
    """Complete the arguments of the call that is asked about, in the append that says it has not begun."""
    content.check_call_open(run, call)
    if f"t:{call}" in run.open:
        writer.write(e.TOOL_END, {"toolCallId": call}, run=run.id, actor=f"agent:{run.agent}")
    return call


def _rule(state: State, op: wire.Ask, writer: Writer) -> str:
    """The rule of the owner's policy that lets the asker say what silence means; empty where it says nothing of its own."""
    if not op.self_approve and op.default == UNDECIDED:
        return ""
    facts = policies.facts_of(state, writer.principal or inside(writer.actor), op)
    verdict = policies.answer_of(writer.policy, lambda: writer.policy.may_ask(facts, op))
    if isinstance(verdict, policies.Deny):
        raise policies.refusal_of(verdict)
    return verdict.rule or "policy"


def requester(state: State, run: RunState) -> str:
    """The person whose message led to the run, or to the topmost run above it; empty when it was no person."""
    while run.parent in state.runs:
        run = state.runs[run.parent]
    return run.by if run.by.startswith("user:") else ""


def resolve(state: State, op: wire.Resolve, writer: Writer) -> None:
    """Decide an approval. The first decision in log order stands; its deadline is tested at this position."""
    approval = state.approvals.get(op.approval)
    decider = writer.principal or inside(writer.actor)
    facts, about = policies.facts_of(state, decider, op), approval or _UNKNOWN
    verdict = policies.answer_of(writer.policy, lambda: writer.policy.may_decide(facts, about, decider))
    if isinstance(verdict, policies.Deny):
        raise policies.refusal_of(verdict)
    if approval is None:
        raise Refused("approval.not_found", f"no approval {op.approval!r:.80}")
    if approval.decision:
        raise Refused("approval.resolved", by=approval.by, decision=approval.decision)
    if writer.now_ms >= approval.deadline_ms:
        raise Refused("approval.resolved", "the deadline has passed", by=SYSTEM, decision=approval.default)
    if op.hash is not None and op.hash != approval.hash:
        raise Refused("session.version", "the action is not the one shown", hash=approval.hash)
    data = {"approvalId": op.approval, "decision": op.decision, "by": writer.actor}
    if op.note:
        data["note"] = op.note
    writer.write(e.APPROVAL_RESOLVED, data, run=approval.run or None)
    writer.result = {"decision": op.decision, "by": writer.actor}
    _wake(state, approval.run, {op.approval}, writer)


def tick(state: State, writer: Writer) -> None:
    """Decide every approval whose deadline has passed as silence means, and wake the runs that waited."""
    expired: dict[str, set[str]] = {}
    for ident, approval in state.approvals.items():
        if not approval.decision and approval.deadline_ms <= writer.now_ms and waits(state, approval):
            data = {"approvalId": ident, "decision": approval.default}
            writer.write(e.APPROVAL_EXPIRED, data, run=approval.run or None, actor=SYSTEM)
            expired.setdefault(approval.run, set()).add(ident)
    for run, idents in expired.items():
        cancel = state.runs[run].cancel if run in state.runs else None
        if cancel is None or cancel.deadline_ms > writer.now_ms:  # else this very tick ends it
            _wake(state, run, idents, writer)


def waits(state: State, approval: ApprovalState) -> bool:
    """Whether anything can still come of a decision: the run goes on, or it is about a command."""
    return not approval.decision and (bool(approval.command) or approval.run in state.runs)


def _wake(state: State, ident: str, decided_ids: set[str], writer: Writer) -> None:
    """Queue a waiting run again once everything it waits for is decided (RUN-5)."""
    run = state.runs.get(ident)
    if run is None or run.status != "waiting":
        return
    if any(w not in decided_ids and not state.approvals[w].decision for w in run.waits):
        return
    data = {"agent": run.agent, "answers": run.waits, "attempts": run.attempts}
    writer.write(e.RUN_QUEUED, data, run=run.id, actor=SYSTEM)


# --- evolve -----------------------------------------------------------------------------------------------------------
def on_requested(state: State, event: Event) -> None:
    """An approval waits for a decision."""
    data = event.data
    state.approvals[data["approvalId"]] = ApprovalState(
        event.run or "",
        data["tool"],
        data["args"],
        data["hash"],
        event.actor,
        data["deadline"],
        # what an asker said without a rule, in logs of version 0.1, counts no more
        default=data["default"] if "rule" in data else UNDECIDED,
        requester=data.get("requester", ""),
        command=data.get("command", ""),
        rule=data["rule"] if "command" in data else "",
        purpose=browser_tools.purpose(data) or "decision",
    )
    content.on_paused(state, event)
    excess = len(state.approvals) - limits.KEPT_APPROVALS
    for ident in [i for i, a in state.approvals.items() if not waits(state, a) and a.run not in state.runs][
        : max(0, excess)
    ]:
        del state.approvals[ident]


def on_decided(state: State, event: Event) -> None:
    """An approval was decided, by a person or by its deadline."""
    approval = state.approvals.get(event.data["approvalId"])
    if approval is not None:
        approval.decision = event.data["decision"]
        approval.by = event.data.get("by", event.actor)
        approval.note = event.data.get("note", "")
