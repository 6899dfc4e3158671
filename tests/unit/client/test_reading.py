"""Reading a session: exact at the callback, whatever the wire does."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from holdfast.client.events import Events
from holdfast.client.feed import Snapshot
from holdfast.errors import Refused
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Event
from tests.unit.client.scripted import Line, Scripted, empty_view, event, frame

pytestmark = pytest.mark.anyio

INC = "i1"


class Log:
    """A server with one session of custom events."""

    def __init__(self, tail: int, incarnation: str = INC) -> None:
        self.tail = tail
        self.incarnation = incarnation
        self.script = Scripted()
        self.script.answer = self.answer

    def answer(self, line: Line, op: wire.Op) -> None:
        if not isinstance(op, wire.Subscribe):
            line.ok(op)
            return
        line.ok(op, incarnation=self.incarnation, tail=self.tail)
        start = op.start
        if start == "tail":
            after = self.tail
        elif isinstance(start, wire.Cursor) and start.incarnation == self.incarnation:
            after = start.seq
        else:
            line.say(self.snapshot("start" if start == "snapshot" else "reset"))
            after = self.tail
        if after < self.tail:
            line.say(frame("s1", *(event(seq) for seq in range(after + 1, self.tail + 1))))
        line.say({"op": "live", "session": "s1", "incarnation": self.incarnation, "seq": self.tail})

    def snapshot(self, reason: str) -> dict[str, Any]:
        return {
            "op": "snapshot", "session": "s1", "incarnation": self.incarnation, "seq": self.tail, "view": empty_view(),
            "reason": reason,
        }  # fmt: skip

    def grow(self, count: int = 1) -> None:
        first = self.tail + 1
        self.tail += count
        self.script.line.say(frame("s1", *(event(seq) for seq in range(first, self.tail + 1))))


async def take(events: Events, count: int) -> list[Any]:
    """The next items: seqs of events, reasons of snapshots."""
    items: list[Any] = []
    async with asyncio.timeout(10):
        while len(items) < count:
            item = await anext(events)
            items.append(item.seq if isinstance(item, Event) else (item.reason, item.seq))
    return items


async def test_from_a_snapshot_then_live() -> None:
    log = Log(3)
    async with log.script.client() as hf, hf.session("s1").events() as events:
        assert await take(events, 1) == [("start", 3)]
        log.grow(2)
        assert await take(events, 2) == [4, 5]
        assert events.cursor == wire.Cursor(INC, 5)


async def test_from_the_tail_gives_a_cursor_before_the_first_event() -> None:
    log = Log(7)
    async with log.script.client() as hf, hf.session("s1").events("tail") as events:
        await log.script.until(lambda: hf.status == "live")
        assert events.cursor == wire.Cursor(INC, 7)
        log.grow()
        assert await take(events, 1) == [8]


async def test_a_cut_between_any_two_frames_costs_nothing() -> None:
    log = Log(0)
    async with log.script.client() as hf, hf.session("s1").events(wire.Cursor(INC, 0)) as events:
        await log.script.until(lambda: hf.status == "live")
        for seq in range(1, 20):
            log.grow()
            log.script.line.cut()
            assert hf.status == "offline"
            await log.script.until(lambda: hf.status == "live")
            assert await take(events, 1) == [seq]


async def test_the_cursor_is_of_what_was_given_not_of_what_came() -> None:
    log = Log(9)
    async with log.script.client() as hf, hf.session("s1").events(wire.Cursor(INC, 4)) as events:
        assert await take(events, 2) == [5, 6]
        assert events.cursor == wire.Cursor(INC, 6)


async def test_repeats_are_skipped_and_frames_may_begin_before_the_cursor() -> None:
    log = Log(2)
    async with log.script.client() as hf, hf.session("s1").events(wire.Cursor(INC, 2)) as events:
        await log.script.until(lambda: hf.status == "live")
        log.script.line.say(frame("s1", event(1), event(2), event(3)))
        log.script.line.say(frame("s1", event(2), event(3)))
        log.script.line.say(frame("s1", event(4)))
        assert await take(events, 2) == [3, 4]


async def test_a_gap_is_read_again_from_the_cursor() -> None:
    log = Log(2)
    async with log.script.client() as hf, hf.session("s1").events(wire.Cursor(INC, 2)) as events:
        await log.script.until(lambda: hf.status == "live")
        log.tail = 5
        log.script.line.say(frame("s1", event(5)))
        assert await take(events, 3) == [3, 4, 5]
        assert [op.start for op in log.script.line.of(wire.Subscribe)] == [wire.Cursor(INC, 2)] * 2


async def test_the_same_gap_twice_takes_a_snapshot() -> None:
    log = Log(2)
    honest = log.script.answer

    def broken(line: Line, op: wire.Op) -> None:
        if isinstance(op, wire.Subscribe) and isinstance(op.start, wire.Cursor):
            line.ok(op, incarnation=INC, tail=9)
            line.say(frame("s1", event(9)))
        else:
            log.tail = 9
            honest(line, op)

    log.script.answer = broken
    async with log.script.client() as hf, hf.session("s1").events(wire.Cursor(INC, 2)) as events:
        assert await take(events, 1) == [("reset", 9)]


async def test_skips_move_the_cursor_and_are_not_given() -> None:
    log = Log(1)
    async with log.script.client() as hf, hf.session("s1").events(wire.Cursor(INC, 1)) as events:
        await log.script.until(lambda: hf.status == "live")
        log.script.line.say({"op": "skip", "session": "s1", "from": 2, "to": 4})
        log.script.line.say(frame("s1", event(5)))
        assert await take(events, 1) == [5]
        log.script.line.say({"op": "skip", "session": "s1", "from": 6, "to": 6})
        log.script.line.say(frame("s1", event(7, to=9)))
        assert await take(events, 1) == [7]
        assert events.cursor == wire.Cursor(INC, 9)


async def test_another_incarnation_resets() -> None:
    log = Log(5)
    async with log.script.client() as hf, hf.session("s1").events(wire.Cursor("old", 3)) as events:
        assert await take(events, 1) == [("reset", 5)]
        assert events.cursor == wire.Cursor(INC, 5)
        log.incarnation, log.tail = "i2", 1
        log.script.line.cut()
        assert await take(events, 1) == [("reset", 1)]
        assert events.cursor == wire.Cursor("i2", 1)


async def test_a_reset_in_the_middle_replaces_what_was_not_read() -> None:
    log = Log(1)
    async with log.script.client() as hf, hf.session("s1").events(wire.Cursor(INC, 1)) as events:
        await log.script.until(lambda: hf.status == "live")
        log.grow(3)
        log.tail = 50
        log.script.line.say(log.snapshot("slow"))
        log.grow()
        assert await take(events, 2) == [("slow", 50), 51]


async def test_readers_with_different_starts_share_a_subscription_and_each_is_exact() -> None:
    log = Log(4)
    async with log.script.client() as hf:
        session = hf.session("s1")
        early, late = session.events(wire.Cursor(INC, 1)), session.events("tail")
        fresh = session.events()
        assert await take(early, 3) == [2, 3, 4]
        assert await take(fresh, 1) == [("start", 4)]
        log.grow(2)
        oldest = session.events(wire.Cursor(INC, 0))
        foreign = session.events(wire.Cursor("other", 2))
        log.grow()
        assert await take(early, 3) == [5, 6, 7]
        assert await take(late, 3) == [5, 6, 7]
        assert await take(fresh, 3) == [5, 6, 7]
        assert await take(oldest, 7) == [1, 2, 3, 4, 5, 6, 7]
        assert (await take(foreign, 1))[0][0] == "reset"


async def test_readers_do_not_share_the_snapshot_itself() -> None:
    log = Log(4)
    async with log.script.client() as hf:
        session = hf.session("s1")
        one, two = session.events(), session.events()
        first, second = await anext(one), await anext(two)
        assert isinstance(first, Snapshot) and isinstance(second, Snapshot)
        first.view["items"].append("mine")
        assert second.view["items"] == []


async def test_a_reader_that_does_not_read_becomes_a_cursor() -> None:
    log = Log(0)
    big = {"x": "y" * (limits.READ_AHEAD_BYTES // 4)}
    async with log.script.client() as hf, hf.session("s1").events(wire.Cursor(INC, 0)) as events:
        await log.script.until(lambda: hf.status == "live")
        for seq in range(1, 11):
            log.tail = seq
            log.script.line.say(frame("s1", event(seq, data=big)))
        await log.script.until(lambda: log.script.line.of(wire.Unsubscribe))
        buffered = sum(isinstance(item, Event) for item in events._queue)
        assert buffered <= 5
        assert await take(events, 10) == list(range(1, 11))
        assert log.script.line.of(wire.Subscribe)[-1].start == wire.Cursor(INC, buffered)


async def test_a_lagging_reader_does_not_hold_up_another() -> None:
    log = Log(0)
    big = {"x": "y" * limits.READ_AHEAD_BYTES}
    async with log.script.client() as hf:
        session = hf.session("s1")
        slow, quick = session.events(wire.Cursor(INC, 0)), session.events(wire.Cursor(INC, 0))
        await log.script.until(lambda: hf.status == "live")
        for seq in range(1, 6):
            log.tail = seq
            log.script.line.say(frame("s1", event(seq, data=big)))
            assert await take(quick, 1) == [seq]
        assert await take(slow, 5) == [1, 2, 3, 4, 5]


async def test_closing_the_last_reader_unsubscribes() -> None:
    log = Log(1)
    async with log.script.client() as hf:
        session = hf.session("s1")
        one, two = session.events(), session.events()
        await log.script.until(lambda: hf.status == "live")
        one.close()
        assert not log.script.line.of(wire.Unsubscribe)
        two.close()
        assert log.script.line.of(wire.Unsubscribe)
        with pytest.raises(StopAsyncIteration):
            await anext(two)


async def test_a_forgotten_reader_is_gone() -> None:
    log = Log(1)
    async with log.script.client() as hf:
        async for _ in hf.session("s1").events():
            break
        gc.collect()
        await log.script.until(lambda: log.script.line.of(wire.Unsubscribe))


async def test_a_session_that_may_not_be_read_raises() -> None:
    script = Scripted()
    script.answer = lambda line, op: line.refuse(op, "auth.denied")
    async with script.client() as hf:
        with pytest.raises(Refused) as refused:
            await anext(hf.session("s1").events())
        assert refused.value.code == "auth.denied"
        with pytest.raises(Refused):
            await hf.session("s1").state()


async def test_a_deleted_session_ends_its_readers_after_what_came_before() -> None:
    log = Log(1)
    async with log.script.client() as hf, hf.session("s1").events(wire.Cursor(INC, 1)) as events:
        await log.script.until(lambda: hf.status == "live")
        log.grow()
        log.script.line.say({"op": "closed", "session": "s1", "code": "session.deleted"})
        assert await take(events, 1) == [2]
        with pytest.raises(Refused) as refused:
            await anext(events)
        assert refused.value.code == "session.deleted"


async def test_a_busy_server_is_asked_again() -> None:
    log = Log(2)
    honest, refusals = log.script.answer, iter([True, False])

    def answer(line: Line, op: wire.Op) -> None:
        if isinstance(op, wire.Subscribe) and next(refusals):
            line.refuse(op, "server.busy", retry=True)
        else:
            honest(line, op)

    log.script.answer = answer
    async with log.script.client() as hf, hf.session("s1").events() as events:
        assert await take(events, 1) == [("start", 2)]


async def test_status_is_catching_up_until_the_tail_is_reached() -> None:
    log = Log(2)
    seen: list[str] = []
    async with log.script.client() as hf:
        hf.on_status(seen.append)
        async with hf.session("s1").events() as events:
            await take(events, 1)
            assert seen == ["catching_up", "live"]


async def test_a_bad_join_heals_with_a_snapshot() -> None:
    log = Log(0)
    async with log.script.client() as hf, hf.session("s1").live() as live:
        start = event(1, "TEXT_MESSAGE_START", data={"messageId": "m", "role": "assistant"})
        good = event(2, "TEXT_MESSAGE_CONTENT", data={"messageId": "m", "delta": "ab"}, offset=0)
        bad = event(3, "TEXT_MESSAGE_CONTENT", data={"messageId": "m", "delta": "cd"}, offset=7)
        log.tail = 3
        log.script.line.say(frame("s1", start, good, bad))
        await log.script.until(lambda: live.seq == 3)
        assert [op.start for op in log.script.line.of(wire.Subscribe)] == ["snapshot", "snapshot"]
        assert live.view.items == []  # the server's word: its view is empty


async def test_live_changes_are_told_once_per_turn() -> None:
    log = Log(0)
    async with log.script.client() as hf, hf.session("s1").live() as live:
        calls: list[int] = []
        live.on_change(lambda view: calls.append(view.seq))
        log.grow(3)
        log.grow(2)
        await live.until(lambda view: live.seq == 5)
        await asyncio.sleep(0)
        assert calls == [5]


async def test_presence_and_the_list_of_sessions() -> None:
    script = Scripted()

    def answer(line: Line, op: wire.Op) -> None:
        line.ok(op, incarnation=INC, tail=0)
        if isinstance(op, wire.Watch):
            rows = [{"session": "a", "active_ms": 1}, {"session": "b", "active_ms": 2}]
            line.say({"op": "sessions", "rows": rows, "removed": []})

    script.answer = answer
    async with script.client() as hf, hf.sessions() as sessions:
        assert [row["session"] for row in sessions.rows] == ["b", "a"]
        script.line.say({"op": "sessions", "rows": [{"session": "a", "active_ms": 9}], "removed": ["b"]})
        assert [row["session"] for row in sessions.rows] == ["a"]
        script.line.cut()
        await script.until(lambda: len(sessions.rows) == 2)
        session = hf.session("s1")
        seen: list[Any] = []
        session.on_presence(seen.append)
        script.line.say({"op": "presence", "session": "s1", "here": [{"actor": "user:bob"}]})
        assert seen == [[{"actor": "user:bob"}]]


async def test_a_callback_that_fails_costs_nobody_the_connection() -> None:
    log = Log(0)
    async with log.script.client() as hf:
        session = hf.session("s1")

        def broken(_: Any) -> None:
            raise RuntimeError("application")

        session.on_presence(broken)
        hf.on_status(broken)
        async with session.events("tail") as events:
            await log.script.until(lambda: hf.status == "live")
            log.script.line.say({"op": "presence", "session": "s1", "here": []})
            log.grow()
            assert await take(events, 1) == [1]
        assert len(log.script.lines) == 1


async def test_a_view_of_another_fold_version_is_an_error_and_not_a_loop() -> None:
    log = Log(0)
    honest = log.snapshot
    log.snapshot = lambda reason: {**honest(reason), "view": {**empty_view(), "fold": 99}}  # type: ignore[method-assign]
    async with log.script.client() as hf:
        with pytest.raises(Refused) as refused:
            await hf.session("s1").state()
        assert refused.value.code == "config.invalid"
