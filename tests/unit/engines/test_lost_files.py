"""The files of a database that is written to, taken away or put elsewhere: one writer all the same, and nothing is acknowledged
into a file that is not there (LOG-3, LOG-9)."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import apsw
import pytest

from holdfast.engines.port import Index, Key
from holdfast.engines.sqlite import lock as locking
from holdfast.engines.sqlite.backup import backup, restore
from holdfast.engines.sqlite.check import Problem, verify
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.engines.sqlite.watch import FileWatch
from holdfast.errors import CommitFailed, HoldfastError
from tests.unit.engines.conftest import KEY, add, tail
from tests.unit.engines.test_fail_stop import mode

pytestmark = pytest.mark.anyio

HOLD = (
    "import asyncio, sys\nfrom holdfast.engines.sqlite.engine import SqliteEngine\n"
    "async def main():\n await SqliteEngine(sys.argv[1]).open()\n print('open', flush=True)\n sys.stdin.read()\n"
    "asyncio.run(main())"
)


@pytest.fixture
async def served(path: str, anyio_backend: str) -> AsyncIterator[SqliteEngine]:
    """An engine with one session and one event, that looks at its files often."""
    engine = SqliteEngine(path, reserve_bytes=0, probe_s=0.01, checkpoint_s=0.01)
    await engine.open()
    await engine.create(KEY, "i1", 1, Index())
    await add(engine, 0)
    yield engine
    await engine.close()


@pytest.fixture
def holder(path: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that writes to the database."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", HOLD, path], env=environment, **pipes)
    assert process.stdout is not None and process.stdout.readline() == b"open\n"
    yield process
    process.kill()
    process.communicate()


# --- one writer, whatever the file is called
def linked(path: str, other: str, how: str) -> str:
    if how == "symlink":
        os.symlink(path, other)
    elif how == "symlinked folder":
        os.symlink(os.path.dirname(path), other)
        return os.path.join(other, os.path.basename(path))
    elif how == "hard link":
        os.link(path, other)
    elif how == "without its .lock":
        os.unlink(path + ".lock")
        return path
    return other


WAYS = ["symlink", "symlinked folder", "hard link", "without its .lock"]


@pytest.mark.parametrize("how", WAYS)
async def test_a_second_writer_is_refused_and_told_who_is_first(
    path: str, tmp_path: Path, holder: subprocess.Popen[bytes], how: str
) -> None:
    other = linked(path, str(tmp_path / "other"), how)
    for doing in (SqliteEngine(other).open, lambda: asyncio.to_thread(restore, path, other, force=True)):
        with pytest.raises(HoldfastError) as caught:
            await doing()
        assert caught.value.code == "engine.locked"
        assert caught.value.fields["pid"] == str(holder.pid) and str(holder.pid) in caught.value.detail
    holder.kill()
    holder.wait()
    engine = SqliteEngine(other)
    await engine.open()
    await engine.close()


@pytest.mark.parametrize("how", WAYS)
async def test_nor_is_there_a_second_writer_in_the_same_process(
    served: SqliteEngine, path: str, tmp_path: Path, how: str
) -> None:
    """Closing any descriptor of the file would drop SQLite's own locks in this process: it is not even opened."""
    other = linked(path, str(tmp_path / "other"), how)
    before = locks_on(path)
    assert any("POSIX" in problem for problem in before)
    with pytest.raises(HoldfastError) as caught:
        await SqliteEngine(other).open()
    assert (caught.value.code, caught.value.fields["pid"]) == ("engine.locked", str(os.getpid()))
    assert locks_on(path) == before


def locks_on(path: str) -> set[str]:
    """The locks on a file, as the kernel tells them, without their numbers."""
    return {
        line.partition(": ")[2]
        for line in Path("/proc/locks").read_text().splitlines()
        if f":{os.stat(path).st_ino} " in line
    }


async def test_where_the_kernel_has_no_such_locks_the_name_is_locked(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "OFD_SETLK", None)
    engine = SqliteEngine(path)
    await engine.open()
    for other in (path, linked(path, str(tmp_path / "other"), "symlink")):
        with pytest.raises(HoldfastError) as caught:
            await SqliteEngine(other).open()
        assert caught.value.code == "engine.locked"
    await engine.close()


# --- files that are taken away while they are used
def gone(path: str) -> None:
    os.unlink(path)


def moved(path: str) -> None:
    os.rename(path, path + ".away")


def replaced(path: str) -> None:
    shutil.copy(path, path + ".new")
    os.rename(path + ".new", path)


def emptied(path: str) -> None:
    os.unlink(path)
    Path(path).touch()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock"])
@pytest.mark.parametrize("happens", [gone, moved, replaced, emptied])
async def test_writing_stops_and_says_why(
    served: SqliteEngine, path: str, suffix: str, happens: Callable[[str], None]
) -> None:
    happens(path + suffix)
    await mode(served, "failed")  # nobody has to write for that to be noticed
    why = served.health()["error"]
    assert f"x.db{suffix} " in why and ("deleted" in why or "replaced" in why)
    for essential in (False, True):
        with pytest.raises(CommitFailed) as caught:
            await add(served, 1, essential=essential)
        assert (caught.value.code, caught.value.outcome) == ("disk.lost", "not_applied")
        assert why in caught.value.detail
    assert await tail(served) == 1, "what is open is read on"
    await asyncio.sleep(0.05)  # probes
    assert served.health()["mode"] == "failed" and served.health()["reopened"] == 0


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("happens", [gone, replaced])
async def test_nothing_is_acknowledged_into_nothing(path: str, suffix: str, happens: Callable[[str], None]) -> None:
    """Also by the first write after it, long before anybody looks at the clock."""
    engine = SqliteEngine(path, reserve_bytes=0, checkpoint_s=3_600.0)
    await engine.open()
    await engine.create(KEY, "i1", 1, Index())
    happens(path + suffix)
    with pytest.raises(CommitFailed) as caught:
        await add(engine, 0)
    assert (caught.value.code, caught.value.outcome) == ("disk.lost", "not_applied")
    await engine.close()


