"""Plant each known bug and see a test fail: ``make mutants``, or ``python -m tests.mutants.run NAME…`` for some.

Exits with 1 when a bug is noticed by nobody, or when its tests fail without it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.mutants.plant import MUTANTS, VARIABLE

ROOT = Path(__file__).parents[2]
OUT_OF_TIME_S = 240


def noticed(tests: tuple[str, ...], mutant: str | None) -> tuple[bool, str]:
    """Whether the tests fail with the mutant planted (or, with None, without any); and which failed first."""
    env = {**os.environ, VARIABLE: mutant or ""}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.mutants.plant",
        *tests,
    ]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=OUT_OF_TIME_S, check=False
        )
    except subprocess.TimeoutExpired:
        return mutant is not None, "out of time"
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest could not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    failed = next((line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), "")
    return done.returncode == 1, failed.partition(" - ")[0].rpartition("::")[2]


def main() -> int:
    """Run all mutants, or those named."""
    names = sys.argv[1:] or list(MUTANTS)
    out = Console()
    table = Table("bug", "promise", "noticed by", "s", box=None)
    escaped = []
    with Progress(console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("planting bugs", total=len(names) + 1)
        broken, first = noticed(tuple(sorted({test for name in names for test in MUTANTS[name].tests})), None)
        progress.advance(task)
        if broken:
            out.print(f"✗ without any bug a test fails: {first}", style="red")
            return 1
        for name in names:
            began = time.monotonic()
            killed, by = noticed(MUTANTS[name].tests, name)
            table.add_row(
                name, MUTANTS[name].rule, by if killed else "[red]nobody[/]", f"{time.monotonic() - began:.0f}"
            )
            if not killed:
                escaped.append(name)
            progress.advance(task)
    out.print(table)
    out.print(f"{len(names) - len(escaped)} of {len(names)} planted bugs were noticed")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
