"""How many connections there are: WebSockets and SSE responses alike, of each tenant and root; and strangers.

A stranger is a connection that has not said who it is. Strangers have room of their own, so that none of them keeps out
anybody with a token; and when there is no more of it, the one that has been silent longest goes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable

from holdfast.edge.config import Settings
from holdfast.edge.pool import Pool, Who
from holdfast.protocol import limits

_ROUNDS = 2  # of the event loop, after which whoever came was listened to


class Crowd:
    """The connections of one server, counted."""

    def __init__(self, settings: Settings) -> None:
        self.connections = Pool(
            "limit.connections", "as many connections as are allowed", most=settings.connections,
            each=settings.connections_per_principal, own=min(limits.CONNECTIONS_OWN, -(-settings.connections // 8)),
        )  # fmt: skip
        self.requests = Pool(
            "limit.connections", "as many requests at a time as are allowed", most=limits.REQUESTS_AT_ONCE,
            each=limits.REQUESTS_EACH, own=limits.REQUESTS_OWN,
        )  # fmt: skip
        self.strangers = Strangers(settings.strangers)

    @property
    def total(self) -> int:
        """Connections whose principal is known."""
        return self.connections.held

    def enter(self, who: Who) -> None:
        """Somebody connected. Raises ``limit.connections``."""
        self.connections.take(who, 1)

    def leave(self, who: Who) -> None:
        """Their connection is gone."""
        self.connections.give(who, 1)


class _Stranger:
    __slots__ = ("came", "drop", "held")

    def __init__(self, came: int, drop: Callable[[], None]) -> None:
        self.came = came
        self.drop = drop
        self.held = 0


class Strangers:
    """Connections that have not said who they are, in the order in which they came.

    Args:
        most: how many may stay.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._here: OrderedDict[Hashable, _Stranger] = OrderedDict()
        self._round = 0
        self._counting = False
        self.held = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._here)

    def arrive(self, who: Hashable, drop: Callable[[], None]) -> None:
        """Somebody came, or is a stranger again; ``drop`` ends the connection."""
        self._here[who] = _Stranger(self._round, drop)
        if len(self._here) > self._most:
            self._count()

    def hold(self, who: Hashable, size: int) -> None:
        """So much of a long first message is there. When all together have too much, the one silent longest goes."""
        stranger = self._here.get(who)
        if stranger is None:
            return
        self.held += size - stranger.held
        stranger.held = size
        while self.held > limits.STRANGERS_BYTES:
            self._drop(next(other for other, about in self._here.items() if about.held))

    def leave(self, who: Hashable) -> None:
        """It is known who they are, or they are gone; idempotent."""
        stranger = self._here.pop(who, None)
        if stranger is not None:
            self.held -= stranger.held

    def _drop(self, who: Hashable) -> None:
        drop = self._here[who].drop
        self.leave(who)
        self.dropped += 1
        drop()

    # --- too many
    def _count(self) -> None:
        """Count rounds of the loop while there are too many: nobody goes before what they said could be read."""
        if not self._counting:
            self._counting = True
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        self._counting = False
        self._round += 1
        while len(self._here) > self._most:
            who, stranger = next(iter(self._here.items()))
            if stranger.came + _ROUNDS > self._round:
                self._count()
                return
            self._drop(who)
