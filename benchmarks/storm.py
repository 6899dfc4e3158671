"""A reconnect storm: the server dies, starts again, and everybody comes back at once."""

from __future__ import annotations

import asyncio

from benchmarks import sessions
from benchmarks.processes import Holdfast, Load, folder
from benchmarks.result import Result, Step, Table, Verdict

CONNECTIONS, SESSIONS, AT_ONCE = 10_000, 1_000, 1_000

METHOD = f"""\
{CONNECTIONS:,} connections read {SESSIONS:,} sessions. The server is killed (SIGKILL) and started again on the same port; every
connection comes back with its cursor as soon as it can, {AT_ONCE:,} at a time. Time runs from the first lost connection to
the moment the last one is live again, the start of the server included. Then an event is appended to every session, and
each reader must get it without a gap or a repeat."""


def steps(rounds: int) -> int:
    """How often ``step`` is called."""
    return 3


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    with folder() as place:
        with Holdfast(place) as server:
            step(f"connecting {CONNECTIONS:,}")
            runs = asyncio.run(sessions.start_runs(server, SESSIONS))
            script = sessions.script(runs, 1)
            load = sessions.load(
                server, script=script, readers=CONNECTIONS, publishers=1, sessions=SESSIONS, at_once=AT_ONCE, again=True
            )
            calm = load.wait_ready()["seconds"]
            _publish(load)
            step("storm")
            server.kill()
        with load, Holdfast(place, server.port) as server:
            storm = load.wait_ready()
            step("appending to all")
            _publish(load)
    seconds = storm["since_lost"]
    table = Table(
        ["", "seconds", "connections/s"],
        [
            ["first time, at leisure", f"{calm:.2f}", f"{CONNECTIONS / calm:,.0f}"],
            ["storm, server start included", f"{seconds:.2f}", f"{CONNECTIONS / seconds:,.0f}"],
        ],
    )
    verdict = Verdict(f"reconnect storm of {CONNECTIONS:,}, all resumed", "≤ 30 s", f"{seconds:.1f} s", seconds <= 30)
    return Result("Reconnect storm", METHOD, [verdict], [table])


def _publish(load: Load) -> None:
    """An event in every session; all of its readers get it."""
    figures = load.publish(SESSIONS, 1.0)
    if figures["gaps"] or figures["repeats"] or figures["delivered"] != figures["wanted"]:
        raise RuntimeError(f"not exact: {figures}")
