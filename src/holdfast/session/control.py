"""Live control: cancel, steer, interrupt, and the receipts (CTL-2 to CTL-5)."""

from __future__ import annotations

from typing import Any

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import ids, limits, wire
from holdfast.protocol.codec import check_text
from holdfast.protocol.events import Event
from holdfast.session import branch
from holdfast.session import run as runs
from holdfast.session.state import CancelState, RunState, State, SteerState, trim_oldest
from holdfast.session.writer import Writer


def cancel(state: State, op: wire.Cancel, writer: Writer) -> None:
    """Cancel what the scope names, as it stands at this position of the log (CTL-2)."""
    input_ = branch.resolve_input(state, writer.actor, op.input) if op.input is not None else None
    targets = _targets(state, op, input_, writer.actor)
    if not targets and op.input is None:
        writer.result = {"runs": [], "ended": []}
        return
    if op.version is not None and (len(targets) != 1 or targets[0].version != op.version):
        raise Refused("session.version", "the run changed", version=targets[0].version if targets else None)
    write_cancel(
        state, targets, writer, force=op.force, scope=_scope(op), input_=input_, reason=check_text(op.reason, "reason")
    )


def _scope(op: wire.Cancel) -> str:
    return "run" if op.run is not None else "input" if op.input is not None else op.scope


def _targets(state: State, op: wire.Cancel, input_: str | None, actor: str) -> list[RunState]:
    """The topmost runs the scope names; their descendants follow by themselves."""
    if op.run is not None:
        return [runs.find(state, op.run)]
    if input_ is not None:
        matching = [r for r in state.runs.values() if r.input == input_ and r.parent not in state.runs]
        if not matching and input_ in state.inputs:
            raise Refused("run.ended", f"no run of input {input_!r:.80} is left")
        return matching
    if op.scope in ("run", "input"):
        raise Refused("input.malformed", f"cancel: scope {op.scope!r} needs {op.scope}")
    roots = [r for r in state.runs.values() if r.parent not in state.runs]
    return [r for r in roots if op.scope == "all" or r.by == actor]


def write_cancel(
    state: State,
    targets: list[RunState],
    writer: Writer,
    *,
    force: bool,
    scope: str,
    input_: str | None = None,
    reason: str = "",
    actor: str | None = None,
) -> list[str]:
    """Write the cancel; what no worker executes, and everything when forced, ends in the same append. ``actor`` is who
    cancels, where that is not whoever asks.

    Returns the ids of the target runs that go on until their worker stops or the grace ends (CTL-3).
    """
    all_runs = [r for target in targets for r in (target, *runs.descendants(state, target.id))]
    deadline = writer.ts if force else writer.ts + int(limits.CANCEL_GRACE_S * 1_000)
    data: dict[str, Any] = {"scope": scope, "runs": [r.id for r in all_runs], "force": force, "deadline": deadline}
    if input_ is not None:
        data["input"] = input_
    if reason:
        data["reason"] = reason
    writer.write(e.CANCEL_REQUESTED, data, actor=actor)
    still_running = []
    for target in targets:
        executing = any(r.status == "running" for r in (target, *runs.descendants(state, target.id)))
        if executing and not force:
            still_running.append(target.id)
        else:
            runs.finish(state, target, "cancelled", writer, forced=force)
    writer.result = {"runs": data["runs"], "ended": [t.id for t in targets if t.id not in still_running]}
    return still_running


def steer(state: State, op: wire.Steer, writer: Writer) -> None:
    """Put words into a run; its worker confirms them, or the end of the run drops them (CTL-4)."""
    run = runs.find(state, op.run)
    if run.cancel is not None:
        raise Refused("run.stopping")
    if len(run.steers) >= limits.PENDING_STEERS:
        raise Refused("session.full", f"more than {limits.PENDING_STEERS} steers wait for this run")
    ident = ids.make("s", writer.next_seq, state.incarnation)
    writer.write(e.INPUT_STEER, {"steerId": ident, "text": check_text(op.text, "text")}, run=run.id)
    writer.result = {"steerId": ident, "run": run.id}


def interrupt(state: State, op: wire.Interrupt, writer: Writer) -> None:
    """Cancel, say something, and queue its run behind the end of the cancelled ones, in one append (CTL-5)."""
    if op.run is not None:
        targets = [runs.find(state, op.run)]
    else:
        targets = [r for r in state.runs.values() if r.parent not in state.runs]
    agent = op.agent or (targets[0].agent if targets else state.agent)
    if not agent:
        raise Refused("run.no_agent")
    still_running: list[str] = []
    if targets:
        still_running = write_cancel(state, targets, writer, force=op.force, scope="interrupt")
    cancelled = [r.id for r in targets]
    branch.send(
        state, wire.Send(session=op.session, text=op.text, agent=agent, key=op.key), writer, after=still_running
    )
    writer.result["cancelled"] = cancelled


def confirm_received(state: State, op: wire.Received, writer: Writer) -> None:
    """The worker confirms that it has the cancel, or a steer. Confirming twice writes nothing."""
    run = runs.run_of_attempt(state, op.run, op.generation)
    actor = f"agent:{run.agent}"
    if op.steer is not None:
        if op.steer in run.steers:
            writer.write(e.STEER_DELIVERED, {"steerId": op.steer}, run=run.id, actor=actor)
    elif run.cancel is not None and not run.cancel.delivered:
        writer.write(e.CANCEL_DELIVERED, {}, run=run.id, actor=actor)


def tick(state: State, writer: Writer) -> None:
    """End the runs whose grace is over (CTL-3). Topmost first: an end takes the sub-runs with it."""
    covered: set[str] = set()
    for run in state.runs.values():
        if run.cancel is None or run.cancel.deadline_ms > writer.now_ms or run.id in covered:
            continue
        covered.update(r.id for r in runs.descendants(state, run.id))
        runs.finish(state, run, "cancelled", writer, forced=True)


# --- evolve -----------------------------------------------------------------------------------------------------------
def on_cancel_requested(state: State, event: Event) -> None:
    """Runs named by the cancel are stopping; an input that has not arrived is remembered."""
    for ident in event.data["runs"]:
        run = state.runs.get(ident)
        if run is not None:
            deadline, delivered = event.data["deadline"], False
            if run.cancel is not None:  # pressing stop again does not put off the end
                deadline, delivered = min(deadline, run.cancel.deadline_ms), run.cancel.delivered
            run.cancel = CancelState(event.actor, deadline, delivered, str(event.data.get("reason") or ""))
            run.version += 1
    ident = event.data.get("input")
    if ident is not None and not event.data["runs"] and ident not in state.inputs:
        state.precancelled[f"{event.actor} {ident}"] = event.seq
        trim_oldest(state.precancelled, limits.PRECANCELLED)


def on_cancel_delivered(state: State, event: Event) -> None:
    """The worker has the cancel."""
    run = state.runs.get(event.run or "")
    if run is not None and run.cancel is not None:
        run.cancel.delivered = True
        run.version += 1


def on_cancel_effective(state: State, event: Event) -> None:
    """The run's end by cancel is being written."""
    run = state.runs.get(event.run or "")
    if run is not None:
        run.version += 1


def on_steer(state: State, event: Event) -> None:
    """Words wait for a run's worker."""
    run = state.runs.get(event.run or "")
    if run is not None:
        run.steers[event.data["steerId"]] = SteerState(event.data["text"], event.actor)


def on_steer_closed(state: State, event: Event) -> None:
    """The words were delivered or dropped."""
    run = state.runs.get(event.run or "")
    if run is not None:
        run.steers.pop(event.data["steerId"], None)
