"""Resuming a million events later: exact, in flat memory."""

from __future__ import annotations

import asyncio
import json

from benchmarks import sessions
from benchmarks.processes import Holdfast, folder
from benchmarks.result import Result, Step, Table, Verdict

EVENTS = 1_000_000
PER_APPEND = 250
SHARE = 10
"""The memory of resuming all events is held against that of a tenth of them."""

METHOD = f"""\
One session, {EVENTS:,} events in appends of {PER_APPEND}. A reader with a cursor before all of them, and one with a cursor
{SHARE} times nearer, connect and read to the tail. Exact means: every event, in order, none twice, checked at the reader.
Memory is the peak of the server's resident set while it serves, over what it was before."""


def steps(rounds: int) -> int:
    """How often ``step`` is called."""
    return 3


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    with folder() as place, Holdfast(place) as server:
        step(f"writing {EVENTS:,} events")
        runs = asyncio.run(sessions.start_runs(server, 1))
        incarnation, first = asyncio.run(sessions.tail(server, 0))
        _write(server, runs)
        _, tail = asyncio.run(sessions.tail(server, 0))
        table = Table(["events missed", "exact", "seconds", "events/s", "MB/s", "memory above before, MiB"])
        grown, exact = {}, {}
        for missed in (EVENTS // SHARE, EVENTS):
            step(f"resuming {missed:,} events")
            after = tail - missed
            before = server.memory()
            server.forget_peak()
            start = json.dumps({"incarnation": incarnation, "seq": after})
            with sessions.load(server, start=start, readers=1) as load:
                ready = load.wait_ready()
            grown[missed] = (server.memory("VmHWM") - before) / 2**20
            exact[missed] = not ready["gaps"] and not ready["repeats"] and ready["positions"] == missed
            seconds = ready["join"]["max_ms"] / 1_000
            table.rows.append(
                [
                    f"{missed:,}",
                    "yes" if exact[missed] else "no",
                    f"{seconds:.2f}",
                    f"{missed / seconds:,.0f}",
                    f"{ready['bytes'] / seconds / 1e6:.0f}",
                    f"{grown[missed]:.1f}",
                ]
            )
    assert tail - first >= EVENTS
    flat = grown[EVENTS] <= grown[EVENTS // SHARE] + 8
    met = exact[EVENTS] and flat
    exactness = f"{'exact' if exact[EVENTS] else 'not exact'}; {grown[EVENTS]:.1f} MiB, {grown[EVENTS // SHARE]:.1f} for a tenth"
    verdict = Verdict(f"resume with {EVENTS:,} events missed", "exact; memory flat", exactness, met)
    return Result("Resume", METHOD, [verdict], [table])


def _write(server: Holdfast, runs: list[str]) -> None:
    written = 0
    with sessions.load(server, readers=1, publishers=1, script=sessions.script(runs, PER_APPEND)) as load:
        load.wait_ready()
        while written <= EVENTS:
            written += load.publish(0, 2.0, window=8)["published"]
