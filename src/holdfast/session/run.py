"""Runs: their states as one table, and every decision about attempts, leases, ends and sub-runs.

Everything that moves a run from one state to another is in this file (RUN-1 to RUN-7).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import ids, limits, wire
from holdfast.protocol.bounds import too_large
from holdfast.protocol.codec import check_value, encode
from holdfast.protocol.events import Event
from holdfast.session import policy as policies
from holdfast.session.state import EndedRun, RunState, State, trim_oldest
from holdfast.session.writer import SYSTEM, Writer

TRANSITIONS: Final[dict[tuple[str, str], str]] = {
    ("", e.RUN_QUEUED): "queued",
    ("queued", e.RUN_STARTED): "running",
    ("running", e.RUN_WAITING): "waiting",
    ("waiting", e.RUN_QUEUED): "queued",
    ("running", e.RUN_ATTEMPT_LOST): "queued",
    ("queued", e.RUN_ENDED): "ended",
    ("running", e.RUN_ENDED): "ended",
    ("waiting", e.RUN_ENDED): "ended",
}
"""RUN-1. Anything else is refused with ``run.state``; ``ended`` is one of completed, failed, cancelled, lost."""


class Claim(wire.SessionOp, tag="claim", kw_only=True):
    """The hub gives a queued run to a worker. ``tenant``: whose session it is, for the policy."""

    tenant: str = ""
    run: str
    worker: str
    lease_s: float


class LeaseExpired(wire.SessionOp, tag="lease_expired", kw_only=True):
    """The hub saw an attempt's lease run out, or its worker give it up."""

    run: str
    generation: int
    reason: str


class Tick(wire.SessionOp, tag="tick", kw_only=True):
    """Some deadline has passed."""


def check(status: str, event_type: str) -> None:
    """Refuse what the table does not allow."""
    if (status, event_type) not in TRANSITIONS:
        raise Refused("run.state", f"a {status} run cannot take {event_type}", status=status)


def find(state: State, ident: str) -> RunState:
    """The live run, or ``run.ended`` / ``run.not_found``."""
    run = state.runs.get(ident)
    if run is None:
        if ident in state.ended:
            raise Refused("run.ended", f"run {ident} is {state.ended[ident].status}", status=state.ended[ident].status)
        raise Refused("run.not_found", f"no run {ident!r:.80}")
    return run


def run_of_attempt(state: State, ident: str, generation: int) -> RunState:
    """The run, when ``generation`` is the attempt that executes it now; else it is fenced (LOG-6)."""
    run = state.runs.get(ident)
    if run is None:
        if ident in state.ended:
            raise Refused("run.fenced", f"run {ident} is {state.ended[ident].status}", status=state.ended[ident].status)
        raise Refused("run.not_found", f"no run {ident!r:.80}")
    if run.status != "running" or run.generation != generation:
        raise Refused("run.fenced", f"attempt {generation} of run {ident} is superseded", status=run.status)
    return run


def children(state: State, ident: str) -> list[RunState]:
    """Live runs whose parent is ``ident``, oldest first."""
    return [run for run in state.runs.values() if run.parent == ident]


def descendants(state: State, ident: str) -> list[RunState]:
    """Live runs below ``ident``, children before their own children."""
    below = children(state, ident)
    for child in below:
        below.extend(children(state, child.id))
    return below


def topmost(state: State, run: RunState) -> RunState:
    """The live run that a run is below of all others; itself where none is above it."""
    while (above := state.runs.get(run.parent or "")) is not None:
        run = above
    return run


def claimable(state: State, run: RunState) -> bool:
    """Whether a worker may start the run now: not stopping, not muted, its predecessors ended, and its turn has come."""
    if run.status != "queued" or run.cancel or state.taken_by or any(after in state.runs for after in run.after):
        return False
    if run.parent is not None or run.concurrent or run.generation:
        return True
    for other in state.runs.values():
        if other is run:
            return True
        if other.agent == run.agent and other.parent is None and not other.concurrent and other.status != "waiting":
            return False
    return True


def queue(state: State, writer: Writer, agent: str, **fields: Any) -> str:
    """Write ``run.queued`` for a new run and return its id. Its labels are those of who asks, if not said otherwise."""
    if len(state.runs) + 1 > limits.OPEN_RUNS:
        raise Refused("session.full", f"more than {limits.OPEN_RUNS} open runs")
    ident = ids.make("r", writer.next_seq, state.incarnation)
    fields.setdefault("labels", writer.labels)
    data = {name: value for name, value in fields.items() if value not in (None, [], {}, False)}
    writer.write(e.RUN_QUEUED, {"agent": agent, **data}, run=ident)
    return ident


