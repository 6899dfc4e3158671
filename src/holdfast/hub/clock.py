"""Time for the hub: a wall clock that a step of the system's clock cannot move (LOG-10)."""

from __future__ import annotations

import datetime
import time

from holdfast.protocol import limits
from holdfast.visible import logger

log = logger("holdfast.hub")


class Clock:
    """Wall time carried by the monotonic clock.

    The system's wall clock is followed while it drifts; a jump of more than ``limits.CLOCK_STEP_S`` is not followed, so
    deadlines neither fire early nor stall. ``steps`` counts such jumps, and the log tells of each.

    Attributes:
        simulated: whether this is no real time; a server says so to everybody who connects.
    """

    simulated = False

    def __init__(self) -> None:
        self.steps = 0
        self._offset = self._system = time.time() - time.monotonic()

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """Unix milliseconds."""
        return int((time.monotonic() + self._offset) * 1_000)

    def elapsed(self) -> float:
        """Seconds that never run backwards, by which what rests outside sessions is rested: a simulation may pass them
        faster."""
        return self.monotonic()

    def token_ms(self) -> int:
        """Unix milliseconds by which access tokens expire: the time of those who issue them, also where it is simulated for
        all else."""
        return self.wall_ms()

    def simulated_time(self) -> str | None:
        """The time of a simulation, ISO 8601 in UTC, as everybody is told it; None where time is real."""
        if not self.simulated:
            return None
        now = datetime.datetime.fromtimestamp(self.wall_ms() / 1_000, datetime.UTC)
        return now.isoformat(timespec="seconds").replace("+00:00", "Z")

    def follow(self) -> None:
        """Adopt the system's drift; to be called now and then."""
        offset, before = time.time() - time.monotonic(), self._system
        self._system = offset
        if abs(offset - self._offset) <= limits.CLOCK_STEP_S:
            self._offset = offset
        elif abs(offset - before) > limits.CLOCK_STEP_S:
            self.steps += 1
            words = "the system's clock was stepped; this process is now %+.0f seconds from it and stays so until it is restarted"
            log.warning(words, self._offset - offset)
