"""The store's verbs, the same on both databases."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.facts import store_facts
from holdfast.testing import FakeClock

pytestmark = pytest.mark.anyio


def put(name: str, value: str = "x"):  # type: ignore[no-untyped-def]
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
