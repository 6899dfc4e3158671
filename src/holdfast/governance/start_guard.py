"""The guard of a session server that lets no run begin which may not: stopped, retired, not launched, a gate that fails, no money.

It judges every command that queues a run (a message, another answer, an interruption, a sub-run), and gives no queued run to
a worker that was stopped meanwhile. Of a running attempt it takes nothing more once its workflow or agent is stopped, or once
it calls a tool that is: the run is cancelled in the name of whoever stopped it.

What it knows is in memory and grows old when the store is away. A stop that was made elsewhere could not be seen then, so
nothing new begins once that has lasted for ``limits.POLICY_FACTS_S``; what runs, or waits in a queue, goes on. Of gates and
launches the last thing that was known holds, however old it is: missing evidence stops nothing that ran before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.session.access import Principal
from holdfast.session.branch import resolve_input
from holdfast.session.policy import ALLOWED, Allow, DefaultPolicy, Deny, Facts, Stop, Verdict
from holdfast.session.run import topmost
from holdfast.session.state import RunState, State

ACTIVITY: Final = "stop"
"""Kind of the activity that shows people why a run was stopped; its content has the fields of the refusal."""


class Halt(NamedTuple):
    """A stop that holds: what is told of it, and in whose name runs end."""

    refused: Refused
    by: str


class StartRules(Protocol):
    """What may begin, answered in memory: it is asked for every command of everybody."""

    def age_s(self) -> float:
        """How old, in seconds, what it knows of stops is; infinite before the store was read."""

    def refusal(self, tenant: str, labels: Mapping[str, str], agent: str, session: str = "") -> Refused | None:
        """Why no run of an agent may begin under these labels; None where one may."""

    def stopping(self) -> bool:
        """Whether any stop holds: while none does, what runs goes on, and nobody looks at what it appends."""

    def halt(self, tenant: str, labels: Mapping[str, str], agent: str) -> Halt | None:
        """The stop that holds for runs of an agent under these labels, if any."""

    def halt_of_tool(self, tenant: str, tool: str) -> Halt | None:
        """The stop that holds for a tool, if any."""

    def halt_of_model(self, tenant: str, model: str) -> Halt | None:
        """The stop that holds for a model, if any."""


class StartGuard(DefaultPolicy):
    """See the module. Its own age stays 0: most commands it judges by nothing that grows old.

    Args:
        rules: what may begin.
    """

    def __init__(self, rules: StartRules) -> None:
        self._rules = rules

    def judge(self, facts: Facts, principal: Principal, command: wire.Op) -> Verdict:
        """See ``Policy``."""
        if isinstance(command, wire.Append):
            return self._goes_on(facts, command) if self._rules.stopping() else ALLOWED
        if isinstance(command, wire.Spawn):
            return self._spawns(facts, command)
        agent = agent_of(facts, principal.actor, command)
        return ALLOWED if not agent else self._begins(facts, dict(principal.labels), agent)

    def may_start(self, facts: Facts) -> Allow | Deny:
        """See ``Policy``: what waits in a queue is not given to a worker once it is stopped."""
        run = facts.run
        halt = self._rules.halt(facts.tenant, facts.labels, run.agent) if run is not None else None
        return _denied(halt.refused) if halt is not None else ALLOWED

    def _begins(self, facts: Facts, labels: Mapping[str, str], agent: str) -> Allow | Deny:
        if self._rules.age_s() > limits.POLICY_FACTS_S:
            return Deny("policy.unavailable", f"what is known of stops is older than {limits.POLICY_FACTS_S:g} s")
        refused = self._rules.refusal(facts.tenant, labels, agent, facts.session)
        return _denied(refused) if refused is not None else ALLOWED

    def _spawns(self, facts: Facts, command: wire.Spawn) -> Verdict:
        run = facts.run
        if run is None or not _is_running(run, command.generation):
            return ALLOWED  # the session refuses it by itself
        if (stopped := self._stopped(facts, run)) is not None:
            return stopped
        if _has_child(facts.state, run, command.name):
            return ALLOWED  # nothing begins: the sub-run is there
        return self._begins(facts, run.labels, f"{run.agent}/{command.agent}" if command.local else command.agent)

    def _goes_on(self, facts: Facts, command: wire.Append) -> Verdict:
        run = facts.run
        if run is None or not _is_running(run, command.generation):
            return ALLOWED
        if (stopped := self._stopped(facts, run)) is not None:
            ends = all(draft.type in e.WHILE_STOPPING for draft in command.events)
            return ALLOWED if stopped.stop is None and ends else stopped
        for draft in command.events:
            halt = None
            if draft.type == e.TOOL_START:
                halt = self._rules.halt_of_tool(facts.tenant, str(draft.data.get("toolCallName", "")))
            elif draft.type == e.USAGE_RECORDED:
                halt = self._rules.halt_of_model(facts.tenant, str(draft.data.get("model", "")))
            if halt is not None:
                return _stop(halt)
        return ALLOWED

    def _stopped(self, facts: Facts, run: RunState) -> Deny | None:
        """Why an attempt goes no further. Its whole tree ends where the topmost run is stopped, too; where only a sub-run is, it
        alone is cancelled, by whoever carries the stop out, and until then nothing more of it is taken."""
        halt = self._rules.halt(facts.tenant, run.labels, run.agent)
        top = topmost(facts.state, run)
        if top is not run and (above := self._rules.halt(facts.tenant, top.labels, top.agent)) is not None:
            return _stop(above)
        if halt is None:
            return None
        return _stop(halt) if top is run else _denied(halt.refused, stopping=True)


def agent_of(facts: Facts, actor: str, command: wire.Op) -> str:
    """The agent of which an actor's command would queue a run; empty where it queues none."""
    state = facts.state
    if state.taken_by is not None:
        return ""  # while a person has the session its agents are mute
    match command:
        case wire.Send():
            return "" if command.silent else command.agent or state.agent
        case wire.Regenerate():
            input_ = state.inputs.get(resolve_input(state, actor, command.input))
            return command.agent or (input_.agent if input_ is not None else "") or state.agent
        case wire.Interrupt():
            target = facts.run or next((r for r in state.runs.values() if r.parent not in state.runs), None)
            return command.agent or (target.agent if target is not None else state.agent)
        case _:
            return ""


def _denied(refused: Refused, **more: bool) -> Deny:
    return Deny(refused.code, refused.detail, {**refused.fields, **more})


def _stop(halt: Halt) -> Deny:
    refused = halt.refused
    shown = {"code": refused.code, "text": refused.detail, **refused.fields}
    return Deny(refused.code, refused.detail, refused.fields, Stop(halt.by, ACTIVITY, shown))


def _is_running(run: RunState, generation: int) -> bool:
    """Whether an attempt is the one that executes the run, and nobody is stopping it already."""
    return run.status == "running" and run.generation == generation and run.cancel is None


def _has_child(state: State, run: RunState, name: str) -> bool:
    if any(one.parent == run.id and one.name == name for one in state.runs.values()):
        return True
    return any((one.parent, one.name, one.status) == (run.id, name, "completed") for one in state.ended.values())
