"""A connection that offers to run agents."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from holdfast.engines.port import Key
from holdfast.hub.port import HubConnection

RunKey = tuple[Key, str]
"""A session and a run in it."""


class ConnectedWorker:
    """A connection that offers to run agents.

    Attributes:
        slots: how many runs at a time, ``slots_for_people`` of them only for runs that a person waits for.
        attempts: those it executes, with their generation.
        claims: attempts that are about to be its own, by whether a person waits for them.
        unresponsive: it let a lease run out, so it hangs, and gets nothing more until it is heard of again; else it would
            cost a run all its attempts.
        programs_s: when it last took a run that no person waits for, or none waited; monotonic seconds.
        turns: how many such runs it has taken.
    """

    def __init__(self, conn: HubConnection, now_s: float = 0.0) -> None:
        self.conn = conn
        self.agents: frozenset[str] = frozenset()
        self.slots = 0
        self.slots_for_people = 0
        self.attempts: dict[RunKey, int] = {}
        self.claims: Counter[bool] = Counter()
        self.disconnected = False
        self.unresponsive = False
        self.programs_s = now_s
        self.turns = 0
        self._headless: set[RunKey] = set()
        self._on_hold: Counter[bool] = Counter()

    @property
    def load(self) -> int:
        """Slots that are taken. Sub-runs inside an attempt take none of their own."""
        return len(self.attempts) + self.claims.total()

    @property
    def has_free_slot(self) -> bool:
        """Whether it takes another run of some kind."""
        return not self.disconnected and not self.unresponsive and self.load < self.slots

    def takes(self, seated: bool) -> bool:
        """Whether it takes another run that a person waits for, or that none waits for, and this is not held back."""
        if not self.has_free_slot or self._on_hold[seated]:
            return False
        return seated or len(self._headless) + self.claims[False] < self.slots - self.slots_for_people

    @contextlib.contextmanager
    def holding(self, seated: bool) -> Iterator[None]:
        """While it lasts, runs of this kind wait: others are looked for first."""
        self._on_hold[seated] += 1
        try:
            yield
        finally:
            self._on_hold[seated] -= 1

    def begin(self, run_key: RunKey, generation: int, seated: bool) -> None:
        """It executes an attempt."""
        self.attempts[run_key] = generation
        if not seated:
            self._headless.add(run_key)

    def end(self, run_key: RunKey) -> bool:
        """An attempt is its own no longer; whether it was."""
        self._headless.discard(run_key)
        return self.attempts.pop(run_key, None) is not None
