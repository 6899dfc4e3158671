"""Copying the write-ahead log into the SQLite file, beside the writer and not in its way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import apsw

from holdfast.errors import HoldfastError
from holdfast.governance import limits
from holdfast.governance.store.sqlite_file import SqliteFile
from holdfast.visible import logger

log = logger(__name__)


class Checkpoints:
    """A thread that copies the log when it has grown.

    A passive checkpoint waits for nobody, but the log starts again from its beginning only when everything of it has been
    copied, which never happens beside a busy writer. So the writer is asked to copy the little that came meanwhile.

    Args:
        file: the store.
        finish: asks the writer for that, from this thread.
    """

    def __init__(self, file: SqliteFile, finish: Callable[[], None]) -> None:
        self._file = file
        self._finish = finish
        self._running = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="holdfast-store-checkpoint")
        self._connection: apsw.Connection | None = None

    def note(self, _connection: object, _database: str, pages: int) -> int:
        """SQLite says after each commit how long the log is (https://www.sqlite.org/c3ref/wal_hook.html)."""
        if pages > limits.STORE_CHECKPOINT_PAGES and not self._running:
            self._running = True
            self._thread.submit(self._run)
        return apsw.SQLITE_OK

    def _run(self) -> None:
        try:
            if self._connection is None:
                self._connection = self._file.connect_raw(write=True)
            before = 0
            while True:
                pages, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                if pages - copied < limits.STORE_REST_PAGES or copied <= before:
                    break
                before = copied
            self._finish()
        except apsw.BusyError:
            pass  # the writer does it already
        except (apsw.Error, HoldfastError) as error:  # the log keeps what was not copied; a commit will tell as well
            log.warning("the store's log could not be copied into %s: %s", self._file.path, error)
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close(True)
        finally:
            self._running = False

    def close(self) -> None:
        """End the thread; blocks until it did."""
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close(True)
