"""The reliability programme: ``make prove``. Runs the long forms one after another and writes build/prove-report.md.

1,000 kill -9 rounds of the server under load, 10,000 power cuts, long property tests, simulated stories, planted bugs.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import apsw
from rich.console import Console

import holdfast

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "build" / "prove-report.md"


class Part(NamedTuple):
    """One part of the programme: a command, and what it is told through the environment."""

    name: str
    command: tuple[str, ...]
    told: dict[str, str]


def pytest(*arguments: str) -> tuple[str, ...]:
    """A pytest command without a limit per test."""
    return (sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "--timeout", "3000", *arguments)


PARTS = (
    Part("1,000 kill -9 rounds", pytest("tests/acceptance/test_kill9.py"), {"HOLDFAST_KILL_ROUNDS": "1000"}),
    Part("10,000 power cuts", pytest("tests/sim/test_power_cut.py"), {"HOLDFAST_POWER_CUTS": "10000"}),
    Part("properties and simulated stories", pytest("tests/property", "tests/sim/test_simulation.py"), {}),
    Part("planted bugs", (sys.executable, "-m", "tests.mutants.run"), {}),
)


def main() -> int:
    """Run every part; exits with 1 when one failed."""
    out = Console()
    rows, failed = [], 0
    for part in PARTS:
        out.rule(part.name)
        began = time.monotonic()
        done = subprocess.run(part.command, cwd=ROOT, env={**os.environ, **part.told}, check=False)
        failed += done.returncode != 0
        told = " ".join(f"{name}={value}" for name, value in part.told.items())
        rows.append(
            (part.name, "held" if done.returncode == 0 else "FAILED", f"{time.monotonic() - began:.0f} s", told)
        )
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    lines = [
        "# What was proven", "",
        f"holdfast {holdfast.__version__} at {commit or 'an unknown commit'}, Python {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()}, {os.cpu_count()} cores.", "",
        "| part | outcome | took | environment |", "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows), "",
        "Seeds are fixed in the tests; `make prove` runs the same again.", "",
    ]  # fmt: skip
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("\n".join(lines))
    out.print(f"{len(PARTS) - failed} of {len(PARTS)} parts held; the report is {REPORT.relative_to(ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
