"""Several policies as one: whatever one of them denies is denied, then whatever one wants approved is asked for.

Policies that are put together can only narrow what is allowed. What ``DefaultPolicy`` denies stays denied, and a policy
that fails, or whose facts are too old, denies by itself, whatever the others say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from holdfast.protocol import wire
from holdfast.session.access import Principal
from holdfast.session.policy import (
    ALLOWED,
    DEFAULT,
    Allow,
    Deny,
    Facts,
    Policy,
    RequireApproval,
    V,
    Verdict,
    answer_of,
)
from holdfast.session.state import ApprovalState


class ComposedPolicy:
    """What all of several policies let happen.

    Args:
        policies: asked in this order; the first denial is the one that is given.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._policies = (DEFAULT, *policies)

    def age_s(self) -> float:
        """See ``Policy``. Each is asked for its own age when it is asked for anything, so one that is old denies."""
        return 0.0

    def judge(self, facts: Facts, principal: Principal, command: wire.Op) -> Verdict:
        """See ``Policy``: a denial, else an approval by all the rules that ask for one, else the first rule that allows."""
        rules: list[RequireApproval] = []
        allowed = ALLOWED
        for verdict in self._answers(lambda policy: policy.judge(facts, principal, command)):
            if isinstance(verdict, Deny):
                return verdict
            if isinstance(verdict, RequireApproval):
                rules.append(verdict)
            elif not allowed.rule:
                allowed = verdict
        return _all_of(rules) if rules else allowed

    def may_start(self, facts: Facts) -> Allow | Deny:
        """See ``Policy``."""
        return _strictest(policy.may_start(facts) for policy in self._policies)

    def may_ask(self, facts: Facts, ask: wire.Ask) -> Allow | Deny:
        """See ``Policy``."""
        return _strictest(self._answers(lambda policy: policy.may_ask(facts, ask)))

    def may_decide(self, facts: Facts, approval: ApprovalState, decider: Principal) -> Allow | Deny:
        """See ``Policy``."""
        return _strictest(self._answers(lambda policy: policy.may_decide(facts, approval, decider)))

    def _answers(self, ask: Callable[[Policy], V]) -> Iterator[V | Deny]:
        for policy in self._policies:
            yield answer_of(policy, lambda policy=policy: ask(policy))  # type: ignore[misc]


def compose(policies: Iterable[Policy]) -> Policy:
    """One policy of several; ``DEFAULT`` itself when there is none, which is asked nothing on the hot path."""
    several = tuple(policies)
    return ComposedPolicy(several) if several else DEFAULT


def _strictest(answers: Iterable[Allow | Deny]) -> Allow | Deny:
    allowed = ALLOWED
    for answer in answers:
        if isinstance(answer, Deny):
            return answer
        if not allowed.rule:
            allowed = answer
    return allowed


def _all_of(rules: list[RequireApproval]) -> RequireApproval:
    """One approval by several rules: a person who approves it has read what each of them asks for."""
    if len(rules) == 1:
        return rules[0]
    names, reasons = [rule.rule for rule in rules], [rule.why for rule in rules if rule.why]
    return RequireApproval(", ".join(names), "; ".join(reasons))
