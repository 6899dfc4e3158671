"""The SQLite engine: the port's verbs on one writer, a pool of readers, and a checkpointer."""

from __future__ import annotations

import asyncio
import builtins
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw

from holdfast.engines.feed import check_name
from holdfast.engines.port import (
    Capabilities,
    Consumer,
    FeedPage,
    Head,
    Index,
    Key,
    LiveSessions,
    LogAppend,
    Queue,
    SessionPage,
)
from holdfast.engines.rules import check_consecutive
from holdfast.engines.sqlite import feed, reader, schema, session_queries, writes
from holdfast.engines.sqlite.checkpointer import Checkpointer
from holdfast.engines.sqlite.eraser import Eraser
from holdfast.engines.sqlite.gil_fairness import GilFairness
from holdfast.engines.sqlite.lock import FileLock
from holdfast.engines.sqlite.reserve import DiskReserve
from holdfast.engines.sqlite.rows import encode_json
from holdfast.engines.sqlite.store import Store
from holdfast.engines.sqlite.transaction import Transaction
from holdfast.engines.sqlite.watch import DatabaseLost
from holdfast.engines.sqlite.writer import OK, WriterThread
from holdfast.engines.sqlite.writes import Write
from holdfast.errors import CHECK_THE_PATH, HoldfastError, Unavailable
from holdfast.protocol import limits
from holdfast.protocol.frames import Frame

P = ParamSpec("P")
T = TypeVar("T")


