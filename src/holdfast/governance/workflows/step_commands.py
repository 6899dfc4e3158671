"""``holdfast workflow accept|launch|production|mode|stage|tool``: the steps of a workflow, and the classes of tools."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from holdfast.errors import Refused
from holdfast.governance.workflows import actions
from holdfast.governance.workflows.terminal import Reason, WorkflowName, asker_of, radius_line, radius_of


def add_to(app: typer.Typer) -> None:
    """Add the commands to a group."""
    _add_doors(app)
    _add_settings(app)


def body(kind: type[msgspec.Struct], **facts: Any) -> msgspec.Struct:
    """What a request says. Raises ``workflow.invalid`` for a value that it cannot have."""
    try:
        return msgspec.convert(facts, kind)
    except msgspec.ValidationError as error:
        raise Refused("workflow.invalid", str(error)) from None


def _add_doors(app: typer.Typer) -> None:
    @app.command()
    def accept(
        ctx: typer.Context, name: WorkflowName,
        person: Annotated[str, typer.Option(help="On the store itself: who takes it on; whoever runs it by default.")] = "",
    ) -> None:  # fmt: skip
        """Take on the role of owner or deputy that one has."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.ACCEPT, {"workflow": name}, actions.AcceptRequest(person))
        found = answer["acceptance"]
        asker.tell(answer, f"{found['person']} is {found['role']} of {name} from now on.")

    @app.command()
    def launch(ctx: typer.Context, name: WorkflowName, reason: Reason = "") -> None:
        """Begin the pilot, where nothing stands against it."""
        asker = asker_of(ctx)
        radius = radius_of(asker, name)
        answer = asker.ask(actions.LAUNCH, {"workflow": name}, actions.StepRequest(reason))
        asker.tell(answer | {"radius": radius}, *radius_line(radius), f"{name} is a {answer['workflow']['state']}.")

    @app.command()
    def production(ctx: typer.Context, name: WorkflowName, reason: Reason = "") -> None:
        """Leave the pilot, where nothing stands against it."""
        asker = asker_of(ctx)
        radius = radius_of(asker, name)
        answer = asker.ask(actions.PRODUCTION, {"workflow": name}, actions.StepRequest(reason))
        asker.tell(answer | {"radius": radius}, *radius_line(radius), f"{name} is in {answer['workflow']['state']}.")


def _add_settings(app: typer.Typer) -> None:
    @app.command()
    def mode(
        ctx: typer.Context, name: WorkflowName,
        to: Annotated[str, typer.Argument(help="observe or enforce.", show_default=False)], reason: Reason = "",
    ) -> None:  # fmt: skip
        """Judge only (observe), or stop what may not begin (enforce). Lifting enforcement needs a reason."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.MODE, {"workflow": name}, body(actions.ModeRequest, mode=to, reason=reason))
        asker.tell(answer, f"{name}: mode {answer['workflow']['mode']}.")

    @app.command()
    def stage(
        ctx: typer.Context, name: WorkflowName,
        to: Annotated[str, typer.Argument(help="chat, pilot or stateful.", show_default=False)], reason: Reason = "",
    ) -> None:  # fmt: skip
        """Declare another stage, here and in the organisation."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.STAGE, {"workflow": name}, body(actions.StageRequest, stage=to, reason=reason))
        asker.tell(answer, f"{name}: stage {answer['workflow']['stage'] or 'not declared'}.")

    @app.command()
    def tool(
        ctx: typer.Context,
        name: Annotated[str, typer.Argument(help="The tool; left out, all are listed.")] = "",
        effect: Annotated[str, typer.Argument(help="read, write, or memory: reads what other sessions left.")] = "",
    ) -> None:
        """Class a tool, as the policy editor; or list what tools were classed as."""
        asker = asker_of(ctx)
        if name:
            answer = asker.ask(actions.SET_TOOL, {}, body(actions.ToolRequest, tool=name, effect=effect))
            asker.tell(answer, f"{name} counts as {answer['tool']['effect']} from now on.")
            return
        answer = asker.ask(actions.TOOLS)
        rows = ((one["tool"], one["effect"], one["by"]) for one in answer["tools"])
        asker.show(answer, ("tool", "effect", "by"), rows, "No tool was classed: each counts as one that writes.")
