"""``holdfast workflow``: what each workflow is, who answers for it, and where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.governance import limits
from holdfast.governance.asking import (
    ask_by,
    read_file,
)
from holdfast.governance.workflows import actions, document, idea_commands, run_commands, step_commands
from holdfast.governance.workflows.terminal import OpenedWorkflows, asker_of

Name = Annotated[str, typer.Argument(help="The workflow.", show_default=False)]
File = Annotated[Path, typer.Argument(help="The manifest, as YAML.", show_default=False)]


def group(opened: OpenedWorkflows) -> typer.Typer:
    """The commands."""
    app = typer.Typer(no_args_is_help=True, help="Workflows: what each is, who answers for it, and where it stands.")

    ask_by(app, "workflow", actions.ROOT, opened)

    _add_manifest(app)
    _add_looking(app)
    step_commands.add_to(app)
    run_commands.add_to(app)
    app.add_typer(idea_commands.app, name="idea")
    return app


def _add_manifest(app: typer.Typer) -> None:
    @app.command()
    def schema(ctx: typer.Context) -> None:
        """Print the JSON schema of manifests."""
        asker = asker_of(ctx)
        asker.tell(document.schema(), *document.schema_text().splitlines())

    @app.command()
    def init(
        ctx: typer.Context, name: Name,
        agent: Annotated[list[str] | None, typer.Option(help="An agent that works for it; several times for several.")] = None,
    ) -> None:  # fmt: skip
        """Write a manifest of what was observed: models, tools, agents, usage, team and owner. Nothing is applied."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.DRAFT, {"name": name, "agents": ",".join(agent or ())})
        asker.tell(answer, *answer["yaml"].splitlines())

    @app.command()
    def lint(ctx: typer.Context, file: File) -> None:
        """Name all that is wrong with a manifest; exit code 1 where anything is."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.LINT, {}, read_file(file, limits.WORKFLOW_MANIFEST_BYTES))
        lines = [_line(one) for one in answer["problems"]]
        asker.tell(answer, *(lines or ["Nothing is wrong with it."]))
        if answer["problems"]:
            raise typer.Exit(1)

    @app.command()
    def diff(ctx: typer.Context, file: File) -> None:
        """Show how a manifest differs from the one that holds."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.DIFF, {}, read_file(file, limits.WORKFLOW_MANIFEST_BYTES))
        nothing = f"{answer['workflow']} holds exactly so already: version {answer['version']}."
        asker.show(answer, ("field", "holds", "file"), answer["fields"], nothing)

    @app.command()
    def apply(
        ctx: typer.Context, file: File,
        reason: Annotated[str, typer.Option(help="Why, for those who look later.")] = "",
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    ) -> None:  # fmt: skip
        """Let a manifest hold, here and in the organisation. Twice is once."""
        asker = asker_of(ctx)
        facts = {"reason": reason, "dry_run": "1" if dry_run else ""}
        answer = asker.ask(actions.APPLY, facts, read_file(file, limits.WORKFLOW_MANIFEST_BYTES))
        made = answer["applied"]
        verb = "would hold" if dry_run else "holds"
        first = f"{made['workflow']}: version {made['version']} {verb}." if made["changed"] else (
            f"{made['workflow']}: version {made['version']} holds already; nothing changed."
        )  # fmt: skip
        steps = [f"  {what}: {before or 'none'} → {after or 'none'}" for what, before, after in made["steps"]]
        gaps = [f"  {_line(one)}" for one in answer["problems"]]
        asker.tell(answer, first, *steps, *(["What gates will ask for:", *gaps] if gaps else []))


def _line(problem: dict[str, Any]) -> str:
    at = f"line {problem['line']}: " if problem["line"] else ""
    return f"{at}{problem['field']}: {problem['what']}" if problem["field"] else f"{at}{problem['what']}"


def _add_looking(app: typer.Typer) -> None:
    @app.command("list")
    def list_workflows(ctx: typer.Context) -> None:
        """List workflows: where each stands, and who answers for it."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.LIST)
        rows = (
            (one["workflow"], one["state"], one["mode"], one["stage"] or "–", one["unit"] or "–", one["owner"] or "nobody",
             one["deputy"] or "nobody", one["version"] or "no manifest")
            for one in answer["workflows"]
        )  # fmt: skip
        columns = ("workflow", "state", "mode", "stage", "unit", "owner", "deputy", "version")
        asker.show(answer, columns, rows, "No workflows. Begin with one: holdfast workflow init NAME")

    @app.command()
    def show(ctx: typer.Context, name: Name) -> None:
        """Show one workflow: where it stands, its last steps, and its blast radius."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.SHOW, {"workflow": name})
        one, blast = answer["workflow"], answer["blast"]
        lines = [
            f"{name} is {one['state']}, mode {one['mode']}, stage {one['stage'] or 'not declared'}, unit {one['unit'] or 'none'}.",
            f"Owner {one['owner'] or 'nobody'}, deputy {one['deputy'] or 'nobody'}, sponsor {one['sponsor'] or 'nobody'}, "
            f"payer {one['payer'] or 'nobody'}.",
            f"Blast radius: {blast['sentence']}",
            *(f"  {_tool(each)}" for each in blast["tools"]),
            *(f"The organisation says otherwise: {each}" for each in answer["elsewhere"]),
        ]
        lines += [f"{each['role']}: {each['person']} took it on" for each in answer["acceptances"]]
        lines += [
            f"  {each['what']}: {each['before'] or 'none'} → {each['after'] or 'none'} by {each['by']} {each['reason']}".rstrip()
            for each in answer["steps"]
        ]
        asker.tell(answer, *lines)

    @app.command()
    def versions(ctx: typer.Context, name: Name) -> None:
        """List the manifests that a workflow ever had."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.VERSIONS, {"workflow": name})
        rows = ((one["version"], one["by"], one["at_ms"]) for one in answer["versions"])
        asker.show(answer, ("version", "by", "since, Unix ms"), rows, "No manifest yet.")

    @app.command()
    def changes(
        ctx: typer.Context, name: Name,
        since_ms: Annotated[str, typer.Option("--since-ms", help="Unix ms; a week ago by default.", show_default=False)] = "",
    ) -> None:  # fmt: skip
        """Show what changed since a moment: models that served, prompts, tools, prices, policy, outcomes."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.CHANGES, {"workflow": name, "since_ms": since_ms})
        rows = (
            (one["area"], one["what"], one["before"] or "–", one["after"] or "–", one["by"] or "–")
            for one in answer["changes"]
        )
        asker.show(answer, ("area", "what", "before", "after", "by"), rows, "Nothing that is known changed.")
        if not asker.as_json:
            asker.tell(answer, *(f"Not known: {each}." for each in answer["unknown"]))

    @app.command()
    def inventory(ctx: typer.Context) -> None:
        """List what works, or is paid for, and belongs to no workflow, with its spend of 28 days and what to do next."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.INVENTORY)
        rows = (
            (one["kind"], one["name"], f"{one['calls']:,}", one["spend_usd"] or "unknown", one["next"]) for one in answer["seen"]
        )  # fmt: skip
        asker.show(
            answer, ("what", "name", "times", "USD", "next"), rows, "Everything that was seen belongs to a workflow."
        )


def _tool(each: dict[str, Any]) -> str:
    classed = "" if each["classed"] else ", classed by nobody"
    declared = "" if each["declared"] else ", not in the manifest"
    limit = f", limit {each['limit']}" if each["limit"] else ""
    return f"{each['tool']}: {each['effect']}{classed}{declared}{limit}, {each['calls']:,} calls"
