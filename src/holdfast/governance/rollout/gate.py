"""What a gate is made of: its place in the plan, its queries, and its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from holdfast.governance.rollout.model import DoorName, Evidence, GateScope, Ruling, Thresholds

Decide = Callable[[Evidence, GateScope, Thresholds], Ruling]
Span = Literal["workflow", "organisation"]


class Gate(NamedTuple):
    """One gate.

    Attributes:
        name: ``6.a``.
        title: what it asks, in a few words.
        holds: its doors.
        span: whether it is asked of each workflow or of the organisation.
        queries: names of what it reads, with the parameters beyond those of the scope.
        thresholds: the numbers of its rule, as of the profile ``enterprise``.
        decide: the rule; None while nobody has built it: then it is unknown.
        who: whose work a red one is: ``owner``, ``payer``, ``platform``, ``finops``, ``risk``.
        effect: what opens when it passes.
    """

    name: str
    title: str
    holds: tuple[DoorName, ...]
    span: Span = "workflow"
    queries: tuple[str, ...] = ()
    thresholds: Mapping[str, int | str] = {}
    decide: Decide | None = None
    who: str = "owner"
    effect: str = ""

    @property
    def step(self) -> int:
        """The step of the plan, 1 to 11."""
        return int(self.name.partition(".")[0])
