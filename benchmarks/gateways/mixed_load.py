"""The load of the benchmark of kinds: ``python -m benchmarks.gateways.mixed_load`` is given plans, one JSON object a line, and
answers each with a line of figures.

Programs keep a number of connections busy, one call after another, as long as the plan lasts. People come by chance at a
rate, whether those before them are served or not; each is timed from the moment it was to come, so that nobody who has to
wait keeps others from coming. People begin when the programs have been at it for a while.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

import msgspec
import uvloop

from benchmarks.gateways.load import Connection, Figures, Plan, Run

_STALLED_S = 90.0


class MixedPlan(msgspec.Struct):
    """What to do.

    Attributes:
        seated: what a person asks; ``streams`` of them.
        headless: what programs ask, on so many ``connections`` in all; one plan for each key, None for no programs.
        per_s: people a second, on average.
        seed: of when they come.
        warm_s: how long programs are at it before the first person comes.
    """

    seated: Plan
    headless: list[Plan]
    per_s: float
    seed: int
    warm_s: float = 3.0


class MixedFigures(msgspec.Struct):
    """What came of both, and how long it took."""

    seated: Figures
    headless: Figures
    seconds: float


class _Person(Connection):
    """A connection whose first token is timed from when its call was due."""

    def due(self, at: float) -> None:
        self._began = at


class Mixed:
    """One measurement."""

    def __init__(self, plan: MixedPlan) -> None:
        self._plan = plan
        self._people = Run(plan.seated)
        self._programs = [Run(one) for one in plan.headless]
        self._free: list[_Person] = []

    async def measure(self) -> MixedFigures:
        """Do as planned."""
        workers = [
            asyncio.ensure_future(self._program(run)) for run in self._programs for _ in range(run.plan.connections)
        ]
        if workers:
            await asyncio.sleep(self._plan.warm_s)
        before, began = sum(run.result(0.0).streams for run in self._programs), time.perf_counter()
        await self._come()
        seconds = time.perf_counter() - began
        after = [run.result(seconds) for run in self._programs]
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        for connection in self._free:
            connection.transport.abort()
        programs = Figures(
            sum(one.streams for one in after) - before,
            sum(one.errors for one in after),
            next((one.first_error for one in after if one.first_error), ""),
            seconds,
        )
        return MixedFigures(self._people.result(seconds), programs, seconds)

    async def _come(self) -> None:
        chance = random.Random(self._plan.seed)
        people, due = [], time.perf_counter()
        for _ in range(self._plan.seated.streams):
            due += chance.expovariate(self._plan.per_s)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            people.append(asyncio.ensure_future(self._person(due)))
        await asyncio.gather(*people)

    async def _person(self, due: float) -> None:
        plan = self._plan.seated
        if self._free:
            connection = self._free.pop()
        else:
            loop = asyncio.get_running_loop()
            connection = (await loop.create_connection(lambda: _Person(self._people), plan.host, plan.port))[1]
        connection.send()
        connection.due(due)
        await self._answered(connection)
        if not connection.transport.is_closing():
            self._free.append(connection)

    @staticmethod
    async def _answered(connection: Connection) -> None:
        try:
            async with asyncio.timeout(_STALLED_S):
                complete = await connection.done
        except TimeoutError:
            complete = False
        connection.answered(complete)
        if not complete:
            connection.transport.abort()

    async def _program(self, run: Run) -> None:
        connection: Connection | None = None
        try:
            while True:
                if connection is None or connection.transport.is_closing():
                    make = asyncio.get_running_loop().create_connection(
                        lambda: Connection(run), run.plan.host, run.plan.port
                    )
                    connection = (await make)[1]
                connection.send()
                await self._answered(connection)
        finally:
            if connection is not None:
                connection.transport.abort()


if __name__ == "__main__":
    for line in sys.stdin:
        found = uvloop.run(Mixed(msgspec.json.decode(line, type=MixedPlan)).measure())
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        sys.stdout.flush()
