"""Runs cases against a driver, several at a time, each with a driver process to itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conformance import play_fold, play_live, play_script
from conformance.cases import Case
from conformance.driver import WAIT_S, Driver, DriverGone
from conformance.match import Mismatch
from conformance.site import Site, serving
from holdfast.protocol.codec import canonical


@dataclass(frozen=True)
class Outcome:
    """What came of one case: ``problem`` is empty when it holds. ``took_s`` is for people to look at."""

    case: Case
    problem: str
    took_s: float

    @property
    def passed(self) -> bool:
        """Whether the client does what the case asks."""
        return not self.problem


OutcomeCallback = Callable[[Outcome], None]


async def run(
    cases: Sequence[Case],
    command: str,
    *,
    jobs: int = 4,
    wait_s: float = WAIT_S,
    first: bool = False,
    on_outcome: OutcomeCallback = lambda outcome: None,
) -> list[Outcome]:
    """Run cases and return what came of each, in their order.

    Args:
        command: starts a driver (DRIVER.md).
        jobs: driver processes at a time.
        wait_s: how long anything a client owes may take.
        first: stop at the first case that does not hold; only the cases played are returned.
        tell: called with each outcome as it comes.
    """
    queue = [*enumerate(cases)]
    queue.sort(key=lambda numbered: not numbered[1].body.get("slow", False))  # what takes long begins first
    queue.reverse()
    outcomes: dict[int, Outcome] = {}

    async def work(site: Site) -> None:
        while queue:
            driver = await Driver.start(command, wait_s)
            try:
                while queue:
                    number, case = queue.pop()
                    outcome = outcomes[number] = await one(case, driver, site)
                    on_outcome(outcome)
                    if not outcome.passed:
                        if first:
                            queue.clear()
                        break  # the next case gets a process that nothing happened to
                    await driver.reset()
            finally:
                await driver.stop()

    async with serving() as site, asyncio.TaskGroup() as group:
        for _ in range(min(jobs, len(cases))):
            group.create_task(work(site))
    return [outcomes[number] for number in sorted(outcomes)]


async def one(case: Case, driver: Driver, site: Site) -> Outcome:
    """Play one case."""
    began, problem = time.perf_counter(), ""
    try:
        if case.kind == "fold":
            await play_fold.play(case, driver)
        elif case.kind == "conversation":
            await play_fold.play_conversation(case, driver)
        elif case.kind == "script":
            await play_script.play(case, driver)
        else:
            await play_live.play(case, driver, site)
    except (Mismatch, DriverGone) as error:
        problem = str(error)
    return Outcome(case, problem, time.perf_counter() - began)


async def folds(command: str, logs: Sequence[str]) -> list[bytes]:
    """The canonical views a driver makes of whole logs, each given as a JSON array of events."""
    driver = await Driver.start(command)
    try:
        return [canonical((await play_fold.fold(driver, log))["view"]) for log in logs]
    finally:
        await driver.stop()
