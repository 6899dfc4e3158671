"""Disk space kept back, so that a full disk still admits control and run ends."""

from __future__ import annotations

import os


class DiskReserve:
    """A file ``<db>.reserve`` that really occupies its size, given back to the file system when the disk is full."""

    def __init__(self, database: str, size_bytes: int) -> None:
        self._path = database + ".reserve"
        self.size_bytes = size_bytes

    def allocate(self) -> bool:
        """Occupy the reserve; False, and nothing is held back, unless as much again is left beside it.

        Without room to spare the disk would be full again at the next commit.
        """
        if not self.size_bytes:
            return True
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(fd, 0, self.size_bytes)
            os.fsync(fd)
            disk = os.fstatvfs(fd)
            enough = disk.f_bavail * disk.f_frsize >= self.size_bytes
        except OSError:
            enough = False
        if not enough:
            os.ftruncate(fd, 0)
        os.close(fd)
        return enough

    def release(self) -> None:
        """Give the space back to whoever writes next: only essential appends do by then."""
        try:
            os.truncate(self._path, 0)
        except OSError:
            pass  # there was none, or the disk is beyond help: the next write will tell
