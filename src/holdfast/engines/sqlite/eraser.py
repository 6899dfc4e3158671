"""Erasing deleted lives beside everything else: in pieces bounded by bytes, with room for others between them.

A piece is one write of a group commit, so whoever commits meanwhile waits for one piece at most. Rows go first. Then
the file gives the freed pages back to the disk: pages from its end move into their places, and it is cut off. So
nothing of what was erased is left in the file, and a disk that was full has room again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import apsw

from holdfast.engines.port import Key
from holdfast.engines.sqlite import writes
from holdfast.engines.sqlite.store import Store
from holdfast.errors import HoldfastError, Unavailable
from holdfast.visible import logger

LifeKey = tuple[Key, str]

CommitPiece = Callable[[Callable[[Any], bool]], Awaitable[bool]]
"""Does one piece in a group commit, also on a full disk; True while there is more."""

_LOG: Final = logger(__name__)


class Eraser:
    """Erases one life after another.

    Args:
        write: commits one piece.
        store: its log is cut, since it holds copies of what was erased.
        pause_s: between two tries while the disk fails or is full.
    """

    def __init__(self, write: CommitPiece, store: Store, pause_s: float) -> None:
        self._write = write
        self._store = store
        self._pause_s = pause_s
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waiting: dict[LifeKey, asyncio.Event] = {}

    def start(self, session: int, life: LifeKey | None = None) -> None:
        """Erase what hangs on a session's row id; ``life`` is the key for ``wait_until_erased``."""
        done = asyncio.Event()
        if life is not None:
            self._waiting[life] = done
        task = asyncio.create_task(self._erase(session, done))
        self._tasks[session] = task

        def on_done(task: asyncio.Task[None]) -> None:
            del self._tasks[session]
            done.set()
            if life is not None and self._waiting.get(life) is done:
                del self._waiting[life]
            if not task.cancelled() and (error := task.exception()) is not None:
                _LOG.error("a deleted session could not be erased; it is tried again at the next start", exc_info=error)

        task.add_done_callback(on_done)

    async def wait_until_erased(self, life: LifeKey) -> None:
        """Wait until a life is erased, or the disk does not let it be for now."""
        done = self._waiting.get(life)
        if done is not None:
            await done.wait()

    async def stop(self) -> None:
        """Stop where it is; the rest is erased after the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _erase(self, session: int, done: asyncio.Event) -> None:
        await self._commit_pieces(partial(writes.erase, session=session), done)
        await self._commit_pieces(writes.give_back, done)
        await self._cut_log()
        await self._commit_pieces(partial(writes.end_erasing, session=session), done)

    async def _commit_pieces(self, piece: Callable[[Any], bool], done: asyncio.Event) -> None:
        more = True
        while more:
            started = time.monotonic()
            try:
                more = await self._write(piece)
                pause_s = time.monotonic() - started  # others get as much time as this took
                if self._store.scarce:
                    await self._cut_log()
            except Unavailable:
                done.set()  # nobody waits for a disk that somebody must look at first
                pause_s = self._pause_s
            if more:
                await asyncio.sleep(pause_s)

    async def _cut_log(self) -> None:
        """The write-ahead log holds copies of what was erased, and takes up space."""
        try:
            await asyncio.to_thread(self._store.checkpoint, apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except (apsw.Error, HoldfastError, OSError):
            pass  # busy: they are overwritten as the log goes round, at the latest when the database is closed
