"""The store's verbs, the same on both databases."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from holdfast.errors import HoldfastError, Unavailable
from holdfast.governance import limits
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.facts import store_facts
from holdfast.testing import FakeClock

pytestmark = pytest.mark.anyio


def put(name: str, value: str = "x") -> Callable[[Connection], int]:
    return lambda connection: connection.execute(store_facts.insert(), {"name": name, "value": value}).rowcount


def count(connection: Connection) -> int:
    return connection.execute(
        select(func.count()).select_from(store_facts).where(store_facts.c.name.like("t%"))
    ).scalar_one()


async def test_what_is_written_is_read_and_is_there_after_an_opening(database: str, clock: FakeClock) -> None:
    store = await Store.open(database, clock.wall_ms)
    assert await store.write(put("t1")) == 1
    assert await store.read(count) == 1
    await store.close()
    again = await Store.open(database, clock.wall_ms)
    assert await again.read(count) == 1
    await again.close()


async def test_work_that_fails_harms_no_other(store: Store) -> None:
    await store.write(put("t0"))

    def halfway(connection: Connection) -> None:
        put("t-half")(connection)
        raise ValueError("not this one")

    results = await asyncio.gather(
        *(store.write(put(f"t{n}")) for n in range(1, 20)),
        store.write(halfway),
        store.write(put("t0")),
        return_exceptions=True,
    )
    assert results[:19] == [1] * 19
    assert isinstance(results[19], ValueError) and isinstance(results[20], IntegrityError)
    assert await store.read(count) == 20


async def test_rows_go_in_together_and_a_bad_one_takes_only_its_own_caller_along(store: Store) -> None:
    rows = [[{"name": f"t{n}-{m}", "value": "v"} for m in range(3)] for n in range(10)]
    rows[4][1]["name"] = "t4-0"
    results = await asyncio.gather(*(store.insert(store_facts, some) for some in rows), return_exceptions=True)
    assert [isinstance(result, IntegrityError) for result in results] == [n == 4 for n in range(10)]
    assert await store.read(count) == 27


async def test_rows_that_do_not_have_the_same_columns_are_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="columns name, value"):
        await store.insert(store_facts, [{"name": "t1", "value": "v"}, {"name": "t2"}])
    await store.insert(store_facts, [])
    assert await store.read(count) == 0


async def test_work_that_reads_and_then_writes_loses_nothing_to_others(store: Store) -> None:
    await store.write(put("t1", "0"))

    def add(connection: Connection) -> None:
        value = int(connection.execute(select(store_facts.c.value).where(store_facts.c.name == "t1")).scalar_one())
        connection.execute(update(store_facts).where(store_facts.c.name == "t1").values(value=str(value + 1)))

    await asyncio.gather(*(store.write(add) for _ in range(12)))
    assert (
        await store.read(lambda c: c.execute(text("SELECT value FROM store_facts WHERE name = 't1'")).scalar()) == "12"
    )


async def test_a_read_sees_one_moment_and_waits_for_no_writer(store: Store) -> None:
    await store.write(put("t1"))
    seen, go_on = threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    written = asyncio.Event()

    def look_twice(connection: Connection) -> tuple[int, int]:
        first = count(connection)
        seen.set()
        loop.call_soon_threadsafe(written.set)
        if threading.current_thread() is not threading.main_thread():
            go_on.wait(20)  # on PostgreSQL work runs on the loop: what happens meanwhile cannot be arranged
        return first, count(connection)

    reading = asyncio.ensure_future(store.read(look_twice))
    await written.wait()
    await store.write(put("t2"))
    go_on.set()
    first, second = await reading
    assert first == second
    assert await store.read(count) == 2


async def test_a_read_cannot_write(store: Store) -> None:
    with pytest.raises((DBAPIError, Unavailable)):
        await store.read(put("t1"))
    assert await store.read(count) == 0


async def test_work_does_not_end_its_own_transaction(store: Store) -> None:
    def ends(connection: Connection) -> None:
        put("t1")(connection)
        connection.commit()
        put("t2")(connection)

    with pytest.raises(Exception):  # noqa: B017 - the two libraries have two words for it
        await store.write(ends)
    await store.write(put("t3"))
    assert (
        await store.read(lambda c: c.execute(text("SELECT count(*) FROM store_facts WHERE name = 't2'")).scalar()) == 0
    )


async def test_a_savepoint_of_its_own_undoes_a_part_of_work(store: Store) -> None:
    await store.write(put("t1"))

    def tries(connection: Connection) -> str:
        put("t2")(connection)
        try:
            with connection.begin_nested():
                put("t1")(connection)
        except IntegrityError:
            return "there already"
        return ""

    assert await store.write(tries) == "there already"
    assert await store.read(count) == 2


async def test_whoever_leaves_undoes_nothing(store: Store) -> None:
    waiting = [asyncio.ensure_future(store.write(put(f"t{n}"))) for n in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await store.write(put("t9"))
    await store.close()
    assert store.health().mode == "closed"


async def test_a_close_finishes_what_was_handed_in(database: str, clock: FakeClock) -> None:
    store = await Store.open(database, clock.wall_ms)
    waiting = [asyncio.ensure_future(store.insert(store_facts, [{"name": f"t{n}", "value": "v"}])) for n in range(50)]
    waiting += [asyncio.ensure_future(store.write(put(f"t{n}"))) for n in range(50, 60)]
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    await asyncio.gather(*waiting)
    with pytest.raises(Unavailable, match="closed"):
        await store.write(put("t99"))
    with pytest.raises(Unavailable, match="closed"):
        await store.read(count)
    again = await Store.open(database, clock.wall_ms)
    assert await again.read(count) == 60
    await again.close()


async def test_what_waits_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STORE_WAITING", 5)
    results = await asyncio.gather(*(store.write(put(f"t{n}")) for n in range(50)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, Unavailable)]
    assert refused and all(error.code == "store.busy" for error in refused)
    assert await store.read(count) == 50 - len(refused)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://me:secret@host/db", "of the kind 'mysql'"),
        ("postgresql://me:secret@host", "no database"),
        ("postgresql://me:secret@host:port/db", "cannot be read"),
        ("sqlite://", "no file"),
        ("sqlite:///:memory:", "no file"),
        ("", "no file"),
    ],
)
async def test_an_address_that_names_no_store_is_refused_without_its_password(
    url: str, words: str, clock: FakeClock, anyio_backend: str
) -> None:
    with pytest.raises(HoldfastError) as refused:
        await Store.open(url, clock.wall_ms)
    assert refused.value.code == "config.invalid" and words in refused.value.detail
    assert "secret" not in str(refused.value.wire())


async def test_errors_of_the_database_do_not_show_what_was_to_be_written(store: Store) -> None:
    await store.write(put("t1", "a secret"))
    with pytest.raises(IntegrityError) as refused:
        await store.write(put("t1", "a secret"))
    assert "a secret" not in str(refused.value)


async def test_health_counts(store: Store) -> None:
    before = store.health().counters["written"]
    await store.write(put("t1"))
    health = store.health()
    assert (health.mode, health.waiting, health.error) == ("ok", 0, "")
    assert health.counters["written"] == before + 1


async def test_rows_that_nobody_has_read_to_the_end_hold_no_later_reader_at_their_moment(store: Store) -> None:
    for number in range(3):
        await store.write(put(f"t{number}"))
    left = []

    def first_of(connection: Connection) -> None:
        found = iter(connection.execute(select(store_facts.c.name)))
        next(found)
        left.append(found)  # it goes on, as a generator does that somebody forgot

    await store.read(first_of)
    await store.write(put("t3"))
    assert await store.read(count) == 4
    left.clear()
