"""One session's subscription on the wire, shared by every reader of that session in this client.

Each reader keeps its own cursor; the feed subscribes from the least of them and every reader takes exactly what
follows its own (SUB-2). Whenever something does not fit (a lost connection, a gap, a bad join, a reader that lagged)
the answer is the same: subscribe again from the cursors. A reader that does not read is not buffered without end: it
becomes a cursor again, as slow readers do on the server (SUB-4).
"""

from __future__ import annotations

import asyncio
import copy
import weakref
from typing import Any, Literal, cast

import msgspec

from holdfast.client import messages
from holdfast.client.connection import Connection
from holdfast.client.retry import Backoff
from holdfast.errors import CODES, HoldfastError, Refused, Unavailable
from holdfast.protocol import wire
from holdfast.protocol.events import Event
from holdfast.protocol.frames import EventsFrame
from holdfast.protocol.view_data import ViewData

Start = Literal["snapshot", "tail"]
"""Where a reader without a cursor begins."""


class Snapshot(msgspec.Struct, frozen=True):
    """The folded state of a session after event ``seq``; it replaces all a reader had.

    Attributes:
        view: an exported view (PROTOCOL.md, section 6); ``protocol.view.View.load`` reads it.
        reason: ``start``, ``reset`` (the cursor could not be served) or ``slow`` (too far behind).
    """

    incarnation: str
    seq: int
    view: ViewData
    reason: str

    @property
    def cursor(self) -> wire.Cursor:
        """The position to go on from."""
        return wire.Cursor(self.incarnation, self.seq)


class FeedReader:
    """A position in a session that advances event by event. Subclasses say what happens with each."""

    def __init__(self, start: Start | wire.Cursor) -> None:
        self.needs: Start | None = None if isinstance(start, wire.Cursor) else start
        self.incarnation = start.incarnation if isinstance(start, wire.Cursor) else ""
        self.seq = start.seq if isinstance(start, wire.Cursor) else 0
        self.lagging = False

    def take(self, item: Event | Snapshot | messages.Skip, size: int) -> bool:
        """The next item, ``size`` bytes of the message it came in. False: it does not join; a snapshot is needed."""
        raise NotImplementedError

    def caught_up(self) -> None:
        """Everything up to the tail was taken."""

    def fail(self, error: HoldfastError) -> None:
        """The session cannot be read any more."""
        raise NotImplementedError


