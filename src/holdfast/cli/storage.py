"""Commands on a database file: verify, backup, restore. The engine that reads it is imported by the command that needs it."""

from __future__ import annotations

import asyncio
import itertools
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType
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


Store = Annotated[
    str,
    typer.Option(
        "--store", help="The governance store that belongs to it: a file, or postgresql://…", show_default=False
    ),
]


def backup(
    database: Database,
    target: Annotated[
        Path, typer.Argument(help="The new file the copy goes to; with --store the new folder.", show_default=False)
    ],
    store: Store = "",
    dump: Annotated[
        Path | None, typer.Option(help="With a store in PostgreSQL: what pg_dump just wrote of it.", show_default=False)
    ] = None,
) -> None:
    """Copy a database while it is in use. The copy is one consistent moment of it. With --store both are copied as a pair."""
    from holdfast.engines.sqlite import backup as copying

    with report_errors():
        with output.Bar("copying", "pages") as step:
            if store:
                pairs = governance_part("backup")
                work = pairs.backup(str(database), store, str(target), now_ms(), dump=str(dump or ""), on_progress=step)
                asyncio.run(work)
            elif dump is not None:
                raise HoldfastError("config.invalid", "--dump without --store", fix="Name the store that was dumped.")
            else:
                copying.backup(str(database), str(target), step)
        output.say(f"✓ {target}", style="green")


def restore(
    source: Annotated[
        Path, typer.Argument(help="What backup wrote: a file; with --store a folder.", show_default=False)
    ],
    database: Database,
    store: Store = "",
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> None:
    """Restore a backup. Every session becomes a new incarnation, so readers take a snapshot and resume in no other past.
    With --store both come back as a pair; a log that belongs to a store does not start without it."""
    from holdfast.engines.sqlite import backup as copying

    with report_errors():
        with output.Bar("restoring", "pages") as step:
            if store:
                pairs = governance_part("backup")
                work = pairs.restore(str(source), str(database), store, now_ms(), force=force, on_progress=step)
                sessions = asyncio.run(work)
            else:
                sessions = copying.restore(str(source), str(database), force=force, on_progress=step)
        output.say(f"✓ {database}: {sessions:,} sessions", style="green")


def pair(
    database: Database,
    store: Annotated[str, typer.Option("--store", help="The governance store: a file, or postgresql://….")],
    accept: Annotated[
        bool, typer.Option("--accept", help="Take them for a pair, though they are none. Stop the server first.")
    ] = False,
) -> None:
    """Say whether a session log and a governance store belong together. Exit code 3 when a server would refuse them."""
    with report_errors():
        files = governance_part("pair_files")
        if accept:
            asyncio.run(files.accept(str(database), store, now_ms()))
            output.say("✓ from now on they are a pair; what one of them lacks stays missing", style="green")
            return
        try:
            used = asyncio.run(files.check(str(database), store, now_ms()))
        except HoldfastError as error:
            if error.code != "store.mismatch":
                raise
            output.say(f"✗ {error.detail}. {error.fix}", style="red")
            raise typer.Exit(3) from None
        output.say("✓ they are a pair" if used else "✓ they may become one: neither has another", style="green")


def governance_part(name: str) -> ModuleType:
    """A module of the governance store; it needs the extra that the governance half needs.

    Raises:
        HoldfastError: ``config.invalid`` when that is not installed.
    """
    try:
        return import_module(f"holdfast.governance.store.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("holdfast"):
            raise
        detail = f"--store needs the package {error.name}, which is not installed"
        raise HoldfastError("config.invalid", detail, fix="Install Holdfast with its extra `governance`.") from None


def now_ms() -> int:
    """Unix milliseconds, for the manifest."""
    return int(time.time() * 1_000)
