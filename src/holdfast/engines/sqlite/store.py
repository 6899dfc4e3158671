"""The open database: its connections, how they are set up, and how they are made to agree with the disk."""

from __future__ import annotations

import os
import threading
from typing import Any, Final
from urllib.parse import quote

import apsw

from holdfast.engines.sqlite import lives, schema
from holdfast.engines.sqlite.reader import ReaderPool
from holdfast.engines.sqlite.watch import DatabaseLost, FileWatch
from holdfast.errors import HoldfastError
from holdfast.visible import logger

BUSY_MS: Final = 5_000
"""How long to wait for a foreign process (a shell, a backup) that holds a lock for a moment."""

CHECKPOINT_BUSY_MS: Final = 100
"""How long a checkpoint that wants the whole log may hold up the writer for the sake of a slow reader."""

WRITER_CACHE_KIB: Final = 16_384
READER_CACHE_KIB: Final = 4_096
WAL_KEPT_BYTES: Final = 128 << 20
"""A write-ahead log that grew beyond this is cut back when it starts again."""


log = logger(__name__)


def connect(path: str, *, vfs: str | None, write: bool) -> apsw.Connection:
    """Open one connection; nothing is written yet.

    A database without a log is in nobody's use. Whoever only reads it opens it as a file that does not change, which leaves
    no empty log behind: that there was none matters.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if write else apsw.SQLITE_OPEN_READONLY
    if not write and vfs is None and os.path.exists(path) and not has_log(path):
        path, flags = f"file:{quote(os.path.realpath(path))}?immutable=1", flags | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(path, flags=flags, vfs=vfs)
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("temp_store", "memory")  # a full disk must not stop a sort
    connection.pragma("cache_size", -(WRITER_CACHE_KIB if write else READER_CACHE_KIB))
    connection.wal_autocheckpoint(0)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def has_log(path: str) -> bool:
    """Whether there is a log, or a journal, beside the database that is really meant by this path."""
    return any(os.path.exists(os.path.realpath(path) + suffix) for suffix in ("-wal", "-journal"))


def lacks_log(connection: apsw.Connection, path: str) -> bool:
    """Whether a server had the file open when it was copied, or when that server ended, and its log is not here."""
    return not has_log(path) and schema.is_marked_open(connection)


class Store:
    """One writing connection, one for checkpoints, and a pool of readers on the same file.

    Args:
        path: the database file, by its real path; its directory must exist.
        vfs: name of a registered SQLite VFS (crash tests), or None for the system's.
        synchronous: ``FULL`` keeps every acknowledged commit through a power cut; ``NORMAL`` does not and exists so
            that the crash tests can show that they would notice.
        readers: number of reading threads.

    Attributes:
        watch: whether the files are those of their names.
    """

    def __init__(self, path: str, *, vfs: str | None, synchronous: str, readers: int) -> None:
        self.path = path
        self.watch = FileWatch(path)
        self._vfs = vfs
        self._synchronous = synchronous
        self._reader_count = readers
        self._checkpointing = threading.Lock()
        self._spare_bytes: int | None = None
        self._checkpoint_connection: apsw.Connection | None = None
        self.writer: apsw.Connection | None = None
        self.readers: ReaderPool | None = None

    def open(self) -> None:
        """Open everything and make the recovered tail durable before anyone can see it (LOG-4).

        What a killed process wrote may stand in the write-ahead log without having reached the disk. It is copied
        into the database and synced, and a commit of our own proves that syncing works.

        Raises:
            apsw.Error: what SQLite says.
            Lost: a file was replaced while it was opened.
        """
        had_log = has_log(self.path)
        try:
            self.writer = connect(self.path, vfs=self._vfs, write=True)
            self._set_up(self.writer)
            if not had_log:
                self._begin_anew(self.writer)
            self._make_durable(self.writer)
            self._checkpoint_connection = connect(self.path, vfs=self._vfs, write=True)
            self._checkpoint_connection.set_busy_timeout(CHECKPOINT_BUSY_MS)
            self._checkpoint_connection.pragma("synchronous", self._synchronous)
            self.readers = ReaderPool(
                [connect(self.path, vfs=self._vfs, write=False) for _ in range(self._reader_count)], self.path
            )
            self.watch.learn("-wal", "-shm")
            if reason := self.watch.describe_loss():
                raise DatabaseLost(reason)
        except BaseException:
            self.close()
            raise

    def _make_durable(self, connection: apsw.Connection) -> None:
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except (apsw.BusyError, apsw.FullError):
            pass  # a foreign reader, such as a backup, or no room: the commit below syncs the log as a whole
        schema.mark_open(connection)
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)  # it must stand in the file itself
        except (apsw.BusyError, apsw.FullError):
            pass  # then a log that is lost is not noticed

    def _begin_anew(self, connection: apsw.Connection) -> None:
        """The log was lost while nobody looked: what was read may lie beyond what is left, as after a restore."""
        if schema.is_marked_open(connection):
            message = "%s-wal is gone, and the server before this did not close: what was committed last is lost"
            log.error(message, self.path)
            with connection:
                lives.begin_new(connection)

    def mark_closed(self) -> None:
        """Nothing will be written any more: from the next checkpoint on the file is complete in itself."""
        if self.writer is not None and not self.watch.describe_loss():
            schema.mark_closed(self.writer)

    def rescue(self) -> None:
        """Copy what the log holds into the database, by the files that are open, whatever their names mean by now."""
        try:
            self.checkpoint(apsw.SQLITE_CHECKPOINT_FULL)
        except (apsw.Error, OSError) as error:
            log.error("what the log of %s held could not be copied into it: %s", self.path, error)

    def _set_up(self, connection: apsw.Connection) -> None:
        if not schema.is_empty(connection):
            schema.check_format(connection)  # before anything is written: another program's file stays as it is
        else:
            connection.pragma("auto_vacuum", schema.INCREMENTAL)
        mode = connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", self._synchronous)
        connection.pragma("journal_size_limit", WAL_KEPT_BYTES)
        # Erased means gone: what was in a page that is still used is overwritten at once. Free pages are given back to
        # the disk; where the file cannot do that they are overwritten too, which costs as much as writing them did.
        connection.pragma("secure_delete", "fast" if schema.gives_back(connection) else True)
        schema.prepare(connection)
        if mode != "wal":
            raise HoldfastError("engine.version", f"{self.path}: this file system cannot hold a write-ahead log")

    def checkpoint(self, mode: int = apsw.SQLITE_CHECKPOINT_PASSIVE) -> tuple[int, int]:
        """Copy the write-ahead log into the database beside the writer; ``(pages in the log, pages copied)``.

        While disk space is scarce the log is copied whole, and cut to nothing, or left alone: a checkpoint that runs
        out of room half-way would eat what the reserve gave up for control, and the log could not start again; one that
        succeeds frees more than it takes.

        Raises:
            apsw.Error: ``FullError`` also when there would not be enough room, ``BusyError`` when a reader is in the way
                of cutting the log.
        """
        with self._checkpointing:
            connection = self._checkpoint_connection
            if connection is None:
                return 0, 0
            if self._spare_bytes is not None:
                mode = apsw.SQLITE_CHECKPOINT_TRUNCATE
                if not self._fits(connection, self._spare_bytes):
                    raise apsw.FullError("the database has no room for what its log holds")
            return connection.wal_checkpoint(mode=mode)

    def _fits(self, connection: apsw.Connection, spare_bytes: int) -> bool:
        grown_bytes = connection.pragma("page_count") * connection.pragma("page_size")
        disk = os.statvfs(os.path.dirname(os.path.abspath(self.path)))
        return bool(grown_bytes - os.stat(self.path).st_size + spare_bytes <= disk.f_bavail * disk.f_frsize)

    def free_bytes(self) -> int:
        """What the disk has left once the database has taken in what its log holds; for the writer's thread.

        As long as that is not negative a checkpoint succeeds, and with it all that frees space.
        """
        assert self.writer is not None
        grown_bytes = self.writer.pragma("page_count") * self.writer.pragma("page_size")
        disk = os.statvfs(os.path.dirname(os.path.abspath(self.path)))
        return int(disk.f_bavail * disk.f_frsize - max(0, grown_bytes - os.stat(self.path).st_size))

    @property
    def scarce(self) -> bool:
        """Whether the disk is full, as far as anybody noticed."""
        return self._spare_bytes is not None

    def save_space(self, spare_bytes: int | None) -> None:
        """From now on checkpoints leave at least so much free on the disk (None: they need not care).

        Waits for a checkpoint under way.
        """
        with self._checkpointing:
            self._spare_bytes = spare_bytes

    def probe(self) -> None:
        """Write and sync a file of its own beside the database. Raises ``apsw.Error`` while the disk fails."""
        probe = apsw.Connection(self.path + ".probe", vfs=self._vfs)
        try:
            probe.pragma("synchronous", "full")
            probe.pragma("user_version", probe.pragma("user_version") % 1_000_000 + 1)
        finally:
            probe.close()

    def close_writing(self) -> None:
        """Close the connections that write; readers go on seeing the last durable commit."""
        with self._checkpointing:
            if self._checkpoint_connection is not None:
                self._checkpoint_connection.close(True)
                self._checkpoint_connection = None
        if self.writer is not None:
            self.writer.close(True)
            self.writer = None

    def close(self) -> None:
        """Close everything as it stands, without a checkpoint. Idempotent."""
        readers, self.readers = self.readers, None
        if readers is not None:
            readers.close()
        self.close_writing()

    def facts(self) -> dict[str, Any]:
        """Sizes for health."""
        sizes: dict[str, Any] = {}
        for name, path in (("database_bytes", self.path), ("wal_bytes", self.path + "-wal")):
            try:
                sizes[name] = os.stat(path).st_size
            except OSError:
                sizes[name] = 0
        return sizes
