"""Which models and upstreams may answer a call: the hard rules, before anything is measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from holdfast.gateway.port import RequestFacts
from holdfast.governance.routing.model import ModelFacts, RoutingDocument, UpstreamFacts

_NOTHING = UpstreamFacts()


class Serving(Protocol):
    """An upstream, as far as it is asked which models it serves."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> str: ...
    def serves(self, model: str) -> str | None: ...


class Allowed(NamedTuple):
    """Whether a model may answer.

    Attributes:
        upstreams: that may be asked; none: it may not.
        why: what is in the way, naming the rule, where it may not.
    """

    upstreams: tuple[str, ...] = ()
    why: str = ""


def fits(facts: RequestFacts, model: ModelFacts | None, *, must_know: bool) -> str:
    """What of a request a model does not take; empty when it takes it all.

    Args:
        must_know: what is not known of the model is in the way: so for candidates. A model that a caller names outright is
            refused only for what is known of it; the provider says the rest.
    """
    found = model or ModelFacts()
    if (found.window is None and must_know) or (found.window is not None and facts.input_tokens > found.window):
        room = "an unknown number of" if found.window is None else f"{found.window:,}"
        return f"up to {facts.input_tokens:,} tokens go in, and its window has {room}"
    for needed, has, what in ((facts.tools, found.tools, "tools"), (facts.images, found.images, "pictures")):
        if needed and (has is False or (has is None and must_know)):
            return f"the request brings {what}, which it {'may not take' if has is None else 'does not take'}"
    return ""


def allowed(
    document: RoutingDocument, model: str, facts: RequestFacts, labels: Mapping[str, str], upstreams: Iterable[Serving],
    *, may_ask: bool, must_know: bool,
) -> Allowed:  # fmt: skip
    """Whether a model may answer a call, and where.

    Args:
        labels: of the call, with the tags of its workflow and teams.
        may_ask: whether its key may.
        must_know: see ``fits``.
    """
    if not may_ask:
        return Allowed(why="the key may not ask it")
    if why := fits(facts, document.models.get(model), must_know=must_know):
        return Allowed(why=why)
    serving = [one.name for one in upstreams if one.shape == facts.shape and one.serves(model) is not None]
    if not serving:
        return Allowed(why="no upstream serves it on this path")
    concerned = [rule for rule in document.rules if rule.concerns(dict(labels))]
    for rule in concerned:
        left = [name for name in serving if rule.lets(model, name, document.upstreams.get(name, _NOTHING))]
        if not left:
            return Allowed(why=f"rule {rule.name!r} {f'({rule.why}) ' if rule.why else ''}leaves no upstream of it")
        serving = left
    return Allowed(tuple(serving))


def sentence(whys: Sequence[tuple[str, str]]) -> str:
    """Why none of several models may answer."""
    return "; ".join(f"{model}: {why}" for model, why in whys)
