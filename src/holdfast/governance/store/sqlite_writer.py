"""The one writer of a SQLite store: a thread that commits whatever gathered while its last commit ran (group commit).

Outcomes are exact. An error before ``COMMIT`` applied nothing; one at ``COMMIT`` leaves open what is there
(``CommitFailed.outcome``). After either the file is closed, opened again and made durable before anything else is written.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final

import apsw
from sqlalchemy import Connection

from holdfast.engines.sqlite.watch import COMMITTED, FileWatch
from holdfast.errors import Code, CommitFailed, HoldfastError, Unavailable
from holdfast.governance import limits
from holdfast.governance.store.apsw_dbapi import result_of
from holdfast.governance.store.checkpoints import Checkpoints
from holdfast.governance.store.group import GroupLost, Outcome, QueuedWork, apply
from holdfast.governance.store.sqlite_file import SqliteFile, close, make_durable, mark_closed, raw
from holdfast.visible import logger

log = logger(__name__)

_STOP: Final = object()
_FINISH_CHECKPOINT: Final = object()


class SqliteWriter:
    """The writing thread.

    Args:
        file: what it writes to.
        connection: the first one, open; the thread's own from its start on.
        watch: whether the names of the files still mean those that are open.
        loop: where outcomes are delivered, once per commit.

    Attributes:
        error: what failed, until a commit succeeds again; empty when nothing did.
        counters: commits, pieces of work written, failures, openings after a failure.
    """

    def __init__(
        self, file: SqliteFile, connection: Connection, watch: FileWatch, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._file = file
        self._connection: Connection | None = None
        self._watch = watch
        self._loop = loop
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._thread = threading.Thread(target=self._main, name="holdfast-store-write", daemon=True)
        self._checkpoints = Checkpoints(file, lambda: self._queue.put(_FINISH_CHECKPOINT))
        self._next_probe = 0.0
        self._synced = True
        self._code: Code = "store.unavailable"  # what writes are refused with until it is open again
        self.error = ""
        self.counters = {"commits": 0, "written": 0, "failures": 0, "reopened": 0}
        self._adopt(connection)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what was submitted, end the thread, copy the log into the file and close; blocks until all that is done."""
        self._queue.put(_STOP)
        self._thread.join()
        if self._connection is not None:
            raw(self._connection).set_wal_hook(None)  # the last commit, below, is copied below
        self._checkpoints.close()
        if self._connection is not None:
            try:
                if not self._watch.describe_loss():
                    mark_closed(raw(self._connection))
                    raw(self._connection).wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.Error:
                pass  # the log keeps what could not be copied; the next opening recovers it
        self._close()

    def submit(self, piece: QueuedWork) -> None:
        """Queue a piece of work.

        Raises:
            Unavailable: ``store.busy`` when as much waits as may.
        """
        if self._queue.qsize() >= limits.STORE_WAITING:
            raise Unavailable("store.busy", f"{limits.STORE_WAITING} pieces of work wait to be written to the store")
        self._queue.put(piece)

    @property
    def waiting(self) -> int:
        """Pieces of work that wait for the next group."""
        return self._queue.qsize()

    # --- the thread
    def _main(self) -> None:
        item: object = None
        while item is not _STOP:
            group, item = self._gather()
            if group:
                try:
                    self._commit(group)
                except BaseException as error:  # a mistake of ours: let nobody wait for ever, and begin anew
                    log.exception("the writer of the store failed unexpectedly")
                    self._fail(group, "commit.unknown", f"{type(error).__name__}: {error}")
            elif self._connection is None:
                self._reopen()
            if item is _FINISH_CHECKPOINT and self._connection is not None:
                self._finish_checkpoint(raw(self._connection))

    def _gather(self) -> tuple[list[QueuedWork], object]:
        """What is queued, up to the bound of a group, and what stopped the gathering."""
        group: list[QueuedWork] = []
        size = 0
        try:
            item = self._queue.get(timeout=None if self._connection is not None else limits.STORE_PROBE_S)
            while isinstance(item, QueuedWork):
                group.append(item)
                size += item.size
                if size >= limits.STORE_GROUP:
                    return group, None
                item = self._queue.get_nowait()
        except Empty:
            return group, None
        return group, item

    def _commit(self, group: Sequence[QueuedWork]) -> None:
        if self._connection is None:
            self._reopen()
        connection = self._connection
        if connection is None:
            return self._refuse(group, "not_applied", self._code, self.error)
        if reason := self._watch.describe_loss(*COMMITTED):
            return self._fail(group, "disk.lost", reason)
        database = raw(connection)
        at_commit = False
        try:
            self._wait_for_disk(database, any(piece.synced for piece in group))
            database.execute("BEGIN IMMEDIATE")
            outcomes = apply(connection, group)
            at_commit = True
            database.execute("COMMIT")
        except (apsw.Error, GroupLost) as error:
            return self._on_failure(group, error.cause if isinstance(error, GroupLost) else error, at_commit)
        if reason := self._watch.describe_loss(*COMMITTED):  # in a file that nobody will find
            return self._fail(group, "commit.unknown", reason)
        self.error = ""
        self.counters["commits"] += 1
        self.counters["written"] += len(group)
        return self._deliver(outcomes)

    def _wait_for_disk(self, database: apsw.Connection, synced: bool) -> None:
        """Whether the next commit waits until the disk has it, and with it all that was committed before."""
        if synced != self._synced:
            database.execute("PRAGMA synchronous=FULL" if synced else "PRAGMA synchronous=NORMAL")
            self._synced = synced

    def _finish_checkpoint(self, database: apsw.Connection) -> None:
        try:
            database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            pass  # the other thread is at it again
        except apsw.Error as error:
            log.warning("the store's log could not be copied into %s: %s", self._file.path, error)

    # --- failures
    def _on_failure(self, group: Sequence[QueuedWork], error: BaseException, at_commit: bool) -> None:
        original = getattr(error, "orig", error)
        full = result_of(original) & 0xFF == apsw.SQLITE_FULL
        if at_commit and not full:  # a sync that failed says nothing of what the disk holds
            return self._fail(group, "commit.unknown", str(original))
        return self._fail(group, "disk.full" if full else "store.unavailable", str(original))

    def _fail(self, group: Sequence[QueuedWork], code: Code, reason: str) -> None:
        log.error("the store cannot write to %s: %s", self._file.path, reason)
        self.error = reason
        self._code = "store.unavailable" if code == "commit.unknown" else code
        self.counters["failures"] += 1
        self._close()
        self._refuse(group, "unknown" if code == "commit.unknown" else "not_applied", code, reason)

    def _refuse(self, group: Sequence[QueuedWork], outcome: str, code: Code, reason: str) -> None:
        self._deliver([Outcome(piece, error=CommitFailed(outcome, code, reason)) for piece in group])

    def _reopen(self) -> None:
        """Open the file again, not more often than now and then. Nothing is opened in the place of a file that is lost."""
        if time.monotonic() < self._next_probe:
            return
        self._next_probe = time.monotonic() + limits.STORE_PROBE_S
        if reason := self._watch.describe_loss():
            self.error, self._code = reason, "disk.lost"
            return
        try:
            connection = self._file.connect(write=True)
        except HoldfastError as error:
            self.error = error.detail
            return
        try:
            make_durable(raw(connection))
        except apsw.Error as error:
            self.error = str(error)
            close(connection)
            return
        self.counters["reopened"] += 1
        self.error = ""
        self._adopt(connection)

    def _adopt(self, connection: Connection) -> None:
        raw(connection).set_wal_hook(self._checkpoints.note)
        self._connection = connection
        self._synced = True

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            close(connection)

    def _deliver(self, outcomes: Sequence[Outcome]) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, outcomes)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more


def _resolve(outcomes: Sequence[Outcome]) -> None:
    for piece, result, error in outcomes:
        if piece.done.done():
            continue  # its caller has left
        if error is None:
            piece.done.set_result(result)
        else:  # a future takes no StopIteration
            piece.done.set_exception(RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
