"""Older databases are brought to the present format, step by step; a step that fails leaves the one before it."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.engines.sqlite import migrations, schema
from holdfast.engines.sqlite.backup import backup, restore
from holdfast.engines.sqlite.check import Problem, verify
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.errors import HoldfastError

pytestmark = pytest.mark.anyio

FIXTURE = Path(__file__).parents[2] / "fixtures" / "v0_1" / "holdfast.db.xz"
NOTICE = {"type": "run.ended", "incarnation": "i9", "seq": 4, "ts": 1_700, "run": "r2"}


@pytest.fixture
def old(path: str) -> str:
    """A database of format 1 whose webhooks had been read up to a position, with one that waits for another try."""
    Path(path).write_bytes(lzma.decompress(FIXTURE.read_bytes()))
    connection = apsw.Connection(path)
    with connection:
        last = connection.execute("SELECT max(position) FROM notice").fetchone()
        assert last is not None
        row = ("acme", "s1", json.dumps(NOTICE).encode())
        connection.execute("INSERT INTO notice (tenant, name, data) VALUES (?,?,?)", row)
        at = connection.last_insert_rowid()
        connection.execute("INSERT INTO fact VALUES ('webhooks:position', ?)", (str(at).encode(),))
        retry = json.dumps({"attempt": 3, "due_ms": 99, "tenant": "acme"}).encode()
        for name in (at, 999_999):
            connection.execute("INSERT INTO fact VALUES (?, ?)", (f"webhooks:again:{name}", retry))
    connection.close()
    assert format_of(path) == 1
    return path


def format_of(path: str) -> int:
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(connection.pragma("user_version"))
    finally:
        connection.close()


def rows(path: str, statement: str) -> list[Any]:
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(connection.execute(statement).fetchall())
    finally:
        connection.close()


async def open_and_close(path: str) -> None:
    engine = SqliteEngine(path, reserve_bytes=0)
    await engine.open()
    await engine.close()


def problems(path: str) -> list[Problem]:
    return [found for found in verify(path) if isinstance(found, Problem)]


def shape(path: str) -> dict[str, list[Any]]:
    """Every table and index, with its columns."""
    names = rows(path, "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2")
    pragma = {"table": "table_xinfo", "index": "index_xinfo"}
    return {name: rows(path, f"PRAGMA {pragma[type_]}({name})") for type_, name in names}


async def test_an_older_database_opens_migrates_and_verifies(old: str, tmp_path: Path) -> None:
    await open_and_close(old)
    assert format_of(old) == schema.VERSION
    assert problems(old) == []
    fresh = str(tmp_path / "fresh.db")
    await open_and_close(fresh)
    assert shape(old) == shape(fresh), "a migrated database is made like a new one"
    await open_and_close(old)


def test_there_is_a_step_from_every_format() -> None:
    assert sorted(migrations.STEPS) == list(range(migrations.OLDEST, schema.VERSION))


async def test_how_far_webhooks_were_read_is_taken_over(old: str) -> None:
    await open_and_close(old)
    at = rows(old, "SELECT max(position) FROM notice")[0][0]
    assert rows(old, "SELECT * FROM consumer") == [("webhooks", at)]
    ((name, data),) = rows(old, "SELECT name, data FROM fact WHERE name LIKE 'webhooks:%'")
    assert name == "webhooks:again:msg_i9_4"
    assert json.loads(data) == {"attempt": 3, "due_ms": 99, "tenant": "acme", "session": "s1", "notice": NOTICE}
    assert rows(old, f"SELECT ts_ms FROM notice WHERE position = {at}") == [(1_700,)]


async def test_what_only_reads_leaves_the_format_as_it_is(old: str, tmp_path: Path) -> None:
    before = Path(old).read_bytes()
    assert problems(old) == []
    copy = str(tmp_path / "copy.db")
    backup(old, copy)
    assert format_of(copy) == 1 and Path(old).read_bytes() == before
    new = str(tmp_path / "new.db")
    restore(copy, new)
    assert format_of(new) == schema.VERSION and problems(new) == []
    assert format_of(copy) == 1, "it still leads back"


async def test_a_step_that_fails_leaves_the_format_before_it(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = shape(old)

    def failing(connection: apsw.Connection) -> None:
        migrations._to_2(connection)
        raise apsw.IOError("the disk fails")

    monkeypatch.setitem(migrations.STEPS, 1, failing)
    with pytest.raises(HoldfastError) as caught:
        await open_and_close(old)
    assert caught.value.code == "disk.failed"
    assert format_of(old) == 1 and shape(old) == tables
    assert len(rows(old, "SELECT * FROM fact WHERE name LIKE 'webhooks:%'")) == 3
    monkeypatch.undo()
    await open_and_close(old)
    assert format_of(old) == schema.VERSION


@pytest.mark.parametrize("format_", [0, schema.VERSION + 1])
async def test_a_format_that_cannot_be_read_is_refused_with_a_sentence(old: str, format_: int, tmp_path: Path) -> None:
    connection = apsw.Connection(old)
    connection.pragma("user_version", format_)
    connection.close()
    before = Path(old).read_bytes()
    for act in (lambda: problems(old), lambda: backup(old, str(tmp_path / "copy.db"))):
        with pytest.raises(HoldfastError) as caught:
            act()
        assert caught.value.code == "engine.version" and f"format {format_}" in caught.value.detail
    with pytest.raises(HoldfastError) as caught:
        await open_and_close(old)
    assert caught.value.code == "engine.version"
    assert ("newer" in caught.value.detail) == (format_ > schema.VERSION)
    assert Path(old).read_bytes() == before
