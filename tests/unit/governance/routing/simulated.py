"""Workflows with a known truth, and what a peel experiment makes of them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

from holdfast.governance.routing.peel import PeelPlan, PeelVerdict, Seen, State, judge

Judge = Callable[[PeelPlan, State, Seen], PeelVerdict]
EVERY = 5
"""Outcomes between two looks, about as often as a busy gateway looks."""


class Ends(NamedTuple):
    """How many experiments ended how, and after how many outcomes in all."""

    kept: int
    returned_by_evidence: int
    untold: int
    outcomes: int


def plan(floor: float, margin: float, most: int = 2_000) -> PeelPlan:
    return PeelPlan(name="x", route="r", cheap="c", incumbent="i", floor=floor, margin=margin, error=0.05, most=most)


def simulate(workflows: int, floor: float, margin: float, truth: float, seed: int, judged: Judge = judge) -> Ends:
    """Experiments whose cheaper model is accepted with the true probability, outcome by outcome."""
    source, fixed = random.Random(seed), plan(floor, margin)
    kept = returned = untold = total = 0
    for _ in range(workflows):
        accepted = n = 0
        verdict = PeelVerdict(None)
        while verdict.to is None:
            accepted += sum(source.random() < truth for _ in range(EVERY))
            n += EVERY
            verdict = judged(fixed, "share", Seen(0, 0, n, accepted))
        total += n
        kept += verdict.to == "kept"
        out = verdict.to == "returned"
        untold += out and n >= fixed.most
        returned += out and n < fixed.most
    return Ends(kept, returned, untold, total)


def most_within(n: int, rate: float, confidence: float = 0.999) -> int:
    """The largest count of errors that a rate explains: the upper end of a binomial interval of that confidence."""
    log_p = [
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + k * math.log(rate)
        + (n - k) * math.log1p(-rate)
        for k in range(n + 1)
    ]
    total, count = 0.0, -1
    while total < 1 - (1 - confidence) / 2:
        count += 1
        total += math.exp(log_p[count])
    return count
