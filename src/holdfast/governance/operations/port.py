"""What operations ask of the domains beside them: small protocols, answered in memory where a guard asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from holdfast.errors import Refused


class GateFailure(msgspec.Struct, frozen=True):
    """A gate that holds running and fails for a workflow.

    Attributes:
        gate: its name, such as ``6.a``.
        text: why it fails, in a sentence.
        owner: who has to act.
        fix: what to do.
        since_ms: since when it fails, Unix ms.
    """

    gate: str
    text: str
    owner: str = ""
    fix: str = ""
    since_ms: int = 0


class Standings(Protocol):
    """How workflows stand at their gates."""

    def failing(self, tenant: str, workflow: str) -> GateFailure | None:
        """The gate that lets a workflow begin nothing new, as far as was known last; None where none does."""


class WorkflowStanding(Protocol):
    """A workflow as it stands."""

    @property
    def version(self) -> str:
        """Of its manifest."""

    @property
    def state(self) -> str:
        """``registered``, ``pilot``, ``production`` or ``retired``."""

    @property
    def mode(self) -> str:
        """``observe`` or ``enforce``."""

    @property
    def owner(self) -> str:
        """Who answers for it."""


class WorkflowBook(Protocol):
    """Which workflows there are."""

    def workflow_of(self, tenant: str, labels: Mapping[str, str], agent: str) -> str:
        """Whose work this is."""

    def claimants(self, tenant: str, labels: Mapping[str, str], agent: str) -> Sequence[str]:
        """Whose it may be: several where nobody says which; none where it is nobody's."""

    def current(self, tenant: str, workflow: str) -> WorkflowStanding | None:
        """A workflow that has a manifest."""


class Caps(Protocol):
    """Budgets that are hard and spent."""

    def age_s(self) -> float:
        """How old what is known of them is, seconds; 0 while nothing is enforced."""

    def refusal(self, tenant: str, labels: Mapping[str, str], session: str, run: str) -> Refused | None:
        """Why nothing more may be spent under these labels."""


class NoGates:
    """No gate is judged here."""

    def failing(self, tenant: str, workflow: str) -> GateFailure | None:
        """See ``Standings``."""
        return None
