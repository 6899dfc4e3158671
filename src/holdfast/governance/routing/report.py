"""What models cost for each accepted outcome, and what could be peeled to a cheaper one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from holdfast.governance.money import show
from holdfast.governance.outcomes.intervals import confidence_above, lower_bound
from holdfast.governance.outcomes.model import OutcomeTally, TallyKey
from holdfast.governance.routing.model import RoutingDocument

FLOOR = 0.9
"""Where no route says another."""


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a workflow and task.

    Attributes:
        n: pieces of work with an outcome; the other counts are of them.
        at_least: the lower 95 % bound of the share of accepted ones.
        each_usd: cost of one piece of work; ``accepted_usd``: cost for each accepted one; ``value_usd`` that people gave them.
            Decimal texts; None where a cost is not known, or nothing was accepted: unknown, and not zero.
    """

    workflow: str
    task: str
    model: str
    n: int
    accepted: int
    rejected: int
    escalated: int
    at_least: float
    each_usd: str | None
    accepted_usd: str | None
    value_usd: str


class PeelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A cheaper model that might take over.

    Attributes:
        incumbent: of the route, else the model that did most of the work.
        floor: of the route, else 0.9.
        n, accepted: of the cheaper one. ``confidence``: the largest with which its lower bound clears the floor; None where it
            has no outcome. It is of one look: whoever looks again and again has an experiment tell.
        saves_usd: for each piece of work; ``saved_usd``: had it done the incumbent's judged work of the window.
    """

    workflow: str
    task: str
    incumbent: str
    cheaper: str
    floor: float
    n: int
    accepted: int
    confidence: float | None
    clears: bool
    saves_usd: str
    saved_usd: str


class RoutingReport(msgspec.Struct, frozen=True):
    """Both."""

    models: tuple[ModelRow, ...]
    peels: tuple[PeelRow, ...]


def report(document: RoutingDocument, tallies: Mapping[TallyKey, OutcomeTally]) -> RoutingReport:
    """The report of a tenant. Candidates without any outcome are in it, with n = 0."""
    places = sorted({(key.workflow, key.task) for key in tallies})
    places += [(r.workflow, r.task) for r in document.routes if r.task and (r.workflow, r.task) not in places]
    models: list[ModelRow] = []
    peels: list[PeelRow] = []
    for workflow, task in places:
        mine = {key.model: tally for key, tally in tallies.items() if (key.workflow, key.task) == (workflow, task)}
        route = document.of(workflow, task)
        for model in route.candidates if route is not None else ():
            mine.setdefault(model, OutcomeTally())
        usual = route.usual if route is not None else max(mine, key=lambda model: (mine[model].n, model))
        models += [_row(workflow, task, model, mine[model]) for model in sorted(mine)]
        peels += _peels(workflow, task, usual, route.floor if route is not None else FLOOR, mine)
    return RoutingReport(tuple(models), tuple(peels))


def _row(workflow: str, task: str, model: str, tally: OutcomeTally) -> ModelRow:
    return ModelRow(
        workflow=workflow, task=task, model=model, n=tally.n, accepted=tally.accepted, rejected=tally.rejected,
        escalated=tally.escalated, at_least=lower_bound(tally.accepted, tally.n), each_usd=_usd(tally.mean_nano),
        accepted_usd=_usd(tally.per_accepted_nano), value_usd=show(tally.value_nano),
    )  # fmt: skip


def _usd(nano: int | None) -> str | None:
    return None if nano is None else show(nano)


def _peels(workflow: str, task: str, usual: str, floor: float, mine: Mapping[str, OutcomeTally]) -> Sequence[PeelRow]:
    dear = mine[usual].mean_nano
    if dear is None:
        return []
    found = []
    for model, tally in sorted(mine.items()):
        mean = tally.mean_nano
        if model == usual or mean is None or mean >= dear:
            continue
        found.append(
            PeelRow(
                workflow=workflow, task=task, incumbent=usual, cheaper=model, floor=floor, n=tally.n,
                accepted=tally.accepted, confidence=confidence_above(tally.accepted, tally.n, floor),
                clears=lower_bound(tally.accepted, tally.n) >= floor, saves_usd=show(dear - mean),
                saved_usd=show((dear - mean) * mine[usual].n),
            )
        )  # fmt: skip
    return found
