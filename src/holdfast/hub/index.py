"""The index by which sessions are found, written beside the log with each append that changes it."""

from __future__ import annotations

from typing import Any

from holdfast.engines.port import Index
from holdfast.protocol import events as e
from holdfast.protocol.events import Event
from holdfast.session import approval, program
from holdfast.session.labels import is_seated
from holdfast.session.run import claimable
from holdfast.session.state import EndedRun, RunState, State

_PREVIEW_CHARS = 120
_PEOPLE = 4  # of those who take part, the earliest


def people_waiting(agent: str) -> str:
    """The queue of the sessions in which a person waits for a run of an agent: beside the agent's own, and found the same
    way. No agent has such a name; who made one up would only have sessions looked at in vain."""
    return f"\x1f{agent}"


def build(state: State, events: list[Event], before: Index) -> Index | None:
    """The index after these events, which ``state`` has folded already; None when it is as ``before``."""
    waiting = [run for run in state.runs.values() if claimable(state, run)]
    seated = {people_waiting(run.agent) for run in waiting if is_seated(run.labels)}
    queued = tuple(sorted({run.agent for run in waiting} | seated))
    index = Index(_due(state), queued, tuple(state.participants), state.title, _card(state, events, before.card))
    return None if index == before else index


def _due(state: State) -> int | None:
    """When a hub that does not hold the session must look at it: its deadlines, and its leases after a restart."""
    due = program.due_ms(state)
    lease = [state.ts + int(run.lease_s * 1_000) for run in state.runs.values() if run.status == "running"]
    return min([*([due] if due is not None else []), *lease], default=None)


def _card(state: State, events: list[Event], before: dict[str, Any]) -> dict[str, Any]:
    """A few facts for lists: counts of live runs, what waits for a person, how the newest run stands, last words."""
    counts = {"queued": 0, "running": 0, "waiting": 0}
    for run in state.runs.values():
        if run.parent not in state.runs:
            counts[run.status] += 1
    card: dict[str, Any] = {name: count for name, count in counts.items() if count}
    approvals = (a for a in state.approvals.values() if a.purpose == "decision")
    pending = sum(approval.waits(state, a) for a in approvals)
    if pending:
        card["approvals"] = pending
    if state.taken_by:
        card["taken_by"] = state.taken_by
    newest = next((r.status for r in reversed(state.runs.values()) if r.parent is None), None)
    if newest is None:
        newest = next((r.status for r in reversed(state.ended.values()) if r.parent is None), None)
    if newest is not None:
        card["run"] = newest
    newest_input = next((ev for ev in reversed(events) if ev.type == e.INPUT_MESSAGE), None)
    last = (
        {"actor": newest_input.actor, "text": newest_input.data["text"][:_PREVIEW_CHARS]}
        if newest_input is not None
        else before.get("last")
    )
    if last is not None:
        card["last"] = last
    if state.agent:
        card["agent"] = state.agent
    if labels := _labels(state):
        card["labels"] = labels
    people = [actor for actor in state.participants if actor.startswith("user:")][:_PEOPLE]
    if people:
        card["people"] = people
    return card


def _labels(state: State) -> dict[str, str]:
    """Of the newest top-level run: what the session is for, as far as a token has said so."""
    newest: RunState | EndedRun | None = next(
        (run for run in reversed(state.runs.values()) if run.parent is None), None
    )
    if newest is None:
        newest = next((run for run in reversed(state.ended.values()) if run.parent is None), None)
    return dict(newest.labels) if newest is not None else {}
