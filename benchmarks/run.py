"""``make bench``: run the benchmarks and write ``benchmarks/RESULTS.md``."""

from __future__ import annotations

import importlib
import time
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from benchmarks import machine
from benchmarks.processes import BUILD, CORES, HERE
from benchmarks.result import Result, Table, Verdict

NAMES: Final = (
    "fan_out",
    "append",
    "join",
    "resume",
    "stop",
    "idle",
    "storm",
    "cold_start",
    "bundles",
    "gateway",
    "seated",
    "budgets",
)
STORED: Final = BUILD / "results"

out = Console()


class StoredResult(msgspec.Struct):
    """A result, kept so that one benchmark can be run again without the others."""

    result: Result
    machine: dict[str, str]
    day: str
    rounds: int


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Which: {', '.join(NAMES)}. All by default.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds whose median is told.", min=1, max=25)] = 3,
    results: Annotated[Path, typer.Option(help="Where the results are written.")] = HERE / "RESULTS.md",
) -> None:
    """Measure Holdfast beside its peers and write the results. A run of everything takes under ten minutes."""
    chosen = names or list(NAMES)
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        raise typer.BadParameter(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if len(CORES) < 2:
        out.print("[yellow]One core only: server and load share it, and latencies say little.")
    STORED.mkdir(parents=True, exist_ok=True)
    facts, began = machine.facts(), time.monotonic()
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in chosen}
    with _progress() as progress:
        tasks = {name: progress.add_task(name, total=module.steps(rounds), what="") for name, module in modules.items()}
        for name, module in modules.items():
            result = _run(module, rounds, progress, tasks[name])
            stored = StoredResult(result, facts, time.strftime("%Y-%m-%d"), rounds)
            (STORED / f"{name}.json").write_bytes(msgspec.json.encode(stored))
    stored_results = [_load(name) for name in NAMES if (STORED / f"{name}.json").exists()]
    results.write_text(render(stored_results))
    _show(stored_results)
    out.print(f"{time.monotonic() - began:.0f} s; written to {results.name}")


def _progress() -> Progress:
    columns = (TextColumn("{task.description:>10}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("{task.fields[what]}"), console=out)


def _run(module: ModuleType, rounds: int, progress: Progress, task: Any) -> Result:
    taken = 0

    def step(what: str) -> None:
        nonlocal taken
        progress.update(task, completed=taken, what=what)
        taken += 1

    result: Result = module.run(step, rounds)
    progress.update(task, completed=module.steps(rounds), what="")
    return result


def _load(name: str) -> StoredResult:
    return msgspec.json.decode((STORED / f"{name}.json").read_bytes(), type=StoredResult)


def _show(stored_results: list[StoredResult]) -> None:
    grid = Grid("what", "target", "measured", "")
    for verdict in (verdict for stored in stored_results for verdict in stored.result.verdicts):
        grid.add_row(verdict.what, verdict.target, verdict.measured, "[green]met" if verdict.met else "[red]missed")
    out.print(grid)


# --- RESULTS.md
HEAD: Final = """\
# Results

Run them again with `make bench`, or one of them with `.venv/bin/python -m benchmarks.run append`. Servers have one core
and the load another; peers are measured in the same run, taking turns. Absolute figures are this machine's; ratios
travel better. Timings are never asserted in tests.
"""


def render(stored_results: list[StoredResult]) -> str:
    """The document."""
    verdicts = [_verdict(verdict) for stored in stored_results for verdict in stored.result.verdicts]
    parts = [HEAD, _table(Table(["what", "target", "measured", "met"], verdicts))]
    for kept in stored_results:
        result = kept.result
        parts += [f"## {result.title}\n", result.method + "\n"]
        for table in result.tables:
            parts += [f"{table.caption}\n"] if table.caption else []
            parts.append(_table(table))
    for day, facts, titles in _machines(stored_results):
        parts.append(f"## Machine\n\n{', '.join(titles)}; {day}.\n")
        parts.append(_table(Table(["", ""], [[name, value] for name, value in facts.items()])))
    return "\n".join(parts)


def _machines(stored_results: list[StoredResult]) -> list[tuple[str, dict[str, str], list[str]]]:
    """Runs, each with the benchmarks made in it."""
    found: list[tuple[str, dict[str, str], list[str]]] = []
    for stored in stored_results:
        rounds = f"{stored.day}, {stored.rounds} rounds"
        for day, facts, titles in found:
            if (day, facts) == (rounds, stored.machine):
                titles.append(stored.result.title)
                break
        else:
            found.append((rounds, stored.machine, [stored.result.title]))
    return found


def _verdict(verdict: Verdict) -> list[str]:
    what, target, measured, met = asdict(verdict).values()
    return [what, target, measured, "yes" if met else "**no**"]


def _table(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    typer.run(main)
