"""The one writer: a thread that commits whatever gathered while its last commit ran (group commit).

Outcomes are exact (LOG-7). A refusal concerns one write. A disk error before ``COMMIT`` applied nothing; one at
``COMMIT`` has an unknown outcome, and nothing is served from what it may have left behind until the database was
reopened and its tail made durable (LOG-4). A full disk gives up the reserve and goes on with essential writes only.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final

import apsw

from holdfast.engines.port import Key
from holdfast.engines.sqlite.reserve import DiskReserve
from holdfast.engines.sqlite.rows import StoredSession
from holdfast.engines.sqlite.store import Store
from holdfast.engines.sqlite.transaction import Transaction
from holdfast.engines.sqlite.watch import COMMITTED, DatabaseLost
from holdfast.engines.sqlite.writes import Write
from holdfast.errors import Code, CommitFailed, HoldfastError
from holdfast.protocol import limits
from holdfast.visible import logger

OK: Final = "ok"
FULL: Final = "full"
FAILED: Final = "failed"

CHECK_BYTES: Final = 1 << 20
"""Committed between two looks at the disk."""

log = logger(__name__)

_STOP: Final = object()
_FINISH_CHECKPOINT: Final = object()


class WriterThread:
    """The writing thread and the mode of the engine: ``ok``, ``full`` or ``failed``.

    Args:
        store: open when the thread starts; reopened by it after a failure.
        reserve: given up when the disk is full.
        loop: where results are delivered, once per commit.
        probe_s: seconds between attempts to leave ``full`` or ``failed``.
    """

    def __init__(self, store: Store, reserve: DiskReserve, loop: asyncio.AbstractEventLoop, probe_s: float) -> None:
        self._store = store
        self._reserve = reserve
        self._loop = loop
        self._probe_s = probe_s
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._cached: dict[Key, StoredSession] = {}
        self._thread = threading.Thread(target=self._main, name="holdfast-write", daemon=True)
        self._next_probe = 0.0
        self._unchecked_bytes = 0  # committed since the disk was looked at
        self.error = ""
        self.mode = OK
        self._code: Code = "disk.failed"  # what writes are refused with while it is failed
        if not reserve.allocate():
            self._enter_full()
        self.counters = {"commits": 0, "writes": 0, "commit_bytes": 0, "refused": 0, "failures": 0, "reopened": 0}

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what was submitted, then end the thread; blocks until it did."""
        self._queue.put(_STOP)
        self._thread.join()

    def submit(self, write: Write[Any]) -> None:
        """Queue a write; its ``done`` gets the outcome on the loop."""
        self._queue.put(write)

    def fail(self, error: apsw.Error | DatabaseLost) -> None:
        """What was met elsewhere (a disk error at a checkpoint, a file that is gone) concerns the writer too. Any thread
        may say so."""
        self._queue.put(error)

    def finish_checkpoint(self) -> None:
        """Copy what is left of the write-ahead log between two commits, so that the log can start again."""
        self._queue.put(_FINISH_CHECKPOINT)

    @property
    def queued(self) -> int:
        """Writes that wait for the next group."""
        return self._queue.qsize()

    # --- the thread
    def _main(self) -> None:
        while True:
            group, item = self._gather()
            if group:
                self._commit_or_stop(group)
            if item is _STOP:
                return
            if item is _FINISH_CHECKPOINT:
                self._finish_checkpoint()
            if isinstance(item, apsw.Error):
                self._note_error(item)
            if isinstance(item, DatabaseLost) and self.mode != FAILED:
                self._enter_lost(str(item))
            if self.mode != OK and time.monotonic() >= self._next_probe:
                self._probe()
                self._next_probe = time.monotonic() + self._probe_s

    def _commit_or_stop(self, group: Sequence[Write[Any]]) -> None:
        try:
            self._commit(group)
        except Exception as error:  # a mistake of ours: stop writing and reopen, and let nobody wait for ever
            log.exception("the writer failed unexpectedly")
            self.error = str(error)
            self._enter_failed()
            self._deliver([(write, CommitFailed("unknown", "commit.unknown", str(error))) for write in group])

    def _gather(self) -> tuple[list[Write[Any]], object]:
        """Everything queued, up to the bound of a group, and what stopped the gathering."""
        group: list[Write[Any]] = []
        size = 0
        try:
            item = self._queue.get(timeout=None if self.mode == OK else self._probe_s)
            while isinstance(item, Write):
                group.append(item)
                size += item.size_bytes
                if size >= limits.COMMIT_BYTES:
                    return group, None
                item = self._queue.get_nowait()
        except Empty:
            return group, None
        return group, item

    def _commit(self, group: Sequence[Write[Any]]) -> None:
        watch = self._store.watch
        if self.mode != FAILED and (reason := watch.describe_loss(*COMMITTED)):
            self._enter_lost(reason)
        if self.mode == FULL:
            group = self._refuse(group, "disk.full", lambda write: not write.essential)
        elif self.mode == FAILED:
            group = self._refuse(group, self._code, lambda write: True)
        connection = self._store.writer
        if not group or connection is None:
            return
        if self.mode == OK and not self._fits(sum(write.size_bytes for write in group)):
            self.error = "the disk has little more room than the database needs for what its log holds"
            self._enter_full()
            self._commit(group)
            return
        at_commit = False
        transaction = Transaction(connection, self._cached)
        results: list[tuple[Write[Any], Any]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for write in group:
                try:
                    results.append((write, write.apply(transaction)))
                except HoldfastError as refusal:
                    self.counters["refused"] += 1
                    results.append((write, refusal))
            transaction.flush()
            at_commit = True
            connection.execute("COMMIT")
        except Exception as error:
            self._on_commit_failure(group, error, at_commit)
            return
        if reason := watch.describe_loss(*COMMITTED):  # in a file that nobody will find
            self._enter_lost(reason)
            self._deliver([(write, CommitFailed("unknown", "commit.unknown", reason)) for write in group])
            return
        transaction.update_cache()
        self.counters["commits"] += 1
        self.counters["writes"] += len(group)
        self.counters["commit_bytes"] += sum(write.size_bytes for write in group)
        self._deliver(results)

    def _fits(self, size_bytes: int) -> bool:
        """Whether a group leaves the disk enough room to take what the log holds into the database.

        What is written stands in the log first and then in the database as well: a disk that is full before that has no
        room for anything that would free some. It is looked at now and then, and before large writes.
        """
        self._unchecked_bytes += size_bytes
        if self._unchecked_bytes < CHECK_BYTES:
            return True
        self._unchecked_bytes = 0
        try:
            return self._store.free_bytes() >= 2 * size_bytes + 2 * CHECK_BYTES
        except (apsw.Error, OSError):
            return True  # the write itself will tell

    # --- failures
    def _on_commit_failure(self, group: Sequence[Write[Any]], error: Exception, at_commit: bool) -> None:
        self.error = _describe(error)
        if _is_full(error, at_commit):
            self._roll_back()
            if self.mode != OK:  # even the reserve is used up
                self._refuse(group, "disk.full", lambda write: True)
            else:
                self._enter_full()
                self._commit(group)
        elif at_commit:
            self._enter_failed()
            self._deliver([(write, CommitFailed("unknown", "commit.unknown", _describe(error))) for write in group])
        elif isinstance(error, apsw.IOError):
            self._enter_failed()
            self._deliver([(write, CommitFailed("not_applied", "disk.failed", _describe(error))) for write in group])
        elif len(group) > 1 and not isinstance(error, apsw.BusyError):
            self._roll_back()  # one of them is at fault: each on its own
            for write in group:
                self._commit([write])
        else:
            self._roll_back()
            self._deliver([(write, CommitFailed("not_applied", _code(error), _describe(error))) for write in group])

    def _refuse(
        self, group: Sequence[Write[Any]], code: Code, is_refused: Callable[[Write[Any]], bool]
    ) -> list[Write[Any]]:
        """Refuse some of a group, nothing applied; answers the others."""
        reason = self.error if code == "disk.lost" else ""
        self._deliver([(write, CommitFailed("not_applied", code, reason)) for write in group if is_refused(write)])
        return [write for write in group if not is_refused(write)]

    def _roll_back(self) -> None:
        connection = self._store.writer
        try:
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")
        except apsw.Error:
            self._enter_failed()

    def _note_error(self, error: apsw.Error) -> None:
        self.error = _describe(error)
        if self.mode == OK and _is_full(error, at_commit=False):
            self._enter_full()
        elif self.mode != FAILED and isinstance(error, apsw.IOError):
            self._enter_failed()

    def _enter_full(self) -> None:
        self.mode = FULL
        self._store.save_space(self._reserve.size_bytes // 2)
        self._reserve.release()
        self._next_probe = time.monotonic() + self._probe_s

    def _enter_lost(self, reason: str) -> None:
        """Not into a file that is not that of its name. Nothing is opened anew before the very same is back."""
        log.error("%s; writing stops", reason)
        self.error = reason
        self._store.rescue()
        self._enter_failed("disk.lost")

    def _enter_failed(self, code: Code = "disk.failed") -> None:
        self.mode, self._code = FAILED, code
        self.counters["failures"] += 1
        self._cached.clear()
        self._store.close_writing()
        self._next_probe = time.monotonic() + self._probe_s

    def _finish_checkpoint(self) -> None:
        connection = self._store.writer
        if connection is not None and self.mode == OK:
            try:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.BusyError:
                pass
            except apsw.Error as error:
                self._note_error(error)

    # --- recovery
    def _probe(self) -> None:
        if self.mode == FAILED and not self._reopen():
            return
        if self._has_space():
            self.mode = OK
            self._store.save_space(None)
        else:
            self._enter_full()

    def _has_space(self) -> bool:
        """Whether what the log holds found its place in the database, and the reserve its own beside it."""
        try:
            self._store.checkpoint()
        except apsw.BusyError:
            pass
        except (apsw.Error, OSError):
            return False
        return self._reserve.allocate()

    def _reopen(self) -> bool:
        """Reads go on from the last durable commit until a probe succeeds; then everything is closed and reopened."""
        if reason := self._store.watch.describe_loss():
            self.error, self._code = reason, "disk.lost"
            return False
        try:
            self._store.probe()
            self._store.close()
            self._store.open()
        except (apsw.Error, HoldfastError, OSError, DatabaseLost) as error:
            self.error = _describe(error)
            if _is_full(error, at_commit=False):
                self._reserve.release()
            return False
        self.counters["reopened"] += 1
        return True

    def _deliver(self, results: list[tuple[Write[Any], Any]]) -> None:
        if results:
            try:
                self._loop.call_soon_threadsafe(_resolve, results)
            except RuntimeError:
                pass  # the loop is closed: nobody waits any more


def _resolve(results: list[tuple[Write[Any], Any]]) -> None:
    for write, result in results:
        if not write.done.done():
            if isinstance(result, Exception):
                write.done.set_exception(result)
            else:
                write.done.set_result(result)


def _is_full(error: Exception, at_commit: bool) -> bool:
    """Whether nothing was applied for want of space. A sync that ran out of space at ``COMMIT`` is not that: unknown."""
    if isinstance(error, apsw.FullError):
        return True
    return not at_commit and getattr(error, "extendedresult", None) == apsw.SQLITE_IOERR_SHMSIZE


def _describe(error: Exception) -> str:
    """The message with SQLite's extended code by name, which says what failed: a read, a write, a sync."""
    code = getattr(error, "extendedresult", None)
    name = apsw.mapping_extended_result_codes.get(code) if code is not None else None
    return f"{error} ({name})" if name else str(error)


def _code(error: Exception) -> Code:
    if isinstance(error, apsw.BusyError):
        return "server.busy"
    return "engine.corrupt" if isinstance(error, (apsw.CorruptError, apsw.NotADBError)) else "server.internal"
