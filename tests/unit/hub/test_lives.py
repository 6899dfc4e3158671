"""One life after another: nothing of a deleted session, or of what a restore took back, acts in what follows (LIFE-1, LIFE-2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Head, Index, Key
from holdfast.errors import CommitFailed, Refused
from holdfast.hub.hub import Hub
from holdfast.protocol import ids, wire
from holdfast.protocol.events import Draft

from .conftest import Pipe, agent, user

pytestmark = pytest.mark.anyio

KEY = Key("acme", "s1")
S: dict[str, Any] = {"session": "s1"}


def words(run: str, text: str, message: str) -> list[Draft]:
    name = {"messageId": message}
    return [
        Draft("TEXT_MESSAGE_START", name), Draft("TEXT_MESSAGE_CONTENT", {**name, "delta": text}), Draft("TEXT_MESSAGE_END", name),
    ]  # fmt: skip


async def assigned(hub: Hub, ann: Pipe) -> tuple[Pipe, dict[str, Any]]:
    """A worker with a run of the session."""
    worker = Pipe(hub, agent("writer"))
    await worker.ask(wire.Serve(agents=["writer"], slots=1))
    await ann.ask(wire.Create(**S, agent="writer"))
    await ann.ask(wire.Send(**S, text="hi"))
    return worker, await worker.until(lambda m: m["op"] == "assigned")


def attempt(assignment: dict[str, Any], *, life: bool) -> dict[str, Any]:
    names = ("session", "run", "generation", *(["incarnation"] if life else []))
    return {name: assignment[name] for name in names}


async def test_an_attempt_of_a_former_life_has_no_authority_in_the_next(hub: Hub) -> None:
    ann = Pipe(hub, user())
    frozen, old = await assigned(hub, ann)
    await frozen.ask(wire.Serve(agents=["writer"], slots=0))
    await ann.ask(wire.Delete(**S))
    rightful, new = await assigned(hub, ann)
    assert new["incarnation"] != old["incarnation"]
    for life in (True, False):
        theirs = attempt(old, life=life)
        beat = await frozen.ask(wire.Heartbeat(runs=[wire.ActiveAttempt(*theirs.values())]))
        assert beat["fenced"] == [[theirs["session"], theirs["run"], theirs["generation"]]]
        for op in (
            wire.Append(**theirs, events=words(old["run"], "secret", "x")), wire.Attach(**theirs), wire.Received(**theirs),
            wire.Ask(**theirs, approval="a", tool="t", args={}), wire.Spawn(**theirs, agent="a", name="n"), wire.End(**theirs),
        ):  # fmt: skip
            assert (await frozen.ask(op))["error"]["code"] == "run.fenced", op
    mine = attempt(new, life=True)
    assert (await rightful.ask(wire.Heartbeat(runs=[wire.ActiveAttempt(*mine.values())])))["fenced"] == []
    assert (await rightful.ask(wire.Append(**mine, events=words(new["run"], "rightful", "y"))))["op"] == "ok"
    assert (await rightful.ask(wire.End(**mine)))["status"] == "completed"
    _, _, view = await hub.snapshot(user(), "s1")
    assert b"rightful" in view and b"secret" not in view


async def test_the_very_numbers_of_a_former_life_are_of_no_use(hub: Hub) -> None:
    """A worker that makes the new run's name from the old one's position: the attempt is of another life all the same."""
    ann = Pipe(hub, user())
    frozen, old = await assigned(hub, ann)
    await frozen.ask(wire.Serve(agents=["writer"], slots=0))
    await ann.ask(wire.Delete(**S))
    _, new = await assigned(hub, ann)
    guessed = {**attempt(old, life=True), "run": new["run"]}
    assert (await frozen.ask(wire.End(**guessed)))["error"]["code"] == "run.fenced"
    beat = await frozen.ask(wire.Heartbeat(runs=[wire.ActiveAttempt(*guessed.values())]))
    assert beat["fenced"] == [["s1", new["run"], 1]]


async def test_what_a_person_read_in_a_former_life_stops_nothing_in_the_next(hub: Hub) -> None:
    ann = Pipe(hub, user())
    worker, old = await assigned(hub, ann)
    await worker.ask(wire.Serve(agents=["writer"], slots=0))
    await ann.ask(wire.Delete(**S))
    _, new = await assigned(hub, ann)
    for op in (
        wire.Cancel(**S, run=old["run"]), wire.Steer(**S, run=old["run"], text="x"), wire.Interrupt(**S, run=old["run"], text="x"),
        wire.Cancel(**S, scope="all", incarnation=old["incarnation"]), wire.Select(**S, run=old["run"]),
        wire.Read(**S, seq=2, incarnation=old["incarnation"]), wire.History(**S, page=1, incarnation=old["incarnation"]),
        wire.Take(**S, incarnation=old["incarnation"]), wire.Delete(**S, incarnation=old["incarnation"]),
        wire.Delete(**S, expect=wire.Cursor(old["incarnation"], 4)),
    ):  # fmt: skip
        assert (await ann.ask(op))["error"]["code"] == "session.incarnation", op
    assert hub.sessions[KEY].state.runs[new["run"]].cancel is None  # type: ignore[union-attr]


# --- deleting takes its place in the order
class Slow(MemoryEngine):
    """Whatever it does takes a few turns of the event loop, before and after."""

    async def _turns(self) -> None:
        for _ in range(4):
            await asyncio.sleep(0)

    async def create(self, key: Key, incarnation: str, now_ms: int, index: Index) -> Head:
        await self._turns()
        return await super().create(key, incarnation, now_ms, index)

    async def head(self, key: Key) -> Head | None:
        found = await super().head(key)
        await self._turns()
        return found

    async def delete(self, key: Key, incarnation: str, now_ms: int, index: Index) -> None:
        await self._turns()
        await super().delete(key, incarnation, now_ms, index)
        await self._turns()

    async def wait_until_erased(self, key: Key, incarnation: str) -> None:
        await asyncio.sleep(0.01)


@pytest.fixture
async def slow() -> AsyncIterator[Hub]:
    hub = Hub(Slow())
    await hub.open()
    yield hub
    await hub.close(0)


@pytest.mark.parametrize("steps", range(24))
async def test_a_session_created_behind_its_deletion_is_whole_at_once(slow: Hub, steps: int) -> None:
    ann, bob = Pipe(slow, user()), Pipe(slow, user("bob"))
    await ann.ask(wire.Create(**S))
    await ann.ask(wire.Send(**S, text="of the old life"))
    reader = Pipe(slow, user("reader"))
    await reader.ask(wire.Subscribe(**S))
    deleting = asyncio.ensure_future(ann.ask(wire.Delete(**S)))
    for _ in range(steps):
        await asyncio.sleep(0)
    create, subscribe = await asyncio.gather(bob.ask(wire.Create(**S)), bob.ask(wire.Subscribe(**S, start="tail")))
    assert (await deleting)["op"] == "ok"
    assert create["incarnation"] == subscribe["incarnation"]
    assert (await ann.ask(wire.Send(**S, text="of the new life")))["op"] == "ok"
    await bob.until(lambda m: m["op"] == "events" and "of the new life" in str(m))
    assert "of the old life" not in str(bob.received)
    assert [m["code"] for m in reader.received if m["op"] == "closed"] == ["session.deleted"]
    assert "of the new life" not in str(reader.received)


async def test_what_is_asked_behind_a_deletion_is_for_the_next_life_in_its_order(hub: Hub) -> None:
    ann = Pipe(hub, user())
    await ann.ask(wire.Create(**S, title="old"))
    ops = [
        wire.Rename(**S, title="late"), wire.Delete(**S), wire.Create(**S, title="new"),
        wire.Send(**S, text="first"), wire.Subscribe(**S), wire.Delete(**S), wire.Create(**S, title="newest"),
    ]  # fmt: skip
    answers = await asyncio.gather(*(ann.ask(op) for op in ops))
    assert [a["error"]["code"] if a["op"] == "error" else "ok" for a in answers if "tail" not in a] == [
        "ok", "ok", "ok", "ok", "ok", "ok",
    ]  # fmt: skip
    _, tail, view = await hub.snapshot(user(), "s1")
    assert tail == 1 and msgspec.json.decode(view)["title"] == "newest"
    assert len(hub.sessions) == 1 and not hub.sessions[KEY].ended


async def test_a_deletion_that_is_sent_again_deletes_no_later_life(hub: Hub) -> None:
    ann = Pipe(hub, user())
    first = await ann.ask(wire.Create(**S))
    assert (await ann.ask(wire.Delete(**S, key="once")))["op"] == "ok"
    assert (await ann.ask(wire.Delete(**S, key="once")))["duplicate"] is True
    assert (await ann.ask(wire.Delete(**S, key="twice")))["error"]["code"] == "session.deleted"
    second = await ann.ask(wire.Create(**S))
    assert second["incarnation"] != first["incarnation"]
    assert (await ann.ask(wire.Delete(**S, key="once")))["duplicate"] is True
    again = Hub(hub.engine)  # also after a restart
    await again.open()
    assert (await Pipe(again, user()).ask(wire.Delete(**S, key="once")))["duplicate"] is True
    assert (await again.sessions.load(user(), "s1")).incarnation == second["incarnation"]
    assert (await ann.ask(wire.Delete(**S, key="once", expect=wire.Cursor("x", 1))))["error"]["code"] in (
        "producer.conflict", "session.incarnation",
    )  # fmt: skip
    await again.close(0)


async def test_a_session_that_cannot_be_read_can_be_deleted(hub: Hub) -> None:
    ann = Pipe(hub, user())
    await ann.ask(wire.Create(**S))
    await ann.ask(wire.Send(**S, text="x"))
    engine = hub.engine
    assert isinstance(engine, MemoryEngine)
    engine._sessions[KEY].frames[0].payload = b"{damaged"
    hub.sessions[KEY].forget()
    assert (await ann.ask(wire.Send(**S, text="y")))["op"] == "error"
    assert (await ann.ask(wire.Delete(**S)))["op"] == "ok"
    assert (await ann.ask(wire.Create(**S)))["op"] == "ok"


class Undecided(MemoryEngine):
    """A deletion that is done, and reported as of unknown outcome."""

    async def delete(self, key: Key, incarnation: str, now_ms: int, index: Index) -> None:
        await super().delete(key, incarnation, now_ms, index)
        raise CommitFailed("unknown")


async def test_a_deletion_of_unknown_outcome_that_was_done_ends_the_life() -> None:
    hub = Hub(Undecided())
    await hub.open()
    ann = Pipe(hub, user())
    worker, assignment = await assigned(hub, ann)
    await ann.ask(wire.Subscribe(**S))
    assert (await ann.ask(wire.Delete(**S, key="k")))["error"]["code"] == "commit.unknown"
    assert (await ann.ask(wire.Send(**S, text="x")))["error"]["code"] == "session.deleted"
    assert (await ann.ask(wire.Delete(**S, key="k")))["duplicate"] is True
    await ann.until(lambda m: m["op"] == "closed" and m["code"] == "session.deleted")
    await worker.until(lambda m: m["op"] == "signal" and m["what"] == "fenced")
    assert (await ann.ask(wire.Create(**S)))["op"] == "ok"
    assert assignment["run"] not in hub.sessions[KEY].state.runs  # type: ignore[union-attr]
    await hub.close(0)


async def test_a_blob_on_its_way_when_its_session_is_deleted_is_not_of_the_next_life(slow: Hub) -> None:
    ann = Pipe(slow, user())
    life = (await ann.ask(wire.Create(**S)))["incarnation"]
    await ann.ask(wire.Delete(**S))
    await ann.ask(wire.Create(**S))
    with pytest.raises(Refused) as refused:
        await slow.engine.put_blob(KEY, life, "b", "text/plain", b"old")
    assert refused.value.code == "session.incarnation"
    assert await slow.engine.get_blob(KEY, life, "b") is None


# --- restored from a backup
async def test_an_attempt_that_began_in_a_former_life_is_lost_at_once_and_tried_again(hub: Hub) -> None:
    ann = Pipe(hub, user())
    worker, old = await assigned(hub, ann)
    before = attempt(old, life=True)
    await worker.ask(wire.Append(**before, events=words(old["run"], "kept", "x")))
    engine = hub.engine
    assert isinstance(engine, MemoryEngine)
    engine.restore(engine.backup())
    again = Hub(engine)
    await again.open()
    late = Pipe(again, agent("writer"))
    await late.ask(wire.Serve(agents=["writer"], slots=1))
    for life in (True, False):
        theirs = attempt(old, life=life)
        assert (await late.ask(wire.Attach(**theirs)))["error"]["code"] == "run.fenced"
        assert (await late.ask(wire.Append(**theirs, events=words("", "late", "z"))))["error"]["code"] == "run.fenced"
    new = await late.until(lambda m: m["op"] == "assigned")
    assert (new["run"], new["generation"], new["losses"]) == (old["run"], 2, 1)
    assert new["incarnation"] != old["incarnation"]
    mine = attempt(new, life=True)
    assert (await late.ask(wire.Append(**mine, events=words("", "again", "y"))))["op"] == "ok"
    reader = Pipe(again, user())
    bound = ids.bind(new["run"], new["incarnation"])
    assert (await reader.ask(wire.Cancel(**S, run=new["run"])))["error"]["code"] == "session.incarnation"
    assert (await reader.ask(wire.Cancel(**S, run=bound)))["runs"] == [new["run"]]
    await again.close(0)
