"""A TCP proxy that breaks what it carries: cuts, half-open lines, stalls, trickles, delays, buffering.

It knows nothing of what is carried (HTTP, WebSockets, TLS pass unchanged), so a fault is exactly what a network, a
load balancer or a phone in a lift would do.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, Literal

import msgspec

FaultKind = Literal["cut", "half_open", "stall", "trickle", "delay", "buffer"]
Direction = Literal["down", "up", "both"]

CHUNK_BYTES: Final = 16_384
CLOSE_S: Final = 0.1
MAX_LINES: Final = 1_000
"""How many finished lines a proxy remembers."""


class Fault(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing to go wrong on a line, and when.

    Attributes:
        fault: ``cut`` ends the line; ``half_open`` carries nothing more and closes nothing; ``stall`` waits; ``trickle``
            slows down; ``delay`` adds latency; ``buffer`` holds everything back until the sender closes.
        how: of a cut: ``fin`` (orderly) or ``rst`` (connection reset).
        after_bytes: begin when so many bytes were carried down (``up`` for that direction), to the byte.
        after_fraction: begin at this part of ``of_bytes``, the size the whole stream is known to have.
        after_s: begin so many seconds after the line was opened. Without any ``after``, begin at once.
        for_s: of a stall: how long; None for ever.
        bytes_per_s: of a trickle. delay_s: of a delay.
        direction: which direction is harmed; ``down`` is towards the client. A cut and a half-open line are always both.
    """

    fault: FaultKind
    how: Literal["fin", "rst"] = "rst"
    after_bytes: int | None = None
    after_fraction: float | None = None
    of_bytes: int | None = None
    after_s: float | None = None
    for_s: float | None = None
    bytes_per_s: float = 256.0
    delay_s: float = 0.2
    direction: Direction = "down"

    def __post_init__(self) -> None:
        if self.after_fraction is not None and self.of_bytes is None:
            raise ValueError("after_fraction needs of_bytes: the size of the whole stream")
        numbers = (self.after_bytes, self.after_fraction, self.of_bytes, self.after_s, self.for_s, self.delay_s)
        if any(n is not None and n < 0 for n in numbers) or self.bytes_per_s <= 0:
            raise ValueError("the numbers of a fault are positive")

    @property
    def position_bytes(self) -> int | None:
        """Where in the stream it begins, when it begins at a position."""
        if self.after_fraction is not None and self.of_bytes is not None:
            return int(self.after_fraction * self.of_bytes)
        return self.after_bytes


