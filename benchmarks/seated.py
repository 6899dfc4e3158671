"""People beside programs: how long a person waits for the first token while programs want fifty times what there is."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from tests.fake_upstream.process import FakeUpstream

from benchmarks.gateways.load import Plan
from benchmarks.gateways.mixed_load import MixedFigures, MixedPlan
from benchmarks.processes import HERE, LOAD_CORE, Process, Server, folder, free_port
from benchmarks.result import Result, Step, Table, Verdict, median, spread

STREAMS, TIMES = 16, 50
"""Slots of the upstream, and how many times as many calls programs have under way or waiting."""
FIRST_MS, GAP_MS, TOKENS = 60.0, 3.0, 20
PEOPLE, PER_S = 520, 12.0
"""People in all rounds of a row, and a second."""
MOST_TIMES: Final = 1.5
SEATED, HEADLESS, OTHER = "seated", "headless", "other"
ALONE, RESERVED, FIRST, FIFO = "people alone", "a quarter reserved", "none reserved, people first", "plain FIFO"

METHOD = f"""\
`holdfast gateway` with its ledger on one core; load and a fake upstream share the other. The upstream has {STREAMS} slots, its
first token takes {FIRST_MS:g} ms and each further one {GAP_MS:g} ms, {TOKENS} in all. A provider's first token takes longer; a
short one makes every delay weigh more. Programs (two keys of two workflows) keep {STREAMS * TIMES} connections busy, {TIMES} times
the slots. People come by chance, {PER_S:g} a second on average, the same moments in each row of a round; each is timed from the
moment it was to come to the first chunk with text. Rows take turns in each round. *{RESERVED}*: as it is without a setting
(`seated_share: 0.25`). *{FIRST}*: `seated_share: 0`: a person gets the next slot that comes free, before all programs.
*{FIFO}*: people and programs have one headless key, so that everybody waits in one line. Quantiles are of all rounds together,
in brackets of single rounds; *gateway's core* is how much of it the gateway used; *times* is the quotient with *{ALONE}*."""


class Load(Process):
    """The load process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.gateways.mixed_load"]
        super().__init__(command, LOAD_CORE, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def measure(self, wanted: MixedPlan) -> MixedFigures:
        """Have it do as planned.

        Raises:
            RuntimeError: some call was not answered whole.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(wanted).decode() + "\n")
        self.process.stdin.flush()
        found = msgspec.json.decode(self.process.stdout.readline(), type=MixedFigures)
        for figures in (found.seated, found.headless):
            if figures.errors:
                raise RuntimeError(f"{figures.errors} calls were not answered whole: {figures.first_error}")
        return found