def claim(state: State, op: Claim, writer: Writer) -> None:
    """Start the next attempt of a queued run."""
    run = find(state, op.run)
    check(run.status, e.RUN_STARTED)
    if not claimable(state, run):
        raise Refused("run.state", "the run may not start yet", status=run.status)
    if writer.policy is not policies.DEFAULT:
        policies.check_start(writer.policy, policies.Facts(op.tenant, state.session, state, run, run.labels))
    _start(state, run.id, run.agent, run.generation + 1, op.worker, op.lease_s, writer)


def _start(state: State, ident: str, agent: str, generation: int, worker: str, lease_s: float, writer: Writer) -> None:
    data = {
        "agent": agent,
        "generation": generation,
        "worker": worker,
        "lease_s": lease_s,
        "incarnation": state.incarnation,
    }
    writer.write(e.RUN_STARTED, data, run=ident, actor=f"agent:{agent}")
    writer.result = {"run": ident, "generation": generation}


def spawn(state: State, op: wire.Spawn, writer: Writer) -> None:
    """Start a sub-run, or answer the one of that name that exists (RUN-6)."""
    parent = run_of_attempt(state, op.run, op.generation)
    if parent.cancel is not None:
        raise Refused("run.stopping")
    for existing in children(state, parent.id):
        if existing.name == op.name:
            writer.result = {
                "run": existing.id,
                "generation": existing.generation,
                "status": existing.status,
                "existing": True,
            }
            return
    for ident, ended in state.ended.items():
        if (ended.parent, ended.name, ended.status) == (parent.id, op.name, "completed"):
            writer.result = {"run": ident, "generation": 0, "status": "completed", "existing": True}
            return
    depth, ancestor = 1, parent
    while ancestor.parent in state.runs:
        ancestor, depth = state.runs[ancestor.parent], depth + 1
    if depth >= limits.RUN_DEPTH:
        raise Refused("session.full", f"runs are nested more than {limits.RUN_DEPTH} deep")
    check_value(op.input, "input")
    if len(encode(op.input)) > limits.EVENT_BYTES:
        raise too_large("input", limits.EVENT_BYTES, "bytes")
    agent = f"{parent.agent}/{op.agent}" if op.local else op.agent
    if len(agent) > limits.NAME_CHARS:
        raise too_large("agent", limits.NAME_CHARS, "characters")
    facts = {"parent": parent.id, "name": op.name, "input": parent.input, "task": op.input, "local": op.local}
    facts["labels"] = parent.labels
    writer.actor = f"agent:{parent.agent}"
    ident = queue(state, writer, agent, attempts=op.attempts, **facts)
    writer.result = {"run": ident, "generation": 0, "status": "queued", "existing": False}
    if op.local:
        _start(state, ident, agent, 1, parent.worker, parent.lease_s, writer)
        writer.result.update(status="running", existing=False)


def finish(
    state: State, run: RunState, status: str, writer: Writer, *, error: Any = None, forced: bool = False
) -> None:
    """Write the end of a live run: its children first, then what it still owes, then the end itself."""
    check(run.status, e.RUN_ENDED)
    for child in children(state, run.id):
        finish(state, child, "lost" if status == "lost" else "cancelled", writer, forced=True)
    actor = SYSTEM if forced or status == "lost" else f"agent:{run.agent}"
    _drop(state, run, writer, actor)
    if status == "cancelled":
        writer.write(e.CANCEL_EFFECTIVE, {}, run=run.id, actor=SYSTEM)
    data: dict[str, Any] = {"status": status}
    if error is not None:
        data["error"] = error
    if forced:
        data["forced"] = True
    writer.write(e.RUN_ENDED, data, run=run.id, actor=actor)


def _drop(state: State, run: RunState, writer: Writer, actor: str) -> None:
    """What people put in and the run will not take any more is answered in the same append (CTL-4)."""
    for ident in run.steers:
        writer.write(e.STEER_DROPPED, {"steerId": ident, "reason": "run ended"}, run=run.id, actor=SYSTEM)
    for ident, approval in state.approvals.items():
        if approval.run == run.id and not approval.decision:
            data = {"approvalId": ident, "decision": "denied", "reason": "run ended"}
            writer.write(e.APPROVAL_EXPIRED, data, run=run.id, actor=SYSTEM)


