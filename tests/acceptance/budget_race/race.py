"""The race, round by round. Each has a workflow, a key and a tight budget of its own below the team's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.gateway.settings import GatewaySettings
from holdfast.governance.app import Governance
from holdfast.governance.budgets import store as statements
from holdfast.governance.budgets.model import Budget
from holdfast.governance.keys.model import KeyRequest
from holdfast.hub.clock import Clock
from tests.acceptance.budget_race.books import AccountLine, Books
from tests.fake_upstream.process import FakeUpstream

PROCESSES: Final = 16
INPUT_NANO, OUTPUT_NANO = 250, 2_000
"""What a token of gpt-5-mini costs."""
TEAM: Final = "race"
LATE_S: Final = 60.0


class Finished(NamedTuple):
    """What became of one call, as its caller saw it. ``tokens``: what it would have had answered."""

    round: int
    id: str
    tokens: int
    status: int
    seen: int


class Verdict(NamedTuple):
    """One round, nano-USD.

    Attributes:
        truth: what the provider bills for it.
        most: the most that was spent and held at any instant that was looked at.
        finished: the calls.
        left: attempts that held money when all was over.
        kills: what was killed.
    """

    round: int
    cap: int
    truth: int
    spent: int
    most: int
    finished: tuple[Finished, ...]
    left: int
    kills: tuple[str, ...]

    @property
    def over(self) -> bool:
        """Whether more was spent than may be."""
        return self.truth > self.cap or self.most > self.cap

    @property
    def falsely_refused(self) -> list[Finished]:
        """Calls that were refused though what all others really cost left the money for them."""
        left = self.cap - self.truth
        return [
            one
            for one in self.finished
            if one.status in (402, 429) and one.tokens * OUTPUT_NANO + 800 * INPUT_NANO <= left
        ]


class Race:
    """One database, its gateways and its callers."""

    def __init__(
        self, folder: Path, database: str, fake: FakeUpstream, *, gateways: int, meter: str, seed: int
    ) -> None:
        self._folder, self.database, self._fake, self._meter = folder, database, fake, meter
        self._rng = random.Random(seed)
        self._names = [f"g{n}" for n in range(gateways)]
        self._ports = {name: _free_port() for name in self._names}
        self._pids: dict[str, int] = {}
        self._ready: dict[str, asyncio.Event] = {name: asyncio.Event() for name in self._names}
        self._keys: list[str] = []
        self._caps: list[int] = []
        self._callers: list[asyncio.subprocess.Process] = []
        self.books = Books(database)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what is there before it begins
    async def prepare(self, rounds: int, cap_nano: Callable[[random.Random], int]) -> None:
        """Describe the company, and make a key and a budget for every round."""
        self._settings = self._folder / "gateway.yaml"
        self._settings.write_text(
            f"upstreams:\n- {{name: openai, url: '{self._fake.url}/v1', provider: openai, models: ['gpt-*'], retries: 0}}\n"
        )
        governance = Governance(self.database, Clock(), GatewaySettings())
        await governance.start()
        try:
            self._caps = [cap_nano(self._rng) for _ in range(rounds)]
            budgets = []
            for number in range(rounds):
                request = KeyRequest(workflow=f"race-{number}", team=TEAM, task="run", usage="headless")
                self._keys.append((await governance.keys.create(request, by="user:ann", declare=True)).secret)
                facts = {"mode": "enforce", "span": "total", "cap_nano": self._caps[number]}
                budgets.append(
                    Budget(id=f"r{number}", name=f"race-{number}", scope={"workflow": f"race-{number}"}, **facts)
                )
            whole = sum(self._caps)
            budgets.append(
                Budget(id="team", name="team", scope={"team": TEAM}, mode="enforce", span="month", cap_nano=whole)
            )
            budgets.append(Budget(id="all", name="all", mode="enforce", span="year", cap_nano=whole))
            budgets.append(Budget(id="run", name="run", each="run", mode="enforce", span="total", cap_nano=whole))

            def work(connection: object) -> tuple[None, list[Budget]]:
                for budget in budgets:
                    statements.put_budget(connection, budget)  # type: ignore[arg-type]
                return None, budgets

            await governance.budgets.change(work)
        finally:
            await governance.stop()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Gateways and callers, while it lasts."""
        self._forge = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.acceptance.budget_race.gateways", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        reading = asyncio.ensure_future(self._hear())
        try:
            for name in self._names:
                await self._start(name)
            self._callers = [await self._new_caller() for _ in range(PROCESSES)]
            yield
        finally:
            reading.cancel()
            for process in self._callers:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            assert self._forge.stdin is not None
            self._forge.stdin.close()
            await self._forge.wait()
            await self.books.close()

    async def _hear(self) -> None:
        assert self._forge.stdout is not None
        while line := (await self._forge.stdout.readline()).decode().split():
            if line[0] == "pid":
                self._pids[line[1]] = int(line[2])
            elif line[0] == "ready":
                self._ready[line[1]].set()

    async def _start(self, name: str) -> None:
        assert self._forge.stdin is not None
        self._ready[name].clear()
        words = f"start {name} {self.database} {self._settings} {self._ports[name]} {self._meter}\n"
        self._forge.stdin.write(words.encode())
        async with asyncio.timeout(LATE_S):
            await self._ready[name].wait()

    async def _new_caller(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-S", "tests/acceptance/budget_race/caller.py", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )  # fmt: skip

    # --- a round
    async def round(self, number: int, *, kill: str = "") -> Verdict:
        """One round: every caller calls once; ``kill`` is ``caller``, ``gateway``, ``both`` or empty."""
        self._fake.reset()
        urls = " ".join(f"http://127.0.0.1:{self._ports[name]}" for name in self._names)
        gathered = [
            asyncio.ensure_future(self._lines(process, number, f"{self._keys[number]} {number} {self._rng.random()} {urls}\n"))
            for process in self._callers
        ]  # fmt: skip
        most: list[int] = [0]
        watching = asyncio.ensure_future(self._watch(number, most))
        kills = await self._kill(kill)
        finished = [one for lines in await asyncio.gather(*gathered) for one in lines]
        await self._all_over()
        watching.cancel()
        mine = await self._account(f"race-{number}")
        truth = await asyncio.to_thread(self._truth, number)
        return Verdict(
            number, self._caps[number], truth, mine.spent, max(most[0], mine.spent + mine.held), tuple(finished),
            mine.attempts, tuple(kills),
        )  # fmt: skip

    async def _lines(self, process: asyncio.subprocess.Process, number: int, words: str) -> list[Finished]:
        assert process.stdin is not None and process.stdout is not None
        found: list[Finished] = []
        with contextlib.suppress(ConnectionError):
            process.stdin.write(words.encode())
            await process.stdin.drain()
            async with asyncio.timeout(LATE_S):
                while line := (await process.stdout.readline()).decode().split():
                    if line[0] == "done":
                        return found
                    found.append(Finished(int(line[1]), line[2], *map(int, line[3:])))
        self._callers[self._callers.index(process)] = await self._new_caller()  # it was killed
        return found

    async def _watch(self, number: int, most: list[int]) -> None:
        while True:
            account = await self._account(f"race-{number}")
            most[0] = max(most[0], account.spent + account.held)
            await asyncio.sleep(0.02)

    async def _kill(self, what: str) -> list[str]:
        killed = []
        if what in ("caller", "both"):
            await asyncio.sleep(self._rng.random() * 0.5)
            process = self._rng.choice(self._callers)
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            killed.append("caller")
        if what in ("gateway", "both"):
            await asyncio.sleep(self._rng.random() * 0.5)
            name = self._rng.choice(self._names)
            os.kill(self._pids[name], signal.SIGKILL)
            killed.append(f"gateway {name}")
            await self._start(name)
        return killed

    async def _all_over(self) -> None:
        """Wait until no attempt is open: the lost ones, too, are settled by those who live."""
        async with asyncio.timeout(3 * LATE_S):
            while await self.books.open_attempts():
                await asyncio.sleep(0.05)

    async def _account(self, name: str) -> AccountLine:
        return next(one for one in await self.books.accounts() if one.name == name)

    def _truth(self, number: int) -> int:
        started = self._fake.stats().started
        requests = [one for one in self._fake.stats(ended=started).requests if f"round {number} " in one.body]
        return sum(one.input * INPUT_NANO + one.generated * OUTPUT_NANO for one in requests if one.outcome != "refused")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
