"""Backing up a session log and its store together, and putting both back as a pair.

The store is copied first and the log after it. A row of the store names a run that the log had before the row was written, so
whatever the earlier copy names is in the later one. The other way round, rows would name runs that the backup does not have.
What the log has beyond the store are runs whose costs were written after the first copy: they are lost with everything else
that came after a backup.

PostgreSQL is dumped by whoever runs it. What is done here is the pairing: the dump, made before, goes into the manifest beside
the copy of the log; in a restore the database is found as it was dumped, or nothing is changed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
from sqlalchemy import Connection

from holdfast.engines.sqlite import backup as log_backup
from holdfast.engines.sqlite import identity
from holdfast.engines.sqlite.copying import (
    NO_ROOM,
    OnProgress,
    copy_pages,
    publish,
    refuse_existing,
    remove,
    sync,
    temporary_file,
)
from holdfast.engines.sqlite.lock import FileLock
from holdfast.engines.sqlite.store import connect, has_log
from holdfast.errors import CHECK_THE_PATH, HoldfastError, Unavailable
from holdfast.governance.store import facts, manifest, pairing, sqlite_file
from holdfast.governance.store.address import FileAddress, parse
from holdfast.governance.store.manifest import Manifest
from holdfast.governance.store.store import Store

LOG_NAME = "sessions.db"
STORE_NAME = "store.db"


async def backup(
    log_path: str, url: str, target: str, now_ms: int, *, dump: str = "", on_progress: OnProgress | None = None
) -> Manifest:
    """Write a backup of a session log and its store into the new folder ``target``. Servers may go on writing.
    It is for a command: files are copied while nothing else runs on the loop.

    Args:
        log_path: the SQLite database of the session log.
        url: address of the store.
        target: the folder to make.
        now_ms: Unix milliseconds.
        dump: for PostgreSQL, and only then: the file that ``pg_dump`` wrote of the store just before.
        on_progress: told of pages copied, of the one file and then of the other.

    Raises:
        HoldfastError: ``config.invalid`` when the target exists, cannot be written, or ``dump`` is missing or too much;
            ``store.mismatch`` when the two are no pair; ``engine.version``, ``engine.corrupt``.
        Unavailable: ``disk.full``, ``store.unavailable``.
    """
    address = parse(url)
    if isinstance(address, FileAddress) == bool(dump):
        raise HoldfastError("config.invalid", _dump_is_wrong(dump), fix="pg_dump it first, and name what that wrote.")
    with _new_folder(target) as folder:
        copy = folder / (STORE_NAME if not dump else f"store{Path(dump).suffix or '.dump'}")
        if isinstance(address, FileAddress):
            _copy_store(address.path, str(copy), on_progress)
            store_id, store_says = _read_store(str(copy))
        else:
            store_id, store_says = await _read_server(url, now_ms)
            _copy_file(Path(dump), copy)
        log = folder / LOG_NAME
        log_backup.backup(log_path, str(log), on_progress)
        epoch, log_says = identity.read(str(log), pairing.LOG_FACT)
        pairing.check(store_id, store_says, epoch, (log_says or b"").decode())
        if not store_says or not log_says:
            raise HoldfastError(
                "store.mismatch",
                "the session log and the store have never been used together",
                fix="Start a server with both once, or back them up one by one.",
            )
        kind: manifest.StoreKind = "postgresql" if dump else "sqlite"
        entries = manifest.describe(log), manifest.describe(copy)
        made = Manifest(manifest.FORMAT, now_ms, kind, store_id, epoch, *entries)
        manifest.write(folder, made)
        return made


async def restore(
    source: str, log_path: str, url: str, now_ms: int, *, force: bool = False, on_progress: OnProgress | None = None
) -> int:
    """Put a backup back as a pair that lives a new life; answers the number of sessions.

    When it is cut short, the two do not start together until it is done again.

    Args:
        source: a folder that ``backup`` wrote.
        log_path, url: where to. A PostgreSQL database holds what was dumped already: ``pg_restore`` comes before.
        now_ms: Unix milliseconds.
        force: replace what stands there.
        on_progress: as for ``backup``.

    Raises:
        HoldfastError: ``config.invalid`` when something stands there and ``force`` is not given, or the store is of
            another kind; ``engine.locked`` while a server runs; ``store.mismatch`` when the PostgreSQL database is not the
            one that was dumped; ``engine.version``, ``engine.corrupt``.
        Unavailable: ``disk.full``, ``store.unavailable``.
    """
    folder = Path(source)
    made = manifest.read(folder)
    address = parse(url)
    if isinstance(address, FileAddress) != (made.kind == "sqlite"):
        detail = f"the backup is of a store in {made.kind}, and {address.where} is of another kind"
        raise HoldfastError("config.invalid", detail, fix="Name a store of the kind that was backed up.")
    if not force:
        refuse_existing(log_path)
    if isinstance(address, FileAddress):
        return _restore_files(folder, made, log_path, address.path, force, on_progress)
    store = await Store.open(url, lambda: now_ms)
    try:
        if store.id != made.store_id:
            raise HoldfastError(
                "store.mismatch",
                f"{address.where} is not the database that was backed up, or lives another life since",
                fix=f"Restore {made.store.file} into it first, with pg_restore or psql.",
            )
        sessions = log_backup.restore(str(folder / made.log.file), log_path, force=force, on_progress=on_progress)
        epoch, _ = identity.read(log_path, pairing.LOG_FACT)
        ident = await store.write(lambda connection: _begin_anew(connection, epoch))
        identity.note(log_path, pairing.LOG_FACT, ident.encode())
        return sessions
    finally:
        await store.close()


def _restore_files(
    folder: Path, made: Manifest, log_path: str, store_path: str, force: bool, on_progress: OnProgress | None
) -> int:
    if not force:
        refuse_existing(store_path)
    store_path = os.path.realpath(store_path)
    lock = FileLock(store_path)
    lock.acquire(create=False)
    try:
        with temporary_file(store_path) as part:
            _copy_store(str(folder / made.store.file), part, on_progress, into_new=False)
            connection = sqlite_file.SqliteFile(part).connect(write=True)
            try:
                sqlite_file.upgrade(connection)  # before anything is replaced: it may be of a version that cannot be
                sessions = log_backup.restore(
                    str(folder / made.log.file), log_path, force=force, on_progress=on_progress
                )
                epoch, _ = identity.read(log_path, pairing.LOG_FACT)
                with sqlite_file.transaction(sqlite_file.raw(connection)):
                    ident = _begin_anew(connection, epoch)
                sqlite_file.mark_closed(sqlite_file.raw(connection))  # what is here is all there is now
                sqlite_file.raw(connection).pragma("journal_mode", "delete")
            finally:
                sqlite_file.close(connection)
            for suffix in ("-wal", "-shm", ""):  # a log of the old file must never meet the new one
                remove(store_path + suffix)
            publish(part, store_path)
        identity.note(log_path, pairing.LOG_FACT, ident.encode())
        return sessions
    finally:
        lock.release()


def _begin_anew(connection: Connection, epoch: str) -> str:
    facts.put(connection, facts.LOG, epoch)
    return facts.renew(connection)


def _copy_store(source: str, target: str, on_progress: OnProgress | None, *, into_new: bool = True) -> None:
    if into_new:
        refuse_existing(target)
    try:
        origin = connect(source, vfs=None, write=False)
        try:
            with origin:  # held open: otherwise every commit of the owner would start the copy again
                if origin.pragma("application_id") != sqlite_file.APPLICATION_ID:
                    raise HoldfastError("engine.version", f"{source} is no store of the governance half")
                complete = has_log(source) or not sqlite_file.is_marked_open(origin)
                copied = apsw.Connection(target)
                try:
                    copy_pages(origin, copied, on_progress)
                    copied.pragma("journal_mode", "delete")  # one file, complete in itself
                    if complete:
                        sqlite_file.mark_closed(copied)
                finally:
                    copied.close(True)
        finally:
            origin.close(True)
    except apsw.FullError:
        raise
    except apsw.CantOpenError as error:
        raise HoldfastError("config.invalid", f"cannot open {source}: {error}", fix=CHECK_THE_PATH) from error
    except apsw.Error as error:
        raise HoldfastError("engine.corrupt", f"{source}: {error}") from error


def _read_store(path: str) -> tuple[str, str]:
    """The id of a store in a file that nobody has open, and the log that it knows."""
    connection = sqlite_file.SqliteFile(path).connect(write=False)
    try:
        return facts.get(connection, facts.ID), facts.get(connection, facts.LOG)
    finally:
        sqlite_file.close(connection)


async def _read_server(url: str, now_ms: int) -> tuple[str, str]:
    store = await Store.open(url, lambda: now_ms)
    try:
        return store.id, await store.read(lambda connection: facts.get(connection, facts.LOG))
    finally:
        await store.close()


def _copy_file(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
        sync(str(target))
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        raise HoldfastError("config.invalid", f"cannot copy {source}: {error.strerror}", fix=CHECK_THE_PATH) from None


@contextmanager
def _new_folder(target: str) -> Iterator[Path]:
    """A folder that has its name once everything in it is on the disk; nothing of it is left when that fails."""
    refuse_existing(target)
    part = Path(target + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
    except OSError as error:
        raise HoldfastError("config.invalid", f"cannot make {part}: {error.strerror}", fix=CHECK_THE_PATH) from None
    try:
        yield part
        for path in part.iterdir():
            sync(str(path))
        sync(str(part))
        part.rename(target)
        sync(os.path.dirname(os.path.abspath(target)))
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, apsw.FullError) or (isinstance(error, OSError) and error.errno in NO_ROOM):
            detail = f"there is no room for {target}: the disk it goes to is full, and nothing was left there"
            raise Unavailable("disk.full", detail, fix="Free space there, or name a folder on another disk.") from error
        raise


def _dump_is_wrong(dump: str) -> str:
    if dump:
        return "a dump was named, and the store is a SQLite file, which is copied here"
    return "a store in PostgreSQL is dumped by whoever runs it, and no dump was named"