class Feed:
    """See the module. Readers are held weakly: one that is forgotten is gone."""

    def __init__(self, connection: Connection, session: str, owner: object) -> None:
        self._connection = connection
        self._session = session
        self._owner = owner  # the session object is found by its id only while somebody holds it: readers do
        # in the order they came
        self._readers: weakref.WeakValueDictionary[int, FeedReader] = weakref.WeakValueDictionary()
        self._subscription = 0  # number of the newest subscribe; answers to older ones mean nothing
        self._open = False  # whether the newest subscribe was answered: only then messages count
        self._tail = 0
        self._last_gap: tuple[str, int] | None = None  # where the last gap was
        self._backoff = Backoff()
        self._loop = asyncio.get_running_loop()

    @property
    def incarnation(self) -> str | None:
        """The life of the session that is being read; None while nothing is."""
        incarnations = (reader.incarnation for reader in self._active() if reader.needs is None and reader.incarnation)
        return next(incarnations, None)

    # --- readers come and go
    def add(self, reader: FeedReader) -> None:
        """Let a reader read from its start."""
        self._readers[id(reader)] = reader
        weakref.finalize(reader, _reader_collected, weakref.ref(self)).atexit = False
        self.subscribe()

    def remove(self, reader: FeedReader) -> None:
        """End a reader."""
        self._readers.pop(id(reader), None)
        if not self._active():
            self._unsubscribe()

    def resume(self, reader: FeedReader) -> None:
        """A reader that lagged has read what it had."""
        reader.lagging = False
        self.subscribe()

    def restart(self, reader: FeedReader) -> None:
        """A reader needs a snapshot to go on."""
        reader.needs = "snapshot"
        self.subscribe()

    def reader_collected(self) -> None:
        """A reader was dropped without being closed; called from whichever thread collects it."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: None if self._active() else self._unsubscribe())

    def _active(self) -> list[FeedReader]:
        return [reader for reader in self._readers.values() if not reader.lagging]

    # --- subscribing
    def subscribe(self) -> None:
        """Subscribe (again) from what the readers need; a later call makes an earlier one void."""
        self._open = False
        self._subscription += 1
        subscription, readers = self._subscription, self._active()
        if not readers:
            self._unsubscribe()
            return
        self._connection.mark_behind(self, True)
        if self._connection.error is not None:
            self._fail(self._connection.error)
        elif self._connection.connected:
            op = wire.Subscribe(session=self._session, start=_start(readers))
            self._connection.post(op, lambda outcome: self._subscribed(subscription, op.start, outcome))

    def resume_all(self) -> None:
        """There is a new connection."""
        if self._active():
            self.subscribe()

    def lost(self) -> None:
        """The connection is gone; ``resume_all`` follows when there is another."""
        self._open = False
        self._subscription += 1
        if self._active():
            self._connection.mark_behind(self, True)
            if self._connection.error is not None:
                self._fail(self._connection.error)

    def _unsubscribe(self) -> None:
        self._open = False
        self._subscription += 1
        self._connection.mark_behind(self, False)
        if self._connection.connected:
            self._connection.post(wire.Unsubscribe(session=self._session), lambda outcome: None)

    def _subscribed(self, subscription: int, start: object, outcome: dict[str, Any] | HoldfastError) -> None:
        if subscription != self._subscription:
            return
        if isinstance(outcome, Unavailable):
            if self._connection.connected:
                self._loop.call_later(self._backoff.after_s(outcome), self._subscribe_if, subscription)
            return
        if isinstance(outcome, HoldfastError):
            self._fail(outcome)
            return
        self._backoff.reset()
        self._open = True
        self._tail = int(outcome.get("tail", 0))
        incarnation = str(outcome.get("incarnation", ""))
        if start == "snapshot" or (isinstance(start, wire.Cursor) and start.incarnation != incarnation):
            return  # a snapshot follows
        for reader in self._active():
            if reader.needs == "tail" and start == "tail":
                reader.needs = None
                reader.incarnation, reader.seq = incarnation, self._tail
            elif reader.needs is None and reader.incarnation != incarnation:
                reader.needs = "snapshot"
        self._resubscribe_if_behind(self._tail if start == "tail" else 0)

    def _subscribe_if(self, subscription: int) -> None:
        if subscription == self._subscription:
            self.subscribe()

    def _resubscribe_if_behind(self, position: int) -> None:
        """The wire stands at ``position``: subscribe again when a reader has not come that far."""
        if any(reader.needs is not None or reader.seq < position for reader in self._active()):
            self.subscribe()

    def _fail(self, error: HoldfastError) -> None:
        self._open = False
        self._connection.mark_behind(self, False)
        readers = list(self._readers.values())
        self._readers.clear()
        for reader in readers:
            reader.fail(error)

    # --- from the wire
    def received(self, message: messages.SessionMessage, size: int) -> None:
        """A message of this session, in order; ignored unless the newest subscribe was answered before it."""
        if not self._open:
            return
        if isinstance(message, EventsFrame):
            self._tail = max(self._tail, message.last)
            self._deliver(message.events, size)
        elif isinstance(message, messages.Skip):
            self._tail = max(self._tail, message.last)
            self._deliver([message], size)
        elif isinstance(message, messages.SnapshotMessage):
            self._deliver_snapshot(message, size)
        elif isinstance(message, messages.Live):
            self._last_gap = None
            self._connection.mark_behind(self, False)
            for reader in self._active():
                reader.caught_up()
        elif isinstance(message, messages.Closed):
            code = message.code if message.code in CODES else "session.deleted"
            if CODES[code].retry:
                self._open = False
                self._loop.call_later(self._backoff.next_s(), self._subscribe_if, self._subscription)
                return
            self._fail(Refused(code, "the subscription was closed by the server"))

    def _deliver(self, items: list[Event] | list[messages.Skip], size: int) -> None:
        share = size // len(items) + 1
        resubscribe = False
        for reader in self._active():
            if reader.needs is not None:
                continue
            for item in items:
                last = item.last
                if last <= reader.seq:
                    continue
                first = item.seq if isinstance(item, Event) else item.first
                if first != reader.seq + 1 and not (isinstance(item, messages.Skip) and first <= reader.seq):
                    self._note_gap(reader)
                    resubscribe = True
                    break
                if not reader.take(item, share):
                    reader.needs = "snapshot"
                    resubscribe = True
                    break
                reader.seq = last
                if reader.lagging:
                    break
        if resubscribe:
            self.subscribe()
        elif not self._active():
            self._unsubscribe()

    def _note_gap(self, reader: FeedReader) -> None:
        """What came does not follow; the same gap twice means that only a snapshot helps."""
        position = (reader.incarnation, reader.seq)
        if self._last_gap == position:
            reader.needs = "snapshot"
        self._last_gap = position

    def _deliver_snapshot(self, message: messages.SnapshotMessage, size: int) -> None:
        view, view_used = cast(ViewData, message.view), False
        for reader in self._active():
            if not self._takes_snapshot(message, reader):
                continue
            # a reader that had a position is told that it was replaced, whichever way the snapshot was asked for
            reason = "reset" if message.reason == "start" and reader.incarnation else message.reason
            reader.needs = None
            reader.incarnation, reader.seq = message.incarnation, message.seq
            reader.take(
                Snapshot(message.incarnation, message.seq, copy.deepcopy(view) if view_used else view, reason), size
            )
            view_used = True
        self._tail = max(self._tail, message.seq)
        self._resubscribe_if_behind(message.seq)

    def _takes_snapshot(self, message: messages.SnapshotMessage, reader: FeedReader) -> bool:
        """Whether a snapshot concerns this reader, or only another one that shares the feed."""
        if reader.needs is not None:
            return reader.needs == "snapshot"
        if reader.incarnation != message.incarnation:
            return True
        return message.reason != "start" and (reader.seq < message.seq or reader.seq > self._tail)


def _reader_collected(reference: weakref.ref[Feed]) -> None:
    alive = reference()  # held weakly: what a finalizer holds lives as long as the reader, which may hold the feed
    if alive is not None:
        alive.reader_collected()


def _start(readers: list[FeedReader]) -> Start | wire.Cursor:
    needs = {reader.needs for reader in readers}
    if "snapshot" in needs:
        return "snapshot"
    if "tail" in needs:
        return "tail"
    least = min(readers, key=lambda reader: reader.seq)
    return wire.Cursor(least.incarnation, least.seq)
