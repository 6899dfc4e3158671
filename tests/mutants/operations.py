"""Planted bugs of stops, and of the guard that lets no run begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.planting import replace

from holdfast.errors import Refused
from holdfast.governance import start_guard
from holdfast.governance.operations import admission, ending, hub_stops, rules, scope
from holdfast.governance.start_guard import StartGuard
from holdfast.protocol import limits, wire
from holdfast.session.policy import ALLOWED, Deny
from tests.mutants.plant import mutant

GUARD = "tests/unit/governance/operations/test_start_guard.py"
STOPS = "tests/unit/governance/operations/test_stops.py"
DESK = "tests/unit/governance/operations/test_desk.py"


@mutant(
    "CTL-3",
    "what waits in a queue begins though it was stopped meanwhile",
    f"{GUARD}::test_what_waits_in_a_queue_is_not_given_to_a_worker_once_it_is_stopped",
)
def queued_begins() -> None:
    replace(StartGuard, "may_start", lambda self, facts: ALLOWED)


@mutant(
    "GATE-1",
    "another answer to what was said needs no leave",
    f"{GUARD}::test_no_run_begins_however_it_is_asked_for_and_all_say_why",
)
def regenerates_freely() -> None:
    real = start_guard.agent_of

    def agent_of(facts: Any, actor: str, command: wire.Op) -> str:
        return "" if isinstance(command, wire.Regenerate) else real(facts, actor, command)

    replace(start_guard, "agent_of", agent_of)


@mutant(
    "GATE-1",
    "what is not known any more ends what runs",
    f"{GUARD}::test_old_facts_let_nothing_begin_and_end_nothing_that_runs",
)
def old_facts_end_runs() -> None:
    real = StartGuard._goes_on

    def goes_on(self: Any, facts: Any, command: Any) -> Any:
        if self._rules.age_s() > limits.POLICY_FACTS_S:
            return Deny("policy.unavailable", "old")
        return real(self, facts, command)

    replace(StartGuard, "_goes_on", goes_on)


@mutant(
    "GATE-1",
    "work that is only a test goes on in what was stopped",
    f"{GUARD}::test_observing_refuses_nothing_and_test_work_passes_launch_and_gates_only",
)
def tests_pass_stops() -> None:
    real = rules.StartBook.refusal

    def refusal(self: Any, tenant: str, labels: Mapping[str, str], agent: str, session: str = "") -> Refused | None:
        return None if labels.get("test") == "yes" else real(self, tenant, labels, agent, session)

    replace(rules.StartBook, "refusal", refusal)


@mutant(
    "CTL-3",
    "sessions that are not in memory are not stopped",
    f"{STOPS}::test_sessions_that_are_not_in_memory_are_ended_too_and_no_worker_gets_them",
)
def only_in_memory() -> None:
    real = hub_stops.HubStops._keys

    async def keys(self: Any, stop: Any) -> Any:
        async for some in real(self, stop):
            yield some
            return

    replace(hub_stops.HubStops, "_keys", keys)


@mutant(
    "CTL-3",
    "who does not listen is waited for",
    f"{STOPS}::test_who_does_not_listen_is_ended_without_being_asked_again",
)
def waits_for_the_hung() -> None:
    real = scope.step_of

    def step_of(stop: Any, run: Any, now_ms: int) -> Any:
        found = real(stop, run, now_ms)
        return "wait" if found == "force" else found

    replace(hub_stops, "step_of", step_of)


@mutant(
    "CTL-3",
    "what a stop ends is counted by the process that saw it last",
    f"{STOPS}::test_counts_are_of_all_lives_of_the_process_together",
)
def counts_afterwards() -> None:
    async def record(self: Any, found: Any) -> None:
        self._seen = found

    replace(ending.StopEnding, "_record", record)


@mutant(
    "GATE-1",
    "a stopped model is asked all the same",
    f"{DESK}::test_a_stopped_model_is_asked_by_nobody_and_routes_avoid_it",
)
def asks_stopped_models() -> None:
    real = admission.RuleAdmission._stop

    def stop(self: Any, caller: Any, model: str, among: Any = None) -> Any:
        found = real(self, caller, model, among)
        return None if found is not None and found.scope == "model" else found

    replace(admission.RuleAdmission, "_stop", stop)