class Script(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Faults by connection: the n-th connection gets the n-th list, later ones ``otherwise``."""

    connections: list[list[Fault]] = []
    otherwise: list[Fault] = []

    def of(self, number: int) -> list[Fault]:
        """The faults of connection ``number``, from 0."""
        return list(self.connections[number]) if number < len(self.connections) else list(self.otherwise)


class Flow:
    """One direction of a line."""

    def __init__(self, line: Line, name: Literal["down", "up"], source: asyncio.StreamReader) -> None:
        self.line = line
        self.name = name
        self.source = source
        self.sink: asyncio.StreamWriter | None = None
        self.bytes = 0
        self.due: list[Fault] = []
        """Faults that begin at a position in this direction, nearest first."""
        self.bytes_per_s: float | None = None
        self.delay_s = 0.0
        self.buffer: bytearray | None = None
        self._open = asyncio.Event()
        self._open.set()

    def stall(self, for_s: float | None) -> None:
        """Carry nothing for a while, or any more."""
        self._open.clear()
        if for_s is not None:
            asyncio.get_running_loop().call_later(for_s, self._open.set)

    async def carry(self) -> None:
        """Carry until the source ends; what was buffered goes then."""
        while data := await self.source.read(CHUNK_BYTES):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            while self.due and (at := self.due[0].position_bytes or 0) <= self.bytes + len(data):
                before = max(0, at - self.bytes)
                await self._write(data[:before])
                data = data[before:]
                self.line.apply(self.due.pop(0))
            await self._write(data)
        if self.buffer is not None:
            rest, self.buffer = bytes(self.buffer), None
            await self._write(rest)

    async def _write(self, data: bytes) -> None:
        await self._open.wait()
        if not data or self.sink is None:
            return
        if self.buffer is not None:
            self.buffer += data
            self.bytes += len(data)
            return
        step = len(data) if self.bytes_per_s is None else max(1, int(self.bytes_per_s / 20))
        for start in range(0, len(data), step):
            part = data[start : start + step]
            self.sink.write(part)
            await self.sink.drain()
            self.bytes += len(part)
            if self.bytes_per_s is not None:
                await asyncio.sleep(len(part) / self.bytes_per_s)
                await self._open.wait()


class Line:
    """One connection through the proxy.

    Attributes:
        number: which connection of the proxy, from 0. ended: what ended it, empty while it lives.
    """

    def __init__(self, number: int, client: asyncio.StreamReader, server: asyncio.StreamReader) -> None:
        self.number = number
        self.opened_s = time.monotonic()
        self.ended = ""
        self.down, self.up = Flow(self, "down", server), Flow(self, "up", client)
        self._frozen = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []

    def plan(self, faults: list[Fault]) -> None:
        """Let these happen when their moment comes."""
        loop = asyncio.get_running_loop()
        for fault in faults:
            if fault.position_bytes is not None:
                flow = self.up if fault.direction == "up" else self.down
                flow.due = sorted([*flow.due, fault], key=lambda f: f.position_bytes or 0)
            elif fault.after_s is not None:
                self._timers.append(loop.call_later(fault.after_s, self.apply, fault))
            else:
                self.apply(fault)

    def apply(self, fault: Fault) -> None:
        """Let it happen now."""
        if self.ended:
            return
        flows = [w for w in (self.down, self.up) if fault.direction in (w.name, "both")]
        if fault.fault == "cut":
            self.cut(fault.how)
        elif fault.fault == "half_open":
            self._frozen.set()
            self.down.stall(None)
            self.up.stall(None)
        elif fault.fault == "stall":
            for flow in flows:
                flow.stall(fault.for_s)
        elif fault.fault == "trickle":
            for flow in flows:
                flow.bytes_per_s = fault.bytes_per_s
        elif fault.fault == "delay":
            for flow in flows:
                flow.delay_s = fault.delay_s
        else:
            for flow in flows:
                flow.buffer = bytearray()

    def cut(self, how: str) -> None:
        """End both ends now: ``fin`` in order, ``rst`` with a reset."""
        self.ended = self.ended or f"cut by the proxy ({how})"
        for timer in self._timers:
            timer.cancel()
        for writer in (self.down.sink, self.up.sink):
            if writer is None:
                continue
            if how == "rst":
                with contextlib.suppress(OSError, AttributeError):
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
            else:
                _close_in_order(writer)

    async def carry(self, to_client: asyncio.StreamWriter, to_server: asyncio.StreamWriter) -> None:
        """Carry both ways until one side ends it; on a frozen line neither side learns that the other one went."""
        self.down.sink, self.up.sink = to_client, to_server
        down, up = asyncio.create_task(self._carry(self.down)), asyncio.create_task(self._carry(self.up))
        try:
            await asyncio.wait((down, up), return_when=asyncio.FIRST_COMPLETED)
            if up.done() and not down.done():
                await asyncio.wait((down,), timeout=1)  # a client may close its half and read on
            if self._frozen.is_set() and not self.ended:
                await asyncio.Event().wait()
        finally:
            down.cancel()
            up.cancel()
            if not self.ended:
                self.ended = "closed by the client" if up.done() and not down.done() else "closed by the server"
            self.cut("fin")

    async def _carry(self, flow: Flow) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            await flow.carry()
        if self._frozen.is_set() and not self.ended:
            await asyncio.Event().wait()


def _close_in_order(writer: asyncio.StreamWriter) -> None:
    """End in order: the end first, the socket a little later. Closing at once would reset when something is unread."""
    with contextlib.suppress(OSError, RuntimeError):
        if not writer.is_closing():
            writer.write_eof()
    asyncio.get_running_loop().call_later(CLOSE_S, writer.close)


class FaultProxy:
    """Listens, connects each client to the target, and lets happen what the script says.

    Args:
        host, port: the target. script: faults by connection. listen_host, listen_port: where to listen (0: a free port).
        opened: called with every new line. narrow_bytes: keep no more than about this on the way, so that a slow client
            is felt by the server; by default as much as the system's sockets hold.

    Attributes:
        port: where it listens. lines: the lines so far, oldest first. unreached: why the target could not be connected to.
    """

    def __init__(
        self,
        host: str,
        port: int,
        script: Script | None = None,
        *,
        listen_host: str = "127.0.0.1",
        listen_port: int = 0,
        opened: Callable[[Line], None] | None = None,
        narrow_bytes: int | None = None,
    ) -> None:
        self._target = (host, port)
        self._listen = (listen_host, listen_port)
        self.script = script or Script()
        self.port = 0
        self.connect_error = ""
        self.lines: deque[Line] = deque(maxlen=MAX_LINES)
        self._count = 0
        self._opened = opened
        self._narrow_bytes = narrow_bytes
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FaultProxy]:
        """Listen as long as the context is open."""
        server = await asyncio.start_server(self._connected, *self._listen, limit=CHUNK_BYTES * 4)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for line in self.lines:
                line.cut("fin")
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._close_ends()

    async def _close_ends(self) -> None:
        """Close what ends in order later: there is no later. What nobody reads any more is dropped."""
        for writer in list(self._ends):
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()
            writer.close()
        await asyncio.sleep(0)  # a transport lets go of its socket in the turn after

    @property
    def cuts(self) -> int:
        """How many lines it has cut."""
        return sum(1 for line in self.lines if line.ended.startswith("cut by the proxy"))

    def alive(self) -> list[Line]:
        """The lines that are open."""
        return [line for line in self.lines if not line.ended]

    def apply(self, fault: Fault) -> int:
        """Let a fault happen to every open line now; returns to how many."""
        lines = self.alive()
        for line in lines:
            line.apply(fault)
        return len(lines)

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._narrow_bytes is None:
            return await asyncio.open_connection(*self._target, limit=CHUNK_BYTES * 4)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(*self._target, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._narrow_bytes)
        try:
            await loop.sock_connect(sock, address)
        except OSError:
            sock.close()
            raise
        return await asyncio.open_connection(sock=sock, limit=self._narrow_bytes)

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        number, self._count = self._count, self._count + 1
        try:
            server, to_server = await self._reach()
        except OSError as error:
            self.connect_error = f"{type(error).__name__}: {error}"
            to_client.transport.abort()
            return
        self._ends.update((to_client, to_server))
        line = Line(number, client, server)
        self.lines.append(line)
        if self._opened is not None:
            self._opened(line)
        carrying = asyncio.ensure_future(line.carry(to_client, to_server))
        await asyncio.sleep(0)
        line.plan(self.script.of(number))
        with contextlib.suppress(asyncio.CancelledError):
            await carrying
