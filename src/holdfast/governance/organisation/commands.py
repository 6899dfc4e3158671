"""``holdfast org``: who is who."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.governance import limits
from holdfast.governance.asking import (
    Asker,
    ask_by,
    read_file,
)
from holdfast.governance.organisation import actions
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.store import Store

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The organisation: teams, workflows, people and cost centres, by day.",
)

From = Annotated[str, typer.Option("--from", help="The first day, as 2026-03-01; today by default.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]


async def opened(store: Store, now_ms: Callable[[], int]) -> Organisation:
    """The organisation in a store that was opened for one command."""
    organisation = Organisation(store, now_ms)
    await organisation.refresh()
    return organisation


ask_by(app, "org", actions.ROOT, opened)


@app.command("import")
def import_file(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="YAML, or CSV when it is called .csv.", show_default=False)],
    since: From = "", dry_run: DryRun = False,
    complete: Annotated[bool, typer.Option("--complete", help="What the file does not name ends.")] = False,
) -> None:  # fmt: skip
    """Let the organisation be as a file describes it, from a day on. Twice is once."""
    asker = _asker(ctx)
    facts = {
        "format": "csv" if file.suffix.lower() == ".csv" else "yaml",
        "since": since,
        "complete": "1" if complete else "",
        "dry_run": "1" if dry_run else "",
    }
    answer = asker.ask(actions.CHANGE, facts, read_file(file, limits.ORG_IMPORT_BYTES))
    _show_changes(asker, answer, dry_run)


@app.command()
def show(ctx: typer.Context, at: Annotated[str, typer.Option("--at", help="The day; today by default.")] = "") -> None:
    """Show the units of a day, and the workflows that callers named and nobody declared."""
    asker = _asker(ctx)
    answer = asker.ask(actions.SHOW, {"at": at})
    workflows = {row["name"]: row for row in asker.ask(actions.WORKFLOWS)["workflows"]}
    rows = [_row(unit, workflows) for unit in answer["units"]]
    rows += [
        ("workflow", name, "", "", "", "declared by nobody") for name, row in workflows.items() if not row["declared"]
    ]
    columns = ("kind", "name", "team", "cost centre", "owner", "stage")
    whole = {**answer, "workflows": list(workflows.values())}
    asker.show(whole, columns, rows, "Nothing is described yet: holdfast org import FILE")


@app.command()
def people(ctx: typer.Context) -> None:
    """List who is behind which pseudonym."""
    asker = _asker(ctx)
    answer = asker.ask(actions.PEOPLE)
    rows = ((row["person"], row["pseudonym"], row["team"]) for row in answer["people"])
    asker.show(answer, ("person", "pseudonym", "team"), rows, "Nobody was seen yet.")


@app.command()
def move(
    ctx: typer.Context,
    kind: Annotated[str, typer.Argument(help="team, workflow or user.", show_default=False)],
    name: Annotated[str, typer.Argument(show_default=False)],
    team: Annotated[str, typer.Argument(help="The team it is in from then on.", show_default=False)],
    since: From = "", dry_run: DryRun = False,
) -> None:  # fmt: skip
    """Let a team, a workflow or a user be in another team from a day on. What was before stays as it was."""
    asker = _asker(ctx)
    answer = asker.ask(actions.MOVE, {}, actions.MoveRequest(kind, name, team, since, dry_run))
    _show_changes(asker, answer, dry_run)


@app.command()
def forget(
    ctx: typer.Context, person: Annotated[str, typer.Argument(help="Whose name is deleted.", show_default=False)]
) -> None:
    """Delete a person's name. Rows stay, under a pseudonym that leads to nobody; there is no way back."""
    asker = _asker(ctx)
    answer = asker.ask(actions.FORGET, {}, actions.ForgetRequest(person))
    found = answer["pseudonyms"]
    asker.tell(answer, f"{person} is known here no more" if found else f"nobody here is called {person}")


def _row(unit: dict[str, Any], workflows: dict[str, Any]) -> Iterable[str]:
    workflow = workflows.get(unit["name"], {}) if unit["kind"] == "workflow" else {}
    owner = "/".join(name for name in (workflow.get("owner", ""), workflow.get("deputy", "")) if name)
    return (unit["kind"], unit["name"], unit["team"], unit["cost_centre"], owner, workflow.get("stage", ""))


def _show_changes(asker: Asker[Organisation], answer: Any, dry_run: bool) -> None:
    rows = ((line["action"], line["kind"], line["name"], _fields(line["fields"])) for line in answer["changes"])
    asker.show(answer, ("would" if dry_run else "did", "kind", "name", "what"), rows, "Nothing changes.")


def _fields(fields: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {before or '–'} → {after or '–'}" for name, (before, after) in fields.items())


def _asker(ctx: typer.Context) -> Asker[Organisation]:
    found: Asker[Organisation] = ctx.meta["org"]
    return found