def end(state: State, op: wire.End, writer: Writer) -> RunState:
    """The attempt says it is done; a run being cancelled ends as cancelled whatever the attempt says."""
    run = run_of_attempt(state, op.run, op.generation)
    status = "cancelled" if run.cancel is not None and op.status != "failed" else op.status
    error = _bounded_error(op.error) if op.status == "failed" or op.error else None
    finish(state, run, status, writer, error=error)
    writer.result = {"status": status}
    return run


def _bounded_error(error: dict[str, Any] | None) -> dict[str, str]:
    error = error or {}
    return {"code": str(error.get("code", "agent.failed"))[:64], "message": str(error.get("message", ""))[:2_000]}


def expire_lease(state: State, op: LeaseExpired, writer: Writer) -> None:
    """An attempt is lost: queue the run again while tries remain, else end it as lost (RUN-3)."""
    run = state.runs.get(op.run)
    if run is None or run.status != "running" or run.generation != op.generation:
        return
    if run.cancel is not None:
        finish(state, run, "cancelled", writer, forced=True)
        return
    retry = run.losses + 1 < run.attempts and not run.local
    for child in children(state, run.id) if retry else []:
        if child.local:
            finish(state, child, "lost", writer)
    data = {"generation": run.generation, "reason": op.reason, "retry": retry}
    writer.write(e.RUN_ATTEMPT_LOST, data, run=run.id, actor=SYSTEM)
    if not retry:
        finish(state, msgspec.structs.replace(run, status="queued"), "lost", writer)


def wait(state: State, op: wire.Wait, writer: Writer) -> None:
    """Let the worker go until approvals are decided; those decided already are answered at once (RUN-5)."""
    run = run_of_attempt(state, op.run, op.generation)
    if run.cancel is not None:
        raise Refused("run.stopping")
    pending = []
    for ident in op.approvals:
        if ident not in state.approvals or state.approvals[ident].run != run.id:
            raise Refused("approval.not_found", f"no approval {ident!r:.80} of this run")
        if not state.approvals[ident].decision:
            pending.append(ident)
    writer.result = {"waiting": bool(pending)}
    if pending:
        release(state, run, pending, writer)


def release(state: State, run: RunState, approvals: list[str], writer: Writer) -> None:
    """Write ``run.waiting``; sub-runs that live inside the attempt must have ended."""
    check(run.status, e.RUN_WAITING)
    if any(child.local for child in children(state, run.id)):
        raise Refused("run.state", "end the sub-runs of this attempt before waiting", status=run.status)
    writer.write(e.RUN_WAITING, {"approvals": approvals}, run=run.id, actor=f"agent:{run.agent}")


# --- evolve -----------------------------------------------------------------------------------------------------------
def on_queued(state: State, event: Event) -> None:
    """A run appears, or comes back from a wait."""
    existing, data = state.runs.get(event.run or ""), event.data
    if existing is not None:
        existing.status, existing.waits = "queued", []
        existing.version += 1
        return
    assert event.run is not None
    state.runs[event.run] = RunState(
        event.run,
        data["agent"],
        "queued",
        event.actor,
        data.get("attempts", 1),
        event.ts,
        input=data.get("input"),
        parent=data.get("parent"),
        name=data.get("name"),
        task=data.get("task", {}),
        local=data.get("local", False),
        concurrent=data.get("concurrent", False),
        after=data.get("after", []),
        labels=data.get("labels", {}),
    )


def on_started(state: State, event: Event) -> None:
    """An attempt begins."""
    run = state.runs[event.run or ""]
    run.status, run.generation = "running", event.data["generation"]
    run.worker, run.lease_s = event.data["worker"], event.data["lease_s"]
    run.life = event.data.get("incarnation", "")
    run.version += 1


def on_waiting(state: State, event: Event) -> None:
    """The worker was let go; what it left open is closed."""
    run = state.runs[event.run or ""]
    run.status, run.waits, run.worker = "waiting", list(event.data["approvals"]), ""
    run.open.clear()
    run.version += 1


def on_attempt_lost(state: State, event: Event) -> None:
    """An attempt is gone; the run is queued until its end, if any, follows."""
    run = state.runs[event.run or ""]
    run.status, run.worker = "queued", ""
    run.losses += 1
    run.open.clear()
    run.version += 1


def on_ended(state: State, event: Event) -> None:
    """A run is over; only its outcome is remembered."""
    run = state.runs.pop(event.run or "")
    state.ended[run.id] = EndedRun(
        event.data["status"], run.agent, run.input, run.parent, run.name, run.generation, run.labels
    )
    trim_oldest(state.ended, limits.KEPT_RUNS)
