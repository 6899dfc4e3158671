"""The company's clock goes as the simulation says, and what is measured goes on when it stands."""

from __future__ import annotations

import pytest

from holdfast.company.clock import PACE, CompanyClock
from holdfast.hub.clock import Clock

NOON_MS = 1_788_782_400_000  # 2026-09-07T12:00:00Z


class Measured(CompanyClock):
    """Its real time is what a test says."""

    now_s = 50.0

    def monotonic(self) -> float:
        return self.now_s


def test_time_passes_faster_and_no_farther_than_it_may() -> None:
    clock = Measured(NOON_MS)
    assert clock.wall_ms() == NOON_MS
    clock.now_s += 5
    assert clock.wall_ms() == NOON_MS, "nothing moves by itself"
    clock.move(NOON_MS + 1_000, 60_000)
    clock.now_s += 0.25
    assert clock.wall_ms() == NOON_MS + 1_000 + round(250 * PACE)
    clock.now_s += 3_600
    assert clock.wall_ms() == NOON_MS + 61_000
    clock.stand()
    assert clock.wall_ms() == NOON_MS + 61_000
    assert clock.simulated_time() == "2026-09-07T12:01:01Z"
    with pytest.raises(ValueError, match="has been"):
        clock.move(NOON_MS)


def test_what_rests_has_rested_when_days_were_skipped() -> None:
    clock = Measured(NOON_MS)
    before_s = clock.elapsed()
    clock.move(NOON_MS + 86_400_000)
    rested_s = clock.elapsed() - before_s
    assert rested_s == 86_400


def test_tokens_are_of_the_real_world_and_a_real_clock_says_nothing() -> None:
    assert abs(CompanyClock(NOON_MS).token_ms() - Clock().wall_ms()) < 60_000
    assert Clock().simulated_time() is None
