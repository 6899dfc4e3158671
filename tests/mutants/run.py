"""``make mutants``: plant each known bug and see a test notice. Names on the command line choose some.

The tests that should notice also run without any bug, and must pass then. A plant that fails by a mistake of its own, or
whose test fails by one (a name that is not there is no broken promise), plants nothing and counts as not noticed. Exits
with 1 when a bug is noticed by nobody, or when those tests fail by themselves.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from conformance.planting import HOLLOW, MISTAKES
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from tests.mutants.plant import MUTANTS, VARIABLE

ROOT = Path(__file__).parents[2]
OUT_OF_TIME_S = 200
AT_A_TIME = 2
SHORT = {"HOLDFAST_EXAMPLES": "80", "HOLDFAST_POWER_CUTS": "60", "COLUMNS": "400"}
_MISTAKES = "|".join(mistake.__name__ for mistake in (*MISTAKES, UnboundLocalError, KeyError, IndexError))
_MISTAKE_IN_A_PLANT = re.compile(rf"^tests/mutants/(?!test_)\w+\.py:\d+: (?:{_MISTAKES})$", re.MULTILINE)
_NO_PROMISE = re.compile(
    r" - (?:TypeError|AttributeError|NameError|ImportError|ModuleNotFoundError|UnboundLocalError)\b"
)


class Outcome(NamedTuple):
    """``failed``: some test noticed, the first of them is ``by``. ``broken``: why the tests could not run, or nothing."""

    failed: bool
    by: str
    seconds: float
    broken: str = ""


def outcome(tests: list[str], mutant: str = "") -> Outcome:
    """Run tests, with a mutant planted when one is named."""
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
    env, began = {**os.environ, **SHORT, VARIABLE: mutant}, time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=OUT_OF_TIME_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome(False, "", time.monotonic() - began, f"no end within {OUT_OF_TIME_S} s: no test said anything")
    failed = next((line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR tests"))), "")
    broken = describe_trouble(done.returncode, failed, done.stdout + done.stderr)
    by = failed.partition(" - ")[0].rpartition("::")[2]
    return Outcome(done.returncode == 1 and not broken, by, time.monotonic() - began, broken)


def describe_trouble(code: int, failed: str, said: str) -> str:
    """Why a run of pytest says nothing about a bug; empty when it passed, or failed as a test does.

    Args:
        code: pytest's exit code.
        failed: its line about the first test that failed.
        said: all of its output.
    """
    if code not in (0, 1):
        return f"exit {code}{' (the plant is hollow)' * (code == HOLLOW)}: {said[-1000:]}"
    if code and (mistake := _MISTAKE_IN_A_PLANT.search(said)):
        return f"the plant itself failed: {mistake[0]}"
    if failed.startswith("ERROR ") or _NO_PROMISE.search(failed):
        return f"no promise was seen broken: {failed}"
    return ""


def all_tests(names: list[str]) -> list[str]:
    """Every selection once; one inside a file that is there as a whole is not needed."""
    every = {test for name in names for test in MUTANTS[name].tests}
    return sorted(test for test in every if "::" not in test or test.partition("::")[0] not in every)


def run(names: list[str], out: Console) -> tuple[Outcome, dict[str, Outcome]]:
    """The tests as they are, and with each bug."""
    with (
        concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool,
        Progress(console=out, transient=True, disable=not out.is_terminal) as progress,
    ):
        task = progress.add_task("planting bugs", total=len(names) + 1)
        clean = pool.submit(outcome, all_tests(names))
        planted = {name: pool.submit(outcome, list(MUTANTS[name].tests), name) for name in names}
        for future in concurrent.futures.as_completed([clean, *planted.values()]):
            future.result()
            progress.advance(task)
        return clean.result(), {name: future.result() for name, future in planted.items()}


def main() -> int:
    """Run all mutants, or those named."""
    out = Console(width=None if sys.stdout.isatty() else 150)
    names = sys.argv[1:] or list(MUTANTS)
    clean, found = run(names, out)
    table = Table("promise", "bug", "what it breaks", "noticed by", "s", box=None)
    for name, one in found.items():
        by = escape(one.by) if one.failed else "[red]nobody[/]" if not one.broken else "[red]could not run[/]"
        table.add_row(MUTANTS[name].rule, name, MUTANTS[name].what, by, f"{one.seconds:.0f}")
    out.print(table)
    for name, one in found.items():
        if one.broken:
            out.print(f"✗ {name}: {one.broken}", style="red", markup=False)
    noticed = sum(one.failed for one in found.values())
    out.print(f"{noticed} of {len(names)} planted bugs were noticed")
    if clean.failed or clean.broken:
        out.print(f"✗ without any bug a test fails: {clean.by or clean.broken}", style="red", markup=False)
        return 1
    return 0 if noticed == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
