"""The company's clock: it goes as the simulation says, and stands still when that is over."""

from __future__ import annotations

from typing import Final

from holdfast.hub.clock import Clock

PACE: Final = 100.0
"""How many simulated seconds pass in one real second while work is done: a local model answers faster than a real one."""


class CompanyClock(Clock):
    """Simulated wall time. What is measured, such as leases and health, goes by real time; so a server goes on serving when
    the simulation is over and the wall time stands.

    Args:
        now_ms: where it begins, Unix ms.
    """

    simulated = True

    def __init__(self, now_ms: int) -> None:
        super().__init__()
        self._now_ms = now_ms
        self._until_ms = now_ms
        self._since_s = self.monotonic()
        self._skipped_s = 0.0

    def elapsed(self) -> float:
        """Real seconds, and those that the simulation skipped: an upstream that rests does so for simulated seconds."""
        return self.monotonic() + self._skipped_s

    def wall_ms(self) -> int:
        """Unix milliseconds of the simulation."""
        passed_ms = int((self.monotonic() - self._since_s) * 1_000 * PACE)
        return min(self._now_ms + passed_ms, self._until_ms)

    def token_ms(self) -> int:
        """Tokens are of the real world: those who sign them know no simulation."""
        return super().wall_ms()

    def follow(self) -> None:
        """Nothing drifts here but the time of tokens."""
        super().follow()

    def move(self, now_ms: int, most_ms: int = 0) -> None:
        """Let it be another time, and let time go on from there for at most so many ms. It never goes back.

        Raises:
            ValueError: for a time that has been.
        """
        if now_ms < self.wall_ms():
            raise ValueError(f"{now_ms} has been: it is {self.wall_ms()}")
        self._skipped_s += (now_ms - self.wall_ms()) / 1_000
        self._now_ms, self._until_ms, self._since_s = now_ms, now_ms + most_ms, self.monotonic()

    def stand(self) -> None:
        """Let it stay the time that it is."""
        self.move(self.wall_ms())
