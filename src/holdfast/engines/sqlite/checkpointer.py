"""Checkpoints on a timer of our own, beside the writer and not in its way."""

from __future__ import annotations

import threading
from typing import Final

import apsw

from holdfast.engines.sqlite.store import Store
from holdfast.engines.sqlite.watch import DatabaseLost
from holdfast.engines.sqlite.writer import FAILED, FULL, WriterThread

PASSES: Final = 8
"""Most attempts to catch up with the writer in one checkpoint."""

REST_PAGES: Final = 512
"""A rest so small that the writer may copy it itself, between two commits."""

BUSY_S: Final = 0.1
"""Pause between checkpoints while the log grows quickly."""


class Checkpointer:
    """A thread that copies the write-ahead log into the database every ``interval_s``, and sees whether both are there.

    A passive checkpoint blocks neither readers nor the writer, but under steady load it never has copied everything,
    and the log starts again from its beginning only then. So when the log has grown beyond ``pages``
    the passes go on until what came meanwhile is little, and the writer copies that rest between two commits.
    """

    def __init__(self, store: Store, writer: WriterThread, interval_s: float, pages: int) -> None:
        self._store = store
        self._writer = writer
        self._interval_s = interval_s
        self._pages = pages
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._main, name="holdfast-checkpoint", daemon=True)
        self._seen_commits = -1

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; blocks until it did."""
        self._stopped.set()
        self._thread.join()

    def _main(self) -> None:
        pause_s = self._interval_s
        while not self._stopped.wait(pause_s):
            pause_s = self._interval_s
            if self._writer.mode != FAILED and (reason := self._store.watch.describe_loss()):
                self._writer.fail(DatabaseLost(reason))
                continue
            commits = self._writer.counters["commits"]
            if commits == self._seen_commits and self._writer.mode != FULL:
                continue
            self._seen_commits = commits
            try:
                if self._catch_up() > self._pages:
                    self._writer.finish_checkpoint()
                    pause_s = min(BUSY_S, self._interval_s)
            except (apsw.BusyError, OSError):
                continue
            except apsw.Error as error:
                self._writer.fail(error)

    def _catch_up(self) -> int:
        """Copy the log until little is left; answers its length in pages."""
        pages = before = 0
        for _ in range(PASSES):
            pages, copied = self._store.checkpoint()
            if pages <= self._pages or 0 <= copied - before < REST_PAGES:
                break
            before = copied
        return pages
