"""An upstream that answers with the very bytes a test gives it, in the pieces it gives them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

Pieces = list[bytes]
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"


class Scripted:
    """What it was asked, and what it answers next.

    Attributes:
        heads: of the requests, as they came.
        bodies: of the requests.
        written: bytes of answers, those that wait to be taken included.
        go_on: where set, a piece waits for it; it is cleared by each.
    """

    def __init__(self, answers: Callable[[int], Pieces]) -> None:
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.go_on: asyncio.Semaphore | None = None
        self.written = 0
        self._answers = answers
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").lower()
                size = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length"))
                body = await reader.readexactly(size)
                self.heads.append(head)
                self.bodies.append(body)
                pieces = self._answers(len(self.heads))
                for piece in pieces:
                    if self.go_on is not None:
                        await self.go_on.acquire()
                    writer.write(piece)
                    self.written += len(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if not pieces or b"connection: close" in pieces[0]:
                    break
        writer.close()

    def upstream(self, shape: str = "openai", **more: Any) -> dict[str, Any]:
        """As the gateway's settings have it."""
        url = f"{self.url}/v1" if shape == "openai" else self.url
        return {"name": "scripted", "url": url, "shape": shape, "models": ["*"], "retries": 0, **more}


@contextlib.asynccontextmanager
async def scripted(answers: Pieces | Callable[[int], Pieces]) -> AsyncIterator[Scripted]:
    """One that listens; ``answers`` to each request, or by its number from 1."""
    found = Scripted(answers if callable(answers) else lambda _: answers)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield found