@dataclass
class Row:
    """What came of one row, round by round; ``busy``: processor seconds of the gateway for each second."""

    rounds: list[MixedFigures] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Milliseconds to the first token, of all rounds."""
        return _quantile([ms for figures in self.rounds for ms in figures.seated.first_ms], share)

    def quantiles(self, share: float) -> list[float]:
        """The same of each round."""
        return [_quantile(figures.seated.first_ms, share) for figures in self.rounds]

    @property
    def people(self) -> int:
        """How many were served."""
        return sum(figures.seated.streams for figures in self.rounds)


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]


@dataclass
class Gateway:
    """One that is served, with the keys of its callers."""

    port: int
    keys: dict[str, str]
    server: Server

    def plan(self, key: str, *, connections: int = 1, streams: int = 1_000_000) -> Plan:
        """What a caller asks."""
        headers = {"authorization": f"Bearer {self.keys[key]}"}
        return Plan(
            "127.0.0.1",
            self.port,
            "/v1/chat/completions",
            headers,
            tokens=TOKENS,
            connections=connections,
            streams=streams,
        )


@contextlib.contextmanager
def gateway(fake: FakeUpstream, place: Path, share: float) -> Iterator[Gateway]:
    """``holdfast gateway`` that keeps this share for people."""
    program = Path(sys.executable).parent / "holdfast"
    place.mkdir()
    store, settings, port = place / "governance.db", place / "gateway.yaml", free_port()
    upstream = {
        "name": "fake",
        "url": f"{fake.url}/v1",
        "provider": "openai",
        "streams": STREAMS,
        "seated_share": share,
    }
    settings.write_text(json.dumps({"upstreams": [upstream]}))  # JSON is YAML
    keys = {}
    for name, usage in ((SEATED, "seated"), (HEADLESS, "headless"), (OTHER, "headless")):
        named = ("--workflow", name, "--team", "bench", "--task", "bench", "--usage", usage, "--declare")
        made = subprocess.run(
            [program, "keys", "--governance", store, "create", *named], capture_output=True, text=True, check=True
        )
        keys[name] = made.stdout.splitlines()[0].strip()
    command: list[str | Path] = [program, "gateway", "--config", settings, "--governance", store, "--port", str(port)]
    with Server(command, port, env=dict(os.environ)) as server:
        yield Gateway(port, keys, server)


def steps(rounds: int) -> int:
    """How often ``step`` is called."""
    return 1 + 4 * rounds


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    rows = {name: Row() for name in (ALONE, RESERVED, FIRST, FIFO)}
    with contextlib.ExitStack() as stack:
        step("start")
        place = stack.enter_context(folder())
        fake = stack.enter_context(FakeUpstream(keep=False, cores=LOAD_CORE))
        fake.always(tokens=TOKENS, first=FIRST_MS, gap=GAP_MS)
        kept = stack.enter_context(gateway(fake, place / "reserved", 0.25))
        none = stack.enter_context(gateway(fake, place / "none", 0.0))
        load = stack.enter_context(Load())
        for number in range(rounds):
            for name in rows if number % 2 else reversed(rows):
                step(name)
                where = none if name in (FIRST, FIFO) else kept
                used, began = where.server.cpu_s(), time.perf_counter()
                rows[name].rounds.append(load.measure(plan(where, name, number, rounds)))
                rows[name].busy.append((where.server.cpu_s() - used) / (time.perf_counter() - began))
    return Result("People beside programs", METHOD, [verdict(rows)], [table(rows)])


def plan(where: Gateway, name: str, number: int, rounds: int) -> MixedPlan:
    """A round of a row."""
    people = where.plan(HEADLESS if name == FIFO else SEATED, streams=math.ceil(PEOPLE / rounds))
    keys = {ALONE: (), FIFO: (HEADLESS,)}.get(name, (HEADLESS, OTHER))
    programs = [where.plan(key, connections=STREAMS * TIMES // len(keys)) for key in keys]
    return MixedPlan(people, programs, PER_S, seed=number)


def verdict(rows: dict[str, Row]) -> Verdict:
    """The target of gate 9.a."""
    times = rows[RESERVED].quantile(0.99) / rows[ALONE].quantile(0.99)
    what = f"gateway, first token of people, p99 under {TIMES}× headless load over unloaded"
    measured = f"{times:.2f}× (n = {rows[RESERVED].people} each)"
    return Verdict(what, f"≤ {MOST_TIMES:g}×", measured, times <= MOST_TIMES)


def table(rows: dict[str, Row]) -> Table:
    """All rows, those that lose as well."""
    found = Table(["", "people", "first token, p50 ms", "p99 ms", "times", "programs' streams/s", "gateway's core"])
    alone = rows[ALONE].quantile(0.99)
    for name, row in rows.items():
        found.rows.append([
            name,
            f"{row.people}",
            f"{row.quantile(0.5):,.1f} {_range(row.quantiles(0.5))}",
            f"{row.quantile(0.99):,.1f} {_range(row.quantiles(0.99))}",
            "–" if name == ALONE else f"{row.quantile(0.99) / alone:.2f}×",
            "–" if name == ALONE else spread(figures.headless.per_s for figures in row.rounds),
            f"{100 * median(row.busy):.0f} %",
        ])  # fmt: skip
    return found


def _range(values: list[float]) -> str:
    return f"({min(values):,.1f}–{max(values):,.1f}, median {median(values):,.1f})"
