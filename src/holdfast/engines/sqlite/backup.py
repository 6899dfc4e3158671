"""Copy a database while it is written to, and put a copy back as a database that lives a new life."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import Final

import apsw

from holdfast.engines.sqlite import lives, schema
from holdfast.engines.sqlite.lock import FileLock
from holdfast.engines.sqlite.store import connect, lacks_log
from holdfast.errors import CHECK_THE_PATH, HoldfastError, Unavailable

STEP_PAGES: Final = 1_024
"""Pages copied between two reports of progress."""

_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)

OnProgress = Callable[[int, int], None]
"""Called with ``(pages done, pages in all)``."""


def backup(path: str, target: str, on_progress: OnProgress | None = None) -> None:
    """Write a consistent copy of ``path``, as of now, to the new file ``target``. The server may go on writing.

    Raises:
        HoldfastError: ``config.invalid`` when the target exists or cannot be written, ``engine.version`` or
            ``engine.corrupt``.
        Unavailable: ``disk.full``.
    """
    _refuse_existing(target)
    with _temporary_file(target) as part:
        _copy(path, part, on_progress)
        _publish(part, target)


def restore(source: str, path: str, *, force: bool = False, on_progress: OnProgress | None = None) -> int:
    """Make ``path`` a database with the content of a backup; answers the number of sessions.

    Every session gets a new incarnation: a reader's cursor may lie beyond what the backup holds, or mean other events,
    so all readers take a snapshot. Logs, snapshots, pages and blobs hang on row ids, not on incarnations, and stay.

    Args:
        source: a file written by ``backup``.
        path: the database to create; where it is a link, the file it leads to.
        force: replace what stands at ``path``; its content is lost.

    Raises:
        HoldfastError: ``config.invalid`` when ``path`` exists and ``force`` is not given, ``engine.locked`` when a
            server is running on it, ``engine.version`` or ``engine.corrupt`` when the source is not a sound backup.
        Unavailable: ``disk.full``.
    """
    if not force:
        _refuse_existing(path)
    path = os.path.realpath(path)
    lock = FileLock(path)
    lock.acquire(create=False)
    try:
        with _temporary_file(path) as part:
            _copy(source, part, on_progress)
            sessions = _new_lives(part)
            for suffix in ("-wal", "-shm", ""):  # a log of the old file must never meet the new one
                _remove(path + suffix)
            _publish(part, path)
        return sessions
    finally:
        lock.release()


@contextlib.contextmanager
def _temporary_file(target: str) -> Iterator[str]:
    """A file beside the target to be made and given its name; nothing of it is left when that fails."""
    part = target + ".part"
    try:
        for suffix in _SUFFIXES:
            _remove(part + suffix)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        yield part
    except BaseException as error:
        for suffix in _SUFFIXES:
            with contextlib.suppress(OSError):
                os.unlink(part + suffix)
        if isinstance(error, apsw.FullError) or (isinstance(error, OSError) and error.errno in _NO_ROOM):
            detail = f"there is no room for {target}: the disk it goes to is full, and nothing was left there"
            raise Unavailable("disk.full", detail, fix="Free space there, or name a file on another disk.") from error
        if isinstance(error, OSError):
            raise HoldfastError(
                "config.invalid", f"cannot write {part}: {error.strerror}", fix=CHECK_THE_PATH
            ) from error
        raise


def _copy(source: str, part: str, on_progress: OnProgress | None) -> None:
    try:
        origin = connect(source, vfs=None, write=False)
        try:
            with origin:  # held open: otherwise every commit of the server would start the copy again
                schema.check_format(origin)
                complete = not lacks_log(origin, source)
                target = apsw.Connection(part)
                try:
                    _copy_pages(origin, target, on_progress)
                    target.pragma("journal_mode", "delete")  # one file, complete in itself
                    if complete:
                        schema.mark_closed(target)
                finally:
                    target.close(True)
        finally:
            origin.close(True)
    except apsw.FullError:
        raise
    except apsw.CantOpenError as error:
        raise HoldfastError("config.invalid", f"cannot open {source}: {error}", fix=CHECK_THE_PATH) from error
    except apsw.Error as error:
        raise HoldfastError("engine.corrupt", f"{source}: {error}") from error


def _copy_pages(origin: apsw.Connection, target: apsw.Connection, on_progress: OnProgress | None) -> None:
    with target.backup("main", origin, "main") as transfer:
        while not transfer.done:
            transfer.step(STEP_PAGES)
            if on_progress is not None:
                on_progress(transfer.page_count - transfer.remaining, transfer.page_count)


def _new_lives(path: str) -> int:
    connection = apsw.Connection(path)
    try:
        schema.prepare(connection)  # a backup of an older format becomes a database of this one
        with connection:
            sessions = lives.begin_new(connection)
            schema.mark_closed(connection)  # what is here is all there is now
        if not schema.gives_back(connection):  # made by version 0.1
            connection.pragma("auto_vacuum", schema.INCREMENTAL)
            connection.execute("VACUUM")
        return sessions
    finally:
        connection.close(True)


def _publish(part: str, target: str) -> None:
    """Give a finished file its name, durably."""
    _sync(part)
    os.rename(part, target)
    _sync(os.path.dirname(os.path.abspath(target)))


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _refuse_existing(path: str) -> None:
    if os.path.exists(path):
        raise HoldfastError("config.invalid", f"{path} exists", fix="Name another file, or take this one away first.")


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
