"""How many may come, of whom, and what becomes of those who say nothing."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.edge.config import Settings
from holdfast.edge.crowd import Crowd, Strangers
from holdfast.edge.pool import Who
from holdfast.errors import Unavailable
from holdfast.protocol import limits

pytestmark = pytest.mark.anyio

ANN = Who("acme", "user:ann")


def test_everybody_who_leaves_makes_room() -> None:
    crowd = Crowd(Settings(connections=2, connections_per_principal=1))
    for _ in range(3):
        crowd.enter(ANN)
        crowd.leave(ANN)
    assert crowd.total == 0
    crowd.enter(ANN)
    with pytest.raises(Unavailable) as caught:
        crowd.enter(ANN)
    assert caught.value.code == "limit.connections"
    crowd.enter(Who("acme", "user:bob"))
    with pytest.raises(Unavailable):
        crowd.enter(Who("acme", "user:eve"))
    crowd.enter(Who("globex", "user:eve"))
    assert crowd.total == 3


async def rounds(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_one_silent_longest_goes_when_there_are_too_many() -> None:
    strangers, gone = Strangers(3), []
    for n in range(5):
        strangers.arrive(n, lambda n=n: gone.append(n))  # type: ignore[misc]
    assert gone == [], "nobody goes before they could be listened to"
    await rounds(1)
    assert gone == []
    await rounds(1)
    assert (gone, len(strangers), strangers.dropped) == ([0, 1], 3, 2)
    strangers.leave(2)
    strangers.arrive(5, lambda: gone.append(5))
    await rounds()
    assert (gone, len(strangers)) == ([0, 1], 3)
    strangers.leave("nobody")


async def test_strangers_never_are_more_than_came_meanwhile() -> None:
    """However fast they come: as many as may stay, and those who came in the last two rounds of the loop."""
    strangers, most = Strangers(100), 0
    for n in range(5_000):
        strangers.arrive(n, lambda: None)
        if n % 10 == 0:
            await rounds(1)
        most = max(most, len(strangers))
    assert most <= 100 + 10 * 3
    await rounds()
    assert len(strangers) == 100


async def test_long_first_messages_share_what_there_is_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STRANGERS_BYTES", 1_000)
    strangers, gone = Strangers(100), []
    for n in range(4):
        strangers.arrive(n, lambda n=n: gone.append(n))  # type: ignore[misc]
    strangers.hold(1, 400)
    strangers.hold(2, 300)
    strangers.hold(1, 600)
    assert (gone, strangers.held) == ([], 900)
    strangers.hold(3, 500)
    assert (gone, strangers.held) == ([1], 800)
    strangers.leave(2)
    strangers.hold(2, 999)
    assert strangers.held == 500
