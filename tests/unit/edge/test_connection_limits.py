"""How many may come, of whom, and what becomes of those who say nothing."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.edge.config import Settings
from holdfast.edge.connection_limits import ConnectionLimits, Strangers
from holdfast.edge.pool import AccountKey
from holdfast.errors import Unavailable
from holdfast.protocol import limits

pytestmark = pytest.mark.anyio

ANN = AccountKey("acme", "user:ann")


def test_everybody_who_leaves_makes_room() -> None:
    connection_limits = ConnectionLimits(Settings(connections=2, connections_per_principal=1))
    for _ in range(3):
        connection_limits.acquire(ANN)
        connection_limits.release(ANN)
    assert connection_limits.total == 0
    connection_limits.acquire(ANN)
    with pytest.raises(Unavailable) as caught:
        connection_limits.acquire(ANN)
    assert caught.value.code == "limit.connections"
    connection_limits.acquire(AccountKey("acme", "user:bob"))
    with pytest.raises(Unavailable):
        connection_limits.acquire(AccountKey("acme", "user:eve"))
    connection_limits.acquire(AccountKey("globex", "user:eve"))
    assert connection_limits.total == 3


async def rounds(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_one_silent_longest_goes_when_there_are_too_many() -> None:
    strangers, dropped = Strangers(3), []
    for n in range(5):
        strangers.add(n, lambda n=n: dropped.append(n))  # type: ignore[misc]
    assert dropped == [], "nobody goes before they could be listened to"
    await rounds(1)
    assert dropped == []
    await rounds(1)
    assert (dropped, len(strangers), strangers.dropped) == ([0, 1], 3, 2)
    strangers.remove(2)
    strangers.add(5, lambda: dropped.append(5))
    await rounds()
    assert (dropped, len(strangers)) == ([0, 1], 3)
    strangers.remove("nobody")


async def test_strangers_never_are_more_than_came_meanwhile() -> None:
    """However fast they come: as many as may stay, and those who came in the last two rounds of the loop."""
    strangers, most = Strangers(100), 0
    for n in range(5_000):
        strangers.add(n, lambda: None)
        if n % 10 == 0:
            await rounds(1)
        most = max(most, len(strangers))
    assert most <= 100 + 10 * 3
    await rounds()
    assert len(strangers) == 100


async def test_long_first_messages_share_what_there_is_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STRANGERS_BYTES", 1_000)
    strangers, dropped = Strangers(100), []
    for n in range(4):
        strangers.add(n, lambda n=n: dropped.append(n))  # type: ignore[misc]
    strangers.set_buffered(1, 400)
    strangers.set_buffered(2, 300)
    strangers.set_buffered(1, 600)
    assert (dropped, strangers.buffered) == ([], 900)
    strangers.set_buffered(3, 500)
    assert (dropped, strangers.buffered) == ([1], 800)
    strangers.remove(2)
    strangers.set_buffered(2, 999)
    assert strangers.buffered == 500
