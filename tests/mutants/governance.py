"""Planted bugs of what owners say: their policies, and who may tell them what work is and what it used."""

from __future__ import annotations

from typing import Any

from conformance.planting import replace

from holdfast.gateway import budget_news
from holdfast.governance.budgets.braked_agents import BrakedAgents
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.session import branch, families, permission, policy, run
from tests.mutants.plant import mutant

POLICIES = "tests/unit/hub/test_policy.py"
LABELS = "tests/unit/session/test_labels.py"
AGENTS = "tests/unit/governance/budgets/test_braked_agents.py"
CALLS = "tests/unit/gateway/test_sessions.py"


@mutant("ACC-8", "a policy that fails lets everything pass", POLICIES)
def failing_policy_allows() -> None:
    def answer_of(policy: Any, ask: Any) -> Any:
        try:
            if policy.age_s() > limits.POLICY_FACTS_S:
                return denial("policy.unavailable", "what it knows is old")
            return ask()
        except Exception:
            return allowed

    denial, allowed = policy.Deny, policy.ALLOWED
    replace(policy, "answer_of", answer_of)


@mutant("ACC-8", "a policy judges by facts that are too old", POLICIES)
def old_facts_count() -> None:
    replace(limits, "POLICY_FACTS_S", float("inf"))


@mutant("ACC-1", "labels are taken from what a client says of a message, too", LABELS)
def labels_from_meta() -> None:
    real_send, real_queue = branch.send, run.queue
    said: dict[str, str] = {}

    def send(state: Any, op: wire.Send, writer: Any, *, after: list[str] | None = None) -> None:
        said.clear()
        said.update(op.meta.get("labels", {}))
        try:
            real_send(state, op, writer, after=after)
        finally:
            said.clear()

    def queue(state: Any, writer: Any, agent: str, **fields: Any) -> str:
        return real_queue(state, writer, agent, **{"labels": {**writer.labels, **said}, **fields})

    replace(branch, "send", send)
    replace(run, "queue", queue)


@mutant("LOG-6", "whoever may append says what was used", "tests/acceptance/test_usage.py")
def usage_of_a_stranger() -> None:
    real = families.check

    def check(type_: str, writer: Any, session: str, *, in_run: bool) -> None:
        if type_ != e.USAGE_RECORDED:
            real(type_, writer, session, in_run=in_run)

    replace(families, "check", check)


@mutant("LOG-6", "the kinds of actors that people are say what was used", "tests/unit/session/test_families.py")
def usage_of_people() -> None:
    known = families.FAMILIES["usage"]
    replace(families.FAMILIES, "usage", known._replace(kinds=known.kinds | {"user"}))


# --- who sees the brake -----------------------------------------------------------------------------------------------------
@mutant("ACC-8", "what a run used is lost with the append for which it is stopped", AGENTS)
def stopped_loses_usage() -> None:
    real = permission._stop

    def stop(state: Any, run: Any, op: Any, denial: Any, stop: Any, writer: Any) -> None:
        real(state, run, op, denial, stop, writer)
        if writer.refusal is not None:
            del writer.refusal.fields["stopping"]

    replace(permission, "_stop", stop)


@mutant("MONEY-5", "an agent that only reports what it used is never braked", AGENTS)
def silent_agent_goes_on() -> None:
    real = BrakedAgents.judge

    def judge(self: Any, facts: Any, principal: Any, command: Any) -> Any:
        if isinstance(command, wire.Append) and all(draft.type in e.WHILE_STOPPING for draft in command.events):
            return policy.ALLOWED
        return real(self, facts, principal, command)

    replace(BrakedAgents, "judge", judge)


@mutant("ACC-8", "while nothing is known of the budgets agents go on", AGENTS)
def unknown_budgets_allow() -> None:
    replace(BrakedAgents, "_unknown", lambda self, command: policy.ALLOWED)


@mutant("CTL-2", "a run whose budget is spent ends as if it were whole", CALLS)
def braked_run_completes() -> None:
    replace(budget_news, "ends_cancelled", lambda news: False)


@mutant("CTL-2", "nobody who watches sees whose budget it was", CALLS)
def brake_is_not_shown() -> None:
    replace(budget_news, "visible_fields", lambda fields: {})
