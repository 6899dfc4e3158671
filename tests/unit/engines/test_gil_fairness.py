"""The loop steps aside for the engine's threads only while their work waits too long."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.engines.sqlite import gil_fairness
from holdfast.engines.sqlite.gil_fairness import GilFairness

pytestmark = pytest.mark.anyio


@pytest.fixture
def breaths(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr(gil_fairness.time, "sleep", taken.append)
    return taken


async def test_work_that_waits_makes_the_loop_breathe_until_it_is_done(breaths: list[float]) -> None:
    subject = GilFairness()
    with subject:
        while len(breaths) < 3:
            await asyncio.sleep(0)
    taken = len(breaths)
    await asyncio.sleep(gil_fairness.PATIENCE_S * 5)
    assert len(breaths) == taken


async def test_progress_since_the_last_look_costs_no_breath(breaths: list[float]) -> None:
    subject = GilFairness()
    with subject:
        with subject:
            pass
        subject._look(0)  # one was finished since
        assert breaths == []
        subject._look(1)
        assert breaths == [gil_fairness.SLEEP_S]
