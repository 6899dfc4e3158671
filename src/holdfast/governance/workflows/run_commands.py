"""``holdfast workflow runs``: the journal, newest first, as far as somebody asks for it."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Final

import typer

from holdfast.governance import limits
from holdfast.governance.workflows import actions
from holdfast.governance.workflows.terminal import asker_of

YesNo = Annotated[str, typer.Option(help="yes or no.", show_default=False)]
Moment = Annotated[str, typer.Option(help="Unix ms.", show_default=False)]
COLUMNS: Final = ("queued (UTC)", "workflow", "session", "run", "agent", "did", "is")


def add_to(app: typer.Typer) -> None:
    """Add the command to a group."""

    @app.command()
    def runs(
        ctx: typer.Context,
        name: Annotated[str, typer.Argument(help="The workflow; all of them when it is left out.")] = "",
        since_ms: Moment = "", until_ms: Moment = "", top: YesNo = "", interactive: YesNo = "", seated: YesNo = "",
        memory: YesNo = "", side_effects: YesNo = "", unclassified: YesNo = "", lost: YesNo = "", test: YesNo = "",
        recorded: YesNo = "",
        limit: Annotated[int, typer.Option(min=1, max=limits.WORKFLOW_PAGE_ROWS)] = 50,
    ) -> None:  # fmt: skip
        """List runs of the journal, the newest first, by what they did; with `--recorded no` those that only the ledger has."""
        asker = asker_of(ctx)
        facts = {
            "workflow": name, "since_ms": since_ms, "until_ms": until_ms, "top": top, "interactive": interactive,
            "seated": seated, "memory": memory, "side_effects": side_effects, "unclassified": unclassified, "lost": lost,
            "test": test, "recorded": recorded, "limit": str(limit),
        }  # fmt: skip
        answer = asker.ask(actions.RUNS, facts)
        rows = [
            (_moment(one["queued_ms"]), one["workflow"], one["session_name"] or "deleted", one["run"], one["agent"] or "–",
             did(one), one["status"] or "open")
            for one in answer["runs"]
        ]  # fmt: skip
        asker.show(answer, COLUMNS, rows, "No run fits.")
        if answer["more"] and not asker.as_json:
            asker.tell(answer, f"These are the newest {len(rows)}; there are more.")


def did(run: dict[str, Any]) -> str:
    """What a run did, in a few words."""
    if run["lost"] or not run["counted"]:
        return "not known"
    counts = (
        (run["side_effects"], "side effects"),
        (run["unclassified"], "of no class"),
        (run["memory"], "read what others left"),
    )
    found = [f"{number} {what}" for number, what in counts if number]
    return ", ".join(found) or (f"{run['tools']} calls" if run["tools"] else "called nothing")


def _moment(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
