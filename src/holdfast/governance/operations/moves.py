"""Taking a workflow back to what it was, and out of service for good."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from holdfast.errors import Refused
from holdfast.governance import labels
from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.operations.model import check_reason
from holdfast.governance.operations.service import Operations
from holdfast.governance.workflows.model import CurrentWorkflow
from holdfast.governance.workflows.service import Workflows


class RollBackReceipt(msgspec.Struct, frozen=True):
    """A workflow has a former manifest again.

    Attributes:
        before, after: versions.
        state: as it was and is.
    """

    workflow: str
    before: str
    after: str
    state: str


class RetireReceipt(msgspec.Struct, frozen=True):
    """A workflow is out of service.

    Attributes:
        keys: ids of the keys that were revoked.
        running, queued, waiting: runs that go on to their end; None where the sessions cannot be looked at from here.
        kept: what stays.
    """

    workflow: str
    before: str
    keys: Sequence[str] = ()
    running: int | None = None
    queued: int | None = None
    waiting: int | None = None
    kept: Sequence[str] = ("sessions", "ledger rows", "outcomes", "manifests", "stops and incidents")


class WorkflowMoves:
    """Roll back and retire.

    Args:
        operations: who knows what runs.
        workflows: whose.
        keys: with which they call.
    """

    def __init__(self, operations: Operations, workflows: Workflows, keys: GatewayKeys) -> None:
        self._operations = operations
        self._workflows = workflows
        self._keys = keys

    async def roll_back(self, tenant: str, workflow: str, version: str, by: str, reason: str) -> RollBackReceipt:
        """Let a former manifest hold again. State, mode and people stay; nothing is lifted, and what runs goes on.

        Raises:
            Refused: ``workflow.not_found``, ``input.malformed`` without a reason.
        """
        check_reason(reason)
        before = self._current(tenant, workflow)
        after = await self._workflows.set_version(tenant, workflow, version, by=by, reason=reason)
        return RollBackReceipt(workflow, before.version, after.version, after.state)

    async def retire(self, tenant: str, workflow: str, by: str, reason: str) -> RetireReceipt:
        """Take a workflow out of service: it begins nothing new, whatever its mode was, its keys are revoked, with what is
        asked under them, and its data stays. Runs of sessions go on to their end; stop it first where they may not. Twice is
        once, and a retirement that was cut short is ended by the next.

        Raises:
            Refused: ``workflow.not_found``, ``input.malformed`` without a reason.
        """
        check_reason(reason)
        before = self._current(tenant, workflow)
        if before.mode != "enforce":
            await self._workflows.set_mode(tenant, workflow, "enforce", by=by, reason=reason)
        await self._workflows.set_state(tenant, workflow, "retired", by=by, reason=reason)
        revoked = []
        for key in self._keys.rows(tenant):
            if key.labels.get(labels.WORKFLOW) == workflow and key.revoked_ms is None:
                await self._keys.revoke(key.id, by=by, tenant=tenant)
                revoked.append(key.id)
        seen = await self._operations.preview(tenant, "workflow", workflow)
        counts = (seen.running, seen.queued, seen.waiting) if seen.known else (None, None, None)
        return RetireReceipt(workflow, before.state, revoked, *counts)

    def _current(self, tenant: str, workflow: str) -> CurrentWorkflow:
        found = self._workflows.current(tenant, workflow)
        if found is None:
            raise Refused("workflow.not_found", f"there is no workflow {workflow!r:.140}")
        return found
