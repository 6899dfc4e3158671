"""A provider's server that plays recordings in random pieces, and an agent that reads them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from holdfast.agents.adapters.answer import ProviderFailed
from holdfast.agents.run import RunContext

from .framings import FRAMINGS
from .recordings import Recording, body, frames
from .relays import RELAYS

PIECE = 160  # bytes of a piece of an answer, at most
PAUSE_S = 0.002  # between pieces, so that an answer is more than one commit


class Play:
    """One recording being played.

    Attributes:
        halfway: set when half of it is sent; the rest waits for ``goes_on``.
        breaks: the connection is lost at half, instead.
    """

    def __init__(self, recording: Recording, *, breaks: bool = False) -> None:
        self.recording = recording
        self.breaks = breaks
        self.halfway, self.goes_on = asyncio.Event(), asyncio.Event()
        self._dice = random.Random(recording["id"])

    async def half(self) -> None:
        self.halfway.set()
        if self.breaks:
            await asyncio.sleep(0.01)  # what was sent is read before the line breaks
            raise ConnectionResetError
        await self.goes_on.wait()

    def cut(self, whole: bytes) -> list[bytes]:
        """Pieces of random sizes."""
        pieces, at = [], 0
        while at < len(whole):
            size = self._dice.randint(1, PIECE)
            pieces.append(whole[at : at + size])
            at += size
        return pieces

    async def pieces(self) -> AsyncIterator[bytes]:
        pieces = self.cut(body(self.recording))
        for number, piece in enumerate(pieces):
            if number == len(pieces) // 2:
                await self.half()
            yield piece
            await asyncio.sleep(PAUSE_S)

    async def talk(self, socket: ServerConnection) -> None:
        """The recorded WebSocket: each message to the client in fragments, and each from it awaited where it came."""
        messages = [f for f in self.recording["frames"] if f["kind"] == "message"]
        for number, frame in enumerate(messages):
            if number == len(messages) // 2:
                await self.half()
            if frame["direction"] == "sent":
                assert json.loads(await socket.recv()) == frame["data"]
            else:
                text = json.dumps(frame["data"], ensure_ascii=False).encode()
                await socket.send(self.cut(text), text=True)
                await asyncio.sleep(PAUSE_S)


class Provider:
    """The server; what it plays is asked for by name."""

    def __init__(self) -> None:
        self.plays: dict[str, Play] = {}
        routes = [Route("/{name}", self._stream, methods=["POST"])]
        self._http = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, port=0))
        self.port = self.socket_port = 0

    async def _stream(self, request: Request) -> Response:
        play = self.plays[request.path_params["name"]]
        return StreamingResponse(play.pieces(), media_type=play.recording.get("response_content_type"))

    async def _talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        try:
            await self.plays[socket.request.path[1:]].talk(socket)
        except ConnectionResetError:
            socket.transport.abort()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Provider]:
        serving = asyncio.create_task(self._http.serve())
        async with serve(self._talk, "127.0.0.1", 0) as sockets:
            self.socket_port = next(iter(sockets.sockets)).getsockname()[1]
            while not self._http.started:
                assert not serving.done()
                await asyncio.sleep(0.01)
            self.port = self._http.servers[0].sockets[0].getsockname()[1]
            yield self
            self._http.should_exit = True
            await serving

    async def agent(self, run: RunContext) -> None:
        """An agent whose input names what the provider is to play."""
        recording = self.plays[run.input.text].recording
        relay = RELAYS[recording["api"]]
        if recording["framing"] == "websocket-json":
            await relay(run, self._heard(run.input.text, recording))
            return
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as client,
            client.stream("POST", f"http://127.0.0.1:{self.port}/{run.input.text}") as answer,
        ):
            await relay(run, FRAMINGS[recording["framing"]](answer.aiter_bytes()))

    async def _heard(self, name: str, recording: Recording) -> AsyncIterator[Any]:
        async with connect(f"ws://127.0.0.1:{self.socket_port}/{name}", proxy=None) as socket:
            for message in frames(recording, "sent"):
                await socket.send(json.dumps(message))
            try:
                async for text in socket:
                    yield json.loads(text)
            except websockets.ConnectionClosedError:
                raise ProviderFailed("the provider broke off") from None
