"""What the gateway asks before a call begins, and of calls under way: the same rules as of runs."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.errors import Refused
from holdfast.gateway.agent_models import AGENT
from holdfast.gateway.port import Caller, ModelCall
from holdfast.governance.operations.model import StopOrder
from holdfast.governance.operations.rules import StartBook


class RuleAdmission:
    """A ``gateway.port.Admission``.

    Args:
        rules: what may begin.
    """

    def __init__(self, rules: StartBook) -> None:
        self._rules = rules
        self._looks: list[Callable[[], int]] = []

    def admit(self, call: ModelCall) -> None:
        """See ``Admission``."""
        caller = call.caller
        if (stop := self._stop(caller, call.model)) is not None:
            raise self._rules.refuse(stop)
        asked = call.model.removeprefix(AGENT) if call.model.startswith(AGENT) else _own(caller)
        if (refused := self._rules.standing(caller.tenant, dict(caller.labels), asked)) is not None:
            raise refused

    def halted(self, caller: Caller, model: str) -> Refused | None:
        """See ``Admission``."""
        stop = self._stop(caller, model)
        return stop.refusal() if stop is not None else None

    def watch(self, look: Callable[[], int]) -> None:
        """See ``Admission``."""
        self._looks.append(look)

    def end(self) -> int:
        """End what is under way and goes no further; how many calls that were."""
        return sum(look() for look in self._looks)

    def stopped(self, tenant: str, model: str) -> str:
        """Why nobody may ask a model; empty where somebody may."""
        stop = self._rules.stops.of(tenant, "model", model)
        return f"{stop.by} stopped it: {stop.reason}" if stop is not None else ""

    def _stop(self, caller: Caller, model: str) -> StopOrder | None:
        rules = self._rules
        if not len(rules.stops):
            return None
        claims = dict(caller.labels)
        if model.startswith(AGENT):
            found = rules.stop_of(caller.tenant, claims, model.removeprefix(AGENT))
        else:
            found = rules.stops.of(caller.tenant, "model", model)
        return found or rules.stop_of(caller.tenant, claims, _own(caller))


def _own(caller: Caller) -> str:
    """The agent that calls; empty for people and programs."""
    return caller.actor.removeprefix("agent:") if caller.actor.startswith("agent:") else ""
