"""Planted bugs of routing and outcomes: who judges work, what counts, which model may answer, and when a cheaper one is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from conformance.planting import replace
from msgspec import structs

from holdfast.gateway import served_models, shadow
from holdfast.gateway.port import RequestFacts
from holdfast.governance.outcomes import model as outcome_model
from holdfast.governance.outcomes import store as outcome_store
from holdfast.governance.outcomes.intervals import confidence_above
from holdfast.governance.routing import choice, peel, rules
from holdfast.governance.routing.model import RoutingRule
from holdfast.governance.routing.router import MemoryRouter
from tests.mutants.plant import mutant

ROUTING = "tests/unit/governance/routing"
CALLS = f"{ROUTING}/test_routed_calls.py"
PEEL = f"{ROUTING}/test_peel.py"
OUTCOMES = "tests/unit/governance/outcomes/test_outcomes.py"


@mutant("STAT-1", "a peel experiment reads the bound of a fixed sample again and again", PEEL)
def peeking() -> None:
    def log_wealth(accepted: int, n: int, floor: float) -> float:
        return math.inf if confidence_above(accepted, n, floor) >= 0.95 else -math.inf

    replace(peel, "log_wealth_above", log_wealth)


@mutant("STAT-1", "what a peel experiment cannot tell is kept", PEEL)
def untold_is_kept() -> None:
    real = peel._judge_share

    def judge_share(plan: Any, seen: Any) -> Any:
        found = real(plan, seen)
        return peel.PeelVerdict("kept") if seen.outcomes >= plan.most else found

    replace(peel, "_judge_share", judge_share)


@mutant("GATE-2", "a model is chosen by the share that was accepted, without a bound", CALLS)
def no_bound() -> None:
    replace(choice, "clears", lambda tally, floor: tally.n > 0 and tally.accepted / tally.n >= floor)


@mutant("GATE-2", "a label that a call does not have keeps a rule away from it", CALLS)
def unknown_label_passes() -> None:
    replace(RoutingRule, "concerns", lambda self, labels: all(labels.get(n) == v for n, v in self.when.items()))


@mutant("GATE-2", "a model of which no window is known takes everything", CALLS)
def unknown_window_passes() -> None:
    replace(rules, "fits", lambda facts, model, *, must_know: "")


@mutant("GATE-2", "an upstream whose terms nobody has written down has them all", CALLS)
def unknown_terms_pass() -> None:
    real = RoutingRule.lets

    def lets(self: RoutingRule, model: str, upstream: str, facts: Any) -> bool:
        return (not facts.terms and not facts.regions) or real(self, model, upstream, facts)

    replace(RoutingRule, "lets", lets)


@mutant("GATE-2", "rules hold for routes, and not for models that are named outright", CALLS)
def named_passes() -> None:
    real = MemoryRouter.route

    def route(self: MemoryRouter, call: Any, read_facts: Callable[[], RequestFacts]) -> Any:
        return real(self, call, read_facts) if self.is_route(call.model) else served_models.Route(call.model)

    replace(MemoryRouter, "route", route)


@mutant("MONEY-4", "a shadow costs on the line of the call that it shadows", CALLS)
def shadow_on_the_callers_line() -> None:
    real = shadow.Shadows._run

    async def run(self: Any, incoming: Any, second: Any, call: Any, *rest: Any) -> None:
        await real(self, incoming, structs.replace(second, caller=call.caller), call, *rest)

    replace(shadow.Shadows, "_run", run)


@mutant("GATE-3", "an agent says what its own work was worth", OUTCOMES)
def own_work() -> None:
    replace(outcome_model, "RECORDERS", {**outcome_model.RECORDERS, "agent": "person"})


@mutant("GATE-3", "the last word counts, whoever says it", OUTCOMES)
def last_word() -> None:
    replace(outcome_store, "standing", lambda outcomes: max(outcomes, key=lambda one: (one.at_ms, one.id)))


@mutant("GATE-2", "work that several models did is the last one's", OUTCOMES)
def several_models() -> None:
    real = outcome_store.work._grouped

    def grouped(*arguments: Any) -> Any:
        return [one._replace(model=one.model or "m1") for one in real(*arguments)]

    replace(outcome_store.work, "_grouped", grouped)
