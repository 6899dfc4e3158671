"""``holdfast workflow idea``: what somebody would have agents do, and whether it suits them."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.governance.workflows import actions
from holdfast.governance.workflows.step_commands import body
from holdfast.governance.workflows.terminal import asker_of
from holdfast.governance.workflows.triage import CONDITIONS, TriageRequest

app = typer.Typer(no_args_is_help=True, help="Ideas: what agents could do, and whether such work suits them.")
IdeaName = Annotated[str, typer.Argument(help="Name of the idea.", show_default=False)]
Answer = Annotated[str, typer.Option(help="yes or no.", show_default=False)]


@app.command()
def add(ctx: typer.Context, name: IdeaName, title: Annotated[str, typer.Option(help="In a sentence.")] = "") -> None:
    """Put an idea on record."""
    asker = asker_of(ctx)
    answer = asker.ask(actions.ADD_IDEA, {}, actions.IdeaRequest(name, title))
    asker.tell(answer, f"{name} is on record. Answer what it is asked: holdfast workflow idea triage {name}")


@app.command()
def triage(
    ctx: typer.Context, name: IdeaName,
    technical_users: Answer = "", trained_model: Answer = "", verifiable_output: Answer = "", one_context: Answer = "",
    clean_access: Answer = "",
    risk: Annotated[str, typer.Option(help="minimal, limited, high or prohibited.", show_default=False)] = "",
    data: Annotated[str, typer.Option(help="public, internal, confidential or personal.", show_default=False)] = "",
    low: Annotated[str, typer.Option(help="What it is worth in a year at least, USD.", show_default=False)] = "",
    high: Annotated[str, typer.Option(help="And at most.", show_default=False)] = "",
    note: Annotated[str, typer.Option(help="Beside the answers.", show_default=False)] = "",
) -> None:  # fmt: skip
    """Answer what an idea is asked, and show what the answers come to. Answers are believed for 180 days."""
    values = (technical_users, trained_model, verifiable_output, one_context, clean_access)
    answers = {condition: value for condition, value in zip(CONDITIONS, values, strict=True) if value}
    facts = {"risk": risk or None, "data": data or None, "low_usd": low or None, "high_usd": high or None}
    asker = asker_of(ctx)
    request = body(TriageRequest, answers=answers, note=note, **facts)
    answer = asker.ask(actions.ANSWER_IDEA, {"idea": name}, request)
    result = answer["idea"]["triage"]
    asker.tell(answer, f"{name}: {result['sentence']}", *(f"Warning: {each}." for each in result["warnings"]))


@app.command("list")
def list_ideas(ctx: typer.Context) -> None:
    """List ideas, each with what its answers come to."""
    asker = asker_of(ctx)
    answer = asker.ask(actions.IDEAS)
    rows = (
        (one["name"], one["workflow"] or one["state"], one["triage"]["sentence"], one["triage"]["risk"] or "unknown",
         one["triage"]["data"] or "unknown", one["triage"]["value"] or "unknown", one["by"])
        for one in answer["ideas"]
    )  # fmt: skip
    columns = ("idea", "state", "triage", "risk", "data", "USD a year", "by")
    asker.show(answer, columns, rows, "No ideas. Add one: holdfast workflow idea add NAME")


@app.command()
def register(
    ctx: typer.Context, name: IdeaName,
    owner: Annotated[str, typer.Option(help="Who answers for it.", show_default=False)] = "",
    unit: Annotated[str, typer.Option(help="The team it belongs to.", show_default=False)] = "",
    reason: Annotated[str, typer.Option(help="Needed for one that does not suit yet.", show_default=False)] = "",
) -> None:  # fmt: skip
    """Make a workflow of an idea: registered, without a manifest yet."""
    asker = asker_of(ctx)
    request = body(actions.RegisterRequest, owner=owner, unit=unit, reason=reason)
    answer = asker.ask(actions.REGISTER_IDEA, {"idea": name}, request)
    asker.tell(answer, f"{name} is {answer['workflow']['state']}. Write its manifest: holdfast workflow init {name}")
