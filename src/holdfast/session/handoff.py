"""Hand-off: a person takes the session over, and gives it back (CTL-8)."""

from __future__ import annotations

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.events import Event
from holdfast.session.control import write_cancel
from holdfast.session.run import descendants
from holdfast.session.state import State
from holdfast.session.writer import Writer


def take(state: State, op: wire.Take, writer: Writer) -> None:
    """Take over. Running agents are cancelled, queued runs wait; taking again by the same person writes nothing."""
    if state.taken_by == writer.actor:
        return
    if state.taken_by is not None and not op.force:
        raise Refused("handoff.taken", by=state.taken_by)
    running = [r for r in state.runs.values() if r.status == "running" and r.cancel is None]
    below = {d.id for r in running for d in descendants(state, r.id)}  # they follow by themselves
    if running:
        write_cancel(state, [r for r in running if r.id not in below], writer, force=False, scope="handoff")
    writer.write(e.HANDOFF_TAKEN, {"by": writer.actor})


def give_back(state: State, op: wire.GiveBack, writer: Writer) -> None:
    """Give the session back to its agents."""
    if state.taken_by is None:
        raise Refused("handoff.not_taken")
    if state.taken_by != writer.actor and not op.force:
        raise Refused("handoff.taken", by=state.taken_by)
    writer.write(e.HANDOFF_RETURNED, {"by": writer.actor})


def on_taken(state: State, event: Event) -> None:
    """The agents are muted."""
    state.taken_by = event.data["by"]


def on_returned(state: State, event: Event) -> None:
    """The agents may speak again."""
    state.taken_by = None
