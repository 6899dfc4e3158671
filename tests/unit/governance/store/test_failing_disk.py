"""A SQLite store on a disk that fails: exact outcomes, reads that go on, recovery without a restart."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import apsw
import pytest
from sqlalchemy import select

from holdfast.errors import Code, CommitFailed, Unavailable
from holdfast.governance import limits
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.facts import store_facts
from holdfast.testing import FakeClock
from tests.sim.crash_vfs import CrashVFS, Disk, io_error

pytestmark = pytest.mark.anyio


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk whose operations can be made to fail."""
    disk = Disk()
    vfs = CrashVFS("store-faulty", disk)
    yield disk
    vfs.unregister()


@pytest.fixture
async def failing(
    tmp_path: Path, disk: Disk, clock: FakeClock, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    """A store on that disk, with a row ``t0``, that tries to recover often."""
    monkeypatch.setattr(limits, "STORE_PROBE_S", 0.01)
    store = await Store.open(str(tmp_path / "store.db"), clock.wall_ms, vfs="store-faulty")
    await put(store, "t0")
    yield store
    disk.on_operation = None
    await store.close()


async def put(store: Store, name: str) -> None:
    await store.insert(store_facts, [{"name": name, "value": "v"}])


async def names(store: Store) -> set[str]:
    return await store.read(lambda c: set(c.execute(select(store_facts.c.name)).scalars()))


async def fails(doing: asyncio.Future[None] | object, outcome: str, code: Code) -> None:
    with pytest.raises(CommitFailed) as caught:
        await doing  # type: ignore[misc]
    assert (caught.value.outcome, caught.value.code) == (outcome, code)


async def ok(store: Store) -> None:
    """Wait until it can be written to again."""
    while store.health().mode != "ok":
        await asyncio.sleep(0.005)


def fail(disk: Disk, kind: str, error: Callable[[], apsw.Error]) -> None:
    def refuse(operation: str, _name: str) -> None:
        if operation == kind:
            raise error()

    disk.on_operation = refuse


async def test_a_failed_sync_has_an_unknown_outcome_and_reads_go_on(failing: Store, disk: Disk) -> None:
    fail(disk, "sync", lambda: io_error(apsw.SQLITE_IOERR_FSYNC))
    await fails(put(failing, "t1"), "unknown", "commit.unknown")
    assert failing.health().mode == "failed" and "t0" in await names(failing)
    await fails(put(failing, "t2"), "not_applied", "store.unavailable")
    disk.on_operation = None
    await ok(failing)
    await put(failing, "t3")
    assert {"t0", "t3"} <= await names(failing) and "t2" not in await names(failing)
    assert failing.health().counters["reopened"] >= 1


async def test_a_disk_that_is_full_applies_nothing_and_is_noticed_when_it_is_not(failing: Store, disk: Disk) -> None:
    fail(disk, "write", lambda: apsw.FullError("database or disk is full"))
    await fails(put(failing, "t1"), "not_applied", "disk.full")
    await fails(put(failing, "t1"), "not_applied", "disk.full")
    assert "t0" in await names(failing)
    disk.on_operation = None
    await ok(failing)
    await put(failing, "t1")
    assert {"t0", "t1"} <= await names(failing)


async def test_whoever_waits_when_it_fails_is_told_and_not_forgotten(failing: Store, disk: Disk) -> None:
    fail(disk, "write", lambda: io_error(apsw.SQLITE_IOERR_WRITE))
    results = await asyncio.gather(*(put(failing, f"t{n}") for n in range(1, 40)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    disk.on_operation = None
    await ok(failing)
    assert not await names(failing) & {f"t{n}" for n in range(1, 40)} or any(
        getattr(result, "outcome", "") == "unknown" for result in results
    )


async def test_a_file_that_is_gone_is_not_begun_anew(failing: Store, tmp_path: Path) -> None:
    (tmp_path / "store.db").rename(tmp_path / "elsewhere.db")
    await fails(put(failing, "t1"), "not_applied", "disk.lost")
    await fails(put(failing, "t1"), "not_applied", "disk.lost")
    assert not (tmp_path / "store.db").exists() and "store.db was deleted or moved" in failing.health().error
    (tmp_path / "elsewhere.db").rename(tmp_path / "store.db")
    await ok(failing)
    await put(failing, "t2")
    assert {"t0", "t2"} <= await names(failing)


@pytest.mark.parametrize("seed", range(6))
async def test_a_power_cut_takes_nothing_that_was_acknowledged(
    tmp_path: Path, disk: Disk, clock: FakeClock, seed: int
) -> None:
    rng = random.Random(seed)
    folder = tmp_path / "before"
    folder.mkdir()
    store = await Store.open(str(folder / "store.db"), clock.wall_ms, vfs="store-faulty")
    acknowledged: set[str] = set()

    async def write(writer: int) -> None:
        for n in range(20):
            await put(store, f"t{writer}-{n}")
            acknowledged.add(f"t{writer}-{n}")

    writing = [asyncio.ensure_future(write(writer)) for writer in range(8)]
    await asyncio.wait(writing[:1] if seed % 2 else writing)
    must, (files, _) = set(acknowledged), disk.image(rng, "tear")
    await asyncio.gather(*writing)
    await store.close()
    after = tmp_path / "after"
    after.mkdir()
    for name, content in files.items():
        (after / name).write_bytes(content)
    again = await Store.open(str(after / "store.db"), clock.wall_ms)
    assert must <= await names(again)
    await again.close()
