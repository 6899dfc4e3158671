"""A server that does exactly what a script says, over real WebSockets: also what no real server would do."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

QUIET = frozenset({"ping", "unsubscribe", "auth", "read", "presence", "watch", "unwatch"})
"""Operations a client may send at any time; they are answered and not shown to the script."""

DEFAULTS: dict[str, dict[str, Any]] = {"subscribe": {"start": "snapshot"}, "cancel": {"scope": "run", "force": False}}
"""What a client may leave out, because the protocol says what it means then."""

Message = dict[str, Any]


class Line:
    """One connection of a client."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self._received: asyncio.Queue[Message] = asyncio.Queue()
        self._pump = asyncio.create_task(self._listen())

    async def receive(self) -> Message:
        """The client's next message that means something to a script."""
        return await self._received.get()

    async def send(self, message: Message | str) -> None:
        """Send a message, or any text as it is."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(message if isinstance(message, str) else json.dumps(message))

    async def close(self, code: int) -> None:
        """Close with a code, as a server that means it."""
        await self._socket.close(code)

    def cut(self) -> None:
        """Lose the connection without a word."""
        self._pump.cancel()
        self._socket.transport.abort()

    def fall_silent(self) -> None:
        """Half-open: nothing is read any more, nothing is said, not even a pong; the connection stands."""
        self._pump.cancel()
        self._socket.transport.pause_reading()  # type: ignore[attr-defined]

    async def _listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in self._socket:
                message = json.loads(text)
                if message.get("op") in QUIET:
                    if message.get("id") is not None:
                        await self.send({"op": "ok", "id": message["id"]})
                    continue
                self._received.put_nowait({**DEFAULTS.get(message.get("op", ""), {}), **message})


class ScriptedServer:
    """Listens on a free port of 127.0.0.1; connections wait until the script accepts them."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Line] = asyncio.Queue()
        self._lines: list[Line] = []
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """``http://host:port``."""
        assert self._server is not None
        return f"http://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def accept(self) -> Line:
        """The next connection, opened but not welcomed."""
        return await self._waiting.get()

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._arrived,
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
        for line in self._lines:
            line.cut()
        self._server.close()
        await self._server.wait_closed()

    async def _arrived(self, socket: ServerConnection) -> None:
        line = Line(socket)
        self._lines.append(line)
        self._waiting.put_nowait(line)
        await socket.wait_closed()
