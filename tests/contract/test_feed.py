"""The feed and who reads it under a name: positions only the engine reads, gaps that are reported, retention."""

from __future__ import annotations

import pytest

from holdfast.engines.port import Consumer, Engine, Index, Key, Notice
from holdfast.protocol import limits
from tests.contract.asking import KEY, add, create

pytestmark = pytest.mark.anyio


async def write(engine: Engine, *numbers: int, key: Key = KEY) -> None:
    """One append per number, with a notice that says it, at that time."""
    for number in numbers:
        head = await engine.head(key)
        assert head is not None
        await add(engine, key, head.tail, notices=[{"n": number}], ts_ms=number)


async def numbers(engine: Engine, after: str = "", limit: int = 99) -> list[int]:
    return [notice.data["n"] for notice in (await engine.feed(after, limit)).notices]


async def names(engine: Engine) -> list[str]:
    return [consumer.name for consumer in await engine.consumers()]


async def test_it_is_in_commit_order(engine: Engine) -> None:
    other = Key("globex", "s2")
    await create(engine)
    await create(engine, other)
    await add(engine, KEY, 0, notices=[{"type": "a"}, {"type": "b", "deep": [1, {"x": None}]}])
    await add(engine, other, 0)
    await add(engine, other, 1, notices=[{"type": "c"}])
    page = await engine.feed("", 9)
    assert [(notice.key, notice.data["type"]) for notice in page.notices] == [(KEY, "a"), (KEY, "b"), (other, "c")]
    assert page.notices[1].data == {"type": "b", "deep": [1, {"x": None}]}
    assert isinstance(page.notices[0], Notice) and not page.gap
    positions = [notice.position for notice in page.notices]
    assert len(set(positions)) == 3 and page.position == positions[-1] == await engine.feed_end()
    second = await engine.feed(positions[0], 1)
    assert (second.notices, second.position, second.gap) == (page.notices[1:2], positions[1], False)
    end = await engine.feed(positions[2], 9)
    assert (list(end.notices), end.position, end.gap) == ([], positions[2], False)
    await engine.delete(KEY, "i1", 5, Index())
    assert [notice.position for notice in (await engine.feed("", 9)).notices] == positions


async def test_an_empty_feed_has_a_place_to_begin(engine: Engine) -> None:
    page = await engine.feed("", 9)
    assert (list(page.notices), page.position, page.gap) == ([], await engine.feed_end(), False)
    await create(engine)
    await write(engine, 1, 2)
    assert await numbers(engine, page.position) == [1, 2]


async def test_the_newest_are_kept_and_a_gap_is_reported(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FEED_NOTICES", 3)
    await create(engine)
    await write(engine, 0, 1)
    first, second = (notice.position for notice in (await engine.feed("", 9)).notices)
    await write(engine, 2, 3, 4)
    assert await numbers(engine) == [2, 3, 4]
    page = await engine.feed(first, 2)
    assert page.gap and [notice.data["n"] for notice in page.notices] == [2, 3]
    for after in ("", second, page.position):
        assert not (await engine.feed(after, 9)).gap, after
    assert await numbers(engine, second) == [2, 3, 4]
    assert await numbers(engine, page.position) == [4]


@pytest.mark.parametrize("position", ["7", "x", "ffff.1", "0", "ffff.999999999999999999", "🌊" * 999, "ab.1.2", " "])
async def test_a_position_of_another_feed_is_a_gap(engine: Engine, position: str) -> None:
    await create(engine)
    await write(engine, 1, 2)
    page = await engine.feed(position, 9)
    assert page.gap and [notice.data["n"] for notice in page.notices] == [1, 2]
    ahead = (await engine.feed_end())[:-1] + "9"
    assert (await engine.feed(ahead, 9)).gap, "what has not been yet"


async def test_what_a_consumer_has_not_read_is_kept(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FEED_NOTICES", 2)
    await create(engine)
    await write(engine, 0, 1)
    await engine.advance("bills", (await engine.feed("", 1)).position)
    await engine.advance("webhooks", await engine.feed_end())
    await write(engine, 2, 3, 4, 5)
    assert await numbers(engine) == [1, 2, 3, 4, 5]
    bills, webhooks = await engine.consumers()
    assert (bills.name, bills.unread, bills.oldest_ms) == ("bills", 5, 1)
    assert (webhooks.name, webhooks.unread, webhooks.oldest_ms) == ("webhooks", 4, 2)
    page = await engine.feed(bills.position, 9)
    assert not page.gap and len(page.notices) == 5
    await engine.advance("bills", page.position)
    await write(engine, 6)
    assert await numbers(engine) == [2, 3, 4, 5, 6], "the slowest decides"
    assert [(c.unread, c.oldest_ms) for c in await engine.consumers()] == [(1, 6), (5, 2)]


async def test_a_released_consumer_holds_nothing_back_and_meets_a_gap(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FEED_NOTICES", 2)
    await create(engine)
    await write(engine, 0)
    position = await engine.feed_end()
    await engine.advance("bills", position)
    await write(engine, 1, 2, 3, 4)
    assert await numbers(engine) == [1, 2, 3, 4]
    assert await engine.release("bills")
    assert not await engine.release("bills") and await names(engine) == []
    await write(engine, 5)
    assert await numbers(engine) == [4, 5]
    assert (await engine.feed(position, 9)).gap
    await engine.advance("bills", position)
    (bills,) = await engine.consumers()
    assert bills.unread == 2
    await write(engine, 6, 7)
    assert await numbers(engine, bills.position) == [4, 5, 6, 7], "from where it is again, nothing is forgotten"


async def test_a_consumer_never_moves_back(engine: Engine) -> None:
    await create(engine)
    await write(engine, 1, 2, 3)
    positions = [notice.position for notice in (await engine.feed("", 9)).notices]
    await engine.advance("bills", positions[1])
    for position in (positions[0], "", "ffff.1", "none of ours"):
        await engine.advance("bills", position)
        assert await engine.consumers() == [Consumer("bills", positions[1], 1, 3)]
    await engine.advance("bills", positions[2])
    assert await engine.consumers() == [Consumer("bills", positions[2], 0, None)]


async def test_a_new_consumer_without_a_position_begins_with_the_oldest(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FEED_NOTICES", 2)
    await create(engine)
    await write(engine, 1, 2, 3)
    await engine.advance("bills", "")
    await write(engine, 4, 5)
    (bills,) = await engine.consumers()
    assert await numbers(engine, bills.position) == [2, 3, 4, 5]


@pytest.mark.parametrize("name", ["", "Bills", "bill s", "x" * 65, "1st", "bills\n", "a/b"])
async def test_names_are_plain(engine: Engine, name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        await engine.advance(name, "")
    assert await engine.consumers() == [] and not await engine.release(name)


async def test_much_that_was_held_back_is_forgotten_a_piece_at_a_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FEED_NOTICES", 10)
    await create(engine)
    await engine.advance("bills", "")
    await add(engine, KEY, 0, notices=[{"n": n} for n in range(3_000)])
    await engine.release("bills")
    for tail in range(1, 6):
        await add(engine, KEY, tail, notices=[{"n": -tail}])
    assert len(await numbers(engine, limit=9_999)) == 10
