"""What the commands of workflows share."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.governance.asking import Asker
from holdfast.governance.workflows.desk import WorkflowDesk

WorkflowName = Annotated[str, typer.Argument(help="The workflow.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why, for those who look later.", show_default=False)]


def asker_of(ctx: typer.Context) -> Asker[WorkflowDesk]:
    """Who asks the desk for a command."""
    found: Asker[WorkflowDesk] = ctx.meta["workflow"]
    return found
