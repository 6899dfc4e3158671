"""What the commands of workflows share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import typer

from holdfast.errors import Refused
from holdfast.governance.asking import Asker
from holdfast.governance.store.store import Store
from holdfast.governance.workflows import actions
from holdfast.governance.workflows.approving import UNDECLARED
from holdfast.governance.workflows.desk import WorkflowDesk

WorkflowName = Annotated[str, typer.Argument(help="The workflow.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why, for those who look later.", show_default=False)]

OpenedWorkflows = Callable[[Store, Callable[[], int]], Awaitable[WorkflowDesk]]
"""Makes the desk on an open store; the app knows how."""


def asker_of(ctx: typer.Context) -> Asker[WorkflowDesk]:
    """Who asks the desk for a command."""
    found: Asker[WorkflowDesk] = ctx.meta["workflow"]
    return found


def radius_of(asker: Asker[WorkflowDesk], workflow: str) -> dict[str, str] | None:
    """What a workflow could do wrong, for whoever is about to approve something of it; None for whoever may not ask that.
    Raises what asking raises."""
    try:
        return {"workflow": workflow, "sentence": str(asker.ask(actions.BLAST, {"workflow": workflow})["sentence"])}
    except Refused as error:
        if error.code == "workflow.not_found":
            return {"workflow": "", "sentence": UNDECLARED}
        if error.code == "auth.denied":  # the approval itself needs another right
            return None
        raise


def radius_line(radius: Mapping[str, str] | None) -> list[str]:
    """The line that says it."""
    return [f"Blast radius: {radius['sentence']}"] if radius else []
