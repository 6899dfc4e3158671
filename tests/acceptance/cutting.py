"""A TCP proxy that sees WebSocket frames and cuts the line where a test says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass


@dataclass
class Cut:
    """Where one connection ends: after ``frames`` whole frames, or ``bytes_`` bytes, of one direction."""

    frames: int | None = None
    bytes_: int | None = None
    to_client: bool = True


class Frames:
    """Finds the ends of WebSocket frames (RFC 6455, section 5.2) in a stream that begins with an HTTP head."""

    def __init__(self) -> None:
        self._buffer = b""
        self._head = True
        self._left = 0

    def ends(self, data: bytes) -> Iterator[int]:
        """Offsets in ``data`` right after a frame."""
        start = len(self._buffer)
        self._buffer += data
        taken = 0
        while (size := self._size(taken)) is not None and taken + size <= len(self._buffer):
            taken += size
            if self._head:
                self._head = False
            else:
                yield taken - start
        self._buffer = self._buffer[taken:]

    def _size(self, at: int) -> int | None:
        rest = self._buffer[at:]
        if self._head:
            end = rest.find(b"\r\n\r\n")
            return None if end < 0 else end + 4
        if len(rest) < 2:
            return None
        masked, short = rest[1] & 0x80, rest[1] & 0x7F
        extra = {126: 2, 127: 8}.get(short, 0)
        if len(rest) < 2 + extra:
            return None
        length = int.from_bytes(rest[2 : 2 + extra]) if extra else short
        return 2 + extra + (4 if masked else 0) + length


class CuttingProxy:
    """Forwards to a server; the n-th connection ends as the n-th cut of the plan says, later ones live on.

    Attributes:
        frames, bytes_: what each connection carried to the client, and to the server.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.plan: list[Cut] = []
        self.carried: list[dict[bool, list[int]]] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[CuttingProxy]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = self.plan.pop(0) if self.plan else Cut()
        counts: dict[bool, list[int]] = {True: [0, 0], False: [0, 0]}
        self.carried.append(counts)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            return
        pumps = {
            asyncio.create_task(self._pump(reader, far_writer, counts[False], None if cut.to_client else cut)),
            asyncio.create_task(self._pump(far_reader, writer, counts[True], cut if cut.to_client else None)),
        }
        self._tasks |= pumps
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        self._tasks -= pumps
        for side in (writer, far_writer):
            side.transport.abort()  # no goodbye: the line is gone

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: list[int], cut: Cut | None
    ) -> None:
        frames = Frames()
        while data := await reader.read(65_536):
            until = len(data)
            over = False
            if cut is not None and cut.bytes_ is not None and counts[1] + until >= cut.bytes_:
                until, over = cut.bytes_ - counts[1], True
            for end in frames.ends(data):
                if end <= until:
                    counts[0] += 1
                    if cut is not None and cut.frames is not None and counts[0] >= cut.frames:
                        until, over = end, True
                        break
            counts[1] += until
            writer.write(data[:until])
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            if over:
                await asyncio.sleep(0.001)  # what was forwarded arrives before the reset overtakes it
                return
