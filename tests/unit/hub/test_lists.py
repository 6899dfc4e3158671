"""Lists, those who watch them, and looks for work: narrow tokens cost what they may see, and who does not read is
waited for (SUB-8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Queue, SessionPage
from holdfast.hub import lists, operations
from holdfast.hub.hub import Hub
from holdfast.protocol import limits, wire
from holdfast.session.access import VERBS, Capability, Principal

from .conftest import Pipe, user

pytestmark = pytest.mark.anyio


def narrow(*patterns: str, actor: str = "agent:writer", agents: tuple[str, ...] = ("writer",)) -> Principal:
    return Principal(actor, "acme", tuple(Capability(p, VERBS) for p in patterns), frozenset(agents))


class CountingEngine(MemoryEngine):
    """Counts the queries and the rows that come back."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = self.rows = 0

    async def list(self, tenant: str, **options: Any) -> SessionPage:
        page = await super().list(tenant, **options)
        self.queries += 1
        self.rows += len(page.rows)
        return page

    async def queued(self, tenant: str, agent: str, **options: Any) -> Queue:
        queue = await super().queued(tenant, agent, **options)
        self.queries += 1
        self.rows += len(queue.keys)
        return queue


@pytest.fixture
async def engine() -> CountingEngine:
    return CountingEngine()


@pytest.fixture
async def hub(engine: CountingEngine):  # type: ignore[no-untyped-def]
    hub = Hub(engine)
    await hub.open()
    yield hub
    await hub.close(drain_s=2.0)


async def create(hub: Hub, names: Sequence[str], **more: Any) -> None:
    for name in names:
        await operations.execute(hub, user(), wire.Create(session=name, **more))


async def test_a_narrow_token_looks_at_its_own_sessions_only(hub: Hub, engine: CountingEngine) -> None:
    await create(hub, ["mine-1", *(f"other-{n}" for n in range(50))])
    rows, before = await hub.lists.page(narrow("mine*"), limit=1)
    assert [row["session"] for row in rows] == ["mine-1"]
    assert (engine.queries, engine.rows) == (1, 1)
    rows, before = await hub.lists.page(narrow("mine-1", "none"), limit=9)
    assert ([row["session"] for row in rows], before) == (["mine-1"], None)
    rows, before = await hub.lists.page(Principal("user:ann", "acme", ()), limit=9)
    assert (rows, before) == ([], None)


async def test_a_page_that_is_hard_to_fill_ends_and_says_where_to_go_on(
    hub: Hub, engine: CountingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reluctant(CountingEngine):
        async def list(self, tenant: str, **what: Any) -> SessionPage:
            engine.queries += 1
            return SessionPage((), (engine.queries, "s"))

    monkeypatch.setattr(hub.runtime, "engine", Reluctant())
    assert await hub.lists.page(user(), search="x", limit=9) == ([], (limits.LIST_SCANS, "s"))
    assert engine.queries == limits.LIST_SCANS
    monkeypatch.setattr(hub.runtime, "engine", engine)


async def test_a_look_for_work_loads_no_session_of_others(hub: Hub, engine: CountingEngine) -> None:
    await create(hub, ["mine-1", *(f"other-{n}" for n in range(20))])
    for name in ["mine-1", *(f"other-{n}" for n in range(20))]:
        await operations.execute(hub, user(), wire.Send(session=name, text="hi", agent="writer"))
    for session in list(hub.sessions.values()):
        hub.sessions.evict(session)
    engine.queries = engine.rows = 0
    worker = Pipe(hub, narrow("mine*"))
    await worker.ask(wire.Serve(agents=["writer"], slots=9))
    assert (await worker.until(lambda m: m["op"] == "assigned"))["session"] == "mine-1"
    assert (engine.queries, engine.rows) == (2, 1), "where people wait, and where anybody does"
    assert [key.session for key in hub.sessions] == ["mine-1"]


async def test_patterns_that_others_cover_are_not_asked_for() -> None:
    assert narrow("a*", "ab*", "ab", "b", "a").names("read") == ("a*", "b")
    assert narrow("a", "*").names("read") is None
    assert narrow().names("read") == ()
    mixed = Principal(
        "user:ann", "acme", (Capability("a", frozenset({"read"})), Capability("b*", frozenset({"append"})))
    )
    assert (mixed.names("read"), mixed.names("append"), mixed.names("admin")) == (("a",), ("b*",), ())


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_COALESCE_S", 0.0)


@pytest.mark.usefixtures("flushed")
async def test_changes_reach_those_they_concern(hub: Hub) -> None:
    ann, bob, eve = Pipe(hub, user()), Pipe(hub, user("bob")), Pipe(hub, user(tenant="globex"))
    writer, other = Pipe(hub, narrow("s*")), Pipe(hub, narrow("t*"))
    for pipe in (ann, bob, eve, writer, other):
        await pipe.ask(wire.Watch())
    await create(hub, ["s1"], title="Tides")
    for pipe in (ann, writer):
        await pipe.until(lambda m: m["op"] == "sessions" and [row["title"] for row in m["rows"]] == ["Tides"])
    await ann.ask(wire.Unwatch())
    await create(hub, ["s2"])
    await writer.until(lambda m: m["op"] == "sessions" and [row["session"] for row in m["rows"]] == ["s2"])
    for pipe, count in ((ann, 2), (bob, 1), (eve, 1), (other, 1)):
        assert len([m for m in pipe.received if m["op"] == "sessions"]) == count


@pytest.mark.usefixtures("flushed")
async def test_a_watcher_that_does_not_read_is_told_later_and_costs_nobody_else_anything(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LIST_SESSIONS", 3)
    ann, slow = Pipe(hub, user()), Pipe(hub, user())
    for pipe in (ann, slow):
        await pipe.ask(wire.Watch())
    slow.paused = True
    for names in (["s1", "s2"], ["s3", "s4", "s5"]):
        await create(hub, names)
        await ann.until(lambda m, last=names[-1]: m["op"] == "sessions" and last in [r["session"] for r in m["rows"]])
        before = len(ann.received)
        for name in names:  # each turn of the loop would tell them again
            await hub.snapshot(user(), name)
        assert [m for m in ann.received[before:] if m["op"] == "sessions"] == []
        slow.resume()
        await slow.until(lambda m, last=names[-1]: m["op"] == "sessions" and last in [r["session"] for r in m["rows"]])
        slow.paused = True


async def test_who_stops_watching_leaves_nothing(hub: Hub) -> None:
    await create(hub, ["s1"])
    one, two = Pipe(hub, user()), Pipe(hub, user())
    for pipe in (one, two):
        await pipe.ask(wire.Watch())
    await one.ask(wire.Read(session="s1", seq=1))
    await one.ask(wire.Unwatch())
    assert hub.lists._reads == {("acme", "user:ann"): {"s1": 1}}
    hub.disconnect(two)
    assert (hub.lists._reads, hub.lists._by_owner, hub.lists._by_tenant, hub.lists.watchers) == ({}, {}, {}, {})
