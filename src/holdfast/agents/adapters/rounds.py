"""Ending a loop that goes round without getting anywhere."""

from __future__ import annotations

from typing import Any

from holdfast.agents.run import RunContext
from holdfast.errors import Refused
from holdfast.protocol import limits


class Rounds:
    """The rounds of an adapter's loop. Every adapter that loops says at each round what it has before it.

    A round gets somewhere when something else is pending than in the round before, a model was asked, a call has ended, or
    people have decided something. What is said or shown does not count: a loop that stands still may say a lot.
    """

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._mark: Any = None
        self._still = 0

    def next(self, *pending: Any) -> None:
        """Another round begins.

        Args:
            pending: what is to be done, and how often a model was asked: equal when nothing came of the round before.

        Raises:
            Refused: ``agent.stalled`` when nothing came of ``limits.STALLED_ROUNDS`` rounds, one after the other.
        """
        mark = (pending, self._run.tools.ended_count, len(self._run.attempt.decisions))
        self._still = self._still + 1 if mark == self._mark else 0
        self._mark = mark
        if self._still >= limits.STALLED_ROUNDS:
            raise Refused("agent.stalled", f"nothing came of {self._still} rounds, one after the other")
