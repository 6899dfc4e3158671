"""The load of the gateway benchmark: ``python -m benchmarks.gateways.load`` is given plans, one JSON object a line, and
answers each with a line of figures.

A number of connections, each with one request of Chat Completions after another, for a number of streams or of seconds.
A stream counts when it has every token, usage and its end; anything else is an error, and the first of them is told. The
first token has come when a chunk with visible text is here: not with the response's head, nor with the chunk of the role.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from typing import cast

import msgspec
import uvloop

_TOKEN = re.compile(rb'"content": ?"[^"]')
_STALLED_S = 20.0
_TIMED = 1_000
_CHUNKED, _LAST = -1, b"0\r\n\r\n"


class Plan(msgspec.Struct):
    """What to do. ``seconds`` and ``streams``: whichever comes first ends it. ``text``: what the user says."""

    host: str
    port: int
    path: str
    headers: dict[str, str]
    model: str = "gpt-4o"
    text: str = "Tell me something."
    tokens: int = 20
    connections: int = 1
    seconds: float = 60.0
    streams: int = 1_000_000

    def request(self) -> bytes:
        """The whole request."""
        body = msgspec.json.encode(
            {
                "model": self.model,
                "stream": True,
                "stream_options": {"include_usage": True},
                "messages": [{"role": "user", "content": self.text}],
            }
        )
        fields = {"host": f"{self.host}:{self.port}", "content-type": "application/json", **self.headers}
        fields["content-length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body


class Figures(msgspec.Struct):
    """What came of whole streams: how many, in how many seconds, and milliseconds to the first tokens of some of them."""

    streams: int = 0
    errors: int = 0
    first_error: str = ""
    seconds: float = 0.0
    first_ms: list[float] = []

    @property
    def per_s(self) -> float:
        """Whole streams a second."""
        return self.streams / self.seconds if self.seconds else 0.0


class Run:
    """One measurement. All connections take from it until it is over."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.request = plan.request()
        self._figures = Figures()
        self._begun = 0
        self._ends = time.perf_counter() + plan.seconds

    def take(self) -> bool:
        """Whether there is another stream to make."""
        if self._begun >= self.plan.streams or time.perf_counter() >= self._ends:
            return False
        self._begun += 1
        return True

    def check(self, answer: bytes, complete: bool, first_ms: float) -> None:
        """Count an answer."""
        whole = complete and answer.startswith(b"HTTP/1.1 200") and b"[DONE]" in answer and b'"total_tokens"' in answer
        if whole and len(_TOKEN.findall(answer)) == self.plan.tokens:
            self._figures.streams += 1
            if len(self._figures.first_ms) < _TIMED:
                self._figures.first_ms.append(first_ms)
            return
        self._figures.errors += 1
        if not self._figures.first_error:
            self._figures.first_error = answer[:300].decode(errors="replace") or "the connection was closed"

    def result(self, seconds: float) -> Figures:
        """All that came."""
        self._figures.seconds = seconds
        return self._figures


class Connection(asyncio.Protocol):
    """One connection; ``done`` is set when its answer is here, or the connection is lost."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._answer = bytearray()
        self._began = self._first = 0.0
        self._size: int | None = None
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self) -> None:
        """Make the next request."""
        self._answer.clear()
        self._first, self._size = 0.0, None
        self.done = asyncio.get_running_loop().create_future()
        self._began = time.perf_counter()
        self.transport.write(self._run.request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._first and _TOKEN.search(self._answer):
            self._first = time.perf_counter()
        if self._size is None:
            self._size = _size(self._answer)
        if (
            data.endswith(_LAST)
            if self._size == _CHUNKED
            else self._size is not None and len(self._answer) >= self._size
        ):
            self._settle(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(False)

    def answered(self, complete: bool) -> None:
        """Count what came."""
        self._run.check(bytes(self._answer), complete, (self._first - self._began) * 1000)

    def _settle(self, complete: bool) -> None:
        if not self.done.done():
            self.done.set_result(complete)


def _size(answer: bytearray) -> int | None:
    """Bytes of the whole answer, or that it is chunked; None while that is not known."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = re.search(rb"\ncontent-length: *(\d+)", answer[:end].lower())
    return end + 4 + int(length[1]) if length else _CHUNKED


async def measure(plan: Plan) -> Figures:
    """Do as planned."""
    run, began = Run(plan), time.perf_counter()
    await asyncio.gather(*(_streams(run) for _ in range(plan.connections)))
    return run.result(time.perf_counter() - began)


async def _streams(run: Run) -> None:
    connection: Connection | None = None
    while run.take():
        if connection is None or connection.transport.is_closing():
            make = asyncio.get_running_loop().create_connection(lambda: Connection(run), run.plan.host, run.plan.port)
            connection = (await make)[1]
        connection.send()
        try:
            async with asyncio.timeout(_STALLED_S):
                complete = await connection.done
        except TimeoutError:
            complete = False
        connection.answered(complete)
        if not complete:
            connection.transport.abort()
            connection = None
    if connection is not None:
        connection.transport.abort()


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(msgspec.json.encode(uvloop.run(measure(msgspec.json.decode(line, type=Plan)))).decode() + "\n")
        sys.stdout.flush()
