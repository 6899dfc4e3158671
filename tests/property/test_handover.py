"""SUB-2, measured at the application's callback: whatever the wire does, each event arrives once and in order.

A modelled server keeps one log in stored frames. Hypothesis chooses how the log is framed, which frames the reader has
no part in, what is merged by compaction and when, where every connection is cut, what is repeated, and when the log
grows. The readers start at different places and times.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.client.events import Events
from holdfast.client.feed import Snapshot
from holdfast.client.live import LiveView
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.codec import canonical, encode, utf16_len
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from tests.unit.client.scripted import Line, Scripted

SESSION = "s1"
WORDS = ["a", "tide ", "🌊", "é", "", "long " * 9]


def story(words: list[str]) -> list[Event]:
    """A log: two messages that grow side by side, with something else in between."""
    log = [
        Event(1, 1, "user:ann", e.SESSION_CREATED, {"title": "t"}),
        Event(2, 2, "agent:w", e.TEXT_START, {"messageId": "m0", "role": "assistant"}),
        Event(3, 3, "agent:w", e.TEXT_START, {"messageId": "m1", "role": "assistant"}),
    ]
    lengths = [0, 0]
    for i, word in enumerate(words):
        seq, which = len(log) + 1, (i // 3) % 2
        if i % 7 == 6:
            log.append(Event(seq, seq, "agent:w", e.CUSTOM, {"name": "n", "value": i}))
            continue
        data = {"messageId": f"m{which}", "delta": word}
        log.append(Event(seq, seq, "agent:w", e.TEXT_CONTENT, data, offset=lengths[which]))
        lengths[which] += utf16_len(word)
    return log


def merged(events: list[Event]) -> list[Event]:
    """Adjacent deltas of one message as one cover, as compaction makes them."""
    out: list[Event] = []
    for event in events:
        last = out[-1] if out else None
        if (
            last is not None
            and last.type == event.type == e.TEXT_CONTENT
            and last.data["messageId"] == event.data["messageId"]
        ):
            data = {**last.data, "delta": last.data["delta"] + event.data["delta"]}
            out[-1] = Event(last.seq, last.ts, last.actor, last.type, data, offset=last.offset, to=event.last)
        else:
            out.append(event)
    return out


class Server:
    """The model: a log in frames, served as PROTOCOL.md section 5 says, over connections that break."""

    def __init__(
        self, log: list[Event], cuts: list[int], hidden: frozenset[int], grow: list[int], repeat: bool
    ) -> None:
        self.frames: list[list[Event]] = []
        self.pending = list(log)
        self.hidden = hidden
        self.cuts = cuts  # messages each connection may carry; afterwards they live on
        self.grow_by = grow
        self.repeat = repeat
        self.script = Scripted()
        self.script.answer = self.answer
        self.left: dict[Line, int] = {}
        self.readers: dict[Line, int] = {}  # live subscriptions, and what they have

    @property
    def tail(self) -> int:
        return self.frames[-1][-1].last if self.frames else 0

    def say(self, line: Line, message: Any) -> None:
        left = self.left.setdefault(line, self.cuts.pop(0) if self.cuts else 1_000_000)
        if left == 0:
            line.cut()
            return
        self.left[line] = left - 1
        line.say(message)

    def payload(self, frame: list[Event]) -> bytes:
        first, last = frame[0].seq, frame[-1].last
        if first in self.hidden:
            return encode({"op": "skip", "session": SESSION, "from": first, "to": last})
        return encode({"op": "events", "session": SESSION, "from": first, "to": last, "events": frame})

    def view(self) -> View:
        view = View()
        for frame in self.frames:
            for event in frame:
                assert view.apply(event)
        return view

    def answer(self, line: Line, op: wire.Op) -> None:
        if isinstance(op, wire.Unsubscribe):
            self.readers.pop(line, None)
            line.ok(op)
        elif isinstance(op, wire.Subscribe):
            self.readers.pop(line, None)
            self.say(line, {"op": "ok", "id": op.id, "incarnation": "i", "tail": self.tail})
            self.serve(line, op.start)

    def serve(self, line: Line, start: Any) -> None:
        if isinstance(start, wire.Cursor):
            after = start.seq
            covered = any(event.seq <= after < event.last for frame in self.frames for event in frame)
            if start.incarnation != "i" or after > self.tail or covered:
                self.snapshot(line, "reset")
                after = self.tail
        elif start == "snapshot":
            self.snapshot(line, "start")
            after = self.tail
        else:
            after = self.tail
        for frame in self.frames:
            if frame[-1].last > after:
                self.say(line, self.payload(frame))
                if self.repeat:
                    self.say(line, self.payload(frame))
        self.readers[line] = self.tail
        self.say(line, {"op": "live", "session": SESSION, "incarnation": "i", "seq": self.tail})

    def snapshot(self, line: Line, reason: str) -> None:
        message = {"op": "snapshot", "session": SESSION, "incarnation": "i", "seq": self.tail, "reason": reason}
        self.say(line, {**message, "view": self.view().export()})

    def grow(self) -> bool:
        """Append the next frame; False when all is written."""
        if not self.pending:
            return False
        count = self.grow_by.pop(0) if self.grow_by else 2
        frame, self.pending = self.pending[:count], self.pending[count:]
        self.frames.append(frame)
        for line in list(self.readers):
            if not line.closed:
                self.say(line, self.payload(frame))
        return True

    def compact(self, upto: int) -> None:
        """Merge what lies in the first frames into one."""
        old = [event for frame in self.frames[:upto] for event in frame]
        if old and not any(frame[0].seq in self.hidden for frame in self.frames[:upto]):
            self.frames[:upto] = [merged(old)]


def check(items: list[Event | Snapshot], start: Any, server: Server, *, compacted: bool) -> None:
    """The items follow each other exactly, and only compaction may replace the reader's state in between."""
    position = start.seq if isinstance(start, wire.Cursor) else None
    hidden = {event.seq for frame in server.frames if frame[0].seq in server.hidden for event in frame}
    for number, item in enumerate(items):
        if isinstance(item, Snapshot):
            assert compacted or number == 0, "a snapshot nobody asked for"
            assert position is None or item.seq >= position
            position = item.seq
            continue
        if position is None:
            assert start == "tail"
            position = item.seq - 1
        skipped = set(range(position + 1, item.seq))
        assert skipped <= hidden, f"lost {sorted(skipped - hidden)} before {item.seq}"
        assert item.seq > position, f"{item.seq} came twice"
        position = item.last
    assert position is None or server.tail - position <= len(hidden)


