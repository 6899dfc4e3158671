"""A network between real clients and a real hub that is slow, stalls, breaks, and pretends to be there.

Each direction of a line keeps its order, as TCP does. The hub's end pauses and drains like a socket with a bounded
buffer. Pings are played by a timer: whoever is cut off without a word finds out after ``DETECT_S`` (SUB-7).
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

import msgspec

from holdfast.client.transport import Sink
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.hub.port import Batch
from holdfast.protocol import codec, limits, wire
from holdfast.session.access import Principal

DETECT_S = limits.PING_IDLE_S + limits.PING_REPLY_S

Seen = Callable[[dict[str, Any]], None]


class Network:
    """All lines to one hub, which may be down.

    Attributes:
        watch: called with every message the hub hands to a connection, at that moment.
        most_bytes: the most that was ever in flight to one client.
    """

    def __init__(self, rng: random.Random, *, latency_s: float = 0.003, watch: Seen | None = None) -> None:
        self.rng = rng
        self.latency_s = latency_s
        self.watch = watch
        self.hub: Hub | None = None
        self.lines: list[Line] = []
        self.most_bytes = 0
        self._names = itertools.count(1)

    def dial(self, principal: Principal) -> SimDialer:
        return SimDialer(self, principal)

    def down(self) -> None:
        """The hub's process is gone; so is every line."""
        self.hub = None
        for line in list(self.lines):
            line.lose(1006, tell_hub=False)

    def name(self) -> str:
        return f"c{next(self._names)}"


class SimDialer:
    """A client's ``Dialer``."""

    authenticates = False

    def __init__(self, network: Network, principal: Principal) -> None:
        self._network = network
        self._principal = principal

    async def __call__(self, sink: Sink) -> Line:
        await asyncio.sleep(self._network.latency_s)
        if self._network.hub is None or self._network.hub.closing:
            raise ConnectionRefusedError
        line = Line(self._network, self._network.hub, self._principal, sink)
        self._network.lines.append(line)
        self._network.hub.connect(line)
        return line


class Line:
    """One connection: the hub's ``Connection`` and the client's ``Transport``."""

    surface, device = "sim", ""

    def __init__(self, network: Network, hub: Hub, principal: Principal, sink: Sink) -> None:
        self.ident = network.name()
        self.principal = principal
        self.paused = False
        self.is_half_open = False  # half open: nothing arrives, nobody knows
        self.is_stalled = False  # stalled: everything arrives later
        self.is_lost = False
        self._network, self._hub, self._sink = network, hub, sink
        self._loop = asyncio.get_running_loop()
        self._bytes = 0
        self._at = {"up": 0.0, "down": 0.0}
        self._waiting: list[tuple[str, bytes]] = []

    # --- the hub's end
    def deliver(self, batch: Batch) -> None:
        if self.is_lost:
            return
        for payload in batch.payloads:
            if self._network.watch is not None:
                self._network.watch(msgspec.json.decode(payload))
            self._bytes += len(payload)
            self._send("down", payload)
        self._network.most_bytes = max(self._network.most_bytes, self._bytes)
        if self._bytes > limits.WRITE_HIGH_BYTES:
            self.paused = True

    def shut(self, code: int, reason: str) -> None:
        self.lose(code)

    # --- the client's end
    def send(self, message: bytes) -> None:
        if not self.is_lost:
            self._send("up", message)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.lose(code)

    # --- in between
    def _send(self, way: str, message: bytes) -> None:
        if self.is_half_open:
            return
        if self.is_stalled:
            self._waiting.append((way, message))
            return
        delay = self._network.rng.expovariate(1 / self._network.latency_s)
        self._at[way] = max(self._at[way], self._loop.time() + delay)
        self._loop.call_at(self._at[way], self._arrive, way, message)

    def _arrive(self, way: str, message: bytes) -> None:
        if self.is_lost or self.is_half_open:
            return
        if self.is_stalled:
            self._waiting.append((way, message))
            return
        if way == "up":
            operations.dispatch(self._hub, self, codec.decode(message, wire.DECODER))
            return
        self._bytes -= len(message)
        self._sink.received(message)
        if self.paused and self._bytes < limits.WRITE_LOW_BYTES:
            self.paused = False
            self._hub.resume(self)

    # --- faults
    def stall(self, seconds: float) -> None:
        """Nothing moves for a while; nothing is lost. A stall longer than the pings' patience is a cut."""
        if not self.is_stalled:
            self.is_stalled = True
            self._loop.call_later(seconds, self._move_on)

    def _move_on(self) -> None:
        self.is_stalled = False
        waiting, self._waiting = self._waiting, []
        for way, message in waiting:
            self._send(way, message)

    def half_open(self) -> None:
        """Everything is dropped, and each end finds out by its pings."""
        self.is_half_open = True
        self._loop.call_later(DETECT_S, self.lose, 1006)

    def lose(self, code: int, *, tell_hub: bool = True) -> None:
        """The line is gone; both ends hear of it."""
        if self.is_lost:
            return
        self.is_lost = True
        if self in self._network.lines:
            self._network.lines.remove(self)
        if tell_hub:
            self._loop.call_soon(self._hub.disconnect, self)
        self._loop.call_later(self._network.latency_s, self._sink.lost, code, "")
