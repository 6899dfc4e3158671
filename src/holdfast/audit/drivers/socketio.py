"""Endpoints over Socket.IO: Engine.IO 4 and Socket.IO 5 packets (socket.io/docs/v4/engine-io-protocol) on a WebSocket.

The first message of ``connect`` is the auth object, later ones are events. An event reads as
``{"event": name, "data": first argument, "args": all arguments}``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from holdfast.audit.budget import ProbeBudget
from holdfast.audit.drivers.websocket import WebSocketEndpoint
from holdfast.audit.parsing import ParsedMessage
from holdfast.audit.recipe import Recipe
from holdfast.audit.stream import ClientStream
from holdfast.audit.values import fill

OPEN, PING, PONG, CONNECT, EVENT, REFUSED = "0", "2", "3", "40", "42", "44"


class SocketIoEndpoint(WebSocketEndpoint):
    """An endpoint that a recipe with ``transport: socketio`` describes."""

    def __init__(
        self,
        url: str,
        recipe: Recipe,
        budget: ProbeBudget,
        headers: dict[str, str] | None = None,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(url, recipe, budget, headers, hosts)
        self._pongs: set[asyncio.Task[None]] = set()

    def target(self, names: dict[str, str]) -> str:
        parts = urlsplit(super().target(names))
        return parts._replace(path=parts.path or "/socket.io/", query="EIO=4&transport=websocket").geturl()

    def encoded(self, message: object) -> bytes:
        if isinstance(message, str):
            return message.encode()  # a packet of the protocol itself
        return EVENT.encode() + msgspec.json.encode(message)

    def incoming(self, data: bytes, stream: ClientStream) -> Iterator[ParsedMessage]:
        packet = data.decode("utf-8", "replace")
        if packet.startswith(PING) and stream.send is not None:
            stream.alive_signs += 1
            self._pongs.add(pong := asyncio.create_task(stream.send(PONG)))
            pong.add_done_callback(self._pongs.discard)
        elif packet.startswith((OPEN, CONNECT, REFUSED)) and not packet.startswith(EVENT):
            stream.greeted(packet[:2] if packet[:1] == "4" else packet[:1])
        elif packet.startswith(EVENT):
            raw = packet[2:].lstrip("0123456789")
            try:
                event, *args = msgspec.json.decode(raw)
            except (msgspec.DecodeError, ValueError):
                yield ParsedMessage(raw, raw=raw)
                return
            yield ParsedMessage({"event": event, "data": args[0] if args else None, "args": args}, raw=raw)

    async def greet(self, stream: ClientStream, names: dict[str, str]) -> None:
        auth, *events = self.recipe.connect or [{}]
        await stream.greeting(OPEN)
        if stream.send is not None:
            await stream.send(CONNECT + msgspec.json.encode(fill(auth, names)).decode())
        await stream.greeting(CONNECT)
        for event in events:
            if stream.send is not None:
                await stream.send(fill(event, names))
