"""Stopping: from a person's cancel to the cancelled task of the agent, while the server is busy with others."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time

from benchmarks import sessions
from benchmarks.processes import HERE, LOAD_CORE, Holdfast, Process, folder
from benchmarks.result import Result, Step, Table, Verdict
from holdfast.client.client import Client

EVENTS_PER_S, PER_APPEND, SESSIONS = 10_000, 10, 100
STOPS = 200
AGENT = "patient"

METHOD = f"""\
{SESSIONS} sessions × 2 readers carry {EVENTS_PER_S:,} events/s, {PER_APPEND} an append. Beside them {STOPS} runs of an agent (the
Python SDK, in a process of its own) wait in `asyncio.sleep`; a person cancels one after another at random moments. Time
runs from just before the cancel is sent to `CancelledError` in the agent's task, both read from the same monotonic
clock. Agent, person and load share one core; the server has the other."""


def steps(rounds: int) -> int:
    """How often ``step`` is called."""
    return rounds


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    table = Table(["round", "stops", "p50 ms", "p99 ms", "max ms", "load p50 ms"])
    worst = []
    for number in range(1, rounds + 1):
        step(f"{STOPS} stops")
        times, load_ms = _measure()
        times.sort()
        p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99) - 1]
        worst.append(p99)
        table.rows.append(
            [str(number), str(len(times)), f"{p50:.2f}", f"{p99:.2f}", f"{times[-1]:.2f}", f"{load_ms:.2f}"]
        )
    p99 = sorted(worst)[len(worst) // 2]
    what = f"stop: cancel sent → agent's task cancelled, under {EVENTS_PER_S:,} events/s"
    return Result("Stop", METHOD, [Verdict(what, "p99 ≤ 20 ms", f"p99 {p99:.1f} ms", p99 <= 20)], [table])


def _measure() -> tuple[list[float], float]:
    """Milliseconds of each stop, and the median latency of the load meanwhile."""
    with folder() as place, Holdfast(place) as server:
        runs = asyncio.run(sessions.start_runs(server, SESSIONS))
        script = sessions.script(runs, PER_APPEND)
        command = [sys.executable, "-m", "benchmarks.stop", server.url, server.token("agent:patient")]
        with (
            sessions.load(server, script=script, readers=SESSIONS * 2, publishers=10, sessions=SESSIONS) as load,
            Process(command, LOAD_CORE, stdout=subprocess.PIPE, cwd=HERE.parent) as agent,
        ):
            load.wait_ready()
            seconds = STOPS * 0.025 + 2
            runs = asyncio.run(_start(server))
            load.tell(f"go {EVENTS_PER_S / PER_APPEND} {seconds} 0 1 0.5")
            sent_ns = asyncio.run(_stop(server, runs))
            assert agent.process.stdout is not None
            stopped = dict(json.loads(agent.process.stdout.readline()) for _ in runs)
            figures = load.line()
    if figures["delivered"] != figures["wanted"]:
        raise RuntimeError(f"not exact: {figures}")
    return [(stopped[name] - sent_ns[name]) / 1e6 for name in sent_ns], figures["delivery"]["p50_ms"]


async def _start(server: Holdfast) -> list[str]:
    """Start the runs; answers the sessions they are in."""
    names = [f"stop-{number}" for number in range(STOPS)]
    async with Client(server.url, server.token()) as person:
        for name in names:
            session = await person.create(name, agent=AGENT)
            await session.send("Wait.")
        async with person.session(names[-1]).live() as last:
            await last.until(lambda view: any(run["status"] == "running" for run in view.runs.values()))
    return names


async def _stop(server: Holdfast, names: list[str]) -> dict[str, int]:
    sent_ns: dict[str, int] = {}
    chance = random.Random(7)
    async with Client(server.url, server.token()) as person:
        await asyncio.sleep(0.7)
        for name in names:
            await asyncio.sleep(chance.uniform(0.01, 0.03))
            sent_ns[name] = time.monotonic_ns()
            await person.session(name).cancel(scope="all")
    return sent_ns


async def serve(url: str, token: str) -> None:
    """The agent: waits, and says when it was stopped."""
    import holdfast

    async with holdfast.connect(url, token=token) as hf:

        @hf.agent(AGENT)
        async def patient(run: holdfast.RunContext) -> None:
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError:
                at = time.monotonic_ns()
                print(json.dumps([run.session.id, at]), flush=True)
                raise

        await hf.serve(slots=STOPS)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
