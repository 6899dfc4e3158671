"""Recorded provider streams, and a provider's server that plays them in pieces."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.recorded_streams import exchanges

APIS = {"openai.chat": "/chat/completions", "openai.responses": "/responses", "anthropic.messages": "/v1/messages"}


def recordings(api: str) -> list[dict[str, Any]]:
    """Every recorded stream of an API that this project can be held to."""
    framings = ("sse", "chunk-lines")
    return [r for r in exchanges() if r.get("streaming") and r.get("api") == api and r.get("framing") in framings]


def events(recording: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a recording, read without any provider's client."""
    body = recording["response_body"]
    if recording["framing"] == "chunk-lines":
        return [json.loads(line) for line in body.splitlines() if line.strip()]
    found = []
    for block in body.replace("\r\n", "\n").split("\n\n"):
        data = "\n".join(line[5:].lstrip() for line in block.split("\n") if line.startswith("data:"))
        if data and data != "[DONE]":
            found.append(json.loads(data))
    return found


def framed(events: list[dict[str, Any]]) -> bytes:
    """Events as a body of server-sent events."""
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if "type" in event else ""
        lines.append(f"{name}data: {json.dumps(event)}\n\n")
    return "".join([*lines, "data: [DONE]\n\n"] if events and "choices" in events[0] else lines).encode()


def body_of(recording: dict[str, Any]) -> bytes:
    """The recording's bytes; where only its events are known, framed."""
    if recording["framing"] == "chunk-lines":
        return framed(events(recording))
    return str(recording["response_body"]).encode()


Script = Callable[
    [int, dict[str, Any]], bytes | Response | tuple[bytes, asyncio.Event] | tuple[bytes, asyncio.Event, bytes]
]
"""From the number of a request, from 0, and its body to what is answered; with an event: hold there."""


class Provider:
    """A server of all three APIs that answers as it is told.

    Attributes:
        requests: the bodies of the requests.
        cut: set when a client closed a connection before its answer was over.
    """

    def __init__(self) -> None:
        self.script: Script = lambda number, request: b""
        self.requests: list[dict[str, Any]] = []
        self.cut = asyncio.Event()
        routes = [Route(path, self._answer, methods=["POST"]) for path in APIS.values()]
        self._server = uvicorn.Server(
            uvicorn.Config(Starlette(routes=routes), log_config=None, port=0, timeout_graceful_shutdown=1)
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def _answer(self, request: Request) -> Response:
        content = await request.json()
        self.requests.append(content)
        response = self.script(len(self.requests) - 1, content)
        if isinstance(response, Response):
            return response
        body, *held = response if isinstance(response, tuple) else (response,)
        return StreamingResponse(self._pieces(body, *held), media_type="text/event-stream")

    async def _pieces(self, body: bytes, hold: asyncio.Event | None = None, rest: bytes = b"") -> AsyncIterator[bytes]:
        dice = random.Random(len(body))
        try:
            for part in (body, rest):
                at = 0
                while at < len(part):
                    size = dice.randint(1, 400)
                    yield part[at : at + size]
                    at += size
                    await asyncio.sleep(0)
                if hold is not None:
                    await hold.wait()
        except (asyncio.CancelledError, GeneratorExit):
            self.cut.set()
            raise

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Provider]:
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        yield self
        self._server.should_exit = True
        await serving


def refusal(status: int, **error: Any) -> Response:
    """An answer with an error, as providers give it."""
    return JSONResponse({"type": "error", "error": error}, status)
