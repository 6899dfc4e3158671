"""How the command line speaks: quiet, 80 columns, ``--json`` everywhere, errors in one sentence and what to do.

Most of what it prints somebody else wrote. ``say``, ``table`` and ``say_json`` show all of it as it is (``visible.py``), and
take nothing in it for markup; ``Terminal`` holds whatever reaches it by another path to the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from holdfast.errors import HoldfastError
from holdfast.visible import visible, visible_json


class Terminal(Console):
    """A console on which nothing acts but what is its own: no markup, and of text only what can be seen."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See ``Console.render``: every text that is written comes through here."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(visible(segment.text, lines=True), segment.style)


out = Terminal()
err = Terminal(stderr=True)

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
"""A run's state is never shown by colour alone."""


def state(status: str) -> Text:
    """A run's state: glyph, word, colour."""
    glyph, colour = GLYPHS.get(status, ("·", "white"))
    return Text(f"{glyph} {visible(status)}", style=colour)


def prose(text: str, style: str = "", *, indent: str = "  ") -> Text:
    """What may have several lines; those after the first are indented, so that none passes for one of ours."""
    return Text(visible(text, lines=True).replace("\n", f"\n{indent}"), style=style)


Part = str | tuple[str, str] | Text | Table
"""A string is shown as one line whatever it holds; with a style beside it in that style."""


def say(*parts: Part, style: str = "", end: str = "\n", wrap: bool = True, to: Terminal | None = None) -> None:
    """Print a line. Whatever stands in a string is shown and does nothing; ``prose`` is for what has several lines."""
    to = to or out
    if len(parts) == 1 and isinstance(parts[0], Table):
        return to.print(parts[0])
    line = Text(style=style, end=end)
    for part in parts:
        if isinstance(part, Text):
            line.append_text(part)
        elif isinstance(part, tuple):
            line.append(visible(part[0]), style=part[1])
        else:
            line.append(visible(part))
    return to.print(line, end=end, soft_wrap=not wrap)


def say_json(value: Any) -> None:
    """One JSON document on standard output. Raises ``config.invalid`` when it takes none."""
    try:
        out.file.write(visible_json(msgspec.json.encode(value).decode()) + "\n")
        out.file.flush()
    except BrokenPipeError:  # whoever read it has seen enough
        raise
    except OSError as error:
        words = f"the output cannot be written: {error.strerror}"
        raise HoldfastError("config.invalid", words, fix="Look at where it goes.") from None


def say_args(args: Any) -> None:
    """The exact arguments of a call, as JSON over several lines."""
    out.print(Text(visible_json(json.dumps(args, indent=2, ensure_ascii=False))), soft_wrap=True)


def say_error(error: HoldfastError, *, as_json: bool = False) -> None:
    """What is wrong, and what to do."""
    if as_json:
        err.file.write(visible_json(msgspec.json.encode({"error": error.wire()}).decode()) + "\n")
        return
    say((f"{error.code}  ", "bold red"), error.detail, to=err)
    facts = [
        f"{name}: {value}"
        for name, value in error.fields.items()
        if isinstance(value, (str, int)) and name != "fix" and str(value) not in error.detail
    ]
    if facts:
        say(", ".join(facts), to=err)
    say(error.fix, style="dim", to=err)


_WHOLE = frozenset({"id", "row", "fingerprint", "session", "key"})
"""Columns of what is typed into the next command. They are never cut, and neither is an amount."""
_LEAST = 6  # characters of a column that is cut
_GAP = 2


def table(columns: Iterable[str], rows: Iterable[Iterable[str | Text]]) -> Table:
    """A table that fits the terminal: what is long is cut, and never a name that another command takes, or an amount."""
    names = list(columns)
    cells = [[cell if isinstance(cell, Text) else Text(visible(cell)) for cell in row] for row in rows]
    widths = [max([len(name), *(row[at].cell_len for row in cells if at < len(row))]) for at, name in enumerate(names)]
    may_shrink = [at for at, name in enumerate(names) if name not in _WHOLE and "USD" not in name]
    room = out.width - _GAP * (len(names) - 1)
    while sum(widths) > room and (long := [at for at in may_shrink if widths[at] > _LEAST]):
        widths[max(long, key=lambda at: widths[at])] -= 1
    grid = Table(box=None, pad_edge=False, header_style="dim")
    for name, width in zip(names, widths, strict=True):
        grid.add_column(name, overflow="ellipsis", no_wrap=True, width=width)
    for row in cells:
        grid.add_row(*row)
    return grid


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
            TextColumn(what),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn(f"{{task.fields[rate]}} {unit}/s"),
            TimeRemainingColumn(),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
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
