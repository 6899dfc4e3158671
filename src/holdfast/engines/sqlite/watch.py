"""Whether the names of a database's files still mean the files that are open.

A file that is deleted or replaced while a server writes goes on being written, by a descriptor that nobody else can reach:
what is acknowledged then is gone when the server ends. So the names are looked at around every commit and on a timer.
"""

from __future__ import annotations

import os
from typing import Final

NAMES: Final = ("", "-wal", "-shm", ".lock")
"""The database, its log, the shared memory of both, and the lock: whoever does not find one begins another."""

COMMITTED: Final = ("", "-wal")
"""Where a commit is: what must be there when one is acknowledged."""


class DatabaseLost(Exception):
    """A file is not that of its name any more; its words say which, and what became of it."""


class FileWatch:
    """The files of one database, as they were when it was opened.

    Args:
        path: the real one of the database.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._identities: dict[str, tuple[str, int, int]] = {}

    def learn(self, *names: str) -> None:
        """Take what these names mean now for the files that are open."""
        for name in names:
            self._identities.pop(name, None)
            try:
                status = os.stat(self._path + name)
            except OSError:
                continue  # a file system of a kind that has none: it is not looked for
            self._identities[name] = (self._path + name, status.st_dev, status.st_ino)

    def describe_loss(self, *names: str) -> str:
        """What became of the first of these files (of all, without names) that is not there; empty when they all are."""
        for name in names or NAMES:
            identity = self._identities.get(name)
            if identity is None:
                continue
            path, device, inode = identity
            try:
                status = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                return f"{os.path.basename(path)} was deleted or moved away while the server used it"
            except OSError:
                continue  # it cannot be looked at; the next read or write will tell
            if status.st_ino != inode or status.st_dev != device:
                return f"{os.path.basename(path)} was replaced by another file while the server used the first"
        return ""
