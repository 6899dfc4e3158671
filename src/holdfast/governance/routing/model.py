"""The routing document of a tenant: what is known of models and upstreams, the rules, and the routes. Pure."""

from __future__ import annotations

import fnmatch
import re
from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits

_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
ROUTE: Final = "route/"
"""What stands before the name of a route where a model is asked for: ``route/summarise``."""
AUTO: Final = "auto"
"""Asks for the route of the key's own workflow and task."""


class ModelFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a model. What is left out is unknown, and a request that needs it goes elsewhere.

    Attributes:
        window: tokens that go in, at most.
        tools, images: whether it takes them.
    """

    window: int | None = None
    tools: bool | None = None
    images: bool | None = None


class UpstreamFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of an upstream.

    Attributes:
        regions: where it may process what it is sent: all of them.
        terms: what it is bound to, in words of one's own: ``no-training``, ``zero-retention``, ``dpa``.
    """

    regions: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()


class RoutingRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule that holds before anything is measured.

    Attributes:
        when: labels, with a value or a pattern each, that a call must have for the rule to concern it; ``data`` is the class
            of its data. A label that a call does not have could be any: then the rule concerns it.
        regions: the upstream may process in none but these. ``terms``: it is bound to all of these.
        upstreams, models: patterns of those that may be asked.
        why: for whoever is refused.
    """

    name: str
    when: dict[str, str] = {}
    regions: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    why: str = ""

    def concerns(self, labels: dict[str, str]) -> bool:
        """Whether it holds for a call with these labels. What cannot be told is a yes."""
        return all(
            not labels.get(name) or fnmatch.fnmatchcase(labels[name], pattern) for name, pattern in self.when.items()
        )

    def lets(self, model: str, upstream: str, facts: UpstreamFacts) -> bool:
        """Whether a model of an upstream may be asked under it. What is not known of the upstream is a no."""
        if self.regions and not (facts.regions and set(facts.regions) <= set(self.regions)):
            return False
        if not set(self.terms) <= set(facts.terms):
            return False
        if self.upstreams and not any(fnmatch.fnmatchcase(upstream, one) for one in self.upstreams):
            return False
        return not self.models or any(fnmatch.fnmatchcase(model, one) for one in self.models)


class RouteDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A task, and the models that may do it.

    Attributes:
        name: by which it is asked for.
        workflow, task: whose calls it is for, as ``auto`` finds it and as outcomes are counted; an empty task for all.
        candidates: models, the cheapest first.
        incumbent: which answers while nothing else is shown; the last candidate when left out.
        floor: the share of accepted outcomes that a model has to reach.
    """

    name: str
    workflow: str
    task: str = ""
    candidates: tuple[str, ...]
    incumbent: str = ""
    floor: float = 0.9

    @property
    def usual(self) -> str:
        """The incumbent."""
        return self.incumbent or self.candidates[-1]

    def is_for(self, workflow: str, task: str) -> bool:
        """Whether it is for the calls of a workflow and a task."""
        return self.workflow == workflow and self.task in ("", task)


class RoutingDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    models: dict[str, ModelFacts] = {}
    upstreams: dict[str, UpstreamFacts] = {}
    rules: tuple[RoutingRule, ...] = ()
    routes: tuple[RouteDefinition, ...] = ()

    def named(self, name: str) -> RouteDefinition | None:
        """The route of a name."""
        return next((route for route in self.routes if route.name == name), None)

    def of(self, workflow: str, task: str) -> RouteDefinition | None:
        """The route of a workflow and a task: the one that names the task before the one for all."""
        found = [route for route in self.routes if route.is_for(workflow, task)]
        return max(found, key=lambda route: bool(route.task), default=None)


EMPTY: Final = RoutingDocument()


def parse(value: Any) -> RoutingDocument:
    """The document that plain values mean.

    Raises:
        Refused: ``routing.invalid``, naming the field.
    """
    try:
        document = msgspec.convert(value if value is not None else {}, RoutingDocument)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    for kind, names in (("rule", [r.name for r in document.rules]), ("route", [r.name for r in document.routes])):
        for name in names:
            if not _NAME.fullmatch(name):
                raise _invalid(f"{kind} {name!r:.80}: a name is of a-z, 0-9, _, . and -, and begins with a letter")
            if names.count(name) > 1:
                raise _invalid(f"two {kind}s are called {name!r}")
    for route in document.routes:
        _check(route)
    if len(msgspec.json.encode(document)) > limits.ROUTING_DOCUMENT_BYTES:
        raise _invalid(f"the document has more than {limits.ROUTING_DOCUMENT_BYTES:,} bytes")
    return document


def _check(route: RouteDefinition) -> None:
    where = f"route {route.name!r}"
    if not route.workflow or not 1 <= len(route.candidates) <= limits.ROUTE_CANDIDATES:
        raise _invalid(f"{where} names a workflow and 1 to {limits.ROUTE_CANDIDATES} candidates")
    if len(set(route.candidates)) < len(route.candidates):
        raise _invalid(f"{where} names a candidate twice")
    if any(not model or model == AUTO or model.startswith(ROUTE) for model in route.candidates):
        raise _invalid(f"{where}: a candidate is the name of a model")
    if route.usual not in route.candidates:
        raise _invalid(f"{where}: its incumbent {route.usual!r:.80} is none of its candidates")
    if not 0 < route.floor < 1:
        raise _invalid(f"{where}: a floor is above 0 and below 1")


def _invalid(detail: str) -> Refused:
    return Refused("routing.invalid", detail)
