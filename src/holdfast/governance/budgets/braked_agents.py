"""Agents that call providers themselves are braked by the same budgets: at their next append, in the session.

What they used is known when they have said so (``usage.recorded``), so nothing is reserved for them and what was spent by
then is spent. From then on nothing more is taken of their run: it is cancelled in the name of the budget, everybody who
watches sees why, and what CTL-3 lets pass (ends, results of tools, what was used) still comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from holdfast.errors import Refused
from holdfast.gateway import budget_news
from holdfast.gateway.port import BrakeNews
from holdfast.gateway.sessions import MODEL_AGENT
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.session.access import Principal
from holdfast.session.policy import ALLOWED, Allow, DefaultPolicy, Deny, Facts, Stop, Verdict
from holdfast.session.run import topmost

ClaimsOf = Callable[[str, Mapping[str, str], str], Mapping[str, str]]
_JUDGED: Final = (wire.Append, wire.Spawn)


class Exhausted(Protocol):
    """Which budgets have no money left, answered in memory: it is asked for every append of every agent."""

    def age_s(self) -> float:
        """How old, in seconds, what it answers by is; 0 while nothing is enforced that could be exhausted."""

    def any_spent(self) -> bool:
        """Whether any budget has no money left: while none is spent nobody asks whose an append is."""

    def refusal(self, tenant: str, labels: Mapping[str, str], session: str, run: str) -> Refused | None:
        """Why nothing more may be spent under these labels; None where something may. Of the budgets that are hard and
        enforced, and spent.

        Args:
            labels: of the run.
            run: the topmost run, which its sub-runs are below.

        Returns:
            ``budget.exceeded``, with the fields that ``Hold.extend`` of the gateway's port names.
        """


class BrakedAgents(DefaultPolicy):
    """The policy of a session server that lets no agent go on whose budget is spent. People, and the ends of runs, are not its
    concern: also while nothing is known of the budgets everybody may stop what runs.

    Args:
        exhausted: what is spent.
        metered: agents whose runs are calls of a gateway, which reserves and brakes by itself.
        claims_of: of a tenant, labels and an agent: the labels that say whose work it is, where a manifest knows more.
    """

    def __init__(
        self, exhausted: Exhausted, metered: Collection[str] = (MODEL_AGENT,), claims_of: ClaimsOf | None = None
    ) -> None:
        self._exhausted = exhausted
        self._claims_of = claims_of
        self._metered = frozenset(metered)

    def judge(self, facts: Facts, principal: Principal, command: wire.Op) -> Verdict:
        """See ``Policy``. What it judges by facts that are older than ``limits.POLICY_FACTS_S`` it denies; its own age
        (``age_s``) stays 0, for most commands it judges by none."""
        run = facts.run
        if run is None or not isinstance(command, _JUDGED) or run.agent.partition("/")[0] in self._metered:
            return ALLOWED
        if run.status != "running" or run.generation != command.generation or run.cancel is not None:
            return ALLOWED  # the session refuses it by itself: fenced, or stopping already
        if self._exhausted.age_s() > limits.POLICY_FACTS_S:
            return self._unknown(command)
        if not self._exhausted.any_spent():
            return ALLOWED
        claims = facts.labels if self._claims_of is None else self._claims_of(facts.tenant, facts.labels, run.agent)
        refused = self._exhausted.refusal(facts.tenant, claims, facts.session, topmost(facts.state, run).id)
        if refused is None:
            return ALLOWED
        news = BrakeNews("ended", "error", refused.code, refused.detail, dict(refused.fields))
        stop = Stop(budget_news.ACTOR, budget_news.ACTIVITY, budget_news.content_of(news))
        return Deny("budget.exceeded", refused.detail, refused.fields, stop)

    def _unknown(self, command: wire.Append | wire.Spawn) -> Allow | Deny:
        if isinstance(command, wire.Append) and all(draft.type in e.WHILE_STOPPING for draft in command.events):
            return ALLOWED
        return Deny("policy.unavailable", f"what is known of the budgets is older than {limits.POLICY_FACTS_S:g} s")
