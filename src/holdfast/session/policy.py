"""The port of policies: who owns a server says here what may be done, between authorisation and the session program.

A policy is pure and answers at once, because a command's place in the order is taken before: what it knows (budgets, rules,
lists) is refreshed beside it, and whatever needs a database belongs there. What a policy cannot say is no: one that raises
denies, and so does one whose facts are older than ``limits.POLICY_FACTS_S``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from holdfast.errors import CODES, Code, Refused
from holdfast.protocol import limits, wire
from holdfast.session.access import Principal
from holdfast.session.state import ApprovalState, RunState, State


class Allow(NamedTuple):
    """It may be done. ``rule``: which rule says so, where one had to."""

    rule: str = ""


class Stop(NamedTuple):
    """What becomes of the run for which a command is denied: the session cancels it, and everything above and below it, in the
    same append, with the denial's reason.

    Attributes:
        by: in whose name: ``policy:…``.
        activity: kind of the activity that shows people why; ``content`` what it shows.
    """

    by: str
    activity: str
    content: dict[str, Any]


class Deny(NamedTuple):
    """It may not be done.

    Attributes:
        code: of the error table; ``why`` in a sentence.
        fields: further facts for the one who asked.
        stop: ends the run that the command is about, too. What a run that is being cancelled may append passes all the same
            (CTL-3).
    """

    code: Code
    why: str
    fields: Mapping[str, Any] = MappingProxyType({})
    stop: Stop | None = None


class RequireApproval(NamedTuple):
    """It may be done once a person has approved exactly this; ``rule`` says what asks for it, ``why`` in a sentence."""

    rule: str
    why: str = ""


Verdict = Allow | Deny | RequireApproval
V = TypeVar("V", bound=Verdict)


class Facts(NamedTuple):
    """What a policy is told beside the principal and the command.

    Attributes:
        tenant, session: where.
        state: the session's control state as the command will find it; to be read, never changed.
        run: the run that the command is about, when it names one that goes on.
        labels: of that run, else of the principal.
    """

    tenant: str
    session: str
    state: State
    run: RunState | None
    labels: dict[str, str]


class Policy(Protocol):
    """What an owner lets happen. Methods are pure, do not block, and may be asked about any command."""

    def age_s(self) -> float:
        """How old, in seconds, what it judges by is; 0 when it judges by nothing that changes."""
        ...

    def judge(self, facts: Facts, principal: Principal, command: wire.Op) -> Verdict:
        """Whether a principal may do this; asked after the token was found to grant it."""
        ...

    def may_start(self, facts: Facts) -> Allow | Deny:
        """Whether a queued run may be given to a worker. It was let through when it was queued: this is for what was stopped
        since. Denied, it stays queued. How old the facts are does not count here."""
        ...

    def may_ask(self, facts: Facts, ask: wire.Ask) -> Allow | Deny:
        """Whether an agent may ask for an approval by a rule of its own (``self_approve``, ``default``)."""
        ...

    def may_decide(self, facts: Facts, approval: ApprovalState, decider: Principal) -> Allow | Deny:
        """Whether a principal may decide an approval."""
        ...


class DefaultPolicy:
    """What holds without a policy: tokens say who may do what; agents neither decide nor loosen a rule (CTL-6)."""

    def age_s(self) -> float:
        """See ``Policy``."""
        return 0.0

    def judge(self, facts: Facts, principal: Principal, command: wire.Op) -> Verdict:
        """See ``Policy``."""
        return ALLOWED

    def may_start(self, facts: Facts) -> Allow | Deny:
        """See ``Policy``."""
        return ALLOWED

    def may_ask(self, facts: Facts, ask: wire.Ask) -> Allow | Deny:
        """See ``Policy``."""
        if ask.self_approve:
            return Deny("approval.rule", "an agent asked to decide for itself (self_approve)")
        if ask.default != "denied":
            return Deny("approval.rule", f"an agent asked that silence means {ask.default!r} (default)")
        return ALLOWED

    def may_decide(self, facts: Facts, approval: ApprovalState, decider: Principal) -> Allow | Deny:
        """See ``Policy``: an agent with another name, minted by an agent, is an agent."""
        for actor in (decider.actor, *decider.minters):
            if actor.startswith("agent:"):
                return Deny("approval.self", "")
        return ALLOWED


ALLOWED: Final = Allow()
DEFAULT: Final = DefaultPolicy()


def facts_of(state: State, principal: Principal, command: wire.Op) -> Facts:
    """What a policy is told of a command."""
    named = getattr(command, "run", None)
    run = state.runs.get(named) if isinstance(named, str) else None
    labels = run.labels if run is not None else dict(principal.labels)
    return Facts(principal.tenant, state.session, state, run, labels)


def answer_of(policy: Policy, ask: Callable[[], V]) -> V | Deny:
    """A policy's answer, or the denial that stands for what it cannot say."""
    try:
        if policy.age_s() > limits.POLICY_FACTS_S:
            return Deny("policy.unavailable", f"what the policy knows is older than {limits.POLICY_FACTS_S:g} s")
        return ask()
    except Exception as error:
        return Deny("policy.unavailable", f"the policy failed ({type(error).__name__})")


def check_start(policy: Policy, facts: Facts) -> None:
    """Raise why a queued run may not be given to a worker. What a policy cannot say is no."""
    try:
        verdict = policy.may_start(facts)
    except Exception as error:
        verdict = Deny("policy.unavailable", f"the policy failed ({type(error).__name__})")
    if isinstance(verdict, Deny):
        raise refusal_of(verdict)


def refusal_of(denial: Deny) -> Refused:
    """What whoever is denied is told. A code that is none counts as ``policy.denied``."""
    fields = {name: value for name, value in denial.fields.items() if name not in ("code", "detail")}
    return Refused(denial.code if denial.code in CODES else "policy.denied", denial.why, **fields)
