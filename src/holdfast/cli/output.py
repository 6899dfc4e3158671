"""How the command line speaks: quiet, 80 columns, ``--json`` everywhere, errors in one sentence and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from holdfast.errors import HoldfastError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

EXIT_CODES = {
    0: "done",
    1: "refused or failed",
    2: "the command line is wrong",
    3: "a check found something",
    4: "there was nothing to check: an endpoint could not be audited",
    130: "interrupted",
}

GLYPHS = {
    "queued": ("◌", "bright_black"),
    "running": ("●", "cyan"),
    "waiting": ("◐", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "cancelled": ("■", "bright_black"),
    "lost": ("◇", "magenta"),
}
"""A run's state is never told by colour alone."""


def state(status: str) -> Text:
    """A run's state: glyph, word, colour."""
    glyph, colour = GLYPHS.get(status, ("·", "white"))
    return Text(f"{glyph} {status}", style=colour)


def say_json(value: Any) -> None:
    """One JSON document on standard output. Raises ``config.invalid`` when it takes none."""
    try:
        out.file.write(msgspec.json.encode(value).decode() + "\n")
        out.file.flush()
    except BrokenPipeError:  # whoever read it has seen enough
        raise
    except OSError as error:
        words = f"the output cannot be written: {error.strerror}"
        raise HoldfastError("config.invalid", words, fix="Look at where it goes.") from None


def say_error(error: HoldfastError, *, as_json: bool = False) -> None:
    """What is wrong, and what to do."""
    if as_json:
        err.file.write(msgspec.json.encode({"error": error.wire()}).decode() + "\n")
        return
    err.print(Text.assemble((f"{error.code}  ", "bold red"), error.detail))
    facts = [
        f"{name}: {value}"
        for name, value in error.fields.items()
        if isinstance(value, (str, int)) and name != "fix" and str(value) not in error.detail
    ]
    if facts:
        err.print(Text(", ".join(facts)))
    err.print(Text(error.fix, style="dim"))


def table(*columns: str) -> Table:
    """A table that fits 80 columns."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        made.add_column(column, overflow="ellipsis", no_wrap=True)
    return made


def ago(ms: int) -> str:
    """How long ago a moment was, in one unit."""
    seconds = max(0, int(time.time() - ms / 1_000))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


class Bar:
    """A progress bar with rate and time left, shown for what takes more than a moment and only to people."""

    def __init__(self, what: str, unit: str) -> None:
        self._progress = Progress(
            TextColumn(what), BarColumn(), TaskProgressColumn(), TextColumn(f"{{task.fields[rate]}} {unit}/s"),
            TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=None, rate="–")
        self._began = time.monotonic()

    def __enter__(self) -> Callable[[int, int], None]:
        self._progress.start()
        return self.step

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, done: int, total: int) -> None:
        """Show how far it is."""
        rate = done / max(time.monotonic() - self._began, 1e-6)
        self._progress.update(self._task, completed=done, total=total, rate=f"{rate:,.0f}")
