"""What a move is: somebody makes a check look good. An ordinary dashboard looks at it, and the plan does."""

from __future__ import annotations

import abc
from typing import ClassVar

import msgspec

from holdfast.company.cheats.rehearsal import CastPlace, Rehearsal
from holdfast.governance.rollout.model import GateVerdict


class NaiveCheck(msgspec.Struct, frozen=True):
    """What an ordinary dashboard says: whether it is green, and why."""

    green: bool
    reason: str


class PlanSays(msgspec.Struct, frozen=True):
    """What the plan says of its gate."""

    verdict: GateVerdict
    reason: str
    fix: str


class MoveFacts(msgspec.Struct, frozen=True):
    """A move as people are told of it.

    Attributes:
        does: what the cheater does; ``counter``: what counters it; ``setting``: what of it is set up for the occasion.
    """

    name: str
    gate: str
    title: str
    does: str
    counter: str
    setting: str


class MovePlayed(msgspec.Struct, frozen=True):
    """What came of a move: what both said before it, and after it."""

    move: MoveFacts
    naive_before: NaiveCheck
    naive: NaiveCheck
    before: PlanSays
    after: PlanSays


class CheatMove(abc.ABC):
    """One way to cheat. Whoever plays it does all of it on a copy, in the order of the methods.

    Attributes:
        facts: of it.
        span: ``organisation`` where the gate is the organisation's.
    """

    facts: ClassVar[MoveFacts]

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.on = rehearsal
        self.place = CastPlace()

    @abc.abstractmethod
    async def set_up(self) -> CastPlace:
        """Let there be what honest people have; where that is."""

    @abc.abstractmethod
    async def cheat(self) -> None:
        """Do it."""

    @abc.abstractmethod
    async def naive(self) -> NaiveCheck:
        """Look as an ordinary dashboard does."""

    async def play(self) -> MovePlayed:
        """All of it. Raises what the services raise."""
        self.place = await self.set_up()
        before, looked = await self._plan(), await self.naive()
        self.on.clock.pass_days(0.01)  # the next round
        await self.cheat()
        self.on.clock.pass_days(0.01)
        return MovePlayed(self.facts, looked, await self.naive(), before, await self._plan())

    async def _plan(self) -> PlanSays:
        ruling, _ = await self.on.plan.preview(self.place.tenant, self.place.workflow, self.facts.gate)
        return PlanSays(ruling.verdict, ruling.reason, ruling.fix)
