"""A process of several callers: for each line of its input each of them makes one call, and reports what came of it.

A line is ``KEY ROUND SEED URL…``; what is printed is ``call ROUND ID TOKENS STATUS SEEN`` for each call and ``done ROUND`` at
the end. ``TOKENS`` is what the call would have had answered. Some leave in the middle; nobody tries again.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from urllib.parse import urlsplit

CALLERS = 4
GAP_MS = 2
_SHORT, _LONG = (5, 120), (400, 900)


async def call(key: str, number: str, rng: random.Random, url: str) -> str:
    """One call over a connection of its own; the line that says what came of it."""
    tokens = rng.randint(*(_LONG if rng.random() < 0.25 else _SHORT))
    leaves = rng.random() < 0.1
    where = urlsplit(url)
    words = f"round {number} [[fake tokens={tokens} gap={GAP_MS} tight=1]] " + "x" * rng.randint(0, 400)
    body = json.dumps({"model": "gpt-5-mini", "stream": True, "messages": [{"role": "user", "content": words}]})
    ident, status, seen = "-", 0, 0
    try:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            writer.write(
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: {where.netloc}\r\nauthorization: Bearer {key}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
            )
            status = int((await reader.readline()).split()[1])
            while (line := await reader.readline()).strip():
                name, _, value = line.decode().partition(":")
                ident = value.strip() if name.lower() in ("x-holdfast-call", "x-request-id") else ident
            while data := await reader.read(1 << 14):
                seen += data.count(b'"content":"')
                if leaves and seen > tokens // 2:
                    break
        finally:
            writer.close()
    except (OSError, ValueError, IndexError):
        pass  # the gateway was killed
    return f"call {number} {ident} {tokens} {status} {seen}"


async def main() -> None:
    """Until the input ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        key, number, seed, *urls = line.split()
        rngs = [random.Random(f"{seed}/{n}") for n in range(CALLERS)]
        done = await asyncio.gather(*(call(key, number, rng, rng.choice(urls)) for rng in rngs))
        sys.stdout.write("\n".join([*done, f"done {number}", ""]))
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
