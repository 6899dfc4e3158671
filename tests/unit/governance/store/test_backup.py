"""A session log and its store: one pair, backed up and restored together, and refused when they are none."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, text

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Index, Key
from holdfast.engines.sqlite import backup as log_backup
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.errors import HoldfastError
from holdfast.governance.store import backup, facts, pairing
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.facts import store_facts
from holdfast.testing import FakeClock
from tests.unit.governance import postgres_server

pytestmark = pytest.mark.anyio

KEY = Key("acme", "s1")


@asynccontextmanager
async def opened(log: Path, url: str, clock: FakeClock) -> AsyncIterator[tuple[SqliteEngine, Store]]:
    """Both, open and paired."""
    engine = SqliteEngine(str(log), reserve_bytes=0)
    await engine.open()
    try:
        store = await Store.open(url, clock.wall_ms)
        try:
            await pairing.pair(store, engine)
            yield engine, store
        finally:
            await store.close()
    finally:
        await engine.close()


@pytest.fixture
async def log(tmp_path: Path, database: str, clock: FakeClock) -> Path:
    """A session log with one session, paired with the store at ``database``, in which a row names it."""
    path = tmp_path / "sessions-live.db"
    async with opened(path, database, clock) as (engine, store):
        await engine.create(KEY, "i1", 1, Index())
        await store.insert(store_facts, [{"name": "t1", "value": KEY.session}])
    return path


async def names(store: Store) -> set[str]:
    return await store.read(lambda c: set(c.execute(select(store_facts.c.name)).scalars()))


async def refused(log: Path, url: str, clock: FakeClock) -> str:
    """The words with which a start is refused."""
    with pytest.raises(HoldfastError) as error:
        async with opened(log, url, clock):
            raise AssertionError("it started")
    assert error.value.code == "store.mismatch" and error.value.fix
    return error.value.detail


def dump(url: str, target: Path) -> str:
    """What the owner of a PostgreSQL store does before; nothing for SQLite."""
    if not url.startswith("postgresql"):
        return ""
    subprocess.run([postgres_server.programs() / "pg_dump", "-f", str(target), url], check=True)
    return str(target)


async def undump(url: str, source: Path) -> None:
    """What the owner of a PostgreSQL store does before a restore."""
    if url.startswith("postgresql"):
        await postgres_server.empty_database()
        subprocess.run(
            [postgres_server.programs() / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(source), url],
            check=True,
            stdout=subprocess.DEVNULL,
        )


async def test_what_is_restored_is_a_pair_of_its_own(
    log: Path, database: str, tmp_path: Path, clock: FakeClock
) -> None:
    folder = tmp_path / "monday"
    async with opened(log, database, clock) as (engine, store):
        first = store.id
        made = await backup.backup(
            str(log), database, str(folder), clock.wall_ms(), dump=dump(database, tmp_path / "a.sql")
        )
        await store.insert(store_facts, [{"name": "t2", "value": "later"}])
        await engine.create(Key("acme", "s2"), "i1", 1, Index())
    assert made.store_id == first and json.loads((folder / "manifest.json").read_text())["store_id"] == first
    await undump(database, folder / made.store.file)
    assert await backup.restore(str(folder), str(log), database, clock.wall_ms(), force=True) == 1
    async with opened(log, database, clock) as (engine, store):
        assert await names(store) >= {"t1"} and "t2" not in await names(store)
        assert store.id != first and await engine.head(KEY) is not None
    assert sorted(path.name for path in folder.iterdir()) == sorted(["manifest.json", made.log.file, made.store.file])


async def test_a_log_restored_alone_does_not_start(log: Path, database: str, tmp_path: Path, clock: FakeClock) -> None:
    log_backup.backup(str(log), str(tmp_path / "alone.db"))
    log_backup.restore(str(tmp_path / "alone.db"), str(log), force=True)
    assert "the session log is not in the state" in await refused(log, database, clock)


async def test_a_store_restored_alone_does_not_start(
    log: Path, database: str, tmp_path: Path, clock: FakeClock
) -> None:
    store = await Store.open(database, clock.wall_ms)
    await store.write(facts.renew)  # what a restore does
    await store.close()
    assert "the store is not the one" in await refused(log, database, clock)


async def test_strangers_do_not_start_and_are_not_changed(
    log: Path, database: str, tmp_path: Path, clock: FakeClock
) -> None:
    other, other_log = f"sqlite:///{tmp_path}/other-store.db", tmp_path / "other.db"
    async with opened(other_log, other, clock):
        pass
    new = tmp_path / "new.db"
    for _ in range(2):
        assert "another session log, and the session log" in await refused(log, other, clock)
        assert "this one has no store yet" in await refused(new, database, clock)
        assert "this one is new" in await refused(log, f"{tmp_path}/new-store.db", clock)
    async with opened(log, database, clock), opened(other_log, other, clock):
        pass


async def test_an_owner_who_knows_may_take_two_for_a_pair(
    log: Path, tmp_path: Path, database: str, clock: FakeClock
) -> None:
    engine = SqliteEngine(str(log), reserve_bytes=0)
    await engine.open()
    store = await Store.open(str(tmp_path / "fresh.db"), clock.wall_ms)
    await pairing.accept(store, engine)
    await store.close()
    await engine.close()
    async with opened(log, str(tmp_path / "fresh.db"), clock):
        pass
    assert "the store is not the one" in await refused(log, database, clock)


async def test_a_first_start_that_was_cut_short_is_ended_by_the_next(
    tmp_path: Path, database: str, clock: FakeClock
) -> None:
    log = tmp_path / "log.db"

    class Cut(SqliteEngine):
        async def put_fact(self, name: str, data: bytes | None) -> None:
            raise KeyboardInterrupt

    engine = Cut(str(log), reserve_bytes=0)
    await engine.open()
    store = await Store.open(database, clock.wall_ms)
    with pytest.raises(KeyboardInterrupt):
        await pairing.pair(store, engine)
    await store.close()
    await engine.close()
    async with opened(log, database, clock) as (engine, _):
        assert await engine.get_fact(pairing.LOG_FACT)


async def test_a_restore_that_was_cut_short_does_not_start(
    log: Path, database: str, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "monday"
    made = await backup.backup(str(log), database, str(folder), 1, dump=dump(database, tmp_path / "a.sql"))
    await undump(database, folder / made.store.file)
    with monkeypatch.context() as patch:
        patch.setattr(backup, "_begin_anew", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await backup.restore(str(folder), str(log), database, 2, force=True)
    await refused(log, database, clock)
    await backup.restore(str(folder), str(log), database, 3, force=True)
    async with opened(log, database, clock) as (_, store):
        assert "t1" in await names(store)


async def test_a_backup_that_was_changed_is_refused_before_anything_is(
    log: Path, database: str, tmp_path: Path, clock: FakeClock
) -> None:
    folder = tmp_path / "monday"
    made = await backup.backup(str(log), database, str(folder), 1, dump=dump(database, tmp_path / "a.sql"))
    with (folder / made.store.file).open("ab") as file:
        file.write(b"x")
    with pytest.raises(HoldfastError, match="is not the file that was backed up") as error:
        await backup.restore(str(folder), str(log), database, 2, force=True)
    assert error.value.code == "engine.corrupt"
    async with opened(log, database, clock):
        pass


async def test_what_stands_there_is_not_replaced_without_a_word(
    log: Path, database: str, tmp_path: Path, clock: FakeClock
) -> None:
    folder = tmp_path / "monday"
    await backup.backup(str(log), database, str(folder), 1, dump=dump(database, tmp_path / "a.sql"))
    for again in (
        backup.backup(str(log), database, str(folder), 1, dump=dump(database, tmp_path / "a.sql")),
        backup.restore(str(folder), str(log), database, 2),
    ):
        with pytest.raises(HoldfastError, match="exists"):
            await again


async def test_a_pair_that_never_was_one_is_not_backed_up_as_one(
    database: str, tmp_path: Path, clock: FakeClock
) -> None:
    log = tmp_path / "log.db"
    engine = SqliteEngine(str(log), reserve_bytes=0)
    await engine.open()
    await engine.close()
    await (await Store.open(database, clock.wall_ms)).close()
    with pytest.raises(HoldfastError, match="never been used together"):
        await backup.backup(str(log), database, str(tmp_path / "b"), 1, dump=dump(database, tmp_path / "a.sql"))
    assert not (tmp_path / "b").exists() and not (tmp_path / "b.part").exists()


async def test_postgres_is_dumped_by_its_owner_and_sqlite_is_not(
    log: Path, database: str, tmp_path: Path, clock: FakeClock
) -> None:
    sqlite = database.startswith("sqlite")
    with pytest.raises(HoldfastError, match="copied here" if sqlite else "no dump was named") as error:
        await backup.backup(str(log), database, str(tmp_path / "b"), 1, dump="a.sql" if sqlite else "")
    assert error.value.code == "config.invalid"


async def test_a_restore_needs_the_database_that_was_dumped(
    log: Path, database: str, tmp_path: Path, clock: FakeClock
) -> None:
    folder = tmp_path / "monday"
    await backup.backup(str(log), database, str(folder), 1, dump=dump(database, tmp_path / "a.sql"))
    if database.startswith("sqlite"):
        with pytest.raises(HoldfastError, match="of another kind"):
            await backup.restore(str(folder), str(log), "postgresql://h/d", 2, force=True)
        return
    await postgres_server.empty_database()
    before = log.read_bytes()
    with pytest.raises(HoldfastError, match="is not the database that was backed up"):
        await backup.restore(str(folder), str(log), database, 2, force=True)
    assert log.read_bytes() == before


async def test_a_log_in_memory_belongs_to_nobody(tmp_path: Path, clock: FakeClock, anyio_backend: str) -> None:
    for _ in range(2):
        store, engine = await Store.open(str(tmp_path / "s.db"), clock.wall_ms), MemoryEngine()
        await pairing.pair(store, engine)
        await store.close()


async def test_a_store_whose_newest_was_lost_is_not_taken_for_the_old_one(
    tmp_path: Path, clock: FakeClock, anyio_backend: str
) -> None:
    log, url = tmp_path / "log.db", str(tmp_path / "s.db")
    async with opened(log, url, clock):
        pass
    store = await Store.open(url, clock.wall_ms)
    await store.write(lambda c: c.execute(text("INSERT INTO store_facts VALUES ('t1', 'v')")) and None)
    lost = (tmp_path / "s.db").read_bytes()  # as a copy that forgot the -wal
    await store.close()
    for name in os.listdir(tmp_path):
        if name.startswith("s.db"):
            (tmp_path / name).unlink()
    (tmp_path / "s.db").write_bytes(lost)
    assert "the store is not the one" in await refused(log, url, clock)
