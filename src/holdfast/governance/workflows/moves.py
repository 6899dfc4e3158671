"""How a workflow may change: from which state to which, what a manifest makes of it, and the steps of that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance.workflows.model import CurrentWorkflow, WorkflowManifest, WorkflowState, version_of

TRANSITIONS: Final[Mapping[WorkflowState, tuple[WorkflowState, ...]]] = {
    "registered": ("pilot", "retired"),
    "pilot": ("production", "registered", "retired"),
    "production": ("pilot", "retired"),
    "retired": ("registered",),
}
"""From where to where: nothing is in production that was no pilot, and what was retired begins anew."""
WATCHED: Final = ("state", "version", "mode", "stage", "unit", "owner", "deputy", "sponsor", "payer")
"""What has a step when it changes."""
PLACED: Final = ("stage", "unit", "owner", "deputy")
"""Of those what stands in the organisation, too."""


def moved(before: CurrentWorkflow, to: WorkflowState, by: str, now_ms: int) -> CurrentWorkflow:
    """A workflow in another state; the same one in the same.

    Raises:
        Refused: ``workflow.retired``, ``workflow.invalid`` for a way that there is not.
    """
    if to == before.state:
        return before
    if to not in TRANSITIONS[before.state]:
        if before.state == "retired":
            raise Refused("workflow.retired", f"workflow {before.workflow!r} was retired by {before.by}")
        raise Refused("workflow.invalid", f"workflow {before.workflow!r} is {before.state}: it cannot be {to} next")
    return msgspec.structs.replace(before, state=to, since_ms=now_ms, by=by)


def placed(
    before: CurrentWorkflow | None, manifest: WorkflowManifest, tenant: str, by: str, now_ms: int
) -> CurrentWorkflow:
    """Where a workflow stands under a manifest. What was retired is registered again.

    Raises:
        Refused: ``workflow.invalid`` for a manifest that would lift enforcement: that is said with its reason, by itself.
    """
    old = before or CurrentWorkflow(tenant=tenant, workflow=manifest.workflow, since_ms=now_ms, by=by)
    if old.state == "retired":
        old = moved(old, "registered", by, now_ms)
    if old.mode == "enforce" and manifest.mode == "observe":
        raise Refused(
            "workflow.invalid", f"workflow {old.workflow!r} is enforced: a manifest does not lift that",
            fix="Leave mode out of the manifest; `holdfast workflow mode` lifts it, with a reason.",
        )  # fmt: skip
    return msgspec.structs.replace(
        old, version=version_of(manifest), mode=manifest.mode or old.mode, stage=manifest.stage, unit=manifest.unit,
        owner=manifest.owner, deputy=manifest.deputy, sponsor=manifest.sponsor, payer=manifest.payer, manifest=manifest,
    )  # fmt: skip


def steps_between(before: CurrentWorkflow | None, after: CurrentWorkflow) -> list[tuple[str, str, str]]:
    """``(what, before, after)`` of everything that changes and is watched."""
    found = []
    for name in WATCHED:
        old, new = getattr(before, name) if before is not None else "", getattr(after, name)
        if old != new:
            found.append((name, old, new))
    return found
