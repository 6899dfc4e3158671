"""How every engine finds sessions: lists, search, what is due or queued, and the feed (SUB-8)."""

from __future__ import annotations

import pytest

from holdfast.engines.port import Engine, Index, Key, Notice
from holdfast.protocol import limits
from tests.contract.asking import KEY, add, create

pytestmark = pytest.mark.anyio


# --- finding sessions -------------------------------------------------------------------------------------------------
async def populate(engine: Engine, count: int) -> None:
    for n in range(count):
        key = Key("acme", f"s{n:02}")
        people = ("ada", "bob") if n % 2 else ("ada",)
        card = {"last": f"Wörter {n}", "deep": {"why": ["nested Straße"]}, "n": n}
        await engine.create(key, "i1", 1, Index(participants=people, title=f"Tides {n}", card=card))
        await add(engine, key, 0, 3, ts_ms=100 + n // 3)


async def test_lists_go_by_activity_and_page(engine: Engine) -> None:
    await populate(engine, 20)
    await engine.create(Key("globex", "x"), "i1", 900, Index(participants=("ada",)))
    expected = [f"s{n:02}" for n in sorted(range(20), key=lambda n: (n // 3, n), reverse=True)]
    for user, names in ((None, expected), ("ada", expected), ("bob", [n for n in expected if int(n[1:]) % 2])):
        seen: list[str] = []
        before = None
        while rows := await engine.list("acme", user=user, before=before, limit=3):
            assert len(rows) <= 3
            seen += [row.head.key.session for row in rows]
            before = (rows[-1].head.active_ms, rows[-1].head.key.session)
        assert seen == names
    assert await engine.list("acme", user="eve", limit=9) == []


async def test_activity_moves_a_session_up(engine: Engine) -> None:
    await populate(engine, 5)
    await add(engine, Key("acme", "s00"), 3, ts_ms=999)
    rows = await engine.list("acme", user="ada", limit=2)
    assert [(row.head.key.session, row.head.tail) for row in rows] == [("s00", 4), ("s04", 3)]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("tides", 6), ("TIDES 4", 1), ("wörter", 6), ("WÖRTER", 6), ("strasse", 6), ("nothing", 0), ("wörter nothing", 0),
        ("  ", 6), ("%", 0), ("last", 0),
    ],
)  # fmt: skip
async def test_search_looks_through_title_and_card(engine: Engine, search: str, found: int) -> None:
    await populate(engine, 6)
    assert len(await engine.list("acme", search=search, limit=99)) == found
    assert len(await engine.list("acme", user="ada", search=search, limit=99)) == found


async def test_the_index_follows_its_appends(engine: Engine) -> None:
    await create(engine, participants=("ada",), queued=("writer", "critic"), due_ms=50, title="old")
    index = Index(due_ms=70, queued=("critic",), participants=("bob",), title="new", card={"a": 1})
    await add(engine, KEY, 0, index=index)
    await add(engine, KEY, 1)
    head = await engine.head(KEY)
    assert head is not None
    assert head.index == index
    assert await engine.list("acme", user="ada", limit=9) == []
    assert len(await engine.list("acme", user="bob", limit=9)) == 1
    assert len(await engine.list("acme", search="new", limit=9)) == 1
    assert await engine.list("acme", search="old", limit=9) == []
    assert await engine.queued("acme", "writer", 9) == []
    assert await engine.queued("acme", "critic", 9) == [KEY]
    assert await engine.due(69, 9) == []
    assert await engine.due(70, 9) == [KEY]
    await add(engine, KEY, 2, index=Index())
    assert await engine.due(1 << 50, 9) == []
    assert await engine.queued("acme", "critic", 9) == []


async def test_due_sessions_come_earliest_first(engine: Engine) -> None:
    for n, due_ms in enumerate((30, None, 10, 20, 40)):
        await engine.create(Key("acme", f"s{n}"), "i1", 1, Index(due_ms=due_ms))
    assert [key.session for key in await engine.due(30, 9)] == ["s2", "s3", "s0"]
    assert [key.session for key in await engine.due(30, 2)] == ["s2", "s3"]
    assert await engine.due(9, 9) == []


async def test_queued_sessions_come_oldest_activity_first(engine: Engine) -> None:
    for n, active in enumerate((30, 10, 20)):
        await engine.create(Key("acme", f"s{n}"), "i1", active, Index(queued=("writer",)))
    await engine.create(Key("globex", "x"), "i1", 1, Index(queued=("writer",)))
    assert [key.session for key in await engine.queued("acme", "writer", 9)] == ["s1", "s2", "s0"]
    assert [key.session for key in await engine.queued("acme", "writer", 1)] == ["s1"]
    assert await engine.queued("acme", "critic", 9) == []


async def test_read_marks_never_move_back(engine: Engine) -> None:
    await create(engine, participants=("ada", "bob"))
    for seq in (3, 7, 5):
        await engine.mark_read(KEY, "i1", "ada", seq)
    await engine.mark_read(Key("acme", "none"), "i1", "ada", 5)
    assert [row.read for row in await engine.list("acme", user="ada", limit=9)] == [7]
    assert [row.read for row in await engine.list("acme", user="bob", limit=9)] == [0]
    assert [row.read for row in await engine.list("acme", limit=9)] == [0]


async def test_the_feed_keeps_the_newest(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FEED_NOTICES", 5)
    await create(engine)
    for tail in range(4):
        await add(engine, KEY, tail, notices=[{"at": tail}, {"at": tail}])
    feed = await engine.feed(0, 9)
    assert [notice.data["at"] for notice in feed] == [1, 2, 2, 3, 3]
    assert [notice.position for notice in feed] == [4, 5, 6, 7, 8]
    assert await engine.feed(6, 9) == feed[3:]


async def test_the_feed_is_in_commit_order(engine: Engine) -> None:
    other = Key("globex", "s2")
    await create(engine)
    await create(engine, other)
    await add(engine, KEY, 0, notices=[{"type": "a"}, {"type": "b", "deep": [1, {"x": None}]}])
    await add(engine, other, 0)
    await add(engine, other, 1, notices=[{"type": "c"}])
    feed = await engine.feed(0, 9)
    assert [(notice.key, notice.data["type"]) for notice in feed] == [(KEY, "a"), (KEY, "b"), (other, "c")]
    assert feed[1].data == {"type": "b", "deep": [1, {"x": None}]}
    positions = [notice.position for notice in feed]
    assert positions == sorted(set(positions))
    assert positions[0] > 0
    assert isinstance(feed[0], Notice)
    assert await engine.feed(positions[0], 1) == feed[1:2]
    assert await engine.feed(positions[2], 9) == []
    await engine.delete(KEY, "i1", 5, Index())
    assert [notice.position for notice in await engine.feed(0, 9)] == positions
