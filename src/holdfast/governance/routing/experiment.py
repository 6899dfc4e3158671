"""An experiment as it stands, a step it took, and a decision: what the tables of routing hold. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from holdfast.errors import Refused
from holdfast.governance.routing.model import RouteDefinition
from holdfast.governance.routing.peel import RUNNING, PeelPlan, Seen, State


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A peel experiment as it stands.

    Attributes:
        plan: fixed at the start.
        why: of its state; ``by``: who started it.
        since_ms, share_ms, ended_ms: when it began, when the cheaper one began to answer people, when it ended; 0 for not yet.
        answered, failed: shadows; ``same`` of ``compared`` said the same as the caller's own answer, without case and spaces.
        outcomes, accepted: of work that the cheaper model began since ``share_ms``.
    """

    id: str
    tenant: str = "default"
    name: str
    plan: PeelPlan
    state: State = "shadow"
    why: str = ""
    by: str = ""
    since_ms: int = 0
    share_ms: int = 0
    ended_ms: int = 0
    answered: int = 0
    failed: int = 0
    same: int = 0
    compared: int = 0
    outcomes: int = 0
    accepted: int = 0

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.state in RUNNING

    @property
    def seen(self) -> Seen:
        """What was seen of the cheaper model."""
        return Seen(self.answered, self.failed, self.outcomes, self.accepted)


class PeelStep(msgspec.Struct, frozen=True):
    """A step of an experiment from one state to another."""

    id: str
    experiment: str
    before: str
    after: str
    why: str
    by: str
    at_ms: int


class RouteDecision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision.

    Attributes:
        route: its name; empty where the caller named a model.
        asked: what the caller asked for; ``model``: what was taken.
        upstreams: that might be asked, with commas; empty for all.
        session: a short hash; empty for none.
        served: what the provider says answered; ``other``: another model than was asked for. ``fell_back``: the one that
            replaces a route of which everything fails.
        refused: nobody was asked; ``reason`` names the rule.
    """

    id: str
    tenant: str = "default"
    at_ms: int
    call: str = ""
    key: str = ""
    workflow: str = ""
    task: str = ""
    route: str = ""
    asked: str = ""
    model: str = ""
    kind: str = "asked"
    reason: str = ""
    upstreams: str = ""
    propensity: float = 1.0
    experiment: str = ""
    shadow: str = ""
    session: str = ""
    served: str = ""
    other: bool = False
    fell_back: bool = False
    refused: bool = False


class RouteEnd(NamedTuple):
    """What answered in the end; see ``RouteDecision``."""

    served: str
    other: bool
    fell_back: bool


class ExperimentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What somebody asks to be tried; what is left out is as ``PeelPlan`` has it, the floor as the route has it."""

    name: str
    route: str
    cheap: str
    floor: float | None = None
    margin: float | None = None
    share: float | None = None
    shadow_share: float | None = None
    shadows: int | None = None
    most: int | None = None


def plan_of(request: ExperimentRequest, route: RouteDefinition) -> PeelPlan:
    """The plan that is asked for.

    Raises:
        Refused: ``routing.invalid``.
    """
    more: dict[str, Any] = {
        name: value
        for name in ("floor", "margin", "share", "shadow_share", "shadows", "most")
        if (value := getattr(request, name)) is not None
    }
    facts = {"name": request.name, "route": route.name, "cheap": request.cheap, "incumbent": route.usual}
    plan = PeelPlan(**{**facts, "floor": route.floor, **more})
    if not request.name or len(request.name) > 64 or not request.name.replace("-", "").replace("_", "").isalnum():
        raise _invalid("a name is of letters, digits, - and _, and has at most 64")
    if plan.cheap not in route.candidates or plan.cheap == route.usual:
        raise _invalid(
            f"{plan.cheap!r:.80} is no candidate of route {route.name!r} beside its incumbent {route.usual!r}"
        )
    if not (0 < plan.margin < plan.floor < 1):
        raise _invalid("a floor is below 1 and above its margin, and that is above 0")
    if not (0 < plan.share <= 0.5 and 0 < plan.shadow_share <= 1):
        raise _invalid("a share is above 0 and at most 0.5; that of shadows at most 1")
    if not (1 <= plan.shadows <= 10_000 and 1 <= plan.most <= 1_000_000):
        raise _invalid("1 to 10,000 shadows, 1 to 1,000,000 outcomes")
    return plan


def _invalid(detail: str) -> Refused:
    return Refused("routing.invalid", detail)
