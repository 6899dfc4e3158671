"""Leases of the attempts of one session: how long each may go on without being heard of (RUN-2, RUN-3)."""

from __future__ import annotations

from typing import Final

from holdfast.session.run import LeaseExpired
from holdfast.session.state import RunState, State

EXPIRED: Final = "lease expired"
RESTORED: Final = "restored from a backup"
UNSEEN: Final = "worker left"
"""Why an attempt was lost, as its event says."""


def is_of_this_life(run: RunState, incarnation: str) -> bool:
    """Whether an attempt was begun in this life; those of a log that was restored are lost at once (LIFE-1)."""
    return run.life in ("", incarnation)


def granted(state: State, now_s: float) -> dict[str, float]:
    """A full lease for each running attempt of a session that was loaded: run to the time at which it runs out."""
    running = (run for run in state.runs.values() if run.status == "running")
    return {run.id: now_s + (run.lease_s if is_of_this_life(run, state.incarnation) else 0.0) for run in running}


def expire(leases: dict[str, float], state: State, now_s: float) -> list[LeaseExpired]:
    """Take out the leases that have run out, and say what is to be recorded of them."""
    lost: list[LeaseExpired] = []
    for ident, until in list(leases.items()):
        run = state.runs.get(ident)
        if run is None or run.status != "running":
            del leases[ident]
        elif until <= now_s:
            del leases[ident]
            reason = EXPIRED if is_of_this_life(run, state.incarnation) else RESTORED
            lost.append(LeaseExpired(session=state.session, run=ident, generation=run.generation, reason=reason))
    return lost
