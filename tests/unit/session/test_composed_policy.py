"""Several policies as one: what one denies is denied, what one wants approved is asked for, nothing is loosened."""

from __future__ import annotations

import itertools

import pytest

from holdfast.protocol import limits, wire
from holdfast.session.access import Principal, full_access
from holdfast.session.composed_policy import compose
from holdfast.session.policy import (
    DEFAULT,
    Allow,
    DefaultPolicy,
    Deny,
    Facts,
    Policy,
    RequireApproval,
    Verdict,
    facts_of,
)
from holdfast.session.state import ApprovalState, State

ANN = full_access("t", "user:ann")
SEND = wire.Send(session="s1", text="hi")
FACTS = facts_of(State("s1", "i1"), ANN, SEND)
ALLOW, DENY, ASK = Allow("house"), Deny("policy.denied", "no"), RequireApproval("prices", "it names a price")


class Fixed(DefaultPolicy):
    """One that always says the same."""

    def __init__(self, verdict: Verdict | None, age: float = 0.0) -> None:
        self._verdict = verdict
        self._age = age

    def age_s(self) -> float:
        return self._age

    def judge(self, facts: Facts, principal: Principal, command: wire.Op) -> Verdict:
        if self._verdict is None:
            raise ValueError("a secret")
        return self._verdict


class Lenient(DefaultPolicy):
    """One that would let agents do what ``DefaultPolicy`` does not."""

    def may_ask(self, facts: Facts, ask: wire.Ask) -> Allow | Deny:
        return Allow("anything goes")

    def may_decide(self, facts: Facts, approval: ApprovalState, decider: Principal) -> Allow | Deny:
        return Allow("anything goes")


class Strict(Lenient):
    def may_decide(self, facts: Facts, approval: ApprovalState, decider: Principal) -> Allow | Deny:
        return Deny("approval.self", "nobody")


def judged(*policies: Policy) -> Verdict:
    return compose(policies).judge(FACTS, ANN, SEND)


def test_no_policy_is_the_default_itself() -> None:
    assert compose([]) is DEFAULT


@pytest.mark.parametrize("order", list(itertools.permutations([ALLOW, DENY, ASK])))
def test_a_denial_wins_in_whatever_order(order: tuple[Verdict, ...]) -> None:
    assert judged(*map(Fixed, order)) == DENY


@pytest.mark.parametrize("order", list(itertools.permutations([ALLOW, ASK])))
def test_then_an_approval(order: tuple[Verdict, ...]) -> None:
    assert judged(*map(Fixed, order)) == ASK


def test_several_rules_are_one_approval_that_names_them_all() -> None:
    both = judged(Fixed(ASK), Fixed(Allow()), Fixed(RequireApproval("names")))
    assert both == RequireApproval("prices, names", "it names a price")


def test_what_all_allow_is_allowed_by_the_first_rule_that_says_so() -> None:
    assert judged(Fixed(Allow()), Fixed(ALLOW)) == ALLOW


def test_one_that_fails_or_is_out_of_date_denies_whatever_the_others_say() -> None:
    for broken in (Fixed(None), Fixed(ALLOW, age=limits.POLICY_FACTS_S + 1)):
        verdict = judged(Fixed(ALLOW), broken)
        assert isinstance(verdict, Deny) and verdict.code == "policy.unavailable" and "secret" not in verdict.why


def test_none_loosens_what_the_default_denies() -> None:
    """CTL-6."""
    lenient = compose([Lenient()])
    ask = wire.Ask(session="s1", run="r1", generation=1, approval="a1", tool="mail", args={}, self_approve=True)
    assert isinstance(lenient.may_ask(FACTS, ask), Deny)
    approval = ApprovalState(run="r1", tool="mail", args={}, hash="", asker="agent:writer", deadline_ms=0)
    assert isinstance(lenient.may_decide(FACTS, approval, full_access("t", "agent:writer")), Deny)
    assert lenient.may_decide(FACTS, approval, ANN) == Allow("anything goes")
    assert isinstance(compose([Lenient(), Strict()]).may_decide(FACTS, approval, ANN), Deny)
