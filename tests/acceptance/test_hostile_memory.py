"""A flood of everything bad against a real server process: it answers afterwards, and has not grown."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from holdfast.edge import auth

pytestmark = [pytest.mark.anyio, pytest.mark.process]

GROWTH_BYTES = 48 << 20
GARBAGE = (
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 15_000,
    b"GET /" + b"a" * 60_000,
    b"\x16\x03\x01" + b"\x00" * 30_000,
    b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n" + b"x" * 100_000,
    b"GET /v1/connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    + b"\x81\xff"
    + b"\xff" * 20_000,
)


async def wave(port: int, connections: int) -> None:
    """Open many, say something bad on each, and leave without a word."""
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]
    for i, (_, writer) in enumerate(lines):
        writer.write(GARBAGE[i % len(GARBAGE)])
    await asyncio.sleep(0.3)
    for _, writer in lines:
        writer.transport.abort()
    await asyncio.sleep(0.1)


async def test_a_flood_leaves_no_trace(tmp_path: Path) -> None:
    db = str(tmp_path / "x.db")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "holdfast.cli", "serve", "--db", db, "--port", "0", stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "HOLDFAST_DRAIN_S": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        port = int(ready.strip().rsplit(":", 1)[1])
        secret = auth.read_secret(db)
        assert secret is not None
        bearer = {"authorization": f"Bearer {auth.mint(secret, subject='user:ann')}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=bearer, trust_env=False) as http:
            assert (await http.post("/v1/sessions", json={"session": "s1"})).status_code == 201
            await wave(port, 100)  # what the first of each costs is not growth
            before = psutil.Process(process.pid).memory_info().rss
            for _ in range(8):
                await wave(port, 100)
            for _ in range(100):
                assert (await http.post("/v1/sessions/s1/messages", content=b"x" * 500_000)).status_code == 400
            after = psutil.Process(process.pid).memory_info().rss
            assert after - before < GROWTH_BYTES, f"{(after - before) >> 20} MiB"
            assert (await http.post("/v1/sessions/s1/messages", json={"text": "x"})).status_code == 201
        assert len(psutil.Process(process.pid).net_connections()) <= 2, "connections were left open"
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
