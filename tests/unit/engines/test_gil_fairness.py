"""The loop steps aside for the engine's threads only while their work waits too long."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.engines.sqlite import gil_fairness
from holdfast.engines.sqlite.gil_fairness import GilFairness

pytestmark = pytest.mark.anyio


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    durations: list[float] = []
    monkeypatch.setattr(gil_fairness.time, "sleep", durations.append)
    return durations


async def test_work_that_waits_makes_the_loop_step_aside_until_it_is_done(sleeps: list[float]) -> None:
    subject = GilFairness()
    with subject:
        while len(sleeps) < 3:
            await asyncio.sleep(0)
    count = len(sleeps)
    await asyncio.sleep(gil_fairness.PATIENCE_S * 5)
    assert len(sleeps) == count


async def test_progress_since_the_last_look_costs_no_sleep(sleeps: list[float]) -> None:
    subject = GilFairness()
    with subject:
        with subject:
            pass
        subject._look(0)  # one was finished since
        assert sleeps == []
        subject._look(1)
        assert sleeps == [gil_fairness.SLEEP_S]
