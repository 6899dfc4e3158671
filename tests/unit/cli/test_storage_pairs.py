"""``holdfast backup --store`` and ``holdfast restore --store``: a session log and its governance store as a pair."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli import storage
from holdfast.cli.parser import app
from holdfast.engines.port import Index, Key
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.governance.store import pairing
from holdfast.governance.store.store import Store


def outcome(*line: object) -> tuple[int, str]:
    """Exit code, and the words, however wide the terminal."""
    ran = CliRunner().invoke(app, [str(word) for word in line])
    return ran.exit_code, plain(ran.output)


def plain(words: object) -> str:
    """Without white space: long lines are broken, also within paths."""
    return "".join(str(words).split())


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A log with a session, and its store."""
    log, store = tmp_path / "sessions.db", tmp_path / "store.db"

    async def make() -> None:
        engine = SqliteEngine(str(log), reserve_bytes=0)
        await engine.open()
        await engine.create(Key("acme", "s1"), "i1", 1, Index())
        opened = await Store.open(str(store), lambda: 1)
        await pairing.pair(opened, engine)
        await opened.close()
        await engine.close()

    asyncio.run(make())
    return log, store


def test_both_are_backed_up_and_come_back(pair: tuple[Path, Path], tmp_path: Path) -> None:
    log, store = pair
    folder = tmp_path / "monday"
    assert outcome("backup", log, folder, "--store", store) == (0, plain(f"✓ {folder}"))
    assert (folder / "manifest.json").exists()
    code, words = outcome("restore", folder, log, "--store", store)
    assert code == 1 and "exists" in words
    assert outcome("restore", folder, log, "--store", store, "--force") == (0, plain(f"✓ {log}: 1 sessions"))
    assert outcome("verify", folder / "sessions.db")[0] == 0


def test_two_that_are_no_pair_are_said_and_taken_for_one_by_who_knows(pair: tuple[Path, Path], tmp_path: Path) -> None:
    log, store = pair
    line = ("pair", log, "--store", store)
    assert outcome(*line) == (0, plain("✓ they are a pair"))
    copy = tmp_path / "monday.db"
    assert outcome("backup", log, copy)[0] == outcome("restore", copy, log, "--force")[0] == 0
    code, words = outcome(*line)
    assert code == 3 and plain("the session log is not in the state that the store belongs to") in words
    assert plain("--accept takes them as they are") in words

    async def while_a_server_runs() -> str:
        engine = SqliteEngine(str(log), reserve_bytes=0)
        await engine.open()
        try:
            return (await asyncio.to_thread(outcome, *line, "--accept"))[1]
        finally:
            await engine.close()

    assert asyncio.run(while_a_server_runs()).startswith("engine.locked")
    assert outcome(*line)[0] == 3, "nothing was changed"
    assert outcome(*line, "--accept")[0] == 0
    assert outcome(*line) == (0, plain("✓ they are a pair"))
    fresh = tmp_path / "fresh.db"
    code, words = outcome("pair", log, "--store", fresh)
    assert code == 3 and plain("the session log belongs to another store") in words


def test_what_cannot_be_done_is_said(pair: tuple[Path, Path], tmp_path: Path) -> None:
    log, _ = pair
    assert outcome("backup", log, tmp_path / "b", "--dump", "x.sql")[1].startswith("config.invalid")
    code, words = outcome("backup", log, tmp_path / "b", "--store", "postgresql://127.0.0.1:1/x")
    assert code == 1 and plain("no dump was named") in words
    code, words = outcome("restore", tmp_path / "nowhere", log, "--store", tmp_path / "s.db")
    assert code == 1 and plain("is no backup") in words


def test_without_its_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy")

    monkeypatch.setattr(storage, "import_module", missing)
    code, words = outcome("backup", "a.db", "b", "--store", "s.db")
    assert code == 1 and "sqlalchemy" in words and plain("extra `governance`") in words
