"""A connection that offers to run agents."""

from __future__ import annotations

from holdfast.engines.port import Key
from holdfast.hub.port import HubConnection

RunKey = tuple[Key, str]
"""A session and a run in it."""


class ConnectedWorker:
    """A connection that offers to run agents.

    ``attempts`` are those it executes, with their generation. ``unresponsive``: it let a lease run out, so it hangs, and gets
    nothing more until it is heard of again; else it would cost a run all its attempts.
    """

    def __init__(self, conn: HubConnection) -> None:
        self.conn = conn
        self.agents: frozenset[str] = frozenset()
        self.slots = 0
        self.attempts: dict[RunKey, int] = {}
        self.claims = 0
        self.disconnected = False
        self.unresponsive = False

    @property
    def has_free_slot(self) -> bool:
        """Whether it takes another run. Sub-runs inside an attempt take no slot of their own."""
        return not self.disconnected and not self.unresponsive and len(self.attempts) + self.claims < self.slots
