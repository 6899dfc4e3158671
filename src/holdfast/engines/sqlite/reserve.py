"""Disk space kept back, so that a full disk still admits control and run ends."""

from __future__ import annotations

import os


class DiskReserve:
    """A file ``<db>.reserve`` that really occupies its size, given back to the file system when the disk is full."""

    def __init__(self, database: str, size_bytes: int) -> None:
        self._path = database + ".reserve"
        self._size_bytes = size_bytes

    def allocate(self) -> bool:
        """Occupy the reserve; False when there is no room for it (nothing is held back then)."""
        if not self._size_bytes:
            return True
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, self._size_bytes)
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, 0)
            return False
        finally:
            os.close(fd)
        return True

    def release(self) -> None:
        """Give the space back to whoever writes next: only essential appends do by then."""
        try:
            os.truncate(self._path, 0)
        except FileNotFoundError:
            pass
