"""What is stored beside the log only saves time: with it, without it, and after compaction a session loads the same."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Index, Key
from holdfast.errors import Refused
from holdfast.hub import operations
from holdfast.hub.compacting import compact
from holdfast.hub.hot import HotSession
from holdfast.hub.hub import Hub
from holdfast.hub.snapshotter import load
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Draft
from holdfast.protocol.frames import Frame

from .conftest import Pipe, user

pytestmark = pytest.mark.anyio
KEY = Key("acme", "s1")


async def talk(hub: Hub, ann: Pipe, count: int, *, producer: str = "", first: int = 1) -> None:
    """A message that grows."""
    for n in range(first, first + count):
        drafts = [Draft(e.TEXT_CONTENT, {"messageId": "m", "delta": f"{n} 🌊 "})]
        if n == 1:
            drafts.insert(0, Draft(e.TEXT_START, {"messageId": "m"}))
        identity = wire.AppendId(producer, 1, n) if producer else None
        answer = await ann.ask(wire.Append(session="s1", events=drafts, producer=identity))
        assert answer["op"] == "ok", answer


def state_of(session: HotSession) -> bytes:
    assert session.state is not None
    return msgspec.msgpack.encode(msgspec.structs.replace(session.state, ts=0))  # a cover has its first event's time


async def store(session: HotSession) -> None:
    session.snapshotter.store()
    await session.snapshotter.flush(at_least=1 << 60)


async def test_a_session_loads_as_it_was_evicted(hub: Hub) -> None:
    ann = Pipe(hub, user())
    await ann.ask(wire.Create(session="s1"))
    await talk(hub, ann, 20, producer="p")
    session = hub.sessions[KEY]
    hub.sessions.evict(session)
    before, view = state_of(session), encode(session.view.export())
    for stored in (False, True):
        if stored:
            await store(session)
        await hub.snapshot(ann.principal, "s1")
        hub.sessions.evict(again := hub.sessions[KEY])
        assert state_of(again) == before
        assert encode(again.view.export()) == view
        assert again.snapshotter.snapshot_seq == (session.tail if stored else 0)


async def test_a_snapshot_that_compaction_overtook_is_not_used(hub: Hub) -> None:
    """A cover that spans the stored snapshot: folding on from it would lose what the cover adds."""
    ann = Pipe(hub, user())
    await ann.ask(wire.Create(session="s1"))
    await talk(hub, ann, 10)
    session = hub.sessions[KEY]
    await store(session)
    await talk(hub, ann, 10, first=11)
    before, view = state_of(session), encode(session.view.export())
    assert await compact(session, hub.engine) == 19
    hub.sessions.evict(hub.sessions[KEY])
    await hub.snapshot(ann.principal, "s1")
    again = hub.sessions[KEY]
    assert encode(again.view.export()) == view
    assert state_of(again) == before


async def test_merged_frames_do_not_repeat_the_keys_a_snapshot_has(hub: Hub) -> None:
    ann = Pipe(hub, user())
    await ann.ask(wire.Create(session="s1"))
    await talk(hub, ann, 10, producer="p")
    session = hub.sessions[KEY]
    await ann.ask(wire.Append(session="s1", events=[Draft(e.CUSTOM, {})]))  # what ends the cover
    await store(session)
    await talk(hub, ann, 10, producer="p", first=11)
    before = state_of(session)
    await compact(session, hub.engine)
    hub.sessions.evict(hub.sessions[KEY])
    await hub.snapshot(ann.principal, "s1")
    assert hub.sessions[KEY].snapshotter.snapshot_seq > 0
    assert state_of(hub.sessions[KEY]) == before


async def test_a_snapshot_of_another_fold_is_refolded(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """FOLD-7, and one that is damaged."""
    ann = Pipe(hub, user())
    await ann.ask(wire.Create(session="s1"))
    await talk(hub, ann, 5)
    session = hub.sessions[KEY]
    before = encode(session.view.export())
    engine = hub.engine
    assert isinstance(engine, MemoryEngine)
    for data in (b"\x00damaged", msgspec.msgpack.encode({"fold": 0, "state": session.state, "view": {}})):
        await engine.put_snapshot(KEY, session.incarnation, session.tail, data, {})
        head = await engine.head(KEY)
        assert head is not None
        loaded = await load(engine, head)
        assert encode(loaded.view.export()) == before and loaded.snapshot_seq == 0


class DeletedMeanwhile(MemoryEngine):
    """The session is deleted between the look at its head and the reading of its frames."""

    armed = False

    async def read(self, key: Key, after: int, *, max_bytes: int, incarnation: str | None = None) -> list[Frame]:
        if self.armed:
            self.armed = False
            head = await self.head(key)
            assert head is not None
            await self.delete(key, head.incarnation, 1, Index())
        return await super().read(key, after, max_bytes=max_bytes, incarnation=incarnation)


async def test_a_session_deleted_while_it_is_loaded_is_deleted_and_not_damaged() -> None:
    engine = DeletedMeanwhile()
    first = Hub(engine)
    await first.open()
    ann = user()
    await operations.execute(first, ann, wire.Create(session="s1", agent="writer"))
    second = Hub(engine)  # holds nothing in memory
    await second.open()
    engine.armed = True
    with pytest.raises(Refused) as refused:
        await second.sessions.load(ann, "s1")
    assert refused.value.code == "session.deleted"
    await operations.execute(second, ann, wire.Create(session="s1", agent="writer"))
    assert (await second.sessions.load(ann, "s1")).tail == 1
    await first.close(0)
    await second.close(0)
