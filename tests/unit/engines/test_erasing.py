"""Erasing a deleted life: in bounded pieces, with others between them, until nothing of it is left and the file is small again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.engines.port import Index, Key, LogAppend
from holdfast.engines.sqlite import schema, writes
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.engines.sqlite.transaction import Transaction
from holdfast.protocol.events import Event
from holdfast.protocol.frames import encode_frame

pytestmark = pytest.mark.anyio

KEY, OTHER = Key("acme", "large"), Key("evil", "busy")
BLOBS, BLOB_BYTES = 24, 1 << 20


@pytest.fixture
async def engine(tmp_path: Path) -> Any:
    engine = SqliteEngine(str(tmp_path / "x.db"), reserve_bytes=0, probe_s=0.01)
    await engine.open()
    yield engine
    await engine.close()


async def fill(engine: SqliteEngine, key: Key = KEY, blobs: int = BLOBS) -> None:
    await engine.create(key, "i1", 1, Index())
    await engine.create(OTHER, "o1", 1, Index())
    for n in range(blobs):
        await engine.put_blob(key, "i1", f"b{n}", "text/plain", b"zebra %03d " % n * (BLOB_BYTES // 10))


class Busy:
    """Another tenant, who appends all the time; ``appended`` counts what was acknowledged."""

    def __init__(self, engine: SqliteEngine) -> None:
        self.engine = engine
        self.appended = 0

    async def work(self) -> None:
        while True:
            event = Event(self.appended + 1, 1, "user:eve", "CUSTOM", {})
            frame = encode_frame(OTHER.session, [event])
            await self.engine.append(LogAppend(OTHER, "o1", self.appended, [frame], 1))
            self.appended += 1


async def test_others_commit_between_the_pieces(engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[tuple[int, int]] = []  # bytes erased by a piece, and what others had committed by then
    busy = Busy(engine)
    real = writes.erase

    def erase(tx: Transaction, session: int) -> bool:
        size = "SELECT coalesce(sum(length(data)), 0) FROM blob"
        before = tx.connection.execute(size).get
        more = real(tx, session)
        pieces.append((before - tx.connection.execute(size).get, busy.appended))
        return more

    monkeypatch.setattr(writes, "erase", erase)
    await fill(engine)
    working = asyncio.ensure_future(busy.work())
    await engine.delete(KEY, "i1", 5, Index())
    await engine.wait_until_erased(KEY, "i1")
    working.cancel()
    assert sum(size for size, _ in pieces) == sum(len(b"zebra %03d " % n) * (BLOB_BYTES // 10) for n in range(BLOBS))
    assert max(size for size, _ in pieces) <= writes.ERASE_BYTES
    assert len(pieces) >= BLOBS
    committed = [done for _, done in pieces]
    # what is committed together with a piece is known to be when the piece after the next is erased
    assert all(later > earlier for earlier, later in zip(committed, committed[2:], strict=False)), (
        "nobody waits for two"
    )


async def test_the_file_gives_back_what_was_erased(engine: SqliteEngine) -> None:
    await fill(engine, blobs=2)
    path = engine._store.path
    await asyncio.to_thread(engine._store.checkpoint, apsw.SQLITE_CHECKPOINT_TRUNCATE)
    small = os.stat(path).st_size
    await fill(engine, Key("acme", "second"))
    await fill(engine, Key("acme", "third"), blobs=2)  # behind it in the file: moves to the front
    await engine.delete(Key("acme", "second"), "i1", 5, Index())
    await engine.wait_until_erased(Key("acme", "second"), "i1")
    assert os.stat(path).st_size <= 2 * small + (1 << 18)
    assert await engine.get_blob(Key("acme", "third"), "i1", "b1") is not None
    content = Path(path).read_bytes() + Path(path + "-wal").read_bytes()
    assert b"zebra 007" not in content and b"zebra 001" in content


async def test_creating_it_again_does_not_wait_for_the_erasure(engine: SqliteEngine) -> None:
    await fill(engine)
    await engine.delete(KEY, "i1", 5, Index())
    head = await engine.create(KEY, "i2", 6, Index(title="new"))
    await engine.put_blob(KEY, "i2", "b0", "text/plain", b"new")
    assert head.incarnation == "i2"
    await engine.wait_until_erased(KEY, "i1")
    assert await engine.get_blob(KEY, "i2", "b0") == ("text/plain", b"new")
    assert await engine.get_blob(KEY, "i2", "b1") is None


async def test_a_database_of_version_0_1_keeps_its_pages_and_overwrites_them(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    old = apsw.Connection(path)
    old.pragma("journal_mode", "wal")  # without auto_vacuum, as it was made then
    schema.prepare(old)
    old.close()
    engine = SqliteEngine(path, reserve_bytes=0)
    await engine.open()
    await fill(engine, blobs=3)
    await engine.delete(KEY, "i1", 5, Index())
    await engine.wait_until_erased(KEY, "i1")
    assert b"zebra" not in Path(path).read_bytes() + Path(path + "-wal").read_bytes()
    await engine.close()
