"""What every engine must do with a log (LOG-1, LOG-2, LOG-3, LOG-8, SUB-3, FOLD-5). The port says it in words."""

from __future__ import annotations

import asyncio
import random

import pytest

from holdfast.engines.port import Engine, Index, Key, LogAppend
from holdfast.errors import Refused
from holdfast.protocol.events import Event
from holdfast.protocol.frames import OPERATORS, ProducerKey, decode_frame, encode_frame
from tests.contract.asking import KEY, add, all_frames, create, frame, refused, seqs, tail

pytestmark = pytest.mark.anyio


# --- create and head ------------------------------------------------------------------------------------------------
async def test_a_session_begins_empty(engine: Engine) -> None:
    index = Index(due_ms=9, queued=("writer",), participants=("ada",), title="Tides", card={"state": "queued"})
    head = await engine.create(KEY, "i1", 5, index)
    assert head == await engine.head(KEY)
    assert (head.key, head.incarnation, head.tail, head.created_ms, head.active_ms) == (KEY, "i1", 0, 5, 5)
    assert head.index == index
    assert not head.deleted
    assert await all_frames(engine) == []


async def test_an_unknown_session_has_no_head_and_no_frames(engine: Engine) -> None:
    assert await engine.head(KEY) is None
    assert await all_frames(engine) == []
    await refused("session.not_found", add(engine, KEY, 0))


async def test_create_is_idempotent(engine: Engine) -> None:
    await create(engine)
    await add(engine, KEY, 0, 3)
    again = await engine.create(KEY, "i2", 99, Index(title="other"))
    assert (again.incarnation, again.tail, again.created_ms, again.index.title) == ("i1", 3, 1, "")
    assert await seqs(engine) == [1, 2, 3]


async def test_tenants_are_apart(engine: Engine) -> None:
    other = Key("globex", "s1")
    await create(engine)
    await create(engine, other, "j1")
    await add(engine, KEY, 0, 2)
    assert await tail(engine, other) == 0
    assert await all_frames(engine, other) == []
    assert [row.head.key for row in (await engine.list("globex", limit=9)).rows] == [other]


# --- append -----------------------------------------------------------------------------------------------------------
async def test_appends_are_read_back_in_order_byte_for_byte(engine: Engine) -> None:
    await create(engine)
    sent = []
    at = 0
    for count in (1, 5, 2, 40):
        sent.append(frame(KEY, at + 1, count, audience=OPERATORS if count == 2 else 0))
        await engine.append(LogAppend(KEY, "i1", at, [sent[-1]], 7))
        at += count
    assert await all_frames(engine) == sent
    assert await seqs(engine) == list(range(1, 49))
    head = await engine.head(KEY)
    assert head is not None
    assert (head.tail, head.active_ms, head.created_ms) == (48, 7, 1)


async def test_several_frames_are_one_append(engine: Engine) -> None:
    await create(engine)
    frames = [frame(KEY, 1, 2), frame(KEY, 3, 1, audience=OPERATORS), frame(KEY, 4, 3)]
    await engine.append(LogAppend(KEY, "i1", 0, frames, 2))
    assert await all_frames(engine) == frames
    assert await tail(engine) == 6


async def test_producer_keys_come_back_with_their_frame(engine: Engine) -> None:
    await create(engine)
    sent = frame(KEY, 1, 2)
    sent.keys = [ProducerKey("p", 1, 7, "d1", 1, 1, 5), ProducerKey("k", 0, 1, "d2", 2, 2, 6, {"run": "r1"})]
    await engine.append(LogAppend(KEY, "i1", 0, [sent], 2))
    assert (await all_frames(engine))[0].keys == sent.keys


async def test_another_tail_is_refused_and_consumes_nothing(engine: Engine) -> None:
    await create(engine)
    await add(engine, KEY, 0, 3)
    for expected in (0, 2, 4):
        error = await refused("session.tail", add(engine, KEY, expected, notices=[{"n": 1}], index=Index(title="no")))
        assert isinstance(error, Refused)
        assert error.fields["tail"] == 3
    assert await seqs(engine) == [1, 2, 3]
    assert (await engine.feed("", 9)).notices == []
    head = await engine.head(KEY)
    assert head is not None
    assert head.index.title == ""
    assert await add(engine, KEY, 3) == 4


async def test_another_incarnation_is_refused(engine: Engine) -> None:
    await create(engine)
    await refused("session.incarnation", add(engine, KEY, 0, incarnation="i0"))
    assert await tail(engine) == 0


async def test_frames_that_are_not_consecutive_are_a_bug(engine: Engine) -> None:
    await create(engine)
    with pytest.raises(ValueError, match="due"):
        await engine.append(LogAppend(KEY, "i1", 0, [frame(KEY, 1), frame(KEY, 3)], 2))
    assert await tail(engine) == 0


async def test_an_append_without_frames_changes_the_index_alone(engine: Engine) -> None:
    await create(engine)
    await engine.append(LogAppend(KEY, "i1", 0, [], 4, index=Index(due_ms=50)))
    head = await engine.head(KEY)
    assert head is not None
    assert (head.tail, head.active_ms, head.index.due_ms) == (0, 4, 50)


