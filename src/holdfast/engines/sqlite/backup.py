"""Copy a database while it is written to, and put a copy back as a database that lives a new life."""

from __future__ import annotations

import os

import apsw

from holdfast.engines.sqlite import lives, schema
from holdfast.engines.sqlite.copying import OnProgress, copy_pages, publish, refuse_existing, remove, temporary_file
from holdfast.engines.sqlite.lock import FileLock
from holdfast.engines.sqlite.store import connect, lacks_log
from holdfast.errors import CHECK_THE_PATH, HoldfastError


def backup(path: str, target: str, on_progress: OnProgress | None = None) -> None:
    """Write a consistent copy of ``path``, as of now, to the new file ``target``. The server may go on writing.

    Raises:
        HoldfastError: ``config.invalid`` when the target exists or cannot be written, ``engine.version`` or
            ``engine.corrupt``.
        Unavailable: ``disk.full``.
    """
    refuse_existing(target)
    with temporary_file(target) as part:
        _copy(path, part, on_progress)
        publish(part, target)


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
        refuse_existing(path)
    path = os.path.realpath(path)
    lock = FileLock(path)
    lock.acquire(create=False)
    try:
        with temporary_file(path) as part:
            _copy(source, part, on_progress)
            sessions = _new_lives(part)
            for suffix in ("-wal", "-shm", ""):  # a log of the old file must never meet the new one
                remove(path + suffix)
            publish(part, path)
        return sessions
    finally:
        lock.release()


def _copy(source: str, part: str, on_progress: OnProgress | None) -> None:
    try:
        origin = connect(source, vfs=None, write=False)
        try:
            with origin:  # held open: otherwise every commit of the server would start the copy again
                schema.check_format(origin)
                complete = not lacks_log(origin, source)
                target = apsw.Connection(part)
                try:
                    copy_pages(origin, target, on_progress)
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
