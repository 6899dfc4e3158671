"""Which runs of a session a stop concerns, and what is to be done to them now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from holdfast.governance.operations.model import StopOrder
from holdfast.governance.operations.store import FoundRun, FoundSession
from holdfast.protocol import limits
from holdfast.session.run import descendants
from holdfast.session.state import RunState, State

Step = Literal["cancel", "force", "wait"]


class WorkOwner(Protocol):
    """Whose work a run is."""

    def workflows_of(self, tenant: str, labels: Mapping[str, str], agent: str) -> Sequence[str]:
        """By which names of a workflow it is stopped."""


class StopWork(NamedTuple):
    """What a stop concerns in a session.

    Attributes:
        tops: the topmost runs in its scope: a cancel takes what is below with it.
        found: all of them, with what is below.
    """

    tops: tuple[RunState, ...]
    found: FoundSession


def concerns(stop: StopOrder, run: RunState, whose: WorkOwner) -> bool:
    """Whether a run is in the scope of a stop. Of a tool that is a run with a call of it that has not ended. A model is
    asked by the gateway, which ends those calls by itself."""
    if stop.scope == "everything":
        return True
    if stop.scope == "workflow":
        return stop.subject in whose.workflows_of(stop.tenant, run.labels, run.agent)
    if stop.scope == "agent":
        return f"{run.agent}/".startswith(f"{stop.subject}/")
    if stop.scope == "tool":
        return any(call.name == stop.subject and not call.done for call in run.journal.values())
    return False


def work_of(state: State, stop: StopOrder, whose: WorkOwner) -> StopWork:
    """What a stop concerns in a session."""
    inside = {run.id for run in state.runs.values() if concerns(stop, run, whose)}
    tops = tuple(state.runs[ident] for ident in state.runs if ident in inside and not _below(state, ident, inside))
    found = tuple(
        FoundRun(
            run.id, run.agent, whose.workflows_of(stop.tenant, run.labels, run.agent)[-1], run.status, run.queued_ms
        )
        for top in tops
        for run in (top, *descendants(state, top.id))
    )
    people = tuple(actor for actor in state.participants if actor.startswith("user:"))
    return StopWork(tops, FoundSession(state.session, people, found))


def _below(state: State, ident: str, inside: set[str]) -> bool:
    above = state.runs[ident].parent
    while above is not None and above in state.runs:
        if above in inside:
            return True
        above = state.runs[above].parent
    return False


def reason_of(stop: StopOrder) -> str:
    """Why runs are cancelled, for everybody who watches."""
    words = f"{stop.what} was stopped: {stop.reason}"
    return words if len(words) <= limits.REASON_CHARS else f"{words[: limits.REASON_CHARS - 2]} …"


def step_of(stop: StopOrder, run: RunState, now_ms: int) -> Step:
    """What is to be done to a run now: cancelled in the name of who stopped it, ended without its agent once it has had its
    grace, or waited for."""
    cancel = run.cancel
    if not stop.grace_ms:
        return "force"
    if cancel is None or (cancel.by, cancel.reason) != (stop.by, reason_of(stop)):
        return "cancel"
    since_ms = cancel.deadline_ms - int(limits.CANCEL_GRACE_S * 1_000)
    return "force" if now_ms - since_ms >= stop.grace_ms else "wait"
