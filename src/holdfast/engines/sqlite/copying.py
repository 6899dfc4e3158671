"""Copying SQLite files: page by page while they are written to, under a name that nobody sees before it is complete."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import Final

import apsw

from holdfast.errors import CHECK_THE_PATH, HoldfastError, Unavailable

STEP_PAGES: Final = 1_024
"""Pages copied between two reports of progress."""

_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when a disk, or somebody's share of it, is full."""

OnProgress = Callable[[int, int], None]
"""Called with ``(pages done, pages in all)``."""


@contextlib.contextmanager
def temporary_file(target: str) -> Iterator[str]:
    """A file beside the target to be made and given its name; nothing of it is left when that fails."""
    part = target + ".part"
    try:
        for suffix in _SUFFIXES:
            remove(part + suffix)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        yield part
    except BaseException as error:
        for suffix in _SUFFIXES:
            with contextlib.suppress(OSError):
                os.unlink(part + suffix)
        if isinstance(error, apsw.FullError) or (isinstance(error, OSError) and error.errno in NO_ROOM):
            detail = f"there is no room for {target}: the disk it goes to is full, and nothing was left there"
            raise Unavailable("disk.full", detail, fix="Free space there, or name a file on another disk.") from error
        if isinstance(error, OSError):
            raise HoldfastError(
                "config.invalid", f"cannot write {part}: {error.strerror}", fix=CHECK_THE_PATH
            ) from error
        raise


def copy_pages(origin: apsw.Connection, target: apsw.Connection, on_progress: OnProgress | None) -> None:
    """Copy a whole database into another, as the origin's transaction sees it."""
    with target.backup("main", origin, "main") as transfer:
        while not transfer.done:
            transfer.step(STEP_PAGES)
            if on_progress is not None:
                on_progress(transfer.page_count - transfer.remaining, transfer.page_count)


def publish(part: str, target: str) -> None:
    """Give a finished file its name, durably."""
    sync(part)
    os.rename(part, target)
    sync(os.path.dirname(os.path.abspath(target)))


def sync(path: str) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def refuse_existing(path: str) -> None:
    """Raise ``config.invalid`` when there is something at a path."""
    if os.path.exists(path):
        raise HoldfastError("config.invalid", f"{path} exists", fix="Name another file, or take this one away first.")


def remove(path: str) -> None:
    """Remove a file, if there is one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
