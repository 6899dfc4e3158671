"""The fixture itself: a fault that is planted must strike every time, or an audit of it proves nothing."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from tests.audit.chat_server import ChatServer

pytestmark = pytest.mark.anyio


async def ask_and_reset(server: ChatServer, chat: str, after_s: float) -> None:
    """Ask, take a little of the answer, and reset the line at some moment between two of the server's writes."""
    loop = asyncio.get_running_loop()
    with socket.socket() as line:
        line.setblocking(False)
        await loop.sock_connect(line, ("127.0.0.1", server.port))
        body = b'{"chat":"%b","text":"one"}' % chat.encode()
        await loop.sock_sendall(line, b"POST /ask HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await loop.sock_recv(line, 6_000)
        await asyncio.sleep(after_s)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_a_reset_is_known_for_one_whether_a_read_or_a_write_is_told_first() -> None:
    async with ChatServer("a reset cancels").running() as server:
        chats = [f"c{number}" for number in range(120)]
        await asyncio.gather(*(ask_and_reset(server, chat, 0.001 * n) for n, chat in enumerate(chats)))
        for chat in chats:
            running = server.chats[chat].running
            assert running is not None
            await asyncio.wait_for(running, 30)
        ends = [server.chats[chat].log[-1]["how"] for chat in chats]
    assert ends == ["stopped"] * len(chats)
