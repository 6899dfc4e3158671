"""What the gateway asks before a call begins, and of calls under way: the same rules as of runs."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.errors import Refused
from holdfast.gateway.agent_models import AGENT
from holdfast.gateway.port import Caller, Halted, ModelCall
from holdfast.governance.operations.model import StopOrder
from holdfast.governance.operations.rules import StartBook, StopBook


class RuleAdmission:
    """A ``gateway.port.Admission``.

    Args:
        rules: what may begin.
    """

    def __init__(self, rules: StartBook) -> None:
        self._rules = rules
        self._ends: list[Callable[[Halted], int]] = []

    def admit(self, call: ModelCall) -> None:
        """See ``Admission``."""
        caller = call.caller
        if (stop := self._stop(caller, call.model)) is not None:
            raise self._rules.refuse(stop)
        agent = call.model.removeprefix(AGENT) if call.model.startswith(AGENT) else _own(caller)
        if (refused := self._rules.standing(caller.tenant, dict(caller.labels), agent)) is not None:
            raise refused

    def halted(self, caller: Caller, model: str) -> Refused | None:
        """See ``Admission``."""
        stop = self._stop(caller, model)
        return stop.refusal() if stop is not None else None

    def watch(self, end: Callable[[Halted], int]) -> None:
        """See ``Admission``."""
        self._ends.append(end)

    def end(self, stop: StopOrder) -> int:
        """End the calls under way that are in the scope of a stop; how many those were."""
        only, refused = StopBook([stop]), stop.refusal()

        def halted(caller: Caller, model: str) -> Refused | None:
            return refused if self._stop(caller, model, only) is not None else None

        return sum(end(halted) for end in self._ends)

    def count(self, stop: StopOrder) -> int:
        """How many calls are under way in the scope of a stop that is not made."""
        only, seen = StopBook([stop]), [0]

        def halted(caller: Caller, model: str) -> Refused | None:
            seen[0] += self._stop(caller, model, only) is not None
            return None

        for end in self._ends:
            end(halted)
        return seen[0]

    def stopped(self, tenant: str, model: str) -> str:
        """Why nobody may ask a model; empty where somebody may."""
        stop = self._rules.stops.of(tenant, "model", model)
        return f"{stop.by} stopped it: {stop.reason}" if stop is not None else ""

    def _stop(self, caller: Caller, model: str, among: StopBook | None = None) -> StopOrder | None:
        stops = self._rules.stops if among is None else among
        if not len(stops):
            return None
        tenant, claims, found = caller.tenant, dict(caller.labels), None
        own = model.removeprefix(AGENT) if model.startswith(AGENT) else ""
        if not own:
            found = stops.of(tenant, "model", model)
        for agent in (own, _own(caller)):
            found = found or stops.of_run(tenant, lambda of=agent: self._rules.workflows_of(tenant, claims, of), agent)  # type: ignore[misc]
        return found


def _own(caller: Caller) -> str:
    """The agent that calls; empty for people and programs."""
    return caller.actor.removeprefix("agent:") if caller.actor.startswith("agent:") else ""
