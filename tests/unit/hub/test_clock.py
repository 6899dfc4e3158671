"""The wall clock: it drifts with the system's, and no step moves it."""

from __future__ import annotations

import pytest

from holdfast.hub import clock as module
from holdfast.hub.clock import Clock


class System:
    """What the machine says."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_800_000_000.0, 500.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    found = System()
    monkeypatch.setattr(module, "time", found)
    return found


def test_what_ntp_corrects_is_followed(system: System) -> None:
    clock = Clock()
    for step in (0.4, -0.3, 20.0, -50.0):
        system.wall += step
        clock.follow()
        assert clock.wall_ms() == int(system.wall * 1_000)
    assert clock.steps == 0


@pytest.mark.parametrize("step", [-2_600_000.0, -61.0, 61.0, 2_600_000.0])
def test_a_step_is_not_followed_and_told_once(system: System, caplog: pytest.LogCaptureFixture, step: float) -> None:
    clock, began = Clock(), system.wall
    system.wall += step
    for _ in range(3):
        system.passes(1)
        clock.follow()
    assert clock.wall_ms() == int((began + 3) * 1_000)
    assert clock.steps == 1 and len(caplog.records) == 1
    assert f"{-step:+.0f} seconds" in caplog.text
    system.wall -= step  # somebody puts it right again
    clock.follow()
    system.wall += 2
    clock.follow()
    assert clock.wall_ms() == int(system.wall * 1_000), "then it is followed again"
