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

NAMES: Final = ("fan_out", "append", "join", "resume", "stop", "idle", "storm", "cold_start", "bundles")
KEPT: Final = BUILD / "results"

out = Console()


class Kept(msgspec.Struct):
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
    KEPT.mkdir(parents=True, exist_ok=True)
    facts, began = machine.facts(), time.monotonic()
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in chosen}
    with _progress() as progress:
        tasks = {name: progress.add_task(name, total=module.steps(rounds), what="") for name, module in modules.items()}
        for name, module in modules.items():
            result = _run(module, rounds, progress, tasks[name])
            kept = Kept(result, facts, time.strftime("%Y-%m-%d"), rounds)
            (KEPT / f"{name}.json").write_bytes(msgspec.json.encode(kept))
    known = [_load(name) for name in NAMES if (KEPT / f"{name}.json").exists()]
    results.write_text(render(known))
    _show(known)
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


def _load(name: str) -> Kept:
    return msgspec.json.decode((KEPT / f"{name}.json").read_bytes(), type=Kept)


def _show(known: list[Kept]) -> None:
    grid = Grid("what", "target", "measured", "")
    for verdict in (verdict for kept in known for verdict in kept.result.verdicts):
        grid.add_row(verdict.what, verdict.target, verdict.measured, "[green]met" if verdict.met else "[red]missed")
    out.print(grid)


# --- RESULTS.md
HEAD: Final = """\
# Results

Run them again with `make bench`, or one of them with `.venv/bin/python -m benchmarks.run append`. Servers have one core
and the load another; peers are measured in the same run, taking turns. Absolute figures are this machine's; ratios
travel better. Timings are never asserted in tests.
"""


def render(known: list[Kept]) -> str:
    """The document."""
    verdicts = [_verdict(verdict) for kept in known for verdict in kept.result.verdicts]
    parts = [HEAD, _table(Table(["what", "target", "measured", "met"], verdicts))]
    for kept in known:
        result = kept.result
        parts += [f"## {result.title}\n", result.method + "\n"]
        for table in result.tables:
            parts += [f"{table.caption}\n"] if table.caption else []
            parts.append(_table(table))
    for day, facts, titles in _machines(known):
        parts.append(f"## Machine\n\n{', '.join(titles)}; {day}.\n")
        parts.append(_table(Table(["", ""], [[name, value] for name, value in facts.items()])))
    return "\n".join(parts)


def _machines(known: list[Kept]) -> list[tuple[str, dict[str, str], list[str]]]:
    """Runs, each with the benchmarks made in it."""
    found: list[tuple[str, dict[str, str], list[str]]] = []
    for kept in known:
        rounds = f"{kept.day}, {kept.rounds} rounds"
        for day, facts, titles in found:
            if (day, facts) == (rounds, kept.machine):
                titles.append(kept.result.title)
                break
        else:
            found.append((rounds, kept.machine, [kept.result.title]))
    return found


def _verdict(verdict: Verdict) -> list[str]:
    what, target, measured, met = asdict(verdict).values()
    return [what, target, measured, "yes" if met else "**no**"]


def _table(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    typer.run(main)
