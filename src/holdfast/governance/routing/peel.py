"""A peel experiment: whether a cheaper model may take over a task. Pure: states as data, and one verdict of what was seen.

It goes one way: ``shadow`` (the cheaper one is asked unseen), ``share`` (it answers a drawn share of sessions), and an end:
``kept``, ``returned``, or ``stopped`` by a person. **Errors**, however often it is looked at (``betting.py``): a model that does
not reach the floor is kept with probability ``error`` at most, whatever its truth, and one that misses it by the margin with
``worse_error`` at most, which is as good as never; one that reaches the floor is returned by evidence with probability ``error`` at most. What cannot be told after ``most``
outcomes returns: unknown never passes.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final, Literal, NamedTuple

import msgspec

from holdfast.governance.outcomes.intervals import lower_bound, upper_bound
from holdfast.governance.routing.betting import log_wealth_above, log_wealth_below

State = Literal["shadow", "share", "kept", "returned", "stopped"]
TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    "shadow": frozenset({"share", "returned", "stopped"}),
    "share": frozenset({"kept", "returned", "stopped"}),
    "kept": frozenset({"stopped"}),
    "returned": frozenset(),
    "stopped": frozenset(),
}
"""From each state, which may follow. A model that was kept can be taken back by a person."""
RUNNING: Final = frozenset({"shadow", "share"})
RULED_OUT: Final = frozenset({"returned", "stopped"})
"""States after which the cheaper model is taken for the task no more, until another experiment says otherwise."""
ANSWERS: Final = 0.9
"""The share of shadows that has to come whole: its lower bound, before anybody is given an answer of that model."""


class PeelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What was fixed before the start.

    Attributes:
        name: of the experiment; ``route``: of which route.
        cheap, incumbent: the models.
        floor: the share of accepted outcomes that the cheaper one has to reach; ``margin``: how far below it is a miss.
        error: probability of each wrong verdict, at most. ``worse_error``: that a model is kept which misses the floor by the
            margin or more.
        share: of sessions that get the cheaper one; ``shadow_share``: of calls that are shadowed.
        shadows: whole answers, or failures, after which the shadow is judged.
        most: outcomes after which what cannot be told is returned.
    """

    name: str
    route: str
    cheap: str
    incumbent: str
    floor: float
    margin: float = 0.05
    error: float = 0.05
    worse_error: float = 0.0001
    share: float = 0.2
    shadow_share: float = 0.2
    shadows: int = 50
    most: int = 2_000


class Seen(NamedTuple):
    """What was seen of the cheaper model: shadows that came whole, that failed; outcomes, and accepted ones of them."""

    answered: int = 0
    failed: int = 0
    outcomes: int = 0
    accepted: int = 0


class PeelVerdict(NamedTuple):
    """Which state follows, and why; None: none yet."""

    to: State | None
    why: str = ""


NOT_YET: Final = PeelVerdict(None)


def judge(plan: PeelPlan, state: State, seen: Seen) -> PeelVerdict:
    """What follows from what was seen."""
    if state == "shadow":
        return _judge_shadow(plan, seen)
    return _judge_share(plan, seen) if state == "share" else NOT_YET


def _judge_shadow(plan: PeelPlan, seen: Seen) -> PeelVerdict:
    n = seen.answered + seen.failed
    if n < plan.shadows:
        return NOT_YET
    if lower_bound(seen.answered, n) >= ANSWERS:
        return PeelVerdict("share", f"{seen.answered} of {n} shadows came whole")
    if upper_bound(seen.answered, n) < ANSWERS or n >= 4 * plan.shadows:
        return PeelVerdict("returned", f"only {seen.answered} of {n} shadows came whole")
    return NOT_YET


def _judge_share(plan: PeelPlan, seen: Seen) -> PeelVerdict:
    wanted = -math.log(plan.error)
    words = f"{seen.accepted} of {seen.outcomes} outcomes accepted"
    if seen.outcomes and _is_above(plan, seen):
        return PeelVerdict("kept", f"{words}: above the floor of {plan.floor:g}")
    if seen.outcomes and log_wealth_below(seen.accepted, seen.outcomes, plan.floor, plan.margin) >= wanted:
        return PeelVerdict("returned", f"{words}: the floor of {plan.floor:g} is missed")
    if seen.outcomes >= plan.most:
        return PeelVerdict("returned", f"{words}: whether the floor of {plan.floor:g} is reached could not be told")
    return NOT_YET


def _is_above(plan: PeelPlan, seen: Seen) -> bool:
    """Whether the floor is cleared, and that the model is worse by the margin is out of the question."""
    cleared = log_wealth_above(seen.accepted, seen.outcomes, plan.floor) >= -math.log(plan.error)
    miss = max(0.01, plan.floor - plan.margin)
    return cleared and log_wealth_above(seen.accepted, seen.outcomes, miss) >= -math.log(plan.worse_error)


def draw(*parts: str) -> float:
    """A number from 0 to 1, always the same of the same parts: the same session has the same model in every gateway."""
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
