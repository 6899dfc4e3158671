"""Checkpoints on a timer of our own, beside the writer and not in its way."""

from __future__ import annotations

import threading

import apsw

from holdfast.engines.sqlite.store import Store
from holdfast.engines.sqlite.writer import Writer
from holdfast.protocol import limits


class Checkpointer:
    """A thread that copies the write-ahead log into the database every ``limits.CHECKPOINT_S``.

    A passive checkpoint blocks neither readers nor the writer, but under steady load never catches up with it, and the
    log starts again from its beginning only when it was copied whole. So when the log has grown beyond
    ``limits.CHECKPOINT_PAGES`` the writer copies the rest, which is small by then, between two commits.
    """

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store = store
        self._writer = writer
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
        while not self._stopped.wait(limits.CHECKPOINT_S):
            commits = self._writer.counters["commits"]
            if commits == self._seen_commits:
                continue
            self._seen_commits = commits
            try:
                pages, copied = self._store.checkpoint()
                if pages > limits.CHECKPOINT_PAGES and copied < pages:
                    self._writer.finish_checkpoint()
            except apsw.BusyError:
                continue
            except apsw.Error as error:
                self._writer.fail(error)
