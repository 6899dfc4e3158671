"""A disk that fails or is full: exact outcomes, reads that go on, recovery without a restart (LOG-4, LOG-7)."""

from __future__ import annotations

import asyncio
import threading

import apsw
import pytest

from holdfast.engines.port import Index, Key
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.errors import CommitFailed
from tests.sim.crash_vfs import Disk, io_error
from tests.unit.engines.conftest import add, fail_when, tail

pytestmark = pytest.mark.anyio


async def mode(engine: SqliteEngine, wanted: str) -> None:
    """Wait until the engine is in a mode."""
    for _ in range(2_000):
        if engine.health()["mode"] == wanted:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(engine.health())


async def fails(doing: object, outcome: str, code: str) -> None:
    with pytest.raises(CommitFailed) as caught:
        await doing  # type: ignore[misc]
    assert (caught.value.outcome, caught.value.code) == (outcome, code)


async def test_a_failed_sync_has_an_unknown_outcome_and_stops_writes_not_reads(
    engine: SqliteEngine, disk: Disk
) -> None:
    await add(engine, 0)
    fail_when(disk, lambda kind, name: kind == "sync", lambda: io_error(apsw.SQLITE_IOERR_FSYNC))
    await fails(add(engine, 1), "unknown", "commit.unknown")
    assert engine.health()["mode"] == "failed"
    assert engine.health()["error"]
    assert await tail(engine) == 1  # what is not known to be durable is not shown
    await fails(add(engine, 1), "not_applied", "disk.failed")
    await fails(add(engine, 1, essential=True), "not_applied", "disk.failed")
    assert await tail(engine) == 1


async def test_after_a_failed_sync_the_engine_reopens_and_the_outcome_is_settled(
    engine: SqliteEngine, disk: Disk
) -> None:
    await add(engine, 0)
    fail_when(disk, lambda kind, name: kind == "sync", lambda: io_error(apsw.SQLITE_IOERR_FSYNC))
    await fails(add(engine, 1), "unknown", "commit.unknown")
    disk.on_operation = None
    await mode(engine, "ok")
    settled = await tail(engine)
    assert settled in (1, 2)
    await add(engine, settled)
    assert await tail(engine) == settled + 1
    assert engine.health()["reopened"] == 1


async def test_an_append_that_was_written_and_not_synced_is_kept_once_shown(engine: SqliteEngine, disk: Disk) -> None:
    await add(engine, 0)
    fail_when(disk, lambda kind, name: (kind, name) == ("sync", "x.db-wal"), lambda: io_error(apsw.SQLITE_IOERR_FSYNC))
    await fails(add(engine, 1), "unknown", "commit.unknown")
    disk.on_operation = None
    await mode(engine, "ok")
    assert await tail(engine) == 2  # the log file held it; reopening made it durable before showing it


async def test_a_failed_write_applied_nothing(engine: SqliteEngine, disk: Disk) -> None:
    await add(engine, 0)
    failed = fail_when(disk, lambda kind, name: kind == "write", lambda: io_error(apsw.SQLITE_IOERR_WRITE))
    with pytest.raises(CommitFailed) as caught:
        await add(engine, 1)
    assert caught.value.outcome in ("not_applied", "unknown")
    assert failed
    disk.on_operation = None
    await mode(engine, "ok")
    assert await tail(engine) == 1
    await add(engine, 1)


async def test_a_disk_that_stays_broken_keeps_the_engine_failed_and_readable(engine: SqliteEngine, disk: Disk) -> None:
    await add(engine, 0)
    failed = fail_when(disk, lambda kind, name: kind in ("write", "sync"), lambda: io_error(apsw.SQLITE_IOERR_WRITE))
    with pytest.raises(CommitFailed):
        await add(engine, 1)
    while len(failed) < 10:  # several attempts to recover
        await asyncio.sleep(0.01)
        assert await tail(engine) == 1
    assert engine.health()["mode"] == "failed"
    disk.on_operation = None
    await mode(engine, "ok")
    await add(engine, 1)


