"""The lock that keeps a second process from writing to the same database (LOG-9)."""

from __future__ import annotations

import fcntl
import os

from holdfast.errors import CHECK_THE_PATH, HoldfastError


class FileLock:
    """An exclusive ``flock`` on ``<db>.lock``. The kernel drops it when the process ends, however it ends."""

    def __init__(self, database: str) -> None:
        self._path = database + ".lock"
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock and leave this process's id in the file.

        Raises:
            HoldfastError: ``engine.locked``, with ``pid`` of the holder when the file names it; ``config.invalid``
                when the file cannot be created where it belongs.
        """
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HoldfastError(
                "config.invalid", f"cannot write {self._path}: {error.strerror}", fix=CHECK_THE_PATH
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(fd, 32).decode(errors="replace").strip()
            os.close(fd)
            raise HoldfastError("engine.locked", f"process {pid or '?'} is writing to this database", pid=pid) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lock up. Idempotent; the file stays, so that nobody can lock a deleted one."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
