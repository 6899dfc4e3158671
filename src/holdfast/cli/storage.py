"""Commands on a database file: verify, backup, restore. The engine that reads it is imported by the command that needs it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import output
from holdfast.cli.options import AsJson, report_errors
from holdfast.errors import HoldfastError

Database = Annotated[Path, typer.Argument(help="The database file.", show_default=False)]


def verify(database: Database, as_json: AsJson = False) -> None:
    """Check a database: contiguous positions, checksums, heads, and that every session folds. Exit code 3 on a finding."""
    from holdfast.cli.folding import fold_all
    from holdfast.engines.sqlite import check

    with report_errors(as_json):
        problems: list[check.Problem] = []
        sessions = frames = 0
        with output.Bar("verifying", "sessions") as step:
            try:
                for found in itertools.chain(check.verify(str(database)), fold_all(str(database))):
                    if isinstance(found, check.Problem):
                        problems.append(found)
                    else:
                        sessions, frames = max(sessions, found.total), max(frames, found.frames)
                        step(found.done, found.total)
            except HoldfastError as error:
                if error.code != "engine.corrupt":
                    raise
                problems.append(check.Problem("file", f"it cannot be read: {error.detail}. Restore a backup"))
        if as_json:
            listed = [{"where": p.where, "detail": p.detail} for p in problems]
            output.say_json({"sessions": sessions, "frames": frames, "problems": listed})
        else:
            output.say(f"{sessions:,} sessions, {frames:,} frames", style="dim")
            for problem in problems:
                output.say(f"✗ {problem.where}: {problem.detail}", style="red")
            if not problems:
                output.say("✓ positions contiguous, checksums right, every session folds", style="green")
        if problems:
            raise typer.Exit(3)


def backup(
    database: Database,
    target: Annotated[Path, typer.Argument(help="The new file the copy goes to.", show_default=False)],
) -> None:
    """Copy a database while it is in use. The copy is one consistent moment of it."""
    from holdfast.engines.sqlite import backup as copying

    with report_errors():
        with output.Bar("copying", "pages") as step:
            copying.backup(str(database), str(target), step)
        output.say(f"✓ {target}", style="green")


def restore(
    source: Annotated[Path, typer.Argument(help="A file written by backup.", show_default=False)],
    database: Database,
    force: Annotated[bool, typer.Option("--force", help="Replace a database that is there.")] = False,
) -> None:
    """Restore a backup. Every session becomes a new incarnation, so readers take a snapshot and resume in no other past."""
    from holdfast.engines.sqlite import backup as copying

    with report_errors():
        with output.Bar("restoring", "pages") as step:
            sessions = copying.restore(str(source), str(database), force=force, on_progress=step)
        output.say(f"✓ {database}: {sessions:,} sessions", style="green")