class SqliteEngine:
    """An ``Engine`` on one SQLite file. Commits survive a power cut with ``synchronous="FULL"``.

    Args:
        path: the database file, or a link to it; ``-wal``, ``-shm``, ``.lock`` and ``.reserve`` stand beside the file.
        vfs: name of a registered SQLite VFS, for crash tests.
        synchronous: ``FULL``, or ``NORMAL`` as the control of the crash tests (it loses acknowledged commits).
        reserve_bytes: disk space kept back for control and run ends.
        probe_s: seconds between attempts to recover from a full or failed disk.
        checkpoint_s: seconds between checkpoints.
        checkpoint_pages: length of the write-ahead log beyond which it is made to start again.
        readers: reading threads.
    """

    def __init__(
        self,
        path: str,
        *,
        vfs: str | None = None,
        synchronous: str = "FULL",
        reserve_bytes: int = limits.DISK_RESERVE_BYTES,
        probe_s: float = limits.DISK_PROBE_S,
        checkpoint_s: float = limits.CHECKPOINT_S,
        checkpoint_pages: int = limits.CHECKPOINT_PAGES,
        readers: int = 4,
    ) -> None:
        path = os.path.realpath(path)
        self.capabilities = Capabilities("sqlite", "power_cut" if synchronous.upper() == "FULL" else "process", False)
        self._lock = FileLock(path)
        self._reserve = DiskReserve(path, reserve_bytes)
        self._store = Store(path, vfs=vfs, synchronous=synchronous, readers=readers)
        self._probe_s = probe_s
        self._checkpoint_s, self._checkpoint_pages = checkpoint_s, checkpoint_pages
        self._writer: WriterThread | None = None
        self._checkpointer: Checkpointer | None = None
        self._gil_fairness = GilFairness()
        self._eraser = Eraser(partial(self._write, essential=True), self._store, probe_s)

    async def open(self) -> None:
        """See ``Engine.open``."""
        schema.check_library()
        self._lock.acquire()
        self._store.watch.learn("", ".lock")
        try:
            await asyncio.to_thread(self._open_store)
        except BaseException:
            self._lock.release()
            raise
        self._writer = WriterThread(self._store, self._reserve, asyncio.get_running_loop(), self._probe_s)
        self._checkpointer = Checkpointer(self._store, self._writer, self._checkpoint_s, self._checkpoint_pages)
        self._writer.start()
        self._checkpointer.start()
        try:
            for session in await self._read(reader.erasing):
                self._eraser.start(session)
        except BaseException:
            await self.close()
            raise

    def _open_store(self) -> None:
        try:
            try:
                self._store.open()
            except apsw.FullError:
                self._reserve.release()
                self._store.open()
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise HoldfastError("engine.corrupt", f"{self._store.path}: {error}") from error
        except apsw.CantOpenError as error:
            raise HoldfastError(
                "config.invalid", f"cannot open {self._store.path}: {error}", fix=CHECK_THE_PATH
            ) from error
        except apsw.FullError as error:
            raise Unavailable("disk.full", f"cannot open {self._store.path}: {error}") from error
        except apsw.Error as error:
            raise Unavailable("disk.failed", f"cannot open {self._store.path}: {error}") from error
        except DatabaseLost as error:
            raise Unavailable("disk.lost", str(error)) from error

    async def close(self) -> None:
        """See ``Engine.close``."""
        writer, self._writer = self._writer, None
        if writer is None or self._checkpointer is None:
            return
        await self._eraser.stop()
        await asyncio.to_thread(self._checkpointer.stop)
        await asyncio.to_thread(writer.stop)
        await asyncio.to_thread(self._close_store)
        self._lock.release()

    def _close_store(self) -> None:
        try:
            self._store.mark_closed()
            self._store.checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error:
            pass  # the log keeps what could not be copied; the next opening recovers it
        self._store.close()

    # --- the log
    async def create(self, key: Key, incarnation: str, now_ms: int, index: Index) -> Head:
        """See ``Engine.create``."""
        return await self._write(partial(writes.create, key=key, incarnation=incarnation, now_ms=now_ms, index=index))

    async def head(self, key: Key) -> Head | None:
        """See ``Engine.head``."""
        return await self._read(reader.head, key)

    async def append(self, append: LogAppend) -> None:
        """See ``Engine.append``."""
        check_consecutive(append.frames, append.expected + 1)
        notices = [encode_json(notice) for notice in append.notices]
        size = sum(len(frame.payload) for frame in append.frames)
        await self._write(partial(writes.append, log_append=append, notices=notices), size, essential=append.essential)

    async def read(self, key: Key, after: int, *, max_bytes: int, incarnation: str | None = None) -> list[Frame]:
        """See ``Engine.read``."""
        return await self._read(reader.read, key, after, max_bytes, incarnation)

    async def compact(self, key: Key, incarnation: str, first: int, last: int, frames: builtins.list[Frame]) -> None:
        """See ``Engine.compact``."""
        if check_consecutive(frames, first) != last + 1:
            raise ValueError(f"the new frames do not cover {first}..{last}")
        size = sum(len(frame.payload) for frame in frames)
        swap = partial(writes.compact, key=key, incarnation=incarnation, first=first, last=last, frames=frames)
        await self._write(swap, size)

    async def delete(self, key: Key, incarnation: str, now_ms: int, index: Index) -> None:
        """See ``Engine.delete``. Erasing goes on after the next opening when it is cut short."""
        delete = partial(writes.delete, key=key, incarnation=incarnation, now_ms=now_ms, index=index)
        session = await self._write(delete, essential=True)
        if session is not None:
            self._eraser.start(session, (key, incarnation))

    async def wait_until_erased(self, key: Key, incarnation: str) -> None:
        """See ``Engine.wait_until_erased``."""
        await self._eraser.wait_until_erased((key, incarnation))

    # --- derived
    async def put_snapshot(self, key: Key, incarnation: str, seq: int, data: bytes, pages: dict[int, bytes]) -> None:
        """See ``Engine.put_snapshot``."""
        size = len(data) + sum(map(len, pages.values()))
        put = partial(writes.put_snapshot, key=key, incarnation=incarnation, seq=seq, data=data, pages=pages)
        await self._write(put, size)

    async def get_snapshot(self, key: Key) -> tuple[int, bytes] | None:
        """See ``Engine.get_snapshot``."""
        return await self._read(reader.get_snapshot, key)

    async def get_page(self, key: Key, incarnation: str, page: int) -> bytes | None:
        """See ``Engine.get_page``."""
        return await self._read(reader.get_page, key, incarnation, page)

    # --- finding sessions
    async def list(
        self,
        tenant: str,
        *,
        user: str | None = None,
        names: Sequence[str] | None = None,
        search: str = "",
        before: tuple[int, str] | None = None,
        limit: int,
    ) -> SessionPage:
        """See ``Engine.list``."""
        return await self._read(session_queries.list_sessions, tenant, user, names, search, before, limit)

    async def due(self, now_ms: int, limit: int) -> Sequence[Key]:
        """See ``Engine.due``."""
        return await self._read(reader.due, now_ms, limit)

    async def queued(
        self, tenant: str, agent: str, *, names: Sequence[str] | None = None, after: int | None = None
    ) -> Queue:
        """See ``Engine.queued``."""
        return await self._read(session_queries.queued, tenant, agent, names, after)

    async def live(self, tenant: str, *, after: str = "") -> LiveSessions:
        """See ``Engine.live``."""
        return await self._read(session_queries.live, tenant, after)

    async def mark_read(self, key: Key, incarnation: str, user: str, seq: int) -> None:
        """See ``Engine.mark_read``."""
        await self._write(partial(writes.mark_read, key=key, incarnation=incarnation, user=user, seq=seq))

    # --- the feed
    async def feed(self, after: str, limit: int) -> FeedPage:
        """See ``Engine.feed``."""
        return await self._read(feed.read, after, limit)

    async def feed_end(self) -> str:
        """See ``Engine.feed_end``."""
        return await self._read(feed.end)

    async def consumers(self) -> Sequence[Consumer]:
        """See ``Engine.consumers``."""
        return await self._read(feed.consumers)

    async def advance(self, name: str, position: str) -> None:
        """See ``Engine.advance``. A consumer that goes on frees space: it is admitted when the disk is full."""
        await self._write(partial(feed.advance, name=check_name(name), position=position), essential=True)

    async def release(self, name: str) -> bool:
        """See ``Engine.release``."""
        return await self._write(partial(feed.release, name=name), essential=True)

    # --- facts and blobs
    async def get_fact(self, name: str) -> bytes | None:
        """See ``Engine.get_fact``."""
        return await self._read(reader.get_fact, name)

    async def put_fact(self, name: str, data: bytes | None) -> None:
        """See ``Engine.put_fact``. Facts are small control data: they are admitted when the disk is full."""
        await self._write(partial(writes.put_fact, name=name, data=data), len(data or b""), essential=True)

    async def facts(self, prefix: str) -> dict[str, bytes]:
        """See ``Engine.facts``."""
        return await self._read(reader.facts, prefix)

    async def put_blob(self, key: Key, incarnation: str, blob: str, media_type: str, data: bytes) -> None:
        """See ``Engine.put_blob``."""
        put = partial(writes.put_blob, key=key, incarnation=incarnation, name=blob, media_type=media_type, data=data)
        await self._write(put, len(data))

    async def get_blob(self, key: Key, incarnation: str, blob: str) -> tuple[str, bytes] | None:
        """See ``Engine.get_blob``."""
        return await self._read(reader.get_blob, key, incarnation, blob)

    async def blob_size(self, key: Key, incarnation: str, blob: str) -> int | None:
        """See ``Engine.blob_size``."""
        return await self._read(reader.blob_size, key, incarnation, blob)

    def health(self) -> dict[str, Any]:
        """See ``Engine.health``."""
        if self._writer is None:
            return {"mode": "closed"}
        writer = self._writer
        state = {"mode": writer.mode, "queued": writer.queued, "error": writer.error if writer.mode != OK else ""}
        return {**state, **writer.counters, **self._store.facts()}

    # --- the way in
    async def _write(self, apply: Callable[[Transaction], T], size_bytes: int = 0, *, essential: bool = False) -> T:
        if self._writer is None:
            raise Unavailable("disk.failed", "the storage is not open")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writer.submit(Write(apply, done, size_bytes, essential))
        with self._gil_fairness:
            return await done

    async def _read(self, query: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        readers = self._store.readers
        if readers is None:
            raise Unavailable("disk.failed", "the storage is not open")
        with self._gil_fairness:
            return await readers.run(query, *args, **kwargs)
