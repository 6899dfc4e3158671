"""What may begin: stops, then the state of the workflow, its gates, its money. In memory.

Observing refuses nothing: state and gates count only for a workflow whose mode is ``enforce``. Work with the label
``test=yes`` is what a launch is prepared with: it may begin before the launch, and no gate is asked of it then. Once launched,
a workflow that begins nothing new begins no tests either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from holdfast.errors import Refused
from holdfast.governance import labels as names
from holdfast.governance.operations.model import StopOrder, StopScope
from holdfast.governance.operations.port import Caps, GateFailure, Standings, WorkflowBook
from holdfast.governance.start_guard import Halt, StartRules
from holdfast.protocol import limits

_ENFORCE: Final = "enforce"


class StopBook:
    """The stops that hold, by what they stop, and how often each has refused something since that was last taken."""

    def __init__(self, stops: Iterable[StopOrder] = ()) -> None:
        self._by: dict[tuple[str, StopScope, str], StopOrder] = {
            (one.tenant, one.scope, one.subject): one for one in sorted(stops, key=lambda one: (-one.at_ms, one.id)) if one.holds
        }  # fmt: skip
        self.scopes = frozenset((tenant, scope) for tenant, scope, _ in self._by)
        self._models = frozenset((tenant, subject) for tenant, scope, subject in self._by if scope == "model")

    def __len__(self) -> int:
        return len(self._by)

    def of_run(self, tenant: str, workflows: Callable[[], Sequence[str]], agent: str) -> StopOrder | None:
        """The stop that holds for a run of an agent; ``workflows`` is asked only where some workflow is stopped."""
        if not self._by:
            return None
        found = self._by.get((tenant, "everything", ""))
        if found is None and (tenant, "workflow") in self.scopes:
            found = next((one for name in workflows() if (one := self._by.get((tenant, "workflow", name)))), None)
        if found is None and (tenant, "agent") in self.scopes:
            while agent and found is None:
                found = self._by.get((tenant, "agent", agent))
                agent = agent.rpartition("/")[0]
        return found

    def of(self, tenant: str, scope: StopScope, subject: str) -> StopOrder | None:
        """The stop of one model or tool."""
        return self._by.get((tenant, scope, subject)) if self._by else None

    def models(self, tenant: str) -> frozenset[str]:
        """Models that are stopped."""
        return frozenset(subject for of, subject in self._models if of == tenant) if self._models else frozenset()


class StartBook:
    """A ``start_guard.StartRules`` of the domains of one process.

    Args:
        book: which workflows there are.
        standings: how they stand at their gates.
        caps: which money is spent.
        age_s: how old what is known of stops is.

    Attributes:
        stops: those that hold; replaced whole when they change.
        refused: by stop, how often something was refused for it that nobody has written down yet.
    """

    def __init__(self, book: WorkflowBook, standings: Standings, caps: Caps | None, age_s: Callable[[], float]) -> None:
        self.stops = StopBook()
        self.book = book
        self.standings = standings
        self._caps = caps
        self._age_s = age_s
        self.refused: Counter[str] = Counter()

    def age_s(self) -> float:
        """See ``StartRules``."""
        return self._age_s()

    def workflows_of(self, tenant: str, labels: Mapping[str, str], agent: str) -> Sequence[str]:
        """By which names this work is stopped: those of the workflows that it may be of, that of its workflow, and what its
        label says where nobody declared that."""
        name, label = self.book.workflow_of(tenant, labels, agent), labels.get(names.WORKFLOW, "")
        return tuple(dict.fromkeys((*self.book.claimants(tenant, labels, agent), name, label or name)))

    def stop_of(self, tenant: str, labels: Mapping[str, str], agent: str) -> StopOrder | None:
        """The stop that holds for runs of an agent under these labels."""
        return self.stops.of_run(tenant, lambda: self.workflows_of(tenant, labels, agent), agent)

    def stopping(self) -> bool:
        """See ``StartRules``."""
        return len(self.stops) > 0

    def halt(self, tenant: str, labels: Mapping[str, str], agent: str) -> Halt | None:
        """See ``StartRules``."""
        return _halt(self.stop_of(tenant, labels, agent)) if len(self.stops) else None

    def halt_of_tool(self, tenant: str, tool: str) -> Halt | None:
        """See ``StartRules``."""
        return _halt(self.stops.of(tenant, "tool", tool))

    def halt_of_model(self, tenant: str, model: str) -> Halt | None:
        """See ``StartRules``."""
        return _halt(self.stops.of(tenant, "model", model))

    def refusal(self, tenant: str, labels: Mapping[str, str], agent: str, session: str = "") -> Refused | None:
        """See ``StartRules``."""
        if (stop := self.stop_of(tenant, labels, agent)) is not None:
            return self.refuse(stop)
        if (refused := self.standing(tenant, labels, agent)) is not None:
            return refused
        caps = self._caps
        if caps is None:
            return None
        if caps.age_s() > limits.POLICY_FACTS_S:
            detail = f"what is known of the budgets is older than {limits.POLICY_FACTS_S:g} s"
            return Refused("policy.unavailable", detail)
        whose = self.book.claimants(tenant, labels, agent)
        claims = [{**labels, names.WORKFLOW: name} for name in whose] or [dict(labels)]
        return next((found for one in claims if (found := caps.refusal(tenant, one, session, ""))), None)

    def refuse(self, stop: StopOrder) -> Refused:
        """What is told of a stop; counted."""
        self.refused[stop.id] += 1
        return stop.refusal()

    def standing(self, tenant: str, labels: Mapping[str, str], agent: str) -> Refused | None:
        """Why the workflow of this work begins nothing as it stands: retired, not launched, a gate that fails. Where it may be
        of several, none of them may stand against it."""
        whose = self.book.claimants(tenant, labels, agent)
        refused = next((found for name in whose if (found := self._standing_of(tenant, name, labels))), None)
        if refused is not None and len(whose) > 1:
            refused.fields["fix"] = f"{refused.fields.get('fix', '')} Or say by the label 'workflow' whose work it is."
        return refused

    def _standing_of(self, tenant: str, name: str, labels: Mapping[str, str]) -> Refused | None:
        workflow = self.book.current(tenant, name)
        if workflow is None or workflow.mode != _ENFORCE:
            return None
        facts = {"workflow": name, "state": workflow.state, "owner": workflow.owner}
        if workflow.state == "retired":
            fix = f"Ask {workflow.owner or 'its sponsor'}; register it again, under an owner, if it is needed."
            return Refused("workflow.retired", f"workflow {name!r} was retired", **facts, fix=fix)
        if workflow.state == "registered":
            if labels.get(names.TEST) == "yes":
                return None
            fix = f"`holdfast plan check {name}` says what its launch waits for; test keys may run before it."
            return Refused("workflow.launch", f"workflow {name!r} is registered and was not launched", **facts, fix=fix)
        failure = self.standings.failing(tenant, name)
        if failure is None:
            return None
        gate = {"gate": failure.gate, "why": failure.text, "since_ms": failure.since_ms, "owner": failure.owner}
        why = f"workflow {name!r} begins nothing new: gate {failure.gate} fails: {failure.text}"
        return Refused("workflow.gate", why, **{**facts, **gate}, fix=_duty(failure))


def _duty(failure: GateFailure) -> str:
    """Who has to do what, in a sentence."""
    what = failure.fix.rstrip(".") or f"Look at gate {failure.gate}: holdfast plan explain"
    return f"{failure.owner or 'Somebody'} has to {what[:1].lower()}{what[1:]}."


def _halt(stop: StopOrder | None) -> Halt | None:
    return Halt(stop.refusal(), stop.by) if stop is not None else None


class LateRules:
    """Rules of a process whose domains are put together after its policy: until then nothing begins."""

    def __init__(self, find: Callable[[], StartRules | None]) -> None:
        self._find = find

    def age_s(self) -> float:
        """See ``StartRules``."""
        rules = self._find()
        return rules.age_s() if rules is not None else float("inf")

    def refusal(self, tenant: str, labels: Mapping[str, str], agent: str, session: str = "") -> Refused | None:
        """See ``StartRules``."""
        rules = self._find()
        return rules.refusal(tenant, labels, agent, session) if rules is not None else None

    def stopping(self) -> bool:
        """See ``StartRules``."""
        rules = self._find()
        return rules is not None and rules.stopping()

    def halt(self, tenant: str, labels: Mapping[str, str], agent: str) -> Halt | None:
        """See ``StartRules``."""
        rules = self._find()
        return rules.halt(tenant, labels, agent) if rules is not None else None

    def halt_of_tool(self, tenant: str, tool: str) -> Halt | None:
        """See ``StartRules``."""
        rules = self._find()
        return rules.halt_of_tool(tenant, tool) if rules is not None else None

    def halt_of_model(self, tenant: str, model: str) -> Halt | None:
        """See ``StartRules``."""
        rules = self._find()
        return rules.halt_of_model(tenant, model) if rules is not None else None
