"""Deleted and created, and put back from a backup, with workers and people that noticed nothing (LIFE-1): real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.edge import auth
from holdfast.engines.sqlite.backup import backup, restore
from holdfast.errors import HoldfastError, Refused

from .conftest import Site
from .test_kill9 import Forge

pytestmark = [pytest.mark.anyio, pytest.mark.process]


class House:
    """A database, a server on it that stops and starts, and clients that stay."""

    def __init__(self, folder: Path) -> None:
        self.db = folder / "x.db"
        self.copy = folder / "copy.db"
        self.forge = Forge(self.db)
        self.clients: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def client(self, **options: Any) -> Any:
        secret = auth.read_secret(str(self.db))
        assert secret is not None
        token = auth.mint(secret, subject="user:me", tenant="default", agents=("*",), ttl_s=3_600)
        hf = holdfast.connect(f"http://127.0.0.1:{self.forge.port}", token=token, **options)
        await hf.__aenter__()
        self.clients.append(hf)
        return hf

    def serve(self, hf: Any) -> None:
        self.tasks.append(asyncio.ensure_future(hf.serve()))

    async def put_back(self) -> None:
        """The server is stopped, the backup is put back, and another server starts."""
        self.forge.kill()
        while True:
            try:
                await asyncio.to_thread(restore, str(self.copy), str(self.db), force=True)
                break
            except HoldfastError as error:  # it takes a moment to be gone
                assert error.code == "engine.locked"
        await self.forge.start()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.forge.open()
    await house.forge.start()
    try:
        yield house
    finally:
        for task in house.tasks:
            task.cancel()
        for hf in house.clients:
            await hf.close()
        await house.forge.close()


class Writer:
    """An agent that says 20 words, and goes on when it is told to; ``attempts`` counts how often it began."""

    def __init__(self) -> None:
        self.attempts = 0
        self.said = asyncio.Event()
        self.go = asyncio.Event()
        self.ends: list[BaseException | None] = []

    async def __call__(self, run: holdfast.RunContext) -> None:
        self.attempts += 1
        attempt = self.attempts
        try:
            async with run.message() as out:
                for word in range(20):
                    await out.write(f"{attempt}.{word} ")
                await run.flush()
                self.said.set()
                await self.go.wait()
                await out.write(f"{attempt}.end")
        except BaseException as error:
            self.ends.append(error)
            raise
        self.ends.append(None)


@pytest.mark.parametrize("begun", [False, True])
async def test_runs_go_on_after_a_restore_with_the_same_worker(house: House, begun: bool) -> None:
    """``begun``: the backup was made while the first attempt was at work; else while the run was queued."""
    writer = Writer()
    ann, worker = await house.client(), await house.client()
    worker.add_agent("writer", writer)
    session = await ann.create("t")
    run = await session.send("go", agent="writer")
    if begun:
        house.serve(worker)
        await writer.said.wait()
    await asyncio.to_thread(backup, str(house.db), str(house.copy))
    if not begun:
        house.serve(worker)
        await writer.said.wait()
    late = await session.send("of the time after the backup", agent="nobody")
    await house.put_back()
    writer.said.clear()
    await asyncio.wait_for(writer.said.wait(), 60)
    writer.go.set()
    assert (await run.finished())["status"] == "completed"
    assert (await run.text()).endswith("2.end")
    view = await session.state()
    said = "".join(item["text"] for item in view.items if item["kind"] == "message" and item["role"] == "assistant")
    assert "1.end" not in said and ("1.19" in said) == begun, "what attempt 1 said after the backup is nowhere"
    assert view.runs[run.id]["status"] == "completed" and late.id not in view.runs
    assert writer.attempts == 2 and isinstance(writer.ends[0], asyncio.CancelledError)


async def test_a_person_s_client_goes_on_in_the_restored_session(house: House) -> None:
    ann = await house.client()
    session = await ann.create("t")
    run = await session.send("one", agent="nobody")
    async with session.live() as live:
        await asyncio.to_thread(backup, str(house.db), str(house.copy))
        lost = await session.send("two", agent="nobody")
        before = live.cursor.incarnation
        await house.put_back()
        while live.cursor.incarnation == before:
            await asyncio.sleep(0.01)
        assert [item["text"] for item in live.view.items] == ["one"]
        with pytest.raises(Refused) as refused:
            await lost.cancel()
        assert refused.value.code == "run.not_found"
        await run.cancel()
        assert (await run.finished())["status"] == "cancelled"


async def test_a_writer_outside_runs_hears_that_what_it_wrote_is_gone(house: House) -> None:
    ann = await house.client()
    session = await ann.create("t")
    out = session.producer()
    await out.write("CUSTOM", {"name": "n", "value": 1})
    await out.flush()
    await asyncio.to_thread(backup, str(house.db), str(house.copy))
    await out.write("CUSTOM", {"name": "n", "value": 2})
    await out.flush()
    await house.put_back()
    with pytest.raises(HoldfastError) as error:
        await out.write("CUSTOM", {"name": "n", "value": 3})
        await out.flush()
    assert error.value.code == "session.incarnation"


async def test_a_deletion_of_which_the_answer_was_lost_deletes_no_later_life(site: Site) -> None:
    """As the clients send it: with a key, again after a loss; over REST with the header."""
    async with site.http(site.token()) as ann:
        key = {"idempotency-key": "del-1"}
        for _ in range(2):
            assert (await ann.post("/v1/sessions", json={"session": "t"})).status_code == 201
            assert (await ann.delete("/v1/sessions/t", headers=key)).status_code == 200
        assert (await ann.get("/v1/sessions/t")).status_code == 200, "the second deletion was the first one again"


async def test_over_rest_an_id_or_a_parameter_says_the_life(site: Site) -> None:
    async with site.http(site.token()) as ann:
        await ann.post("/v1/sessions", json={"session": "t", "agent": "w"})
        old = (await ann.post("/v1/sessions/t/messages", json={"text": "x"})).json()["run"]
        await ann.delete("/v1/sessions/t")
        life = (await ann.post("/v1/sessions", json={"session": "t", "agent": "w"})).json()["incarnation"]
        new = (await ann.post("/v1/sessions/t/messages", json={"text": "x"})).json()["run"]
        answer = await ann.post(f"/v1/sessions/t/runs/{old}/cancel")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "session.incarnation")
        for asked in (f"/v1/sessions/t/runs/{new}", "/v1/sessions/t/events", "/v1/sessions/t/history/1"):
            answer = await ann.get(asked, params={"incarnation": "0123456789"})
            assert answer.json()["error"]["code"] == "session.incarnation", asked
        assert (await ann.get("/v1/sessions/t/runs")).json()["incarnation"] == life
        assert (await ann.post(f"/v1/sessions/t/runs/{new}/cancel", params={"incarnation": life})).status_code == 200
