"""Cold start: from the command to a server that listens."""

from __future__ import annotations

from benchmarks.processes import Holdfast, folder
from benchmarks.result import Result, Step, Table, Verdict, median, spread

METHOD = """\
`holdfast serve` from the start of the process to the first accepted connection, with a new database and with one that is
there already."""


def steps(rounds: int) -> int:
    """How often ``step`` is called."""
    return rounds + 1


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    new: list[float] = []
    old: list[float] = []
    for _ in range(rounds + 1):
        step("holdfast serve")
        with folder() as place:
            for times in (new, old):
                with Holdfast(place) as server:
                    times.append(server.startup_s)
    table = Table(["database", "seconds, median (range)"], [["new", spread(new)], ["old", spread(old)]])
    slowest = max(median(new), median(old))
    verdict = Verdict("cold start of `holdfast serve`", "≤ 1 s", f"{slowest:.2f} s", slowest <= 1)
    return Result("Cold start", METHOD, [verdict], [table])
