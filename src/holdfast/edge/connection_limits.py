"""How many connections there are: WebSockets and SSE responses alike, of each tenant and root; and strangers.

A stranger is a connection that is not authenticated yet. Strangers have a limit of their own, so that none of them keeps
out anybody with a token; beyond it the one that has been silent longest is dropped.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable

from holdfast.edge.config import Settings
from holdfast.edge.pool import AccountKey, Pool
from holdfast.protocol import limits

_ROUNDS = 2  # of the event loop, after which what a new connection sent was read


class ConnectionLimits:
    """The connections of one server, counted."""

    def __init__(self, settings: Settings) -> None:
        self.connections = Pool(
            "limit.connections",
            "as many connections as are allowed",
            tenant_limit=settings.connections,
            root_limit=settings.connections_per_principal,
            tenant_guarantee=min(limits.CONNECTIONS_OWN, -(-settings.connections // 8)),
        )
        self.requests = Pool(
            "limit.connections",
            "as many requests at a time as are allowed",
            tenant_limit=limits.REQUESTS_AT_ONCE,
            root_limit=limits.REQUESTS_EACH,
            tenant_guarantee=limits.REQUESTS_OWN,
        )
        self.strangers = Strangers(settings.strangers)

    @property
    def total(self) -> int:
        """Connections whose principal is known."""
        return self.connections.in_use

    def acquire(self, key: AccountKey) -> None:
        """Count a new connection. Raises ``limit.connections``."""
        self.connections.acquire(key, 1)

    def release(self, key: AccountKey) -> None:
        """A connection is gone."""
        self.connections.release(key, 1)


class _Stranger:
    __slots__ = ("buffered", "drop", "round_added")

    def __init__(self, round_added: int, drop: Callable[[], None]) -> None:
        self.round_added = round_added
        self.drop = drop
        self.buffered = 0


class Strangers:
    """Connections that are not authenticated, in the order in which they came.

    Args:
        most: how many may stay.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: OrderedDict[Hashable, _Stranger] = OrderedDict()
        self._round = 0
        self._scheduled = False
        self.buffered = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, key: Hashable, drop: Callable[[], None]) -> None:
        """Add a connection that is not authenticated, or not any more; ``drop`` ends it."""
        self._connections[key] = _Stranger(self._round, drop)
        if len(self._connections) > self._most:
            self._schedule_round()

    def set_buffered(self, key: Hashable, size: int) -> None:
        """So much of a long first message has arrived. When all together have too much, the one silent longest is dropped."""
        stranger = self._connections.get(key)
        if stranger is None:
            return
        self.buffered += size - stranger.buffered
        stranger.buffered = size
        while self.buffered > limits.STRANGERS_BYTES:
            self._drop(next(other for other, candidate in self._connections.items() if candidate.buffered))

    def remove(self, key: Hashable) -> None:
        """The connection is authenticated or gone; idempotent."""
        stranger = self._connections.pop(key, None)
        if stranger is not None:
            self.buffered -= stranger.buffered

    def _drop(self, key: Hashable) -> None:
        drop = self._connections[key].drop
        self.remove(key)
        self.dropped += 1
        drop()

    # --- too many
    def _schedule_round(self) -> None:
        """Count rounds of the loop while there are too many: nobody is dropped before what they sent could be read."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        self._scheduled = False
        self._round += 1
        while len(self._connections) > self._most:
            key, stranger = next(iter(self._connections.items()))
            if stranger.round_added + _ROUNDS > self._round:
                self._schedule_round()
                return
            self._drop(key)
