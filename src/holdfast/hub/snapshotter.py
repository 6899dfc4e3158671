"""Storing and loading what is derived: snapshots of a session's state, and history pages.

They only save time. A session without them, or with ones of another version, is folded from its log.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, Protocol, cast

import msgspec

from holdfast.engines.port import Head, Key
from holdfast.errors import HoldfastError
from holdfast.hub.runtime import Runtime
from holdfast.protocol import limits
from holdfast.protocol.codec import encode
from holdfast.protocol.fold import View
from holdfast.protocol.frames import Frame, decode_frame
from holdfast.protocol.view import FOLD_VERSION
from holdfast.session import producer, program
from holdfast.session.state import State
from holdfast.visible import logger

log = logger("holdfast.hub")


class StoredSnapshot(msgspec.Struct):
    """A stored snapshot: the control state and the view at one seq, with the fold version of both.

    ``compacted`` is the seq up to which the log was compacted when it was stored.
    """

    fold: int
    state: State
    view: dict[str, Any]
    compacted: int = 0


class Loaded(NamedTuple):
    """A session folded from its log. ``snapshot_seq`` is that of the snapshot that shortened it."""

    state: State
    view: View
    snapshot_seq: int
    compacted: int


_DECODER = msgspec.msgpack.Decoder(StoredSnapshot)
_ENCODER = msgspec.msgpack.Encoder()


class LogReader(Protocol):
    """The part of an engine that loading needs."""

    async def read(self, key: Key, after: int, *, max_bytes: int) -> list[Frame]: ...

    async def get_snapshot(self, key: Key) -> tuple[int, bytes] | None: ...


async def load(engine: LogReader, head: Head, *, from_log: bool = False) -> Loaded:
    """Fold a session from its newest snapshot and the frames after it, or from its whole log."""
    state, view, compacted = State(head.key.session, head.incarnation), View(), 0
    snapshot = None if from_log else await engine.get_snapshot(head.key)
    if snapshot is not None and snapshot[0] <= head.tail:
        try:
            stored = _DECODER.decode(snapshot[1])
            if stored.fold == FOLD_VERSION:
                state, view, compacted = stored.state, View.load(stored.view), stored.compacted
                state.incarnation = head.incarnation  # a restored session: the same log in a new life
        except (msgspec.MsgspecError, ValueError, KeyError) as error:
            log.warning(
                "session %s: its snapshot is not usable (%s); folding its log", head.key.session, type(error).__name__
            )
    snapshot_seq = state.tail
    while state.tail < head.tail:
        frames = await engine.read(head.key, state.tail, max_bytes=limits.PAGE_BYTES)
        if not frames:
            raise HoldfastError("engine.corrupt", f"session {head.key.session} ends at {state.tail}, not {head.tail}")
        for frame in frames:
            events = decode_frame(frame.payload).events
            if frame.first <= state.tail:
                if any(event.seq <= state.tail < event.last for event in events):  # merged since the snapshot
                    return await load(engine, head, from_log=True)
                events = [event for event in events if event.seq > state.tail]
            program.evolve_all(state, events)
            view.apply_all(events)
            for key in frame.keys:
                if frame.first > snapshot_seq or key.last > snapshot_seq:  # else the snapshot has it
                    producer.remember(state, key)
        await asyncio.sleep(0)  # a long log must not hold the loop
    return Loaded(state, view, snapshot_seq, compacted)


class FoldedSession(Protocol):
    """The part of a session in memory that storing needs: what it was folded to, and at which seq."""

    key: Key
    incarnation: str
    tail: int
    state: State | None
    view: View

    def forget_snapshot(self) -> None: ...


class Snapshotter:
    """Decides when a hot session's snapshot and pages are stored, and stores them in the background.

    Attributes:
        snapshot_seq: seq of the stored snapshot.
        compacted: seq up to which the log is compacted.
    """

    def __init__(self, session: FoldedSession, runtime: Runtime) -> None:
        self.session = session
        self._runtime = runtime
        self.snapshot_seq = 0
        self.compacted = 0
        self.pages: dict[int, bytes] = {}
        self._events = 0
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    def on_commit(self, events: int, size: int) -> None:
        """Count what was committed; store when enough has come together or the window has grown too large."""
        self._events += events
        self._bytes += size
        if self._task is not None:
            return
        outgrown = self.session.view.size > 2 * limits.SNAPSHOT_BYTES
        if outgrown or self._events >= limits.SNAPSHOT_EVERY_EVENTS or self._bytes >= limits.SNAPSHOT_EVERY_BYTES:
            if outgrown:
                self._turn_page()
            self.store()

    def _turn_page(self) -> None:
        view = self.session.view
        page = view.trim(limits.SNAPSHOT_BYTES)
        if page is not None:
            self.pages[view.older] = encode(page)
            self.session.forget_snapshot()

    def store(self) -> None:
        """Encode now, while state and view agree, and write in the background."""
        session = self.session
        if session.state is None or session.state.tail != session.tail:
            return  # the control state is ahead of a commit: the next commit stores
        self._events = self._bytes = 0
        view = cast(dict[str, Any], session.view.export())
        data = _ENCODER.encode(StoredSnapshot(FOLD_VERSION, session.state, view, self.compacted))
        self._task = self._runtime.loop.create_task(self._write(session.tail, data, dict(self.pages)))

    async def _write(self, seq: int, data: bytes, pages: dict[int, bytes]) -> None:
        session = self.session
        try:
            await self._runtime.engine.put_snapshot(session.key, session.incarnation, seq, data, pages)
            self.snapshot_seq = seq
            for page in pages:
                self.pages.pop(page, None)
        except HoldfastError as error:
            log.warning("session %s: snapshot not stored: %s", session.key.session, error.code)
        finally:
            self._task = None

    async def flush(self, *, at_least: int) -> None:
        """Before a session goes cold: wait for what is being stored, and store when ``at_least`` events would be refolded."""
        if self._task is not None:
            await self._task
        if self.session.tail - self.snapshot_seq >= at_least or self.pages:
            self.store()
            if self._task is not None:
                await self._task

    async def page(self, number: int) -> bytes | None:
        """One history page, also one on its way to the engine."""
        page = self.pages.get(number)
        if page is not None:
            return page
        return await self._runtime.engine.get_page(self.session.key, self.session.incarnation, number)
