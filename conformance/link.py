"""A line between a client and a real server that breaks when it is told to, between messages or for good."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Self

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed


class Link:
    """Passes messages on. ``server`` is the address it leads to.

    Attributes:
        cut_after: the next connection is lost after so many messages of the server; None for never.
        twice: the server's frames arrive two times.
    """

    def __init__(self, server: str) -> None:
        self._target = server.replace("http", "ws", 1) + "/v1/connect"
        self._server: Server | None = None
        self._open: set[ServerConnection] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.cut_after: int | None = None
        self.twice = False

    @property
    def url(self) -> str:
        """``http://host:port`` of this end."""
        assert self._server is not None
        return f"http://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    def cut(self) -> None:
        """Lose every connection without a word."""
        for near in self._open:
            near.transport.abort()

    def set(self, **how: Any) -> None:
        """``cut_after``, ``twice``, ``stall``: how messages pass from now on."""
        self.cut_after = how.get("cut_after", self.cut_after)
        self.twice = how.get("twice", self.twice)
        if "stall" in how:
            (self._flowing.clear if how["stall"] else self._flowing.set)()

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._pass,
            "127.0.0.1",
            0,
            compression=None,
            ping_interval=None,
            max_size=None,
            subprotocols=["holdfast.v1"],  # type: ignore[list-item]
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    async def _pass(self, near: ServerConnection) -> None:
        cut_after, self.cut_after = self.cut_after, None
        self._open.add(near)
        try:
            async with websockets.connect(self._target, compression=None, ping_interval=None, max_size=None) as far:
                up = asyncio.create_task(self._up(near, far))
                try:
                    await self._down(far, near, cut_after)
                finally:
                    up.cancel()
        except (ConnectionClosed, OSError):
            pass
        finally:
            self._open.discard(near)
            near.transport.abort()

    async def _up(self, near: ServerConnection, far: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in near:
                await self._flowing.wait()
                await far.send(message)
        await far.close()

    async def _down(self, far: ClientConnection, near: ServerConnection, cut_after: int | None) -> None:
        passed = 0
        async for message in far:
            await self._flowing.wait()
            await near.send(message)
            if self.twice and isinstance(message, str) and message.startswith('{"op":"events"'):
                await near.send(message)
            passed += 1
            if passed == cut_after:
                return
