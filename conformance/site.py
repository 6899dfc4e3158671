"""A real Holdfast server for the live cases, and people who talk to it without any client library."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from holdfast.edge import auth
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.memory import MemoryEngine
from holdfast.hub.hub import Hub

AGENTS = ("writer", "critic")
Message = dict[str, Any]


class Person:
    """A raw connection of somebody: what is sent is exactly what the case says."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._pump = asyncio.create_task(self._listen())

    async def ask(self, op: Message) -> Message:
        """Do an operation; its answer as it came."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, **op}))
        return await self._answers[number]

    async def send_text(self, text: str) -> None:
        """Send any text."""
        await self._socket.send(text)

    async def next_message(self) -> Message:
        """The next message that is no answer to ``ask``; ``{"op": "lost", "code": …}`` at the end."""
        return await self._messages.get()

    async def close(self) -> None:
        """Leave."""
        self._pump.cancel()
        await self._socket.close()

    async def _listen(self) -> None:
        try:
            async for text in self._socket:
                message = json.loads(text)
                answer = self._answers.pop(message.get("id", 0), None) if message["op"] in ("ok", "error") else None
                if answer is not None:
                    answer.set_result(message)
                else:
                    self._messages.put_nowait(message)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else 1006
            self._messages.put_nowait({"op": "lost", "code": code})


class Site:
    """A running server."""

    def __init__(self, edge: Edge, port: int) -> None:
        self._edge = edge
        self.url = f"http://127.0.0.1:{port}"

    def token(self, name: str, tenant: str) -> str:
        """A token of ``user:NAME``, or of the agent of that name. A tenant for each case keeps its agents its own."""
        assert self._edge.secret is not None
        kind, agents = ("agent", [name]) if name in AGENTS else ("user", [])
        return auth.mint(self._edge.secret, subject=f"{kind}:{name}", tenant=tenant, agents=agents)

    async def person(self, name: str, tenant: str) -> Person:
        """Connect as somebody and wait for the welcome."""
        headers = {"Authorization": f"Bearer {self.token(name, tenant)}"}
        url = self.url.replace("http", "ws", 1) + "/v1/connect"
        person = Person(
            await websockets.connect(
                url, additional_headers=headers, compression=None, ping_interval=None, max_size=None
            )
        )
        welcome = await person.next_message()
        assert welcome["op"] == "welcome", welcome
        return person


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Site]:
    """A server over the memory engine on a free port of 127.0.0.1."""
    hub = Hub(MemoryEngine())
    await hub.open()
    edge = Edge(hub, Settings(db="memory:", port=0, drain_s=1))
    async with running(edge) as server:
        yield Site(edge, port_of(server))
