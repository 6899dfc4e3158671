"""The reliability programme: ``make prove``. Runs the long forms one after another and writes build/prove-report.md.

1,000 kill -9 rounds of the server under load, 10,000 power cuts, long property tests, simulated stories, planted bugs.
What was counted comes from the tests themselves (pytest's ``record_property``), so the report cannot say more than ran.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import apsw
import hypothesis
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import holdfast

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "prove"
REPORT = ROOT / "build" / "prove-report.md"

_PERCENT = re.compile(r"\[ *(\d+)%\]")
_SAID = re.compile(r"^(\d+) of (\d+) ")


class Part(NamedTuple):
    """One part of the programme.

    Attributes:
        name: what it shows.
        arguments: of pytest; none means the planted bugs.
        told: through the environment.
    """

    name: str
    arguments: tuple[str, ...]
    told: dict[str, str]


class Outcome(NamedTuple):
    """How a part went: exit code, seconds, and what the tests counted."""

    code: int
    seconds: float
    counted: list[str]


DIALECTS = ("ai_sdk", "ag_ui", "openai_responses")
PARTS = (
    Part("kill -9 of the server", ("tests/acceptance/test_kill9.py",), {"HOLDFAST_KILL_ROUNDS": "1000"}),
    Part("power cuts", ("tests/sim/test_power_cut.py",), {"HOLDFAST_POWER_CUTS": "10000"}),
    Part("properties", ("tests/property",), {"HOLDFAST_EXAMPLES": "1500"}),
    Part("simulated stories", ("tests/sim/test_simulation.py",), {"HOLDFAST_SIM_SEEDS": "480"}),
    Part("histories of lives", ("tests/sim/test_lives.py",), {"HOLDFAST_LIVES": "1000"}),
    Part("neighbours", ("--numprocesses", "0", "tests/prove/test_neighbours.py"), {"HOLDFAST_NEIGHBOURS": "20"}),
    Part(
        "approvals in a page",
        (
            "--numprocesses",
            "0",
            "tests/browser/test_approvals.py",
            *(f"tests/dialects/{d}/test_gated.py" for d in DIALECTS),
        ),
        {"HOLDFAST_WHOLE": "1"},
    ),
    Part("peel", ("tests/unit/governance/routing/test_peel.py",), {"HOLDFAST_PEELS": "2000"}),
    Part(
        "planted differences",
        ("tests/unit/governance/ledger/bills/test_reconcile.py",),
        {"HOLDFAST_BILL_SEEDS": "1000"},
    ),
    Part(
        "FOCUS validator",
        ("--numprocesses", "0", "tests/prove/test_focus_validator.py"),
        {"HOLDFAST_FOCUS_VALIDATOR": "1"},
    ),
    Part("budget race", ("tests/acceptance/test_budget_race.py",), {"HOLDFAST_BUDGET_ROUNDS": "1000"}),
    Part("stop", ("--numprocesses", "0", "tests/acceptance/test_stop_workflow.py"), {"HOLDFAST_STOP_RUNS": "500"}),
    Part("honest calls", ("tests/acceptance/test_honest_calls.py",), {"HOLDFAST_HONEST_CALLS": "10000"}),
    Part("demo company", ("--numprocesses", "0", "tests/prove/test_demo_company.py"), {"HOLDFAST_DEMO_COMPANY": "1"}),
    Part("slow tests", ("-m", "slow", "tests"), {}),
    Part("planted bugs", (), {}),
)


def command(part: Part, counted: Path) -> list[str]:
    """What is run for a part."""
    if not part.arguments:
        return [sys.executable, "-m", "tests.mutants.run"]
    return [
        sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--numprocesses", "2", "--dist", "worksteal",
        "--timeout", "3000", f"--junit-xml={counted}", *part.arguments,
    ]  # fmt: skip


def run(part: Part, progress: Progress) -> Outcome:
    """Run one part; everything it says goes to a file beside the report."""
    name = part.name.replace(" ", "-")
    counted, log = BUILD / f"{name}.xml", BUILD / f"{name}.log"
    counted.unlink(missing_ok=True)
    task = progress.add_task(part.name, total=100)
    began, summary = time.monotonic(), ""
    with log.open("w") as kept:
        process = subprocess.Popen(
            command(part, counted), cwd=ROOT, env={**os.environ, **part.told, "PYTHONUNBUFFERED": "1"}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            kept.write(line)
            if percent := _PERCENT.search(line):
                progress.update(task, completed=int(percent[1]))
            if _SAID.match(line):
                summary = line.strip()
        code = process.wait()
    progress.update(task, completed=100)
    facts = properties(counted) if counted.exists() else [summary or "no count"]
    return Outcome(code, time.monotonic() - began, facts)


def properties(report: Path) -> list[str]:
    """What tests counted, summed over all of them, and the seeds they used."""
    root = ET.parse(report).getroot()
    sums: Counter[str] = Counter()
    seeds: list[int] = []
    for found in root.iter("property"):
        name, value = found.get("name", ""), int(found.get("value", "0"))
        if name == "seed":
            seeds.append(value)
        else:
            sums[name] += value
    tests = sum(int(suite.get("tests", "0")) for suite in root.iter("testsuite"))
    facts = [f"{tests} tests", *(f"{count:,} {name}" for name, count in sums.items())]
    if seeds:
        facts.append(f"seeds {min(seeds)} to {max(seeds)}")
    return facts


def versions() -> str:
    """What was proven, and on what."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"holdfast {holdfast.__version__} at {commit or 'an unknown commit'}, Python {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()}, Hypothesis {hypothesis.__version__}, {platform.system()} "
        f"{platform.release()}, {os.cpu_count()} cores."
    )


def write(rows: list[tuple[Part, Outcome]]) -> None:
    """Write the report."""
    lines = [
        "# What was proven",
        "",
        versions(),
        "",
        "| part | outcome | minutes | counted | again |",
        "|---|---|---|---|---|",
    ]
    for part, outcome in rows:
        told = " ".join(f"{name}={value}" for name, value in part.told.items())
        command = f"{told} pytest {' '.join(part.arguments)}".strip()
        again = f"`{command}`" if part.arguments else "`make mutants`"
        held = "held" if outcome.code == 0 else "**failed**"
        lines.append(f"| {part.name} | {held} | {outcome.seconds / 60:.1f} | {', '.join(outcome.counted)} | {again} |")
    lines += ["", "A seed takes the same steps again. Everything that was said is in `build/prove/`.", ""]
    REPORT.write_text("\n".join(lines))


def main() -> int:
    """Run every part, or those whose names begin as an argument does; exits with 1 when one failed."""
    out = Console()
    BUILD.mkdir(parents=True, exist_ok=True)
    chosen = [part for part in PARTS if not sys.argv[1:] or part.name.startswith(tuple(sys.argv[1:]))]
    if not chosen:
        out.print(f"there is no part {' '.join(sys.argv[1:])}; there are: {', '.join(part.name for part in PARTS)}")
        return 2
    rows: list[tuple[Part, Outcome]] = []
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out) as progress:
        for part in chosen:
            outcome = run(part, progress)
            rows.append((part, outcome))
            write(rows)
            if outcome.code:
                out.print(f"[red]{part.name} failed: build/prove/{part.name.replace(' ', '-')}.log says how")
    held = sum(outcome.code == 0 for _, outcome in rows)
    out.print(f"{held} of {len(chosen)} parts held; the report is {REPORT.relative_to(ROOT)}")
    return 0 if held == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
