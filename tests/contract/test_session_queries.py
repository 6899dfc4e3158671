"""How every engine finds sessions: lists, search, what is due or queued, and the feed (SUB-8)."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.engines.port import Engine, Index, Key
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


async def listed(engine: Engine, limit: int = 99, **what: Any) -> list[str]:
    """The whole list, page by page."""
    seen: list[str] = []
    before = None
    while True:
        page = await engine.list("acme", before=before, limit=limit, **what)
        assert len(page.rows) <= limit
        seen += [row.head.key.session for row in page.rows]
        if page.before is None:
            return seen
        before = page.before


async def waiting(engine: Engine, agent: str, names: tuple[str, ...] | None = None) -> list[str]:
    """Everything queued for an agent, lot by lot."""
    seen: list[str] = []
    after = None
    while True:
        lot = await engine.queued("acme", agent, names=names, after=after)
        seen += [key.session for key in lot.keys]
        if lot.after is None:
            return seen
        after = lot.after


async def test_lists_go_by_activity_and_page(engine: Engine) -> None:
    await populate(engine, 20)
    await engine.create(Key("globex", "x"), "i1", 900, Index(participants=("ada",)))
    expected = [f"s{n:02}" for n in sorted(range(20), key=lambda n: (n // 3, n), reverse=True)]
    for user, names in ((None, expected), ("ada", expected), ("bob", [n for n in expected if int(n[1:]) % 2])):
        assert await listed(engine, limit=3, user=user) == names
    assert await listed(engine, user="eve") == []


NAMES = ("s03", "s1*", "s15", "s14*", "t*", "nobody")


@pytest.mark.parametrize("scan", [1, 3, 1_000])
@pytest.mark.parametrize("names", [NAMES, ("s*",), ("*",), ("s07",), ("S*", "s"), ()])
async def test_lists_keep_to_names(
    engine: Engine, names: tuple[str, ...], scan: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever way leads to them, and however few rows are looked at for a page."""
    monkeypatch.setattr(limits, "LIST_SCAN", scan)
    await populate(engine, 20)
    await engine.create(Key("globex", "s03"), "i1", 900, Index(participants=("ada",)))
    await engine.delete(Key("acme", "s14"), "i1", 999, Index())
    expected = [
        f"s{n:02}" for n in sorted(range(20), key=lambda n: (n // 3, n), reverse=True)
        if n != 14 and any(f"s{n:02}".startswith(p[:-1]) if p.endswith("*") else p == f"s{n:02}" for p in names)
    ]  # fmt: skip
    assert await listed(engine, 2, names=names) == expected
    assert await listed(engine, 2, names=names, user="ada") == expected
    assert await listed(engine, names=names, user="bob") == [name for name in expected if int(name[1:]) % 2]
    assert await listed(engine, names=names, search="tides 7") == [name for name in expected if "7" in name]


@pytest.mark.parametrize("scan", [1, 3, 1_000])
async def test_queues_keep_to_names(engine: Engine, scan: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIST_SCAN", scan)
    for n in range(12):
        await engine.create(Key("acme", f"s{n:02}"), "i1", 50 - n, Index(queued=("writer",) if n % 2 else ("critic",)))
    assert sorted(await waiting(engine, "writer", ("s0*", "s11", "s10"))) == ["s01", "s03", "s05", "s07", "s09", "s11"]
    assert await waiting(engine, "writer", ("s03",)) == ["s03"]
    assert await waiting(engine, "writer", ()) == []
    assert len(await waiting(engine, "critic")) == 6


async def test_activity_moves_a_session_up(engine: Engine) -> None:
    await populate(engine, 5)
    await add(engine, Key("acme", "s00"), 3, ts_ms=999)
    rows = (await engine.list("acme", user="ada", limit=2)).rows
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
    assert len(await listed(engine, search=search)) == found
    assert len(await listed(engine, user="ada", search=search)) == found


async def test_the_index_follows_its_appends(engine: Engine) -> None:
    await create(engine, participants=("ada",), queued=("writer", "critic"), due_ms=50, title="old")
    index = Index(due_ms=70, queued=("critic",), participants=("bob",), title="new", card={"a": 1})
    await add(engine, KEY, 0, index=index)
    await add(engine, KEY, 1)
    head = await engine.head(KEY)
    assert head is not None
    assert head.index == index
    assert await listed(engine, user="ada") == []
    assert await listed(engine, user="bob") == [KEY.session]
    assert await listed(engine, search="new") == [KEY.session]
    assert await listed(engine, search="old") == []
    assert await waiting(engine, "writer") == []
    assert await waiting(engine, "critic") == [KEY.session]
    assert await engine.due(69, 9) == []
    assert await engine.due(70, 9) == [KEY]
    await add(engine, KEY, 2, index=Index())
    assert await engine.due(1 << 50, 9) == []
    assert await waiting(engine, "critic") == []


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
    assert await waiting(engine, "writer") == ["s1", "s2", "s0"]
    assert await waiting(engine, "critic") == []


async def test_read_marks_never_move_back(engine: Engine) -> None:
    await create(engine, participants=("ada", "bob"))
    for seq in (3, 7, 5):
        await engine.mark_read(KEY, "i1", "ada", seq)
    await engine.mark_read(Key("acme", "none"), "i1", "ada", 5)
    assert [row.read for row in (await engine.list("acme", user="ada", limit=9)).rows] == [7]
    assert [row.read for row in (await engine.list("acme", user="bob", limit=9)).rows] == [0]
    assert [row.read for row in (await engine.list("acme", limit=9)).rows] == [0]


async def test_sessions_with_a_run_that_has_not_ended_are_found_by_name_and_no_others(engine: Engine) -> None:
    cards: dict[str, dict[str, Any]] = {
        "a": {"queued": 1}, "b": {"running": 2, "run": "running"}, "c": {"run": "completed"}, "d": {"waiting": 11},
        "e": {"last": {"actor": "user:ann", "text": '"queued":1 \\"running":2'}, "run": "queued"},
    }  # fmt: skip
    for name, card in reversed(cards.items()):
        await engine.create(Key("acme", name), "i1", 1, Index(queued=("writer",), card=card))
    await engine.create(Key("globex", "a"), "i1", 1, Index(card={"queued": 1}))
    await engine.create(Key("acme", "gone"), "i1", 1, Index(card={"queued": 1}))
    await engine.delete(Key("acme", "gone"), "i1", 2, Index())
    found = await engine.live("acme")
    assert [head.key.session for head in found.heads] == ["a", "b", "d"] and found.after is None
    assert [head.index.card for head in found.heads] == [cards[name] for name in "abd"]
    assert [head.key.session for head in (await engine.live("acme", after="a")).heads] == ["b", "d"]
    await add(engine, Key("acme", "b"), 0, 1, index=Index(card={"run": "completed"}))
    assert [head.key.session for head in (await engine.live("acme")).heads] == ["a", "d"]


async def test_live_sessions_come_a_batch_at_a_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIST_SCAN", 2)
    for n in range(5):
        await engine.create(Key("acme", f"s{n}"), "i1", 1, Index(card={"running": 1}))
    names, after = [], ""
    while True:
        found = await engine.live("acme", after=after)
        names += [head.key.session for head in found.heads]
        if found.after is None:
            break
        after = found.after
    assert names == [f"s{n}" for n in range(5)]
