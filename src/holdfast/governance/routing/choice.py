"""Which of the models that may answer does: the cheapest whose outcomes are shown to clear the floor, else the incumbent. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from holdfast.governance.outcomes.intervals import lower_bound
from holdfast.governance.outcomes.model import OutcomeTally
from holdfast.governance.routing.model import RouteDefinition

_NONE = OutcomeTally()


class Choice(NamedTuple):
    """A model, and why it."""

    model: str
    reason: str


def choose(
    route: RouteDefinition, allowed: Sequence[str], tallies: Mapping[str, OutcomeTally], out: Set[str] = frozenset(),
    keepers: Set[str] = frozenset(),
) -> Choice:  # fmt: skip
    """The choice.

    Args:
        allowed: candidates that the rules leave, in the route's order; one at least.
        tallies: outcomes of each candidate in this workflow and task.
        out: candidates that an experiment has returned. ``keepers``: that one has kept.
    """
    usual = route.usual if route.usual in allowed else allowed[-1]
    base = "the incumbent" if usual == route.usual else f"the incumbent {route.usual!r} may not answer this"
    cleared = [
        model
        for model in allowed
        if model != usual
        and model not in out
        and cheaper(route, model, usual, tallies)
        and (model in keepers or clears(tallies.get(model, _NONE), route.floor))
    ]
    if not cleared:
        return Choice(usual, f"{base}: no cheaper model is shown to clear the floor of {route.floor:g}")
    best = cleared[0]
    for model in cleared[1:]:
        if cheaper(route, model, best, tallies):
            best = model
    tally = tallies.get(best, _NONE)
    bound = lower_bound(tally.accepted, tally.n)
    how = "an experiment kept it" if best in keepers and bound < route.floor else f"at least {bound:.3f} are accepted"
    return Choice(
        best, f"{how} ({tally.accepted} of {tally.n}), the floor is {route.floor:g}, and it costs less than {usual}"
    )


def clears(tally: OutcomeTally, floor: float) -> bool:
    """Whether outcomes are shown to clear a floor; nothing shown is a no."""
    return lower_bound(tally.accepted, tally.n) >= floor


def cheaper(route: RouteDefinition, model: str, than: str, tallies: Mapping[str, OutcomeTally]) -> bool:
    """Whether a model costs less for a piece of work: as measured where both are known, else by the route's order."""
    mine, other = tallies.get(model, _NONE).mean_nano, tallies.get(than, _NONE).mean_nano
    if mine is not None and other is not None:
        return mine < other
    return route.candidates.index(model) < route.candidates.index(than)