async def test_appends_submitted_in_a_row_apply_in_a_row(engine: Engine) -> None:
    await create(engine)
    await asyncio.gather(*(add(engine, KEY, n) for n in range(50)))
    assert await seqs(engine) == list(range(1, 51))


async def test_of_two_that_expect_the_same_tail_one_wins(engine: Engine) -> None:
    await create(engine)
    for at in range(20):
        results = await asyncio.gather(*(add(engine, KEY, at) for _ in range(3)), return_exceptions=True)
        assert sorted(isinstance(result, Refused) for result in results) == [False, True, True]
    assert await seqs(engine) == list(range(1, 21))


async def test_a_refused_append_does_not_touch_its_group(engine: Engine) -> None:
    keys = [Key("acme", f"s{n}") for n in range(9)]
    for key in keys:
        await create(engine, key)
    expected = {key: 7 if n == 4 else 0 for n, key in enumerate(keys)}
    results = await asyncio.gather(*(add(engine, key, expected[key]) for key in keys), return_exceptions=True)
    assert [isinstance(result, Refused) for result in results] == [n == 4 for n in range(9)]
    assert [await tail(engine, key) for key in keys] == [0 if n == 4 else 1 for n in range(9)]


async def test_a_hundred_sessions_at_once(engine: Engine) -> None:
    keys = [Key("acme", f"s{n}") for n in range(100)]
    await asyncio.gather(*(create(engine, key) for key in keys))

    async def write(key: Key, rng: random.Random) -> int:
        at = 0
        for _ in range(10):
            at = await add(engine, key, at, rng.randint(1, 12), notices=[{"at": at}])
        return at

    tails = await asyncio.gather(*(write(key, random.Random(n)) for n, key in enumerate(keys)))
    for key, end in zip(keys, tails, strict=True):
        assert await seqs(engine, key) == list(range(1, end + 1))
        assert await tail(engine, key) == end
    feed = (await engine.feed("", 2_000)).notices
    assert len(feed) == 1_000
    for key in keys:
        mine = [notice.data["at"] for notice in feed if notice.key == key]
        assert mine == sorted(mine)


async def test_content_of_any_bytes_and_size(engine: Engine) -> None:
    await create(engine)
    texts = ["", "\u0000\n\"'", "🌊" * 500, "x" * 200_000]
    for at, text in enumerate(texts):
        await engine.append(LogAppend(KEY, "i1", at, [frame(KEY, at + 1, text=text)], 2))
    events = [decode_frame(frame.payload).events[0] for frame in await all_frames(engine)]
    assert [event.data["delta"] for event in events] == [f"{text} {n}" for n, text in enumerate(texts, 1)]


# --- read -------------------------------------------------------------------------------------------------------------
async def test_a_cursor_inside_a_frame_gets_the_whole_frame(engine: Engine) -> None:
    await create(engine)
    for at in (0, 10, 20):
        await add(engine, KEY, at, 10)
    spans = {
        0: [1, 11, 21], 1: [1, 11, 21], 9: [1, 11, 21], 10: [11, 21], 11: [11, 21], 19: [11, 21], 20: [21],
        29: [21], 30: [], 31: [], 1_000: [],
    }  # fmt: skip
    for after, firsts in spans.items():
        assert [frame.first for frame in await all_frames(engine, after=after)] == firsts, after


async def test_pages_have_a_byte_budget_and_at_least_one_frame(engine: Engine) -> None:
    await create(engine)
    for at in range(0, 200, 10):
        await add(engine, KEY, at, 10)
    size = len(frame(KEY, 101, 10).payload)
    read = []
    pages = 0
    while page := await engine.read(KEY, read[-1].last if read else 0, max_bytes=3 * size):
        assert len(page) == 1 or sum(len(frame.payload) for frame in page) <= 3 * size
        read += page
        pages += 1
    assert [frame.first for frame in read] == list(range(1, 201, 10))
    assert pages == 7
    assert [frame.first for frame in await engine.read(KEY, 0, max_bytes=1)] == [1]


# --- compact ----------------------------------------------------------------------------------------------------------
async def test_compaction_swaps_frames_that_cover_the_same(engine: Engine) -> None:
    await create(engine)
    for at in range(0, 50, 10):
        await add(engine, KEY, at, 10)
    cover = Event(11, 1, "agent:writer", "TEXT_MESSAGE_CONTENT", {"messageId": "m1", "delta": "all"}, to=30)
    merged = encode_frame(KEY.session, [cover])
    merged.keys = [ProducerKey("p", 1, 2, "d", 11, 20, 5)]
    await engine.compact(KEY, "i1", 11, 30, [merged])
    assert [(frame.first, frame.last) for frame in await all_frames(engine)] == [(1, 10), (11, 30), (31, 40), (41, 50)]
    assert (await all_frames(engine))[1] == merged
    assert [frame.first for frame in await all_frames(engine, after=25)] == [11, 31, 41]
    assert await tail(engine) == 50
    assert await add(engine, KEY, 50) == 51


