"""The locks that keep a second process from writing to the same database (LOG-9).

Two, for a name and for what it names. ``DB.lock`` beside the real file says by its content who holds it, and keeps out
versions that know nothing else. The file itself is locked as well, so that it has one writer under whatever name it is found:
another link, another mount, or with its ``.lock`` removed.

SQLite locks the file with POSIX locks, of which a process has one set: *closing any descriptor of the file drops them all*. So
the file is locked with an open file description lock, on a byte far from those SQLite uses, through a descriptor that stays open
as long as the lock is held; and a file that this process has locked is not opened a second time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import threading
from typing import Final

from holdfast.errors import CHECK_THE_PATH, HoldfastError, Unavailable

OFD_SETLK: int | None = getattr(fcntl, "F_OFD_SETLK", None)
"""Linux has these locks (fcntl_locking(2)); elsewhere the name is locked and nothing else."""

_OUR_BYTE: Final = 1 << 62
"""SQLite's are at 2^30 (https://www.sqlite.org/src/file/src/os.h, PENDING_BYTE)."""

NOTE_BYTES: Final = 512
"""Of ``DB.lock`` that are read: the process's id and what it noted of itself."""

_GUARD: Final = threading.Lock()
_LOCKED_INODES: Final[set[tuple[int, int]]] = set()
"""Device and inode of every database this process has locked."""


class FileLock:
    """The right to write to a database. The kernel takes it back when the process ends, however it ends.

    Args:
        database: its file.
        note: what a second one who wants it is told of this one, beside the process's id: where it runs, since when.
    """

    def __init__(self, database: str, note: str = "") -> None:
        self._note = note
        self._file = os.path.realpath(database)
        self._name = self._file + ".lock"
        self._name_fd: int | None = None
        self._file_fd: int | None = None
        self._inode: tuple[int, int] | None = None

    def acquire(self, *, create: bool = True) -> None:
        """Take the locks and leave this process's id, and the note, in ``DB.lock``.

        Args:
            create: make the database, empty, when there is none. Else a database that is not there is locked by name.

        Raises:
            HoldfastError: ``engine.locked``, with ``pid`` of the holder where that can be told; ``config.invalid`` when a
                file cannot be opened or created where it belongs.
            Unavailable: ``disk.full``.
        """
        try:
            self._lock_name()
            self._lock_file(create)
        except BaseException:
            self.release()
            raise
        assert self._name_fd is not None
        pid_line = f"{os.getpid()} {self._note}".strip().encode() + b"\n"
        with contextlib.suppress(OSError):  # a full disk has no room for it, and it is only to be read by people
            os.ftruncate(self._name_fd, os.pwrite(self._name_fd, pid_line, 0))

    def _lock_name(self) -> None:
        while True:
            fd = self._name_fd = _open(self._name, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid, _, note = os.read(fd, NOTE_BYTES).decode(errors="replace").strip().partition(" ")
                raise _locked_error(pid, note) from None
            with contextlib.suppress(FileNotFoundError):
                if _inode_of(os.stat(self._name)) == _inode_of(os.fstat(fd)):
                    return
            os.close(fd)  # it was removed meanwhile: a lock on a name that is gone keeps nobody out

    def _lock_file(self, create: bool) -> None:
        with _GUARD:
            try:
                if _inode_of(os.stat(self._file)) in _LOCKED_INODES:
                    raise _locked_error(str(os.getpid()))
            except FileNotFoundError:
                if not create:
                    return
            self._file_fd = _open(self._file, os.O_RDWR | (os.O_CREAT if create else 0))
            inode = _inode_of(os.fstat(self._file_fd))
            if OFD_SETLK is not None:
                lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, _OUR_BYTE, 1, 0)  # struct flock
                try:
                    fcntl.fcntl(self._file_fd, OFD_SETLK, lock)
                except OSError as error:
                    if error.errno in (errno.EAGAIN, errno.EACCES):
                        raise _locked_error(_holder(inode)) from None
                    # this file system has no such locks
            self._inode = inode
            _LOCKED_INODES.add(inode)

    def release(self) -> None:
        """Give the locks up, after SQLite has closed the file. Idempotent; ``DB.lock`` stays, so that nobody can lock a
        deleted one."""
        with _GUARD:
            if self._inode is not None:
                _LOCKED_INODES.discard(self._inode)
                self._inode = None
            for fd in (self._file_fd, self._name_fd):
                if fd is not None:
                    os.close(fd)
            self._file_fd = self._name_fd = None


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        detail = f"cannot open {path} to write to it: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable("disk.full", detail) from None
        raise HoldfastError("config.invalid", detail, fix=CHECK_THE_PATH) from None


def _inode_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _locked_error(pid: str, note: str = "") -> HoldfastError:
    holder = f"process {pid or '?'} {note}".strip()
    return HoldfastError("engine.locked", f"{holder} is writing to this database", pid=pid)


def _holder(inode: tuple[int, int]) -> str:
    """The process that has a file locked, as far as this one may see it; empty otherwise. Linux tells (proc(5))."""
    with contextlib.suppress(OSError):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    if _inode_of(os.stat(f"/proc/{pid}/fd/{fd}")) == inode and _locks(pid, fd):
                        return pid
    return ""


def _locks(pid: str, fd: str) -> bool:
    with open(f"/proc/{pid}/fdinfo/{fd}") as lines:
        return any(line.startswith("lock:") and "OFDLCK" in line for line in lines)
