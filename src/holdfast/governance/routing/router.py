"""The gateway's router, in memory: documents, what was measured, and experiments as they stood at the last look.

One decision: the rules leave models and upstreams; then the session's own model, the draw of an experiment, or the choice by
outcome. What a caller names outright is only held against the rules.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from holdfast.errors import Refused
from holdfast.gateway.models import may_ask
from holdfast.gateway.port import ModelCall, RequestFacts, Route, RouteKind, ShadowAnswer
from holdfast.governance import limits
from holdfast.governance.outcomes.model import OutcomeTally, TallyKey
from holdfast.governance.routing import rules
from holdfast.governance.routing.choice import choose
from holdfast.governance.routing.experiment import Experiment, RouteDecision, RouteEnd
from holdfast.governance.routing.model import AUTO, EMPTY, ROUTE, RouteDefinition, RoutingDocument
from holdfast.governance.routing.peel import RULED_OUT, draw
from holdfast.governance.routing.rules import Allowed, Serving
from holdfast.governance.routing.store import SessionKey


class Placed(Protocol):
    """Whose a call is."""

    @property
    def team(self) -> str: ...
    @property
    def workflow(self) -> str: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


Place = Callable[[Mapping[str, str], int, str], Placed]
"""Whose labels say that work is, at a time, in a tenant."""


class RoutingFacts(NamedTuple):
    """What is known at one look.

    Attributes:
        documents: by tenant.
        tallies: outcomes, by tenant.
        experiments: the newest first.
    """

    documents: Mapping[str, RoutingDocument] = {}
    tallies: Mapping[str, Mapping[TallyKey, OutcomeTally]] = {}
    experiments: Sequence[Experiment] = ()


class _Taken(NamedTuple):
    """A model that was taken, and why."""

    model: str
    kind: RouteKind
    reason: str
    propensity: float = 1.0
    experiment: Experiment | None = None


class Unwritten(NamedTuple):
    """What waits to be written: decisions; ends of those that were written already; models of sessions; counts of shadows."""

    decisions: list[RouteDecision]
    ends: dict[str, RouteEnd]
    sessions: dict[SessionKey, str]
    shadows: dict[str, dict[str, int]]


_ASKED: Final = "the caller names it"


class MemoryRouter:
    """A ``gateway.port.Router``.

    Args:
        upstreams: of the gateway.
        place: whose a call is.
        now_ms: the clock, Unix ms.
        stopped: why nobody may ask a model in a tenant now; empty where somebody may.

    Attributes:
        facts: what is known; replaced whole at every look.
        sessions: which model a session has, those that were silent longest first.
    """

    def __init__(
        self, upstreams: Sequence[Serving], place: Place, now_ms: Callable[[], int],
        stopped: Callable[[str, str], str] = lambda tenant, model: "",
    ) -> None:  # fmt: skip
        self._upstreams = upstreams
        self._place = place
        self._now_ms = now_ms
        self._stopped = stopped
        self.facts = RoutingFacts()
        self.sessions: OrderedDict[SessionKey, str] = OrderedDict()
        self._pending: OrderedDict[str, RouteDecision] = OrderedDict()
        self._ends: dict[str, RouteEnd] = {}
        self._fresh: dict[SessionKey, str] = {}
        self._shadows: dict[str, dict[str, int]] = {}
        self.lost = 0

    # --- asked for every call, without waiting
    def is_route(self, model: str) -> bool:
        """See ``gateway.port.Router``. Once no tenant has routes, such a name is a model's as any other."""
        return bool(self.facts.documents) and (model == AUTO or model.startswith(ROUTE))

    def route(self, call: ModelCall, read_facts: Callable[[], RequestFacts]) -> Route:
        """See ``gateway.port.Router``."""
        document = self.facts.documents.get(call.caller.tenant, EMPTY)
        routed = self.is_route(call.model)
        if not routed and not document.rules and not document.models:
            return Route(call.model)
        facts = read_facts()
        claims = dict(call.caller.labels)
        placed = self._place(claims, call.at_ms, call.caller.tenant)
        labels = {**placed.tags, **claims, "team": placed.team, "workflow": placed.workflow}
        decision = RouteDecision(
            id=f"d-{secrets.token_hex(8)}", tenant=call.caller.tenant, at_ms=call.at_ms, call=call.id, key=call.caller.key,
            workflow=placed.workflow, task=claims.get("task", ""), asked=call.model, session=_hash(call),
        )  # fmt: skip

        def judged(model: str) -> Allowed:
            if routed and (why := self._stopped(call.caller.tenant, model)):
                return Allowed(why=why)
            return rules.allowed(
                document, model, facts, labels, self._upstreams, may_ask=may_ask(call.caller, model), must_know=routed
            )

        try:
            if routed:
                return self._routed(document, call, facts, decision, judged)
            return self._named(call, facts.shape, decision, judged)
        except Refused as error:
            self._keep(replace(decision, kind="rule", reason=error.detail, refused=True))
            raise

    def _named(self, call: ModelCall, shape: str, decision: RouteDecision, judged: Callable[[str], Allowed]) -> Route:
        if not any(one.shape == shape and one.serves(call.model) is not None for one in self._upstreams):
            return Route(call.model)  # nobody has it here, and the gateway says where it is
        found = judged(call.model)
        if not found.upstreams:
            raise Refused("routing.refused", f"{call.model}: {found.why}")
        self._keep(replace(decision, model=call.model, reason=_ASKED, upstreams=",".join(found.upstreams)))
        return Route(call.model, found.upstreams, decision.id, _ASKED)

    def _routed(
        self, document: RoutingDocument, call: ModelCall, facts: RequestFacts, decision: RouteDecision,
        judged: Callable[[str], Allowed],
    ) -> Route:  # fmt: skip
        if call.model == AUTO:
            definition = document.of(decision.workflow, decision.task)
        else:
            definition = document.named(call.model.removeprefix(ROUTE))
        if definition is None:
            what = f"workflow {decision.workflow!r} and task {decision.task!r}" if call.model == AUTO else call.model
            raise Refused("routing.unknown", f"there is no route for {what}")
        decision = replace(decision, route=definition.name)
        found = {model: judged(model) for model in definition.candidates}
        left = [model for model in definition.candidates if found[model].upstreams]
        if not left:
            why = rules.sentence([(model, found[model].why) for model in definition.candidates])
            raise Refused("routing.refused", f"route {definition.name!r}: {why}")
        taken = self._take(definition, call, decision, left)
        usual = definition.usual
        instead = usual if usual in left and usual != taken.model else ""
        shadowed = self._shadow(definition, call, facts, left, taken.model)
        experiment = taken.experiment or shadowed
        route = Route(
            taken.model, found[taken.model].upstreams, decision.id, taken.reason, taken.kind, taken.propensity, instead,
            found[instead].upstreams if instead else (), experiment.name if experiment is not None else "",
            shadowed.plan.cheap if shadowed is not None else "",
            found[shadowed.plan.cheap].upstreams if shadowed is not None else (),
        )  # fmt: skip
        self._keep(
            replace(
                decision, model=route.model, kind=route.kind, reason=route.reason, upstreams=",".join(route.upstreams),
                propensity=route.propensity, experiment=route.experiment, shadow=route.shadow,
            )
        )  # fmt: skip
        return route

    def _take(
        self, definition: RouteDefinition, call: ModelCall, decision: RouteDecision, left: Sequence[str]
    ) -> _Taken:
        if len(left) == 1:
            return _Taken(left[0], "rule", "the rules leave no other")
        experiments = self._of(call.caller.tenant, definition.name)
        latest = {}
        for one in reversed(experiments):
            latest[one.plan.cheap] = one
        out = {model for model, one in latest.items() if one.state in RULED_OUT}
        keepers = {model for model, one in latest.items() if one.state == "kept"}
        where = (call.caller.tenant, decision.session, definition.name)
        had = self.sessions.get(where, "") if decision.session else ""
        if had in left and had not in out:
            self.sessions.move_to_end(where)
            return _Taken(had, "sticky", "the session has it already")
        tallies = self._tallies(call.caller.tenant, decision.workflow, definition)
        trying = {one.plan.cheap for one in experiments if one.running}
        chosen = choose(definition, left, tallies, out | trying, keepers)
        taken = _Taken(chosen.model, "choice", chosen.reason)
        for one in experiments:
            if one.state != "share" or one.plan.cheap not in left:
                continue
            share = one.plan.share
            drawn = draw("share", one.id, decision.session or call.id) < share
            model = one.plan.cheap if drawn else chosen.model
            words = f"experiment {one.name!r} drew it: a share of {share:g} has {one.plan.cheap!r}"
            taken = _Taken(model, "experiment", words, share if drawn else 1.0 - share, one)
            break
        if decision.session:
            self._remember(where, taken.model)
        return taken

    def _remember(self, where: SessionKey, model: str) -> None:
        self.sessions[where] = self._fresh[where] = model
        self.sessions.move_to_end(where)
        while len(self.sessions) > limits.ROUTE_SESSIONS:
            self.sessions.popitem(last=False)

    def _shadow(
        self, definition: RouteDefinition, call: ModelCall, facts: RequestFacts, left: Sequence[str], taken: str
    ) -> Experiment | None:
        if not facts.replays:
            return None
        for one in self._of(call.caller.tenant, definition.name):
            if one.state == "shadow" and one.plan.cheap in left and one.plan.cheap != taken:
                return one if draw("shadow", one.id, call.id) < one.plan.shadow_share else None
        return None

    def _of(self, tenant: str, route: str) -> list[Experiment]:
        return [one for one in self.facts.experiments if one.tenant == tenant and one.plan.route == route]

    def _tallies(self, tenant: str, workflow: str, definition: RouteDefinition) -> dict[str, OutcomeTally]:
        """Of each candidate, in the route's own workflow and task, or in all tasks of it."""
        found: dict[str, OutcomeTally] = {}
        for key, tally in self.facts.tallies.get(tenant, {}).items():
            if definition.is_for(key.workflow, key.task) and key.model in definition.candidates:
                found[key.model] = plus(found.get(key.model, OutcomeTally()), tally)
        return found

    def served(self, call: ModelCall, route: Route, models: Sequence[str], *, other: bool, fell_back: bool) -> None:
        """See ``gateway.port.Router``."""
        end = RouteEnd(",".join(models)[: limits.LEDGER_WORDS], other, fell_back)
        if (decision := self._pending.get(route.id)) is not None:
            self._pending[route.id] = replace(decision, **end._asdict())
        elif len(self._ends) < limits.ROUTE_PENDING:
            self._ends[route.id] = end

    def shadowed(self, call: ModelCall, route: Route, answer: ShadowAnswer) -> None:
        """See ``gateway.port.Router``. A shadow whose money a budget refused says nothing of the model."""
        if answer.reason.startswith(("budget.", "store.")):
            return
        for one in self.facts.experiments:
            if one.tenant == call.caller.tenant and one.name == route.experiment and one.state == "shadow":
                counts = self._shadows.setdefault(one.id, {})
                names = ["answered" if answer.answered else "failed"]
                if answer.same is not None:
                    names += ["compared", "same"] if answer.same else ["compared"]
                for name in names:
                    counts[name] = counts.get(name, 0) + 1

    # --- what waits to be written
    def _keep(self, decision: RouteDecision) -> None:
        if decision.id not in self._pending and len(self._pending) >= limits.ROUTE_PENDING:
            self.lost += 1
            return
        self._pending[decision.id] = decision

    def take(self) -> Unwritten:
        """What was not written yet. It is the caller's now."""
        taken = Unwritten(list(self._pending.values()), self._ends, self._fresh, self._shadows)
        self._pending, self._ends, self._fresh, self._shadows = OrderedDict(), {}, {}, {}
        return taken

    def put_back(self, unwritten: Unwritten) -> None:
        """What could not be written after all; what came meanwhile is newer."""
        for decision in unwritten.decisions:
            self._keep(decision)
        self._ends = {**unwritten.ends, **self._ends}
        self._fresh = {**unwritten.sessions, **self._fresh}
        for ident, more in unwritten.shadows.items():
            counts = self._shadows.setdefault(ident, {})
            for name, count in more.items():
                counts[name] = counts.get(name, 0) + count


def plus(one: OutcomeTally, other: OutcomeTally) -> OutcomeTally:
    """Both together."""
    return OutcomeTally(*(getattr(one, name) + getattr(other, name) for name in OutcomeTally.__struct_fields__))


def _hash(call: ModelCall) -> str:
    if not call.session:
        return ""
    return hashlib.blake2b(f"{call.caller.tenant}\0{call.session}".encode(), digest_size=12).hexdigest()