async def collect(events: Events, into: list[Event | Snapshot]) -> None:
    async for item in events:
        into.append(item)


async def play(
    words: list[str], cuts: list[int], hidden: frozenset[int], grow: list[int], repeat: bool, starts: list[Any],
    joins: list[int], compactions: list[int],
) -> None:  # fmt: skip
    log = story(words)
    server = Server(log, cuts, hidden, grow, repeat)
    got: list[tuple[Any, list[Event | Snapshot], Events]] = []
    tasks = []
    async with server.script.client() as hf:
        session = hf.session(SESSION)
        live: LiveView | None = None if hidden else session.live()
        step = 0
        while server.grow():
            for start, join in zip(starts, joins, strict=True):
                if join == step:
                    events = session.events(start)
                    into: list[Event | Snapshot] = []
                    got.append((start, into, events))
                    tasks.append(asyncio.create_task(collect(events, into)))
            if step in compactions:
                server.compact(max(1, len(server.frames) // 2))
            step += 1
            await asyncio.sleep(0)

        def done() -> bool:
            return hf.status == "live" and all(reader.seq == server.tail for _, _, reader in got)

        await server.script.until(done)
        await asyncio.sleep(0)
        if live is not None:
            await server.script.until(lambda: live.seq == server.tail)
            assert canonical(live.view.export()) == canonical(server.view().export())
        for start, into, reader in got:
            check(into, start, server, compacted=bool(compactions))
            reader.close()
        await asyncio.gather(*tasks)


starts = st.sampled_from(["snapshot", "tail"]) | st.integers(0, 3).map(lambda seq: wire.Cursor("i", seq))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_reader_gets_every_event_once(data: st.DataObject) -> None:
    words = data.draw(st.lists(st.sampled_from(WORDS), max_size=40), "words")
    cuts = data.draw(st.lists(st.integers(0, 12), max_size=12), "messages carried before each cut")
    hidden = data.draw(st.frozensets(st.integers(4, 40), max_size=4), "frames for operators only")
    grow = data.draw(st.lists(st.integers(1, 6), max_size=20), "frame sizes")
    count = data.draw(st.integers(1, 3), "readers")
    begin = data.draw(st.lists(starts, min_size=count, max_size=count), "starts")
    joins = data.draw(st.lists(st.integers(0, 6), min_size=count, max_size=count), "joins")
    # a cursor that the log has not reached yet would be a foreign one
    joins = [max(join, 4) if isinstance(start, wire.Cursor) else join for start, join in zip(begin, joins, strict=True)]
    compactions = data.draw(st.lists(st.integers(2, 8), max_size=2), "compactions")
    repeat = data.draw(st.booleans(), "repeat every frame in catch-up")
    asyncio.run(play(words, cuts, hidden, grow, repeat, begin, joins, compactions))


def test_a_cut_at_every_message_of_one_connection() -> None:
    words = WORDS * 3
    for cut in range(30):
        begin: list[Any] = [wire.Cursor("i", 0), "snapshot"]
        asyncio.run(play(words, [cut] * 2, frozenset(), [1] * 40, False, begin, [0, 0], []))


def test_one_reader_over_a_line_that_carries_one_message_at_a_time() -> None:
    """Each connection lives for the answer, one frame and no more; progress is one frame per connection."""
    asyncio.run(play(WORDS * 4, [2] * 60, frozenset(), [1] * 60, True, [wire.Cursor("i", 0)], [4], []))