@pytest.mark.parametrize(("first", "last"), [(5, 20), (1, 15), (11, 40), (21, 30), (31, 40)])
async def test_compaction_never_cuts_a_frame_or_reaches_beyond_the_tail(engine: Engine, first: int, last: int) -> None:
    await create(engine)
    await add(engine, KEY, 0, 10)
    await add(engine, KEY, 10, 20)
    before = await all_frames(engine)
    await refused("session.tail", engine.compact(KEY, "i1", first, last, [frame(KEY, first, last - first + 1)]))
    assert await all_frames(engine) == before


async def test_compaction_is_of_one_incarnation_and_covers_its_span(engine: Engine) -> None:
    await create(engine)
    await add(engine, KEY, 0, 10)
    await refused("session.incarnation", engine.compact(KEY, "i0", 1, 10, [frame(KEY, 1, 10)]))
    for frames in ([], [frame(KEY, 1, 9)], [frame(KEY, 1, 11)], [frame(KEY, 2, 9)]):
        with pytest.raises(ValueError):
            await engine.compact(KEY, "i1", 1, 10, frames)


# --- delete -----------------------------------------------------------------------------------------------------------
async def test_delete_erases_and_leaves_a_tombstone(engine: Engine) -> None:
    index = Index(due_ms=1, queued=("writer",), participants=("ada",), title="secret", card={"last": "secret"})
    await engine.create(KEY, "i1", 1, index)
    for at in range(300):
        await add(engine, KEY, at)
    await engine.put_snapshot(KEY, "i1", 300, b"snap", {0: b"page"})
    await engine.put_blob(KEY, "i1", "b", "text/plain", b"blob")
    await engine.mark_read(KEY, "i1", "ada", 3)
    await engine.delete(KEY, "i1", 9, Index())
    head = await engine.head(KEY)
    assert head is not None
    assert (head.incarnation, head.deleted, head.index, head.active_ms) == ("i1", True, Index(), 9)
    assert await all_frames(engine) == []
    assert await engine.get_snapshot(KEY) is None
    assert await engine.get_page(KEY, "i1", 0) is None
    assert await engine.get_blob(KEY, "i1", "b") is None
    assert await engine.due(10, 9) == []
    assert (await engine.queued("acme", "writer")).keys == []
    assert (await engine.list("acme", limit=9)).rows == []
    assert (await engine.list("acme", user="ada", limit=9)).rows == []
    await refused("session.deleted", add(engine, KEY, 300))
    await refused("session.deleted", engine.put_blob(KEY, "i1", "c", "text/plain", b""))
    await refused("session.deleted", engine.put_snapshot(KEY, "i1", 300, b"", {}))
    await engine.delete(KEY, "i1", 10, Index())


async def test_delete_is_of_one_incarnation(engine: Engine) -> None:
    await create(engine)
    await refused("session.incarnation", engine.delete(KEY, "i0", 9, Index()))
    await refused("session.not_found", engine.delete(Key("acme", "none"), "i1", 9, Index()))
    assert await tail(engine) == 0


async def test_a_deleted_session_is_created_anew(engine: Engine) -> None:
    await create(engine, participants=("ada",))
    await add(engine, KEY, 0, 5)
    await engine.put_snapshot(KEY, "i1", 5, b"old", {})
    await engine.mark_read(KEY, "i1", "ada", 5)
    await engine.delete(KEY, "i1", 9, Index())
    head = await engine.create(KEY, "i2", 10, Index(participants=("ada",)))
    assert (head.incarnation, head.tail, head.created_ms, head.deleted) == ("i2", 0, 10, False)
    assert await all_frames(engine) == []
    assert await engine.get_snapshot(KEY) is None
    assert [row.read for row in (await engine.list("acme", user="ada", limit=9)).rows] == [0]
    await refused("session.incarnation", add(engine, KEY, 0))
    await add(engine, KEY, 0, 2, incarnation="i2")
    assert await seqs(engine) == [1, 2]
    await refused("session.incarnation", engine.delete(KEY, "i1", 11, Index()))


# --- snapshots and pages ----------------------------------------------------------------------------------------------
async def test_the_newest_snapshot_is_kept_and_pages_add_up(engine: Engine) -> None:
    await create(engine)
    await add(engine, KEY, 0, 9)
    assert await engine.get_snapshot(KEY) is None
    await engine.put_snapshot(KEY, "i1", 4, b"four", {0: b"p0", 1: b"p1"})
    await engine.put_snapshot(KEY, "i1", 9, b"nine", {1: b"P1", 2: b"p2"})
    await engine.put_snapshot(KEY, "i1", 6, b"late", {})
    assert await engine.get_snapshot(KEY) == (9, b"nine")
    assert [await engine.get_page(KEY, "i1", n) for n in range(4)] == [b"p0", b"P1", b"p2", None]
    await refused("session.incarnation", engine.put_snapshot(KEY, "i0", 9, b"", {}))
    await refused("session.not_found", engine.put_snapshot(Key("acme", "none"), "i1", 9, b"", {}))
