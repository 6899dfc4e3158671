"""Compaction changes what is stored and nothing that is seen."""

from __future__ import annotations

import pytest

from holdfast.engines.port import Key
from holdfast.hub.compacting import compact
from holdfast.hub.hub import Hub
from holdfast.protocol import wire
from holdfast.protocol.events import Draft

from .conftest import Pipe, user

pytestmark = pytest.mark.anyio


async def test_merged_deltas_fold_the_same_and_a_cursor_inside_them_gets_a_snapshot(hub: Hub) -> None:
    ann = Pipe(hub, user())
    await ann.ask(wire.Create(session="s1"))
    started = await ann.ask(wire.Append(session="s1", events=[Draft("TEXT_MESSAGE_START", {"messageId": "m"})]))
    for word in ("a", "🌊", "c", "d"):
        await ann.ask(
            wire.Append(session="s1", events=[Draft("TEXT_MESSAGE_CONTENT", {"messageId": "m", "delta": word})])
        )
    await ann.ask(wire.Append(session="s1", events=[Draft("TEXT_MESSAGE_END", {"messageId": "m"})]))
    session = hub.sessions[Key("acme", "s1")]
    before = await hub.snapshot(ann.principal, "s1")
    assert await compact(session, hub.engine) == 3
    assert await compact(session, hub.engine) == 0

    reader = Pipe(hub, user("bob"))
    inside = wire.Cursor(session.incarnation, started["last"] + 2)
    await reader.ask(wire.Subscribe(session="s1", start=inside))
    assert (await reader.until(lambda m: m["op"] == "snapshot"))["reason"] == "reset"
    whole = Pipe(hub, user("cy"))
    await whole.ask(wire.Subscribe(session="s1", start=wire.Cursor(session.incarnation, 0)))
    await whole.until(lambda m: m["op"] == "live")
    merged = next(e for e in whole.events() if "to" in e)
    assert merged["data"]["delta"] == "a🌊cd" and merged["to"] - merged["seq"] == 3
    covered = [n for e in whole.events() for n in range(e["seq"], e.get("to", e["seq"]) + 1)]
    assert covered == list(range(1, session.tail + 1))

    hub.sessions.evict(session)
    assert await hub.snapshot(ann.principal, "s1") == before
