"""A really full disk: a small tmpfs, real ENOSPC. Content is refused, control goes through, reads go on, nothing is lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from holdfast.engines.port import Index, Key, LogAppend
from holdfast.engines.sqlite.backup import backup, restore
from holdfast.engines.sqlite.check import Problem, verify
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.errors import CommitFailed, Unavailable
from holdfast.protocol.events import Event
from holdfast.protocol.frames import decode_frame, encode_frame

pytestmark = pytest.mark.anyio

DISK_BYTES = 32 << 20
RESERVE_BYTES = 4 << 20
BALLAST_BYTES = 16 << 20
KEY = Key("acme", "s1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(mount)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        problem = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError:
        problem = "there is no mount command"
    if problem:
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail(f"CI must run this, but mounting a tmpfs failed: {problem}")
        pytest.skip(f"mounting a tmpfs is not permitted here: {problem}")
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


class Log:
    """One session, and every event of it that was acknowledged."""

    def __init__(self, engine: SqliteEngine) -> None:
        self.engine = engine
        self.acknowledged: list[int] = []

    async def append(self, value: int, *, size: int = 50_000, essential: bool = False) -> None:
        seq = len(self.acknowledged) + 1
        frame = encode_frame(KEY.session, [Event(seq, 1, "agent:a", "RAW", {"event": value, "pad": "x" * size})])
        what = LogAppend(KEY, "i1", seq - 1, [frame], 2, essential=essential)
        stored = False
        while not stored:
            try:
                await self.engine.append(what)
                stored = True
            except CommitFailed as error:
                if error.outcome != "unknown":
                    raise
                stored = await self.settle(seq, error)  # and again, when it was not
        self.acknowledged.append(value)

    async def settle(self, seq: int, error: CommitFailed) -> bool:
        """An unknown outcome: SQLite could not lengthen its shared memory after the commit was written. Look again."""
        assert "SHM" in error.detail, error.detail
        while self.engine.health()["mode"] == "failed":
            await asyncio.sleep(0.02)
        head = await self.engine.head(KEY)
        assert head is not None
        assert head.tail in (seq - 1, seq)
        return head.tail == seq

    async def fill(self) -> None:
        """Append until the disk is full."""
        value = refused = 0
        while not refused:
            value += 1
            refused = not await self.try_append(value)

    async def try_append(self, value: int) -> bool:
        """Content: refused, nothing applied; or admitted again when a checkpoint has found room."""
        try:
            await self.append(value)
        except CommitFailed as error:
            assert (error.outcome, error.code) == ("not_applied", "disk.full")
            return False
        return True

    async def check(self) -> None:
        """What is read is what was acknowledged, all of it and nothing else."""
        read: list[int] = []
        while page := await self.engine.read(KEY, len(read), max_bytes=1 << 20):
            read += [event.data["event"] for frame in page for event in decode_frame(frame.payload).events]
        assert read == self.acknowledged
        head = await self.engine.head(KEY)
        assert head is not None
        assert head.tail == len(read)


async def open_on(disk: Path) -> SqliteEngine:
    engine = SqliteEngine(str(disk / "x.db"), reserve_bytes=RESERVE_BYTES, probe_s=0.05, checkpoint_s=0.05)
    await engine.open()
    return engine


async def mode(engine: SqliteEngine, wanted: str) -> None:
    for _ in range(600):
        if engine.health()["mode"] == wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(engine.health())


def available(disk: Path) -> int:
    facts = os.statvfs(disk)
    return facts.f_bavail * facts.f_frsize


async def test_a_full_disk_admits_control_keeps_reads_and_recovers_without_a_restart(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    engine = await open_on(small_disk)
    await engine.create(KEY, "i1", 1, Index())
    log = Log(engine)
    for _ in range(2):  # it happens again after a recovery
        await log.fill()
        assert engine.health()["mode"] == "full"
        await log.check()
        for value in range(100):
            await log.append(value, size=200, essential=True)
            await log.try_append(-value)
        await log.fill()
        await engine.put_fact("revoked", b"token")
        await log.check()
        if ballast.exists():
            ballast.unlink()
            await mode(engine, "ok")
            for value in range(20):
                await log.append(value)
            await log.check()
    await engine.close()
    assert [found for found in verify(str(small_disk / "x.db")) if isinstance(found, Problem)] == []


async def test_a_disk_that_is_full_at_the_start_is_opened_for_control(small_disk: Path) -> None:
    engine = await open_on(small_disk)
    await engine.create(KEY, "i1", 1, Index())
    log = Log(engine)
    for value in range(20):
        await log.append(value)
    await engine.close()
    os.unlink(small_disk / "x.db.reserve")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(available(small_disk) - (1 << 20)))
    engine = log.engine = await open_on(small_disk)
    assert engine.health()["mode"] == "full"
    await log.check()
    await log.append(1, size=200, essential=True)
    with pytest.raises(CommitFailed):
        await log.append(2)
    ballast.unlink()
    await mode(engine, "ok")
    await log.append(3)
    await log.check()
    await engine.close()


async def test_deleting_on_a_full_disk_makes_room(small_disk: Path) -> None:
    """What a person does then: it answers, gives the space back to the disk, and everything is admitted again."""
    engine = await open_on(small_disk)
    await engine.create(KEY, "i1", 1, Index())
    large = Key("acme", "large")
    await engine.create(large, "l1", 1, Index())
    for n in range(5):
        await engine.put_blob(large, "l1", f"b{n}", "text/plain", bytes([n]) * (2 << 20))
    log = Log(engine)
    await log.fill()
    assert engine.health()["mode"] == "full"
    await engine.delete(large, "l1", 5, Index())
    await engine.wait_until_erased(large, "l1")
    await mode(engine, "ok")
    for value in range(50):
        await log.append(value)
    await log.check()
    assert (await engine.head(large)).deleted  # type: ignore[union-attr]
    await engine.close()
    assert [found for found in verify(str(small_disk / "x.db")) if isinstance(found, Problem)] == []


async def test_a_deletion_that_finds_no_room_to_erase_answers_and_goes_on_when_there_is(small_disk: Path) -> None:
    engine = SqliteEngine(str(small_disk / "x.db"), reserve_bytes=RESERVE_BYTES, probe_s=0.05, checkpoint_s=0.05)
    await engine.open()
    await engine.create(KEY, "i1", 1, Index())
    for n in range(4):
        await engine.put_blob(KEY, "i1", f"b{n}", "text/plain", bytes([n]) * (1 << 20))
    ballast = small_disk / "ballast"
    await engine.delete(KEY, "i1", 5, Index())
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4_096)):
                pass
        except OSError:
            pass
    await engine.wait_until_erased(KEY, "i1")
    ballast.unlink()
    await mode(engine, "ok")
    while await asyncio.to_thread(lambda: sqlite_count(small_disk / "x.db", "erasing")):
        await asyncio.sleep(0.02)
    assert sqlite_count(small_disk / "x.db", "blob") == 0
    await engine.close()


def sqlite_count(path: Path, table: str) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").get)
    finally:
        connection.close()


async def test_a_disk_without_any_room_loses_nothing(small_disk: Path) -> None:
    """No reserve, no page left: every refusal is exact and the engine comes back."""
    engine = SqliteEngine(str(small_disk / "x.db"), reserve_bytes=0, probe_s=0.05, checkpoint_s=0.05)
    await engine.open()
    await engine.create(KEY, "i1", 1, Index())
    log = Log(engine)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4_096)):
                pass
        except OSError:
            pass
    refused = 0
    for value in range(200):
        try:
            await log.append(value, essential=True)
        except CommitFailed as error:
            assert error.outcome == "not_applied"
            refused += 1
    assert refused
    await log.check()
    ballast.unlink()
    await mode(engine, "ok")
    await log.append(1)
    await log.check()
    await engine.close()


@pytest.mark.parametrize("room_bytes", [0, 4_096, 1 << 20])
async def test_a_copy_that_does_not_fit_says_so_and_leaves_nothing(
    small_disk: Path, tmp_path: Path, room_bytes: int
) -> None:
    path = str(tmp_path / "x.db")
    engine = SqliteEngine(path, reserve_bytes=0)
    await engine.open()
    await engine.create(KEY, "i1", 1, Index())
    log = Log(engine)
    for value in range(100):
        await log.append(value)
    await engine.close()
    disk = os.statvfs(small_disk)
    with open(small_disk / "ballast", "wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, disk.f_bavail * disk.f_frsize - room_bytes)
    target = str(small_disk / "copy.db")
    before = sorted(os.listdir(small_disk))
    for doing in (lambda: backup(path, target), lambda: restore(path, target)):
        with pytest.raises(Unavailable) as caught:
            doing()
        assert caught.value.code == "disk.full" and "not an error" not in caught.value.detail
        assert target in caught.value.detail and "room" in caught.value.detail
        left = set(os.listdir(small_disk)) - {"copy.db.lock"}  # of the database that was to be
        assert sorted(left) == before
    os.unlink(small_disk / "ballast")
    backup(path, target)
    assert not [found for found in verify(target) if isinstance(found, Problem)]
