"""The files of a database: the lock, the format, erasure, and what an idle session costs."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from holdfast.engines.port import Index, Key
from holdfast.engines.sqlite import schema
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.errors import HoldfastError
from tests.unit.engines.conftest import KEY, add, tail

pytestmark = pytest.mark.anyio


async def refused(engine: SqliteEngine, code: str) -> HoldfastError:
    with pytest.raises(HoldfastError) as caught:
        await engine.open()
    assert caught.value.code == code
    return caught.value


async def open_on(path: str) -> SqliteEngine:
    engine = SqliteEngine(path, reserve_bytes=64 << 10)
    await engine.open()
    return engine


# --- the lock (LOG-9)
async def test_a_second_engine_is_refused_and_told_who_holds_the_database(path: str) -> None:
    engine = await open_on(path)
    error = await refused(SqliteEngine(path), "engine.locked")
    assert error.fields["pid"] == str(os.getpid())
    await engine.close()
    await (await open_on(path)).close()


async def test_the_lock_of_a_killed_process_is_free(path: str) -> None:
    script = (
        "import asyncio, sys, time\nfrom holdfast.engines.sqlite.engine import SqliteEngine\n"
        "async def main():\n await SqliteEngine(sys.argv[1]).open()\n print('open', flush=True)\n await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"open\n"
        assert (await refused(SqliteEngine(path), "engine.locked")).fields["pid"] == str(process.pid)
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)
    await (await open_on(path)).close()


# --- the format
@pytest.mark.parametrize("version", ["3.51.3", "3.51.4", "3.52.0", "3.50.7", "3.50.9", "3.44.6", "4.0.0"])
def test_fixed_libraries_are_accepted(version: str) -> None:
    schema.check_library(version)


@pytest.mark.parametrize("version", ["3.51.2", "3.51.0", "3.50.6", "3.49.9", "3.44.5", "3.45.6", "3.7.17"])
def test_libraries_with_the_wal_reset_bug_are_refused(version: str) -> None:
    with pytest.raises(HoldfastError) as caught:
        schema.check_library(version)
    assert caught.value.code == "engine.version"
    assert version in caught.value.detail


def test_the_library_in_use_is_accepted() -> None:
    schema.check_library()


async def test_a_file_that_is_not_a_database_is_refused(path: str) -> None:
    Path(path).write_bytes(b"not a database" * 1_000)
    await refused(SqliteEngine(path), "engine.corrupt")
    assert Path(path).read_bytes() == b"not a database" * 1_000


async def test_a_database_of_another_program_or_version_is_refused(path: str) -> None:
    connection = apsw.Connection(path)
    connection.execute("CREATE TABLE other (x)")
    await refused(SqliteEngine(path), "engine.version")
    connection.execute("DROP TABLE other")
    connection.pragma("application_id", schema.APPLICATION_ID)
    connection.pragma("user_version", schema.VERSION + 1)
    await refused(SqliteEngine(path), "engine.version")
    connection.close()


async def test_a_missing_directory_is_a_setting_to_mend(tmp_path: Path) -> None:
    await refused(SqliteEngine(str(tmp_path / "none" / "x.db")), "config.invalid")


async def test_only_the_owner_may_read_the_files(path: str) -> None:
    engine = await open_on(path)
    await engine.create(KEY, "i1", 1, Index())
    modes = {
        suffix: stat.S_IMODE(os.stat(path + suffix).st_mode) for suffix in ("", "-wal", "-shm", ".lock", ".reserve")
    }
    assert set(modes.values()) == {0o600}
    await engine.close()


async def test_the_reserve_occupies_its_size(path: str) -> None:
    engine = await open_on(path)
    assert os.stat(path + ".reserve").st_blocks * 512 >= 64 << 10
    await engine.close()


# --- content
async def test_damage_is_reported_and_never_served(path: str) -> None:
    engine = await open_on(path)
    await engine.create(KEY, "i1", 1, Index())
    await add(engine, 0)
    await engine.put_snapshot(KEY, "i1", 1, b"state", {0: b"page"})
    await engine.put_blob(KEY, "i1", "b", "text/plain", b"blob")
    await engine.close()
    with apsw.Connection(path) as connection:
        connection.execute("UPDATE frame SET payload = CAST(replace(payload, 'RAW', 'WAR') AS BLOB)")
        connection.execute("UPDATE snapshot SET data = x'00'")
        connection.execute("UPDATE page SET data = x'00'")
        connection.execute("UPDATE blob SET data = x'00'")
    connection.close()
    engine = await open_on(path)
    for doing in (
        engine.read(KEY, 0, max_bytes=1), engine.get_snapshot(KEY), engine.get_page(KEY, "i1", 0), engine.get_blob(KEY, "i1", "b"),
    ):  # fmt: skip
        with pytest.raises(HoldfastError) as caught:
            await doing
        assert caught.value.code == "engine.corrupt"
    await engine.close()


async def test_deleted_content_is_gone_from_every_file(path: str) -> None:
    engine = await open_on(path)
    await engine.create(KEY, "i1", 1, Index(title="zebra title", participants=("ada",)))
    for at in range(400):
        await add(engine, at, size=300)
    await engine.put_blob(KEY, "i1", "b", "text/plain", b"zebra blob" * 5_000)
    await engine.put_snapshot(KEY, "i1", 400, b"zebra snapshot", {0: b"zebra page"})
    assert any(b"zebra" in Path(path + suffix).read_bytes() for suffix in ("", "-wal"))
    await engine.delete(KEY, "i1", 5, Index())
    await engine.wait_until_erased(KEY, "i1")
    for suffix in ("", "-wal"):
        content = Path(path + suffix).read_bytes()
        assert b"zebra" not in content
        assert b"x" * 300 not in content
    await engine.close()


async def test_an_erasure_cut_short_is_finished_at_the_next_opening(path: str) -> None:
    engine = await open_on(path)
    await engine.create(KEY, "i1", 1, Index())
    for at in range(400):
        await add(engine, at)
    await engine.delete(KEY, "i1", 5, Index())
    await engine.close()
    engine = await open_on(path)

    def left() -> int:
        with apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY) as connection:
            return int(connection.execute("SELECT (SELECT count(*) FROM frame) + (SELECT count(*) FROM erasing)").get)

    while await asyncio.to_thread(left):
        await asyncio.sleep(0.01)
    await engine.close()


async def test_an_idle_session_costs_at_most_a_kibibyte_on_disk(path: str) -> None:
    engine = await open_on(path)
    count = 2_000
    index = Index(participants=("ada", "bob"), title="How the tides work", card={"state": "completed"})
    await asyncio.gather(*(engine.create(Key("acme", f"session-{n:020}"), f"{n:016x}", 1, index) for n in range(count)))
    await engine.close()
    assert os.stat(path).st_size / count <= 1_024


async def test_the_log_starts_again_under_steady_load(path: str) -> None:
    engine = SqliteEngine(path, reserve_bytes=0, checkpoint_s=0.01, checkpoint_pages=50)
    await engine.open()
    await engine.create(KEY, "i1", 1, Index())
    for at in range(600):
        await add(engine, at, size=20_000)
    assert await tail(engine) == 600
    assert os.stat(path + "-wal").st_size < os.stat(path).st_size
    await engine.close()


async def test_the_file_of_another_program_stays_as_it_is(path: str) -> None:
    other = apsw.Connection(path)
    other.execute("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)")
    other.close()
    before = Path(path).read_bytes()
    with pytest.raises(HoldfastError) as caught:
        await SqliteEngine(path).open()
    assert caught.value.code == "engine.version"
    assert Path(path).read_bytes() == before
