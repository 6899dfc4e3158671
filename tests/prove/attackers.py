"""Clients that ask for much, for as long as they are let: ``python -m tests.prove.attackers KIND PORT TOKEN…``.

Each kind is a function of the port and of tokens; it goes on until the process is killed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
WINDOW = 1 << 22


def frame(payload: bytes, *, first: int = 0x81) -> bytes:
    """One frame of a client."""
    size = len(payload)
    length = (
        bytes((0x80 | size,)) if size < 126
        else b"\xfe" + size.to_bytes(2, "big") if size < 1 << 16
        else b"\xff" + size.to_bytes(8, "big")
    )  # fmt: skip
    return bytes((first,)) + length + bytes(4) + payload


def said(**message: Any) -> bytes:
    """One message of a client."""
    return frame(json.dumps(message, separators=(",", ":")).encode())


async def line(port: int, token: str | None = None) -> Line:
    """A WebSocket, shaken hands on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=WINDOW)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /v1/connect HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
    ]  # fmt: skip
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        await reader.readuntil(b"\r\n\r\n")
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


@contextlib.asynccontextmanager
async def opened_line(port: int, token: str | None = None) -> AsyncIterator[Line]:
    """A line that is dropped when the context ends."""
    reader, writer = await line(port, token)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def heard(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next frame: kind and payload."""
    first, second = await reader.readexactly(2)
    size = second & 127
    if size > 125:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    return first & 15, await reader.readexactly(size)


async def _reads(reader: asyncio.StreamReader) -> None:
    while (await heard(reader))[0] != 8:
        pass


async def flood(port: int, token: str, number: int, message: Callable[[str, int], bytes], per_s: float) -> None:
    """Say the same again and again; come back when it is ended."""
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await line(port, token)
            session = f"evil-{number}"
            writer.write(said(op="create", id=0, session=session) + said(op="subscribe", session=session, start="tail"))
            reading = asyncio.create_task(_reads(reader))
            for ident in range(1, 1 << 30):
                writer.write(message(session, ident))
                await writer.drain()
                await asyncio.sleep(1 / per_s)
                if reading.done():
                    break
            writer.transport.abort()
        await asyncio.sleep(0.2)


DEEP = [{"type": "CUSTOM", "data": {"v": json.loads("[" * 30 + "]" * 30)}}] * 1_000
DOING = {f"k{n}": [n, {"a": 1}] for n in range(38_000)}


async def deep_appends(port: int, *tokens: str) -> None:
    """20 connections, each within its 20,000 events a second, of arrays 30 deep."""
    body = json.dumps(DEEP, separators=(",", ":")).encode()

    def message(session: str, ident: int) -> bytes:
        return frame(b'{"op":"append","id":%d,"session":"%b","events":%b}' % (ident, session.encode(), body))

    await asyncio.gather(*(flood(port, tokens[n % len(tokens)], n, message, 19) for n in range(20)))


async def long_presence(port: int, *tokens: str) -> None:
    """20 connections that say what they do in a mebibyte each time."""
    body = json.dumps(DOING, separators=(",", ":")).encode()

    def message(session: str, ident: int) -> bytes:
        return frame(b'{"op":"presence","id":%d,"session":"%b","doing":%b}' % (ident, session.encode(), body))

    await asyncio.gather(*(flood(port, tokens[n % len(tokens)], n, message, 190) for n in range(20)))


async def subscriptions(port: int, *tokens: str) -> None:
    """20 connections that begin and stop to read, session after session."""

    def message(session: str, ident: int) -> bytes:
        other = f"cold-{ident % 2_000}"
        more = said(op="subscribe", id=ident, session=other) + said(op="unsubscribe", id=ident, session=other)
        return (said(op="create", id=ident, session=other) if ident < 2_000 else b"") + more

    await asyncio.gather(*(flood(port, tokens[n % len(tokens)], n, message, 100) for n in range(20)))


async def uploads(port: int, *tokens: str) -> None:
    """16 uploads of 32 MiB that never end; those that are refused begin again."""
    size = 32 << 20

    async def upload(token: str) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(
                    f"POST /v1/sessions/evil/blobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
                    f"Content-Length: {size}\r\n\r\n".encode()
                )
                for _ in range(31):
                    writer.write(b"x" * (1 << 20))
                    await writer.drain()
                await reader.readuntil(b"\r\n\r\n")
                writer.transport.abort()
            await asyncio.sleep(0.5)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        headers = {"authorization": f"Bearer {tokens[0]}"}
        await http.post("/v1/sessions", json={"session": "evil"}, headers=headers)
    await asyncio.gather(*(upload(tokens[n % len(tokens)]) for n in range(16)))


async def downloads(port: int, *tokens: str) -> None:
    """Blobs of 32 MiB, asked for over and over and taken slowly."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
        headers = {"authorization": f"Bearer {tokens[0]}"}
        await http.post("/v1/sessions", json={"session": "evil"}, headers=headers)
        blob = (await http.post("/v1/sessions/evil/blobs", content=bytes(32 << 20), headers=headers)).json()["blob"]

    async def download(token: str) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4_096)
                head = f"GET /v1/sessions/evil/blobs/{blob} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
                writer.write(head.encode())
                for _ in range(100):
                    if not await reader.read(4_096):
                        break
                    await asyncio.sleep(0.05)
                writer.transport.abort()
            await asyncio.sleep(0.1)

    await asyncio.gather(*(download(tokens[n % len(tokens)]) for n in range(60)))


async def searches(port: int, *tokens: str) -> None:
    """Lists and searches, as many as are answered."""

    async def search(token: str) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
            headers = {"authorization": f"Bearer {token}"}
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    await http.get("/v1/sessions", params={"search": "a b c d e f", "limit": 100}, headers=headers)

    await asyncio.gather(*(search(tokens[n % len(tokens)]) for n in range(20)))


async def unfinished_strangers(port: int, *_: str) -> None:
    """1,500 without a token, each with an unfinished message of a mebibyte and an unfinished frame."""
    begun = frame(b"x" * 900_000, first=0x01) + b"\x00\xff" + (140_000).to_bytes(8, "big") + bytes(4) + b"x" * 139_000

    async def stranger() -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await line(port)
                writer.write(begun)
                await asyncio.wait_for(reader.read(-1), 30)
                writer.transport.abort()
            await asyncio.sleep(1)

    await asyncio.gather(*(stranger() for _ in range(1_500)))


async def silent_strangers(port: int, *_: str) -> None:
    """10,000 connections that say nothing; whoever is dropped comes back."""

    async def stranger(number: int) -> None:
        await asyncio.sleep(number / 2_500)
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await line(port) if number % 2 else await asyncio.open_connection("127.0.0.1", port)
                await asyncio.wait_for(reader.read(-1), 60)
                writer.transport.abort()
            await asyncio.sleep(5)

    await asyncio.gather(*(stranger(number) for number in range(10_000)))


KINDS: dict[str, Callable[..., Awaitable[None]]] = {
    "deep appends": deep_appends, "long presence": long_presence, "subscriptions": subscriptions,
    "unfinished uploads": uploads, "slow downloads": downloads, "searches": searches,
    "unfinished strangers": unfinished_strangers, "silent strangers": silent_strangers,
}  # fmt: skip

if __name__ == "__main__":
    asyncio.run(KINDS[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:]))  # type: ignore[arg-type]
