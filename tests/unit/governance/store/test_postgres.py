"""What only PostgreSQL does: a server that goes away, transactions that cannot be put in an order, several openers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import select, text

from holdfast.errors import CommitFailed, HoldfastError, Unavailable
from holdfast.governance.store.address import parse
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.facts import store_facts
from holdfast.testing import FakeClock
from tests.unit.governance import postgres_server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def address(anyio_backend: str) -> str:
    return await postgres_server.empty_database()


@pytest.fixture
async def postgres(address: str, clock: FakeClock) -> AsyncIterator[Store]:
    store = await Store.open(address, clock.wall_ms)
    await put(store, "t0")
    yield store
    await store.close()


async def put(store: Store, name: str) -> None:
    await store.insert(store_facts, [{"name": name, "value": "v"}])


async def names(store: Store) -> set[str]:
    return await store.read(lambda c: set(c.execute(select(store_facts.c.name)).scalars()))


async def administer(address: str, *statements: str) -> None:
    connection = await asyncpg.connect(address)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def test_connections_that_were_cut_are_made_again(postgres: Store, address: str) -> None:
    await asyncio.gather(*(postgres.read(lambda c: c.execute(select(1)).scalar()) for _ in range(8)))
    await administer(address, CUT)
    await put(postgres, "t1")
    assert {"t0", "t1"} <= await names(postgres)
    assert postgres.health().mode == "ok"


async def test_a_server_that_takes_no_writes_is_told_and_found_again(
    postgres: Store, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = address.split("/")[3].split("?")[0]
    await administer(address, f"ALTER DATABASE {name} SET default_transaction_read_only = on", CUT)
    try:
        with pytest.raises(CommitFailed) as refused:
            await put(postgres, "t1")
        assert (refused.value.outcome, refused.value.code) == ("not_applied", "store.unavailable")
        assert postgres.health().mode == "failed"
        for name_of in ("t1", "t1", "t1"):
            with pytest.raises(CommitFailed):
                await put(postgres, name_of)
        assert len(caplog.records) == 1, "an outage is told once, and not for every piece of work"
    finally:
        await administer(
            address,
            "SET default_transaction_read_only = off",
            f"ALTER DATABASE {name} RESET default_transaction_read_only",
            CUT,
        )
    await put(postgres, "t2")
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert {"t0", "t2"} <= await names(postgres) and "t1" not in await names(postgres)


async def test_no_server_is_unavailable_and_says_no_password(clock: FakeClock, anyio_backend: str) -> None:
    with pytest.raises(Unavailable) as refused:
        await Store.open("postgresql://me:secret@127.0.0.1:1/db", clock.wall_ms)
    assert refused.value.code == "store.unavailable" and "secret" not in str(refused.value.wire())


async def test_several_may_open_it_at_once_and_the_tables_are_made_once(address: str, clock: FakeClock) -> None:
    stores = await asyncio.gather(*(Store.open(address, clock.wall_ms) for _ in range(5)))
    await asyncio.gather(*(put(store, f"t{number}") for number, store in enumerate(stores)))
    assert await names(stores[0]) >= {f"t{number}" for number in range(5)}
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_piece_that_keeps_losing_is_refused_in_the_end(postgres: Store, address: str) -> None:
    before = postgres.health().counters["again"]
    runs = 0

    def conflicts(connection: object) -> None:
        nonlocal runs
        runs += 1
        connection.execute(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$"))  # type: ignore[attr-defined]

    with pytest.raises(CommitFailed) as refused:
        await postgres.write(conflicts)
    assert refused.value.code == "store.busy" and refused.value.outcome == "not_applied"
    assert postgres.health().counters["again"] - before == runs > 1


async def test_the_address_is_shown_without_its_password(address: str, clock: FakeClock) -> None:
    store = await Store.open(address.replace("postgres:@", "postgres:secret@"), clock.wall_ms)
    assert store.where.startswith("postgresql://postgres:***@/") and "secret" not in store.where
    await store.close()


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:secret@h/db", "postgres://h/db?user=me&password=secret", "postgresql://h/db?sslpassword=secret&sslmode=require"],
)  # fmt: skip
async def test_no_way_to_write_a_password_shows_it(url: str, clock: FakeClock) -> None:
    assert "secret" not in parse(url).where
    with pytest.raises(HoldfastError) as refused:
        await Store.open(url.replace("//h/", "//127.0.0.1:1/").replace("@h/", "@127.0.0.1:1/"), clock.wall_ms)
    assert "secret" not in str(refused.value.wire()) + str(refused.value)


async def test_a_database_that_is_not_there_is_named(address: str, clock: FakeClock) -> None:
    with pytest.raises(HoldfastError, match="nowhere"):
        await Store.open(address.replace("/test_", "/nowhere_"), clock.wall_ms)
