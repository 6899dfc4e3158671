"""Evidence that may be looked at after every outcome, as often as one likes, without being wrong more often for it.

A bet against a hypothesis pays nothing on average while the hypothesis holds, so wealth that has grown to 1/α speaks against
it: it ever does so with probability α at most (Ville 1939). For outcomes of yes and no the bets are likelihood ratios, mixed
uniformly over the alternatives (Robbins 1970; as confidence sequences: Howard, Ramdas, McAuliffe and Sekhon 2021; by
betting: Waudby-Smith and Ramdas 2024). For an alternative q above the floor the ratio (q/f)^s ((1-q)/(1-f))^(n-s) has mean 1 at
the floor and less below it, so the mixture bounds every truth at or below the floor at once; and the other way round.
"""

from __future__ import annotations

import math

from holdfast.governance.outcomes.intervals import log_above, log_below, log_beta


def _at_floor(accepted: int, n: int, floor: float) -> float:
    return accepted * math.log(floor) + (n - accepted) * math.log1p(-floor)


def log_wealth_above(accepted: int, n: int, floor: float) -> float:
    """Logarithm of the wealth of whoever bets that the truth is above the floor."""
    a, b = accepted + 1.0, n - accepted + 1.0
    mixture = log_beta(a, b) + log_above(a, b, floor) - math.log1p(-floor)
    return mixture - _at_floor(accepted, n, floor)


def log_wealth_below(accepted: int, n: int, floor: float, margin: float) -> float:
    """Logarithm of the wealth of whoever bets that the truth misses the floor by the margin or more."""
    a, b = accepted + 1.0, n - accepted + 1.0
    most = floor - margin
    mixture = log_beta(a, b) + log_below(a, b, most) - math.log(most)
    return mixture - _at_floor(accepted, n, floor)
