"""Fairness between a busy event loop and the threads that serve it.

CPython hands its interpreter lock to a waiting thread only when the holder runs on for a whole switch interval. A loop
under load lets go of the lock for microseconds at every system call and takes it back before a waiting thread has woken
up, which also restarts that thread's interval: measured here, one append took 0.3 to 0.8 s beside a saturated loop.
So while work for the threads has been waiting for longer than a commit takes, the loop sleeps for an instant now and
then. An idle loop never gets there.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

PATIENCE_S: Final = 0.002
"""How long work may wait before the loop steps aside; also how often it does."""

SLEEP_S: Final = 0.000_05
"""How long the loop sleeps; with the timer slack of Linux about 0.1 ms."""


class GilFairness:
    """Counts work under way in threads, and gives them the interpreter lock while it takes too long."""

    def __init__(self) -> None:
        self._under_way = 0
        self._finished = 0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._under_way += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._look, self._finished)

    def __exit__(self, *_: object) -> None:
        self._under_way -= 1
        self._finished += 1

    def _look(self, finished_before: int) -> None:
        self._timer = None
        if self._under_way:
            if self._finished == finished_before:
                time.sleep(SLEEP_S)
            self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._look, self._finished)
