"""Readers: from catch-up to live without a gap or a repeat (SUB-1 to SUB-4).

A reader is a connection, a session and a cursor; there is no queue per reader. Live readers get what was just committed.
A reader whose transport pauses becomes a cursor again and reads on from the ring or the log when it drains.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from holdfast.errors import HoldfastError, Refused
from holdfast.hub.hot import HotSession
from holdfast.hub.observer import Commit, SessionObserver
from holdfast.hub.port import Batch, HubConnection, batch_of
from holdfast.hub.reader import Reader as AnyReader
from holdfast.hub.runtime import Runtime
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import encode
from holdfast.protocol.frames import EVERYONE, Frame, decode_frame

Reader = AnyReader[HotSession]


class Readers(SessionObserver[HotSession]):
    """All subscriptions of one hub."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.by_connection: dict[str, dict[str, Reader]] = {}
        self._reading: dict[str, asyncio.Lock] = {}  # of a connection's many readers one has a page in hand

    # --- coming and going
    def check_subscriptions(self, conn: HubConnection, session: str) -> None:
        """Refuse (``limit.subscriptions``) another session on a connection that reads as many as it may."""
        readers = self.by_connection.get(conn.ident, {})
        if session not in readers and len(readers) >= limits.SUBSCRIPTIONS:
            raise Refused("limit.subscriptions")

    async def attach(
        self, conn: HubConnection, session: HotSession, start: Literal["snapshot", "tail"] | wire.Cursor
    ) -> Reader:
        """Begin to read; the answer to the subscription must have been written before this is called."""
        readers = self.by_connection.setdefault(conn.ident, {})
        name = session.key.session
        if name in readers:
            self.detach(conn, name)
        reader = Reader(conn, session, session.tail, operator=conn.principal.may("admin", name))
        readers[name] = reader
        session.readers[conn.ident] = reader
        self._runtime.stats.subscriptions += 1
        if isinstance(start, wire.Cursor):
            foreign = start.incarnation != session.incarnation or start.seq > session.tail
            inside = not foreign and await self._inside_cover(session, start.seq)
            if session.readers.get(conn.ident) is not reader:
                return reader  # it left, or began anew, meanwhile
            if foreign or inside:
                self._begin_with_snapshot(reader, "reset")
            else:
                reader.cursor = start.seq
        elif start == "snapshot":
            self._begin_with_snapshot(reader, "start")
        self.read_on(reader)
        return reader

    def _begin_with_snapshot(self, reader: Reader, reason: str) -> None:
        """Now, or when the connection is not paused: somebody may subscribe to much and read slowly."""
        if reader.conn.paused:
            reader.cursor, reader.reason = -1, reason
        else:
            self.send_snapshot(reader, reason)

    def detach(self, conn: HubConnection, session: str) -> None:
        """Stop reading one session."""
        reader = self.by_connection.get(conn.ident, {}).pop(session, None)
        if reader is not None:
            self._end(reader)

    def reauthorise(self, conn: HubConnection) -> None:
        """The connection's capabilities changed."""
        for name, reader in list(self.by_connection.get(conn.ident, {}).items()):
            if conn.principal.may("read", name):
                reader.operator = conn.principal.may("admin", name)
            else:
                self.detach(conn, name)
                conn.deliver(Batch([encode({"op": "closed", "session": name, "code": "auth.denied"})]))

    def detach_all(self, conn: HubConnection) -> list[HotSession]:
        """The connection is gone: returns the sessions it was reading."""
        readers = self.by_connection.pop(conn.ident, {}).values()
        self._reading.pop(conn.ident, None)
        for reader in readers:
            self._end(reader)
        return [reader.session for reader in readers]

    def _end(self, reader: Reader) -> None:
        reader.session.readers.pop(reader.conn.ident, None)
        reader.session.last_used = self._runtime.clock.monotonic()
        self._runtime.stats.subscriptions -= 1
        if reader.task is not None:
            reader.task.cancel()

    # --- what happens to sessions
    def deleted(self, session: HotSession) -> None:
        """Tell its readers that the session is gone."""
        batch = Batch([encode({"op": "closed", "session": session.key.session, "code": "session.deleted"})])
        for reader in list(session.readers.values()):
            self.detach(reader.conn, session.key.session)
            reader.conn.deliver(batch)

    def loaded(self, session: HotSession) -> None:
        """Whoever is not at the tail of a session that was loaded again reads on."""
        for reader in list(session.readers.values()):
            if reader.live and reader.cursor != session.tail:
                self._fall_behind(reader)

    def committed(self, session: HotSession, commit: Commit) -> None:
        """See ``SessionObserver``."""
        if session.readers:
            self.fan_out(session, commit.frames, commit.size)

    # --- live
    def fan_out(self, session: HotSession, frames: list[Frame], size: int) -> None:
        """Write freshly committed frames (of ``size`` bytes) to every live reader: encoded once, framed once."""
        before, stats = frames[0].first - 1, self._runtime.stats
        everyone = all(frame.audience == EVERYONE for frame in frames)
        open_ = batch_of(frames, session.key.session, operator=True)
        masked = open_ if everyone else batch_of(frames, session.key.session, operator=False)
        tail = frames[-1].last
        deliveries = 0
        for reader in list(session.readers.values()):
            if not reader.live:
                continue
            conn = reader.conn
            if reader.cursor != before or conn.paused:
                self._fall_behind(reader)
                continue
            reader.cursor = tail
            conn.deliver(open_ if reader.operator else masked)
            deliveries += 1
        stats.deliveries += deliveries
        stats.bytes_out += deliveries * size

    def _fall_behind(self, reader: Reader) -> None:
        reader.live = False
        reader.mark = reader.session.bytes
        self._runtime.stats.slow_readers += 1
        self.read_on(reader)

    # --- catching up
    def read_on(self, reader: Reader) -> None:
        """Bring a reader to the tail, now if it is there already."""
        if reader.task is None:
            if self._arrive(reader):
                return
            reader.task = self._runtime.loop.create_task(self._catch_up(reader))

    def _arrive(self, reader: Reader) -> bool:
        """Turn live in the same step in which the cursor is seen to be the tail: no await lies between."""
        session = reader.session
        if reader.cursor != session.tail or reader.conn.paused or session.state is None:
            return False
        reader.live, reader.mark = True, None
        notice = {"op": "live", "session": session.key.session, "incarnation": session.incarnation, "seq": session.tail}
        reader.conn.deliver(Batch([encode(notice)]))
        return True

    def resume(self, conn: HubConnection) -> None:
        """The connection has drained."""
        for reader in self.by_connection.get(conn.ident, {}).values():
            reader.drained.set()

    async def _catch_up(self, reader: Reader) -> None:
        try:
            while True:
                if reader.conn.paused:
                    reader.drained.clear()
                    await reader.drained.wait()
                    continue
                await reader.session.ready()
                if self._arrive(reader):
                    return
                async with self._reading.setdefault(reader.conn.ident, asyncio.Lock()):
                    if not reader.conn.paused:
                        await self._step(reader)
        except HoldfastError as error:
            message = {"op": "closed", "session": reader.session.key.session, "code": error.code}
            reader.task = None
            self.detach(reader.conn, reader.session.key.session)
            reader.conn.deliver(Batch([encode(message)]))
        finally:
            reader.task = None

    async def _step(self, reader: Reader) -> None:
        """Write one page, or the snapshot that replaces what cannot or should not be read."""
        session, stats = reader.session, self._runtime.stats
        behind = session.bytes - reader.mark if reader.mark is not None else 0
        if reader.cursor < 0 or reader.cursor > session.tail:
            return self.send_snapshot(reader, reader.reason)
        if behind > limits.SLOW_READER_SNAPSHOT_BYTES:
            return self.send_snapshot(reader, "slow")
        cursor = reader.cursor
        frames = session.ring.after(cursor, limits.PAGE_BYTES)
        if frames is None:
            frames = await self._read(session, cursor, limits.PAGE_BYTES)
            stats.pages_read += 1
            ahead = [frame for frame in frames if frame.last > session.tail]  # stored, and not yet folded here
            if ahead and len(ahead) == len(frames):
                return await asyncio.sleep(0)
            frames = frames[: len(frames) - len(ahead)]
        if reader.cursor != cursor:  # reset meanwhile
            return None
        if not frames or splits_cover(frames[0], cursor):
            return self.send_snapshot(reader, "reset")
        batch = batch_of(frames, session.key.session, operator=reader.operator)
        reader.cursor = frames[-1].last
        reader.conn.deliver(batch)
        stats.deliveries += 1
        stats.bytes_out += sum(map(len, batch.payloads))
        await asyncio.sleep(0)
        return None

    async def _read(self, session: HotSession, cursor: int, max_bytes: int) -> list[Frame]:
        return await self._runtime.engine.read(
            session.key, cursor, max_bytes=max_bytes, incarnation=session.incarnation
        )

    async def _inside_cover(self, session: HotSession, cursor: int) -> bool:
        if cursor == session.tail or cursor == 0:
            return False
        frames = session.ring.after(cursor, limits.PAGE_BYTES) or await self._read(session, cursor, 1)
        return bool(frames) and splits_cover(frames[0], cursor)

    def send_snapshot(self, reader: Reader, reason: str) -> None:
        """Replace the reader's state by the folded one at the durable tail."""
        session, stats = reader.session, self._runtime.stats
        seq, view = session.snapshot()
        payload = b'{"op":"snapshot","session":%b,"incarnation":"%b","seq":%d,"reason":"%b","view":%b}' % (
            encode(session.key.session),
            session.incarnation.encode(),
            seq,
            reason.encode(),
            view,
        )
        reader.cursor, reader.mark, reader.reason = seq, None, "reset"
        stats.snapshots += 1
        stats.resets += reason != "start"
        stats.bytes_out += len(payload)
        reader.conn.deliver(Batch([payload]))


def splits_cover(frame: Frame, cursor: int) -> bool:
    """Whether a cursor lies inside one merged event of a frame, where no prefix can be read (SUB-3)."""
    if frame.first > cursor:
        return False
    return any(event.seq <= cursor < event.last for event in decode_frame(frame.payload).events)
