"""What a decision writes: events with their positions and times, not yet committed and not yet folded."""

from __future__ import annotations

from typing import Any

from holdfast.errors import Refused
from holdfast.protocol.events import Event
from holdfast.session.access import Principal
from holdfast.session.policy import DEFAULT, Policy
from holdfast.session.state import State


class Writer:
    """Collects the events of one command.

    Attributes:
        now_ms: the wall time the command was judged at.
        actor: who asked; events carry it unless they say otherwise.
        principal: what its token says; None for what the hub itself asks.
        events: written so far, at the positions after the state's tail.
        merged_events: the same for whoever folds them: deltas of one text that came in a row are one event that covers them.
        policy: who is asked about rules.
        result: what the command answers, JSON values.
        refusal: the command is refused, and what was written stands all the same.
    """

    __slots__ = (
        "_first",
        "_ts",
        "actor",
        "events",
        "merged_events",
        "now_ms",
        "policy",
        "principal",
        "refusal",
        "result",
    )

    def __init__(
        self, state: State, actor: str, now_ms: int, principal: Principal | None = None, policy: Policy = DEFAULT
    ) -> None:
        self.now_ms = now_ms
        self.actor = actor
        self.principal = principal
        self.policy = policy
        self.refusal: Refused | None = None
        self.events: list[Event] = []
        self.merged_events: list[Event] = []
        self.result: dict[str, Any] = {}
        self._first = state.tail + 1
        self._ts = max(now_ms, state.ts)  # LOG-10: never backwards

    @property
    def labels(self) -> dict[str, str]:
        """Those of the runs it queues."""
        return dict(self.principal.labels) if self.principal is not None else {}

    @property
    def next_seq(self) -> int:
        """The position the next event will get; ids allocated by the server are made from it."""
        return self._first + len(self.events)

    @property
    def ts(self) -> int:
        """The time every event of this command is stamped with."""
        return self._ts

    def write(
        self,
        type_: str,
        data: dict[str, Any],
        run: str | None = None,
        actor: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """Write one event at the next position."""
        event = Event(self.next_seq, self._ts, actor or self.actor, type_, data, run, attempt)
        self.events.append(event)
        self.merged_events.append(event)


SYSTEM = "system:session"
"""Actor of what the session itself records: losses, expiries, forced ends."""
