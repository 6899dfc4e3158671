"""What the plan asks of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class WorkflowFacts(Protocol):
    """What the plan has to know of a workflow (``workflows``)."""

    @property
    def workflow(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def deputy(self) -> str: ...
    @property
    def sponsor(self) -> str: ...
    @property
    def payer(self) -> str: ...
    @property
    def since_ms(self) -> int: ...
    @property
    def prompts(self) -> Sequence[str]: ...


class WorkflowList(Protocol):
    """The workflows that have a manifest, in memory."""

    def listed(self, tenant: str, /) -> Sequence[WorkflowFacts]:
        """Those of a tenant, by name."""

    def tenants(self) -> Sequence[str]:
        """Tenants that have any."""
