"""``verify`` finds every kind of damage; a backup of a busy database is whole; a restored one lives a new life."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from holdfast.engines.port import Index, Key
from holdfast.engines.sqlite.backup import backup, restore
from holdfast.engines.sqlite.check import CheckProgress, Problem, verify
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol.events import Event
from holdfast.protocol.frames import encode_frame
from tests.unit.engines.conftest import KEY, add, tail

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(path: str, anyio_backend: str) -> str:
    """A closed database with something in every table."""
    engine = SqliteEngine(path, reserve_bytes=0)
    await engine.open()
    index = Index(due_ms=5, queued=("writer",), participants=("ada",), title="Tides", card={"a": "b"})
    await engine.create(KEY, "i1", 1, index)
    for at in range(20):
        await add(engine, at, notices=[{"n": at}])
    cover = Event(6, 1, "agent:a", "TEXT_MESSAGE_CONTENT", {"messageId": "m", "delta": "x"}, to=10)
    await engine.compact(KEY, "i1", 6, 10, [encode_frame(KEY.session, [cover])])
    await engine.put_snapshot(KEY, "i1", 15, b"state", {0: b"page"})
    await engine.put_blob(KEY, "i1", "b", "text/plain", b"blob")
    await engine.put_fact("f", b"fact")
    await engine.mark_read(KEY, "i1", "ada", 3)
    for name in ("empty", "gone"):
        await engine.create(Key("acme", name), "i1", 1, Index(participants=("ada",)))
    await engine.delete(Key("acme", "gone"), "i1", 5, Index())
    await engine.close()
    return path


def problems(path: str) -> list[Problem]:
    return [found for found in verify(path) if isinstance(found, Problem)]


async def test_a_sound_database_has_no_problems(database: str) -> None:
    found = list(verify(database))
    assert found == [CheckProgress(1, 3, 16), CheckProgress(2, 3, 16), CheckProgress(3, 3, 16)]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("DELETE FROM frame WHERE first = 3", "a frame begins at 4 where 3 was due"),
        ("DELETE FROM frame WHERE first = 20", "the head says 20, the frames end at 19"),
        ("UPDATE session SET tail = 21 WHERE name = 's1'", "the head says 21, the frames end at 20"),
        ("UPDATE frame SET payload = replace(payload, 'RAW', 'WAR') WHERE first = 2", "frame 2..2 of the session is damaged"),
        ("UPDATE frame SET audience = 1 WHERE first = 2", "frame 2..2 of the session is damaged"),
        ("UPDATE frame SET keys = '[]' WHERE first = 2", "frame 2..2 of the session is damaged"),
        ("UPDATE frame SET last = 8, crc = crc WHERE first = 7", None),
        ("UPDATE snapshot SET data = x'00'", "snapshot at 15 is damaged"),
        ("UPDATE snapshot SET seq = 99", "a snapshot at 99 is beyond the tail at 20"),
        ("UPDATE page SET data = x'00'", "page 0 is damaged"),
        ("UPDATE blob SET data = x'00'", "blob b is damaged"),
        ("UPDATE session SET due_ms = 6 WHERE name = 's1'", "the columns copied from the index disagree with it"),
        ("UPDATE session SET words = 'x' WHERE name = 's1'", "the columns copied from the index disagree with it"),
        ("UPDATE session SET idx = x'7b' WHERE name = 's1'", "the index of session 's1' is damaged"),
        ("DELETE FROM participant", "the rows of participant disagree with the index"),
        ("DELETE FROM queued", "the rows of queued disagree with the index"),
        ("INSERT INTO read_mark VALUES (99, 'ada', 1)", "rows of session row 99, which is not there"),
        ("UPDATE frame SET session = 99 WHERE first > 10", "rows of session row 99, which is not there"),
        ("UPDATE frame SET session = (SELECT id FROM session WHERE name = 'gone') WHERE first > 10", "10 frames of a deleted"),
    ],
)  # fmt: skip
async def test_damage_is_found(database: str, damage: str, expected: str | None) -> None:
    with apsw.Connection(database) as connection:
        connection.execute(damage)
        changed = connection.changes()
    connection.close()
    if expected is None:
        assert not changed
        assert problems(database) == []
    else:
        assert changed
        assert any(expected in str(problem) for problem in problems(database)), problems(database)


async def test_frames_whose_content_lies_are_found_behind_a_right_checksum(database: str, tmp_path: Path) -> None:
    from holdfast.engines.sqlite.rows import frame_crc

    lies: list[tuple[Callable[[bytes], bytes], str]] = [
        (lambda payload: payload.replace(b'"seq":2', b'"seq":3'), "event 3 where 2 was due"),
        (lambda payload: payload.replace(b'"from":2', b'"from":1'), "frame 2..2 holds 's1' 1..2"),
        (lambda payload: payload.replace(b'"s1"', b'"s2"'), "frame 2..2 holds 's2'"),
        (lambda payload: payload[:-1], "frame 2..2"),
    ]
    for lie, expected in lies:
        connection = apsw.Connection(database)
        (original,) = connection.execute("SELECT payload FROM frame WHERE first = 2").fetchone() or (b"",)
        for payload in (lie(original), original):
            crc = frame_crc(2, 2, 0, None, payload)
            connection.execute("UPDATE frame SET payload = ?, crc = ? WHERE first = 2", (payload, crc))
            found = problems(database)
            assert (found == []) == (payload == original)
            assert payload == original or any(expected in problem.detail for problem in found), found
        connection.close()


async def test_a_damaged_page_is_found(database: str) -> None:
    with open(database, "r+b") as file:
        file.seek(8_192)
        file.write(os.urandom(4_096))
    try:
        assert problems(database)
    except HoldfastError as error:
        assert error.code == "engine.corrupt"


async def test_whichever_page_is_damaged_is_told_as_what_it_is(database: str) -> None:
    with open(database, "rb") as file:
        sound = file.read()
    details = set()
    for page in range(4_096, len(sound), 4_096):
        for rest in (b"\xff" * 4_096 + sound[page + 4_096 :], b"", b"\xff" * 100):
            with open(database, "wb") as file:
                file.write(sound[:page] + rest)
            try:
                found = [problem.detail for problem in problems(database)]
            except HoldfastError as error:
                assert error.code == "engine.corrupt"
                found = [str(error)]
            assert found, page // 4_096
            details.update(found)
    assert not [detail for detail in details if "rollback" in detail or "transaction" in detail]


async def test_a_missing_file_is_not_created(path: str) -> None:
    for doing in (
        lambda: list(verify(path)),
        lambda: backup(path, path + ".copy"),
        lambda: restore(path, path + ".new"),
    ):
        with pytest.raises(HoldfastError) as caught:
            doing()
        assert caught.value.code == "config.invalid"
    assert not any(os.path.exists(path + suffix) for suffix in ("", ".copy", ".copy.part", ".new", ".new.part"))


async def test_a_backup_of_a_busy_database_is_whole(path: str, tmp_path: Path) -> None:
    engine = SqliteEngine(path, reserve_bytes=0, checkpoint_s=0.01, checkpoint_pages=50)
    await engine.open()
    await engine.create(KEY, "i1", 1, Index())
    for at in range(300):
        await add(engine, at, size=10_000)
    copied = asyncio.Event()

    async def write() -> int:
        at = 300
        while not copied.is_set():
            await add(engine, at)
            at += 1
        return at

    writing = asyncio.ensure_future(write())
    reports: list[tuple[int, int]] = []
    target = str(tmp_path / "backup.db")
    await asyncio.to_thread(backup, path, target, lambda done, total: reports.append((done, total)))
    copied.set()
    last = await writing
    assert [found for found in verify(path) if isinstance(found, Problem)] == []
    await engine.close()
    assert problems(target) == []
    assert reports == sorted(reports)
    assert reports[-1][0] == reports[-1][1] > 300
    assert sorted(os.listdir(tmp_path)) == ["backup.db", "x.db", "x.db-shm", "x.db-wal", "x.db.lock"]
    restore(target, str(tmp_path / "new.db"))
    engine = SqliteEngine(str(tmp_path / "new.db"), reserve_bytes=0)
    await engine.open()
    assert 300 <= await tail(engine) <= last
    await engine.close()


async def test_a_restored_session_is_a_new_incarnation_with_its_content(database: str, tmp_path: Path) -> None:
    backup(database, str(tmp_path / "backup.db"))
    new = str(tmp_path / "new.db")
    assert restore(str(tmp_path / "backup.db"), new) == 3
    assert problems(new) == []
    engine = SqliteEngine(new, reserve_bytes=0)
    await engine.open()
    head = await engine.head(KEY)
    assert head is not None
    assert head.incarnation not in ("", "i1")
    assert (head.tail, head.index.title) == (20, "Tides")
    assert await tail(engine) == 20
    assert await engine.get_snapshot(KEY) == (15, b"state")
    assert await engine.get_page(KEY, head.incarnation, 0) == b"page"
    assert await engine.get_blob(KEY, head.incarnation, "b") == ("text/plain", b"blob")
    assert await engine.get_fact("f") == b"fact"
    assert len((await engine.feed("", 99)).notices) == 20
    assert [row.read for row in (await engine.list("acme", user="ada", search="tides", limit=9)).rows] == [3]
    gone = await engine.head(Key("acme", "gone"))
    assert gone is not None
    assert gone.deleted
    with pytest.raises(Refused) as caught:
        await add(engine, 20)
    assert caught.value.code == "session.incarnation"
    await engine.close()


async def test_positions_of_the_feed_from_before_a_restore_are_a_gap(database: str, tmp_path: Path) -> None:
    """What came after them is not what was read then: numbers come again for other happenings."""
    backup(database, str(tmp_path / "backup.db"))
    engine = SqliteEngine(database, reserve_bytes=0)
    await engine.open()
    page = await engine.feed("", 5)
    await engine.close()
    new = str(tmp_path / "new.db")
    restore(str(tmp_path / "backup.db"), new)
    engine = SqliteEngine(new, reserve_bytes=0)
    await engine.open()
    assert (await engine.feed(page.position, 99)).gap
    assert not (await engine.feed("", 99)).gap
    await engine.close()


async def test_nothing_is_overwritten_unless_forced_and_never_under_a_server(database: str, tmp_path: Path) -> None:
    copy = str(tmp_path / "backup.db")
    backup(database, copy)
    for doing in (lambda: backup(database, copy), lambda: restore(copy, database)):
        with pytest.raises(HoldfastError) as caught:
            doing()
        assert caught.value.code == "config.invalid"
    engine = SqliteEngine(database, reserve_bytes=0)
    await engine.open()
    await add(engine, 20)
    with pytest.raises(HoldfastError) as caught:
        restore(copy, database, force=True)
    assert caught.value.code == "engine.locked"
    assert await tail(engine) == 21
    await engine.close()
    restore(copy, database, force=True)
    engine = SqliteEngine(database, reserve_bytes=0)
    await engine.open()
    assert await tail(engine) == 20
    await engine.close()


async def test_a_damaged_or_foreign_backup_is_refused(database: str, tmp_path: Path) -> None:
    copy = str(tmp_path / "backup.db")
    Path(copy).write_bytes(b"nonsense" * 1_000)
    with pytest.raises(HoldfastError) as caught:
        restore(copy, database, force=True)
    assert caught.value.code == "engine.corrupt"
    assert problems(database) == []


async def test_a_backup_into_a_folder_that_is_not_there_is_said_in_a_sentence(database: str, tmp_path: Path) -> None:
    with pytest.raises(HoldfastError) as caught:
        backup(database, str(tmp_path / "nowhere" / "copy.db"))
    assert caught.value.code == "config.invalid" and "nowhere" in caught.value.detail


@pytest.mark.parametrize("content", [b"a letter, not a database. " * 300, None])
async def test_a_file_cut_short_or_of_another_kind_is_damage_not_a_wrong_path(
    database: str, tmp_path: Path, content: bytes | None
) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(Path(database).read_bytes()[:9_000] if content is None else content)
    with pytest.raises(HoldfastError) as caught:
        list(verify(str(broken)))
    assert caught.value.code == "engine.corrupt"