async def test_all_of_a_group_share_its_outcome(engine: SqliteEngine, disk: Disk) -> None:
    keys = [Key("acme", f"g{n}") for n in range(5)]
    fail_when(disk, lambda kind, name: kind == "sync", lambda: io_error(apsw.SQLITE_IOERR_FSYNC))
    results = await asyncio.gather(*(engine.create(key, "i1", 1, Index()) for key in keys), return_exceptions=True)
    assert all(isinstance(result, CommitFailed) for result in results)
    disk.on_operation = None
    await mode(engine, "ok")
    assert {(await engine.create(key, "i2", 1, Index())).tail for key in keys} == {0}


# --- full -----------------------------------------------------------------------------------------------------------
async def test_a_full_disk_refuses_content_admits_the_essential_and_recovers(
    engine: SqliteEngine, disk: Disk, path: str
) -> None:
    await add(engine, 0)
    # the reserve makes room: once it was given up, writes succeed
    fail_when(disk, lambda kind, name: kind == "write" and engine.health()["mode"] == "ok", apsw.FullError)
    with open(path + ".reserve", "rb") as reserve:
        assert len(reserve.read()) == 256 << 10
    results = await asyncio.gather(
        add(engine, 1), engine.create(Key("acme", "x"), "i1", 1, Index()), return_exceptions=True
    )
    assert [(r.outcome, r.code) for r in results if isinstance(r, CommitFailed)] == [("not_applied", "disk.full")] * 2
    await add(engine, 1, essential=True)
    assert await tail(engine) == 2
    disk.on_operation = None
    await mode(engine, "ok")
    await add(engine, 2)
    assert await tail(engine) == 3


async def test_a_reserve_that_is_used_up_refuses_even_the_essential(engine: SqliteEngine, disk: Disk) -> None:
    await add(engine, 0)
    fail_when(disk, lambda kind, name: kind == "write", apsw.FullError)
    await fails(add(engine, 1, essential=True), "not_applied", "disk.full")
    assert await tail(engine) == 1
    disk.on_operation = None
    await mode(engine, "ok")
    await add(engine, 1)


async def test_one_write_the_database_cannot_take_does_not_fail_its_group(engine: SqliteEngine) -> None:
    huge = Index(due_ms=1 << 70)  # beyond SQLite's integers
    keys = [Key("acme", f"g{n}") for n in range(5)]
    results = await asyncio.gather(
        *(engine.create(key, "i1", 1, huge if n == 2 else Index()) for n, key in enumerate(keys)),
        return_exceptions=True,
    )
    assert [isinstance(result, CommitFailed) for result in results] == [n == 2 for n in range(5)]
    assert engine.health()["mode"] == "ok"
    assert await engine.head(keys[2]) is None
    await add(engine, 0)


async def test_a_caller_that_gave_up_does_not_stop_its_write(engine: SqliteEngine) -> None:
    task = asyncio.ensure_future(add(engine, 0))
    await asyncio.sleep(0)
    task.cancel()
    await add(engine, 1)
    assert await tail(engine) == 2


async def test_a_mistake_in_the_writer_leaves_nobody_waiting(
    engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise RuntimeError("planted")

    said = threading.Event()
    monkeypatch.setattr("holdfast.engines.sqlite.writer.log.exception", lambda *_: said.set())
    with monkeypatch.context() as patch:
        patch.setattr("holdfast.engines.sqlite.transaction.Transaction.update_cache", mistaken)
        await fails(add(engine, 0), "unknown", "commit.unknown")
    async with asyncio.timeout(10):  # the writer's thread tells its caller first, and then the log
        while not said.is_set():
            await asyncio.sleep(0.01)
    await mode(engine, "ok")
    assert await tail(engine) == 1  # it had been committed
