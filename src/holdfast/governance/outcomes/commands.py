"""``holdfast outcomes``: what became of work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from holdfast.governance.asking import (
    Asker,
    ask_by,
)
from holdfast.governance.outcomes import desk
from holdfast.governance.outcomes.service import OutcomeRequest, OutcomeService
from holdfast.governance.store.store import Store

app = typer.Typer(no_args_is_help=True, help="What became of work: accepted, rejected, escalated.")

Verdict = Annotated[str, typer.Argument(help="accepted, rejected or escalated.", show_default=False)]
Call = Annotated[str, typer.Option(help="Id of the call, as x-holdfast-call says it.", show_default=False)]
Session = Annotated[str, typer.Option(help="The session of the run.", show_default=False)]
Run = Annotated[str, typer.Option(help="Id of the run.", show_default=False)]
Value = Annotated[str, typer.Option(help="What it was worth, in USD.", show_default=False)]

Of = Annotated[str, typer.Option(help="Of one only.", show_default=False)]
Moment = Annotated[str, typer.Option(help="Of when they were said, Unix ms.", show_default=False)]


async def opened(store: Store, now_ms: Callable[[], int]) -> OutcomeService:
    """The outcomes of a store that was opened for one command."""
    return OutcomeService(store, now_ms)


ask_by(app, "outcomes", desk.ROOT, opened)


@app.command()
def record(
    ctx: typer.Context, outcome: Verdict, call: Call = "", session: Session = "", run: Run = "", value: Value = ""
) -> None:
    """Say what became of a call, or of a session's run. A later word replaces an earlier one."""
    asker = _asker(ctx)
    body = OutcomeRequest(outcome=outcome, call=call, session=session, run=run, value_usd=value)
    answer = asker.ask(desk.RECORD, {}, body)
    found = answer["outcome"]
    of = f"{found['workflow']} / {found['task']} by {found['model']}" if found["model"] else "work without a row yet"
    asker.tell(answer, f"{found['verdict']}: {of}" + ("" if found["counts"] else "; another word of it stands"))


@app.command("list")
def list_outcomes(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(help="How many, at most.")] = 50,
    superseded: Annotated[bool, typer.Option("--all", help="Those too that another one has replaced.")] = False,
    workflow: Of = "", task: Of = "", model: Of = "", since_ms: Moment = "", until_ms: Moment = "",
) -> None:  # fmt: skip
    """List outcomes, the newest first."""
    asker = _asker(ctx)
    facts = {"workflow": workflow, "task": task, "model": model, "since_ms": since_ms, "until_ms": until_ms}
    answer = asker.ask(desk.LIST, {"limit": str(limit), "superseded": "yes" if superseded else "", **facts})
    rows = (
        (one["verdict"], one["by"], one["run"] or one["call"], one["workflow"] or "–", one["task"] or "–",
         one["model"] or "unknown", one["cost_usd"] or "unknown", one["value_usd"] or "–")
        for one in answer["outcomes"]
    )  # fmt: skip
    columns = ("outcome", "by", "work", "workflow", "task", "model", "cost USD", "value USD")
    asker.show(answer, columns, rows, "No outcomes. Say one: holdfast outcomes record accepted --call ID")


@app.command()
def proxies(ctx: typer.Context) -> None:
    """How edits and regenerations go with not being accepted. They are shown, and choose nothing."""
    asker = _asker(ctx)
    answer = asker.ask(desk.PROXIES)
    rows = ((name, one["n"], "unknown" if one["phi"] is None else f"{one['phi']:+.2f}") for name, one in answer.items())
    asker.show(answer, ("what people did", "runs with an outcome", "phi"), rows, "")


def _asker(ctx: typer.Context) -> Asker[OutcomeService]:
    found: Asker[OutcomeService] = ctx.meta["outcomes"]
    return found
