"""Stops, books of workflows and gates that a test writes as it likes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from holdfast.errors import Refused
from holdfast.governance.operations.model import StopOrder, StopScope
from holdfast.governance.operations.port import GateFailure, WorkflowStanding
from holdfast.governance.operations.rules import StartBook, StopBook

REASON = "it refunds the wrong people"


def stop(scope: StopScope, subject: str = "", *, tenant: str = "t", by: str = "user:kim", ident: str = "") -> StopOrder:
    """A stop that holds."""
    return StopOrder(ident or f"st-{scope}-{subject}", tenant, scope, subject, REASON, by, 1_000, 2_000)


class Workflow(NamedTuple):
    """A workflow as it stands."""

    state: str = "production"
    mode: str = "enforce"
    owner: str = "ann"
    version: str = "v1"


FAILURE = GateFailure("6.a", "its owner has left", "Customer care", "Name another owner: holdfast workflow apply", 500)


class Book:
    """Workflows by name; ``agents`` names those of agents without a label, ``shared`` agents that several name."""

    def __init__(self) -> None:
        self.workflows: dict[str, Workflow] = {}
        self.agents: dict[str, str] = {}
        self.shared: dict[str, Sequence[str]] = {}

    def workflow_of(self, tenant: str, labels: Mapping[str, str], agent: str) -> str:
        return labels.get("workflow") or self.agents.get(agent.partition("/")[0], "unassigned")

    def claimants(self, tenant: str, labels: Mapping[str, str], agent: str) -> Sequence[str]:
        found = self.workflow_of(tenant, labels, agent)
        return self.shared.get(agent, (found,) if found != "unassigned" else ()) if not labels else (found,)

    def current(self, tenant: str, workflow: str) -> WorkflowStanding | None:
        return self.workflows.get(workflow)


class Gates:
    """Failures by workflow."""

    def __init__(self) -> None:
        self.failures: dict[str, GateFailure] = {}

    def failing(self, tenant: str, workflow: str) -> GateFailure | None:
        return self.failures.get(workflow)


class Spent:
    """Says which workflow's money is spent."""

    def __init__(self) -> None:
        self.workflow = ""
        self.age = 0.0

    def age_s(self) -> float:
        return self.age

    def refusal(self, tenant: str, labels: Mapping[str, str], session: str, run: str) -> Refused | None:
        if not self.workflow or labels.get("workflow") != self.workflow:
            return None
        return Refused("budget.exceeded", f"the budget of {self.workflow} is spent", budget=self.workflow, payer="Care")


class Rules(StartBook):
    """Rules of these."""

    def __init__(self) -> None:
        self.age = 0.0
        self.workflows, self.gates, self.spent = Book(), Gates(), Spent()
        super().__init__(self.workflows, self.gates, self.spent, lambda: self.age)

    def stop(self, *stops: StopOrder) -> None:
        """These stops hold, and no others."""
        self.stops = StopBook(stops)
