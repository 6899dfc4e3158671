"""Durable append and delivery: rates and latencies of one server process on one core."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks import sessions
from benchmarks.processes import Holdfast, folder
from benchmarks.result import Result, Step, Table, Verdict, median

SESSIONS, READERS, PUBLISHERS = 100, 2, 10
PACED = ((1, 1_000), (10, 102_000), (25, 102_000))
"""Events in an append, and events a second offered."""
FLAT_OUT = (1, 10, 25)
IN_FLIGHT = 8
"""Unanswered appends of one session when each publisher sends as fast as it is answered; the agents' SDK has as many."""
SECONDS = 5.0

METHOD = f"""\
{SESSIONS} sessions with a run each, {READERS} readers a session on {SESSIONS * READERS} connections, {PUBLISHERS} publishing
connections. Publishers write deltas of one message after another into the runs; every event reaches its readers only
after its commit (`synchronous=FULL`). Latency runs from the moment an event was due (the schedule is kept whatever the
server does) to its arrival at a reader. Rates count what came after the end of the schedule as late, so a little more
than the target is offered. The server has one core, threads and all. Medians of the rounds."""


def steps(rounds: int) -> int:
    """How often ``step`` is called."""
    return rounds * (len(PACED) + len(FLAT_OUT))


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for batch, rate in (*PACED, *((batch, 0) for batch in FLAT_OUT)):
            step(f"{rate or 'as many as possible'} events a second, {batch} an append")
            found.setdefault((batch, rate), []).append(_measure(batch, rate))
    table = Table(
        ["offered events/s", "events an append", "events/s", "p50 ms", "p99 ms", "ack p50 ms", "µs CPU per event"],
        caption="The last lines offer as much as is answered.",
    )
    for (batch, rate), samples in found.items():
        figures = [_median(samples, name) for name in ("per_s", "p50_ms", "p99_ms", "ack_ms", "cpu_us")]
        table.rows.append(
            [
                f"{rate:,}" if rate else "all",
                str(batch),
                f"{figures[0]:,.0f}",
                *(f"{value:.2f}" for value in figures[1:]),
            ]
        )
    slow, fast = found[1, 1_000], found[PACED[1]]
    per_s, p50 = _median(fast, "per_s"), _median(fast, "p50_ms")
    calm_p50, calm_p99 = _median(slow, "p50_ms"), _median(slow, "p99_ms")
    what = f"durable append + deliver, {SESSIONS} sessions × {READERS} readers, one core"
    verdicts = [
        Verdict(
            f"{what}, {PACED[1][0]} events an append", "≥ 100k events/s", f"{per_s:,.0f} events/s", per_s >= 100_000
        ),
        Verdict(f"{what}, latency there", "p50 ≤ 10 ms", f"{p50:.1f} ms", p50 <= 10),
        Verdict(
            f"{what}, at 1k events/s",
            "p50 ≤ 1 ms, p99 ≤ 5 ms",
            f"{calm_p50:.2f} ms, {calm_p99:.2f} ms",
            calm_p50 <= 1 and calm_p99 <= 5,
        ),
    ]
    return Result("Durable append and delivery", METHOD, verdicts, [table])


def _median(samples: list[dict[str, Any]], name: str) -> float:
    return median(one[name] for one in samples)


def _measure(batch: int, rate: int) -> dict[str, Any]:
    with folder() as place, Holdfast(place) as server:
        runs = asyncio.run(sessions.start_runs(server, SESSIONS))
        script, readers = sessions.script(runs, batch), SESSIONS * READERS
        with sessions.load(server, script=script, readers=readers, publishers=PUBLISHERS, sessions=SESSIONS) as load:
            load.wait_ready()
            before = server.cpu_s()
            figures = load.publish(
                rate / batch, SECONDS, window=0 if rate else IN_FLIGHT * SESSIONS // PUBLISHERS, warm_s=1.0
            )
            used = server.cpu_s() - before
    if figures["gaps"] or figures["repeats"] or figures["delivered"] != figures["wanted"]:
        raise RuntimeError(f"not exact: {figures}")
    return {
        "per_s": figures["published"] / (SECONDS + figures["drain_s"]),  # what came after the end counts as not in time
        "p50_ms": figures["delivery"]["p50_ms"],
        "p99_ms": figures["delivery"]["p99_ms"],
        "ack_ms": figures["answer"]["p50_ms"],
        "cpu_us": used * 1e6 / figures["published"],
    }