async def test_a_file_that_goes_during_the_commit(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = SqliteEngine(path, reserve_bytes=0, checkpoint_s=3_600.0)
    await engine.open()
    await engine.create(KEY, "i1", 1, Index())
    real = FileWatch.describe_loss
    looks = []

    def look(self: FileWatch, *names: str) -> str:
        looks.append(names)
        if len(looks) == 2:  # before the commit, and after it
            os.rename(path, path + ".away")
        return real(self, *names)

    monkeypatch.setattr(FileWatch, "describe_loss", look)
    with pytest.raises(CommitFailed) as caught:
        await add(engine, 0)
    assert (caught.value.code, caught.value.outcome) == ("commit.unknown", "unknown")
    monkeypatch.undo()
    os.rename(path + ".away", path)
    await mode(engine, "ok")  # the very file is back
    assert await tail(engine) == 1
    await engine.close()


async def test_what_was_acknowledged_is_in_the_file_when_only_its_log_goes(path: str) -> None:
    engine = SqliteEngine(path, reserve_bytes=0, checkpoint_s=3_600.0, probe_s=0.01)
    await engine.open()
    await engine.create(KEY, "i1", 1, Index())
    for at in range(5):
        await add(engine, at)
    os.unlink(path + "-wal")
    with pytest.raises(CommitFailed):
        await add(engine, 5)
    await engine.close()
    again = SqliteEngine(path, reserve_bytes=0)
    await again.open()
    assert await tail(again) == 5
    await again.close()


async def test_a_file_put_in_its_place_is_left_alone(served: SqliteEngine, path: str, tmp_path: Path) -> None:
    """Neither written to, nor is its log taken away when this one closes."""
    other = SqliteEngine(str(tmp_path / "other.db"), reserve_bytes=0, checkpoint_s=3_600.0)
    await other.open()
    await other.create(Key("acme", "theirs"), "i1", 1, Index())
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(str(tmp_path / "other.db") + suffix, str(tmp_path / "copy") + suffix)
    await other.close()
    for suffix in ("-wal", "-shm", ""):
        os.rename(str(tmp_path / "copy") + suffix, path + suffix)
    before = {suffix: Path(path + suffix).read_bytes() for suffix in ("", "-wal")}
    await mode(served, "failed")
    await served.close()
    assert {suffix: Path(path + suffix).read_bytes() for suffix in ("", "-wal")} == before


async def test_a_disk_that_fails_while_the_file_goes_is_not_recovered_into_a_new_one(
    served: SqliteEngine, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert served._writer is not None

    def failing() -> None:
        raise apsw.IOError("planted")

    monkeypatch.setattr(served._store, "probe", failing)
    served._writer.fail(apsw.IOError("planted"))
    await mode(served, "failed")
    os.unlink(path)
    monkeypatch.undo()
    with pytest.raises(CommitFailed):
        await add(served, 1)
    await asyncio.sleep(0.05)  # probes
    assert not os.path.exists(path) and "x.db was deleted" in served.health()["error"]


# --- a log that was lost while nobody looked
def problems(path: str) -> list[str]:
    return [found.detail for found in verify(path) if isinstance(found, Problem)]


async def killed(path: str, tmp_path: Path) -> str:
    """What a killed process leaves: three events, the last two in the log only."""
    engine = SqliteEngine(path, reserve_bytes=0, checkpoint_s=3_600.0)
    await engine.open()
    await engine.create(KEY, "i1", 1, Index())
    await add(engine, 0)
    engine._store.checkpoint()
    await add(engine, 1)
    await add(engine, 2)
    left = str(tmp_path / "left.db")
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(path + suffix, left + suffix)
    await engine.close()
    return left


async def test_verify_tells_a_log_that_is_lost(path: str, tmp_path: Path) -> None:
    left = await killed(path, tmp_path)
    assert problems(left) == [] and problems(path) == [], "killed, and closed"
    for suffix in ("-wal", "-shm"):
        os.unlink(left + suffix)
    for _ in range(2):  # looking changes nothing
        assert any("-wal" in problem for problem in problems(left))
        assert not os.path.exists(left + "-wal")
    copied = str(tmp_path / "copied.db")
    backup(path, copied)
    assert problems(copied) == []


async def test_a_server_that_finds_its_log_lost_begins_new_lives(
    path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was read may lie beyond what is left, or be written over: as after a restore, nobody resumes there."""
    left = await killed(path, tmp_path)
    os.unlink(left + "-wal")
    engine = SqliteEngine(left, reserve_bytes=0)
    await engine.open()
    head = await engine.head(KEY)
    assert head is not None and head.tail == 1 and head.incarnation != "i1"
    assert "left.db-wal" in caplog.text
    await engine.close()
    assert problems(left) == []


async def test_restoring_what_was_copied_without_its_log(path: str, tmp_path: Path) -> None:
    left = await killed(path, tmp_path)
    for suffix in ("-wal", "-shm"):
        os.unlink(left + suffix)
    assert any("-wal" in problem for problem in problems(left))
    made = str(tmp_path / "made.db")
    backup(left, made)
    assert any("-wal" in problem for problem in problems(made)), "a copy of it lacks as much"
    again = str(tmp_path / "again.db")
    assert restore(made, again) == 1
    assert problems(again) == []
