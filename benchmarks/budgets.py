"""Budgets: what reserving and settling cost, and a race for the last dollar beside LiteLLM's."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.gateways.contenders import LITELLM, CannotRun, litellm_environment
from benchmarks.processes import folder
from benchmarks.result import Result, Step, Table, Verdict, median, spread
from holdfast.errors import Refused
from holdfast.gateway.port import Caller, Hold, ModelCall, Opening, Served
from holdfast.gateway.settings import GatewaySettings
from holdfast.governance.app import Governance
from holdfast.governance.budgets import store as statements
from holdfast.governance.budgets.model import Budget
from holdfast.providers.billing.model import BilledAttempt
from holdfast.testing import FakeClock

CALLERS, SECONDS, LEAST_PER_S = 256, 4.0, 2_000
RACERS, RACER_USD, CAP_USD = 32, 0.60, 1.00
NANO, INPUT_RATE, OUTPUT_RATE = 1_000_000_000, 250, 2_000
"""Of gpt-5-mini, nano-USD for a token."""
LEVELS: tuple[dict[str, Any], ...] = (
    {"name": "organisation"},
    {"name": "team", "scope": {"team": "bench"}},
    {"name": "workflow", "scope": {"workflow": "bench"}},
    {"name": "run", "each": "run", "span": "total"},
)

METHOD = f"""\
*Reserve + settle*: {CALLERS} callers in one process, each opens an attempt and settles it, again and again for {SECONDS:g} s.
Every attempt reserves on four budgets that are enforced (organisation, team, workflow, and one for each run), on record
in SQLite before it is answered, with the ledger's rows; afterwards the counts have to agree with them. No gateway and no
provider: load and budgets share one core. *Race*: {RACERS} calls of ${RACER_USD:.2f} at once against ${CAP_USD:.2f}. *Input*: the
cost of a call is its input, known before it is asked. *Output*: it is streamed, and nobody knows it before; a tranche at a time.
LiteLLM's is its budget of a session, in memory: its own hook, called as its proxy does, before and after each call. Its
budgets of keys and teams need a database client that does not start here, so they are not measured."""


class Race(NamedTuple):
    """What became of the calls: how many were begun, how many came to their end, and nano-USD that were spent."""

    begun: int
    whole: int
    spent_nano: int


class _Bench:
    """Budgets on a store of their own."""

    def __init__(self, governance: Governance, clock: FakeClock) -> None:
        self.governance, self.clock = governance, clock
        self._ids = itertools.count(1)

    async def set(self, cap_usd: float, levels: tuple[dict[str, Any], ...]) -> None:
        """Enforce these."""
        made = [
            Budget(id=f"b-{facts['name']}", mode="enforce", cap_nano=round(cap_usd * NANO), **facts) for facts in levels
        ]

        def work(connection: Any) -> tuple[None, list[Budget]]:
            for budget in made:
                statements.put_budget(connection, budget)
            return None, made

        await self.governance.budgets.change(work)

    def opening(self, input_bytes: int) -> Opening:
        """An attempt."""
        ident, now_ms = f"c{next(self._ids)}", self.clock.wall_ms()
        caller = Caller("k1", labels=(("task", "bench"), ("team", "bench"), ("workflow", "bench")))
        call = ModelCall(ident, caller, "openai.chat", "gpt-5-mini", now_ms, input_bytes)
        return Opening(f"{ident}.1", call, 1, "openai", "openai", "gpt-5-mini", now_ms)

    async def settle(self, opening: Opening, **counts: int) -> None:
        """It is over."""
        billed = BilledAttempt(model="gpt-5-mini", counts=counts)
        await self.governance.budgets.settle(Served(opening.id, "served", billed=(billed,), at_ms=self.clock.wall_ms()))


def _with(work: Callable[[_Bench], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        with folder() as place:
            clock = FakeClock()
            governance = Governance(
                f"sqlite:///{place / 'g.db'}", clock, GatewaySettings.of({"upstreams": []}, "bench")
            )
            await governance.start()
            try:
                return await work(_Bench(governance, clock))
            finally:
                await governance.stop()

    return asyncio.run(main())


async def _throughput(bench: _Bench) -> tuple[float, float, int]:
    """Attempts a second, ms of processor for each, and how many counts differ from the ledger afterwards."""
    await bench.set(1_000_000, LEVELS)
    began, used = time.perf_counter(), time.process_time()
    done = 0

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() - began < SECONDS:
            opening = bench.opening(400)
            await bench.governance.budgets.open(opening)
            await bench.settle(opening, input=100, output=50)
            done += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    per_s = done / (time.perf_counter() - began)
    cpu_ms = (time.process_time() - used) * 1_000 / done
    return per_s, cpu_ms, len(await bench.governance.budgets.verify("default"))


async def _input_race(bench: _Bench) -> Race:
    tokens = round(RACER_USD * NANO) // INPUT_RATE
    await bench.set(CAP_USD, ({"name": "session"},))
    answered = asyncio.Barrier(RACERS)

    async def one() -> bool:
        opening = bench.opening(tokens)
        try:
            await bench.governance.budgets.open(opening)
        except Refused:
            await answered.wait()
            return False
        await answered.wait()  # all are under way together
        await bench.settle(opening, input=tokens)
        return True

    admitted = sum(await asyncio.gather(*(one() for _ in range(RACERS))))
    return Race(admitted, admitted, await _spent(bench))


async def _output_race(bench: _Bench) -> Race:
    tokens = round(RACER_USD * NANO) // OUTPUT_RATE
    await bench.set(CAP_USD, ({"name": "session"},))

    async def one() -> tuple[bool, bool]:
        opening = bench.opening(0)
        try:
            hold = await bench.governance.budgets.open(opening)
        except Refused:
            return False, False
        seen = await _streamed(hold, tokens)
        await bench.settle(opening, output=seen)
        return True, seen == tokens

    found = await asyncio.gather(*(one() for _ in range(RACERS)))
    return Race(sum(begun for begun, _ in found), sum(whole for _, whole in found), await _spent(bench))


async def _streamed(hold: Hold, tokens: int) -> int:
    """How far an answer of so many tokens comes."""
    seen = 0
    while seen < tokens:
        seen = min(tokens, hold.granted or tokens)
        if seen == tokens:
            break
        try:
            await hold.extend(seen)
        except Refused:
            break
    return seen


async def _spent(bench: _Bench) -> int:
    (account,) = await bench.governance.budgets.accounts("default", "b-session")
    return account.spent_nano


def _litellm() -> Race:
    """Raises CannotRun."""
    python, script = litellm_environment() / "bin" / "python", Path(__file__).parent / "gateways" / "litellm_budget.py"
    command: list[str | Path] = [python, script, str(RACERS), str(RACER_USD), str(CAP_USD)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        last = ([line for line in found.stderr.splitlines() if line.strip()] or ["no reason was given"])[-1]
        raise CannotRun(f"{LITELLM}'s budget could not be run: {last.strip()[:200]}")
    facts = msgspec.json.decode(found.stdout.splitlines()[-1])
    return Race(facts["admitted"], facts["admitted"], round(facts["spent_usd"] * NANO))


def steps(rounds: int) -> int:
    """How many steps a run takes."""
    return rounds + 3


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    per_s, cpu_ms, differences = [], [], 0
    for number in range(1, rounds + 1):
        step(f"reserve + settle, {number}")
        found = _with(_throughput)
        per_s.append(found[0])
        cpu_ms.append(found[1])
        differences += found[2]
    races: list[tuple[str, Race | str]] = []
    for name, race in (("Holdfast, input", _input_race), ("Holdfast, output", _output_race)):
        step(name)
        races.append((name, _with(race)))
    step(LITELLM)
    try:
        races.append((LITELLM, _litellm()))
    except CannotRun as error:
        races.append((LITELLM, str(error)))
    ours = [race for name, race in races if name != LITELLM and isinstance(race, Race)]
    over = max(_over(race) for race in ours)
    verdicts = [
        Verdict("reserve + settle on four levels", f"≥ {LEAST_PER_S:,}/s", f"{median(per_s):,.0f}/s", median(per_s) >= LEAST_PER_S),
        Verdict("a race for the last dollar", "nothing over the cap", f"${over / NANO:.2f} over", over == 0),
    ]  # fmt: skip
    speed = Table(["", "attempts/s", "processor for one, ms", "counts that differ from the ledger"])
    speed.rows.append([f"{CALLERS} callers, four levels", spread(per_s), spread(cpu_ms), str(differences)])
    table = Table(["race", "begun", "came whole", "spent", "over the cap"])
    table.rows += [_row(name, race) for name, race in races]
    return Result("Budgets", METHOD, verdicts, [speed, table])


def _over(race: Race) -> int:
    return max(0, race.spent_nano - round(CAP_USD * NANO))


def _row(name: str, race: Race | str) -> list[str]:
    if isinstance(race, str):
        return [name, race, "", "", ""]
    return [
        name, str(race.begun), str(race.whole), f"${race.spent_nano / NANO:.2f}", f"${_over(race) / NANO:.2f}",
    ]  # fmt: skip
