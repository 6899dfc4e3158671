"""What every engine keeps beside logs, and that all of it outlives a restart (LOG-3)."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

from holdfast.engines.port import Engine, Index, Key, LogAppend
from holdfast.protocol.frames import ProducerKey
from tests.contract.asking import KEY, add, all_frames, create, frame, refused, seqs

pytestmark = pytest.mark.anyio


# --- facts and blobs --------------------------------------------------------------------------------------------------
async def test_facts_are_set_found_by_prefix_and_removed(engine: Engine) -> None:
    assert await engine.get_fact("hook/a") is None
    for name in ("hook/b", "hook/a", "hook", "hool", "hook/é", "a"):
        await engine.put_fact(name, name.encode())
    await engine.put_fact("hook/a", b"2")
    assert await engine.get_fact("hook/a") == b"2"
    assert await engine.facts("hook/") == {"hook/a": b"2", "hook/b": b"hook/b", "hook/é": "hook/é".encode()}
    assert len(await engine.facts("")) == 6
    await engine.put_fact("hook/a", None)
    await engine.put_fact("hook/a", None)
    assert await engine.get_fact("hook/a") is None


async def test_blobs_belong_to_a_session(engine: Engine) -> None:
    await create(engine)
    data = random.Random(1).randbytes(300_000)
    await engine.put_blob(KEY, "i1", "b1", "image/png", data)
    await engine.put_blob(KEY, "i1", "b1", "image/png", data)
    await engine.put_blob(KEY, "i1", "empty", "text/plain", b"")
    assert await engine.get_blob(KEY, "i1", "b1") == ("image/png", data)
    assert await engine.get_blob(KEY, "i1", "empty") == ("text/plain", b"")
    assert await engine.get_blob(KEY, "i1", "none") is None
    await refused("content.exists", engine.put_blob(KEY, "i1", "b1", "image/png", b"other"))
    await refused("session.not_found", engine.put_blob(Key("acme", "none"), "i1", "b1", "image/png", data))
    assert await engine.get_blob(KEY, "i1", "b1") == ("image/png", data)


# --- open and close ---------------------------------------------------------------------------------------------------
async def test_everything_survives_closing_and_opening(store: object, engine: Engine) -> None:
    index = Index(due_ms=5, queued=("writer",), participants=("ada",), title="Tides", card={"a": [1]})
    await engine.create(KEY, "i1", 1, index)
    sent = frame(KEY, 1, 4)
    sent.keys = [ProducerKey("p", 1, 1, "d", 1, 4, 5, {"run": "r1"})]
    await engine.append(LogAppend(KEY, "i1", 0, [sent], 2, notices=[{"n": 1}]))
    await engine.put_snapshot(KEY, "i1", 4, b"snap", {0: b"page"})
    await engine.put_blob(KEY, "i1", "b", "text/plain", b"blob")
    await engine.put_fact("f", b"fact")
    await engine.advance("bills", await engine.feed_end())
    await engine.mark_read(KEY, "i1", "ada", 2)
    await create(engine, Key("acme", "gone"))
    await engine.delete(Key("acme", "gone"), "i1", 3, Index())

    async def everything(engine: Engine) -> list[object]:
        return [
            await engine.head(KEY), await all_frames(engine), await engine.get_snapshot(KEY),
            await engine.get_page(KEY, "i1", 0), await engine.get_blob(KEY, "i1", "b"), await engine.facts(""),
            await engine.feed("", 9), await engine.consumers(), await engine.due(9, 9), await engine.queued("acme", "writer"),
            await engine.list("acme", user="ada", limit=9), await engine.head(Key("acme", "gone")),
        ]  # fmt: skip

    before = await everything(engine)
    assert before[1] == [sent]
    engine = await store.reopen()  # type: ignore[attr-defined]
    assert await everything(engine) == before
    assert await add(engine, KEY, 4, notices=[{"n": 2}]) == 5
    assert [notice.data["n"] for notice in (await engine.feed("", 9)).notices] == [1, 2]


async def test_close_finishes_what_was_accepted_and_is_idempotent(store: object, engine: Engine) -> None:
    await create(engine)
    appends = [asyncio.ensure_future(add(engine, KEY, n)) for n in range(30)]
    await asyncio.sleep(0)
    await engine.close()
    await engine.close()
    assert await asyncio.gather(*appends) == list(range(1, 31))
    engine = await store.reopen()  # type: ignore[attr-defined]
    assert await seqs(engine) == list(range(1, 31))


async def test_health_tells_the_mode(engine: Engine) -> None:
    assert engine.health()["mode"] == "ok"
    assert msgspec.json.encode(engine.health())
