"""The providers' server: several providers behind one port of this machine, each below its own path, with keys of their own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Final, cast

import httptools
import msgspec

from holdfast.company.provider import anthropic_wire, openai_wire
from holdfast.company.provider.answers import CHUNK, ModelQuestion, PrefixCache, Reply, answer, billed_as
from holdfast.company.provider.books import Books, Used

_DIALECTS: Final[dict[str, ModuleType]] = {"/chat/completions": openai_wire, "/v1/messages": anthropic_wire}
_STALL_S: Final = 5.0
"""A stream that stands ends after this, whoever waits: nothing may hang for ever."""
AHEAD: Final = 4
"""How many chunks more a model has generated than its caller has read when that one leaves; they are billed."""


class Outage(msgspec.Struct, frozen=True):
    """A provider refuses: ``key`` of whose requests, Unix ms between which, ``one_in`` so many, with which status."""

    key: str
    since_ms: int
    until_ms: int
    status: int = 503
    one_in: int = 1


class Replacement(msgspec.Struct, frozen=True):
    """What an alias of a provider serves from a moment on, Unix ms."""

    alias: str
    model: str
    since_ms: int


class Providers:
    """What the server knows.

    Args:
        keys: secret of a key → ``(provider, name of the key)``.
        now_ms: the simulation's time.
    """

    def __init__(
        self, keys: Mapping[str, tuple[str, str]], now_ms: Callable[[], int], outages: Sequence[Outage] = (),
        replacements: Sequence[Replacement] = (),
    ) -> None:  # fmt: skip
        self.keys = dict(keys)
        self.books = Books()
        self.cache = PrefixCache()
        self.refused: dict[str, int] = {}
        self._now_ms = now_ms
        self._outages = tuple(outages)
        self._replacements = sorted(replacements, key=lambda one: one.since_ms)
        self._requests: dict[str, int] = {}

    def serving(self, model: str, at_ms: int) -> str:
        """The model behind a name."""
        found = [one.model for one in self._replacements if one.alias == model and one.since_ms <= at_ms]
        return found[-1] if found else model

    def outage(self, key: str, at_ms: int) -> int:
        """The status with which a request is refused now; 0 when it is not."""
        number = self._requests[key] = self._requests.get(key, 0) + 1
        for one in self._outages:
            if one.key == key and one.since_ms <= at_ms < one.until_ms and number % one.one_in == 0:
                self.refused[key] = self.refused.get(key, 0) + 1
                return one.status
        return 0

    def serve(self, wire: ModuleType, question: ModelQuestion) -> tuple[Reply, str, int]:
        """An answer, the model that serves it, and when it was asked. What it is billed for is booked when it is given."""
        at_ms = self._now_ms()
        model = self.serving(question.model, at_ms)
        return answer(question, self.cache, at_ms), model, at_ms

    def book(
        self, question: ModelQuestion, model: str, at_ms: int, counts: Mapping[str, int], *, cut: bool = False
    ) -> None:
        """Count a request."""
        self.books.add(Used(at_ms, question.provider, question.key, model, billed_as(dict(counts)), cut))

    def now_ms(self) -> int:
        """The simulation's time."""
        return self._now_ms()

    async def listen(self) -> tuple[asyncio.Server, str]:
        """Serve on a free port; the server and its address."""
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=512)
        return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class _Connection(asyncio.Protocol):
    """One connection: its requests are answered one after another."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[str, dict[str, str], bytes]] = deque()
        self._standing: asyncio.TimerHandle | None = None
        self._left: Callable[[], None] | None = None

    # --- of asyncio
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._left is not None:
            left, self._left = self._left, None
            left()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    # --- of httptools
    def on_message_begin(self) -> None:
        self._url, self._parts = b"", list[bytes]()
        self._headers: dict[str, str] = {}

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self._waiting.append((self._url.decode("latin-1"), self._headers, b"".join(self._parts)))
        while self._waiting and self._left is None:
            self._answer(*self._waiting.popleft())

    # --- answering
    def _answer(self, path: str, headers: dict[str, str], raw: bytes) -> None:
        secret = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        sender = self._providers.keys.get(secret)
        wire = next((module for end, module in _DIALECTS.items() if path.endswith(end)), openai_wire)
        if sender is None:
            return self._reply(401, wire.failure(401))
        provider, key = sender
        try:
            body = msgspec.json.decode(raw)
            if status := self._providers.outage(key, self._providers.now_ms()):
                return self._reply(status, wire.failure(status))
            if path.endswith("/embeddings"):
                return self._embed(body, provider, key)
            question = wire.read(body, provider, key)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            return self._reply(400, wire.failure(400))
        reply, model, at_ms = self._providers.serve(wire, question)
        if not question.stream:
            self._providers.book(question, model, at_ms, reply.counts)
            return self._reply(200, wire.whole(reply, model))
        events = wire.stream(reply, model)
        self._transport.write(_HEAD)
        if stall := question.hints.get("stall"):
            return self._stand(question, model, at_ms, reply, events, stall)
        if pace := question.hints.get("pace"):
            return self._pace(question, model, at_ms, reply, events, pace / 1_000)
        self._providers.book(question, model, at_ms, reply.counts)
        return self._transport.write(_chunked(b"".join(events)) + _LAST)

    def _stand(
        self, question: ModelQuestion, model: str, at_ms: int, reply: Reply, events: Iterator[bytes], stall: int
    ) -> None:
        """Say a part of an answer, and stand until the caller leaves."""
        chunks = max(1, stall // CHUNK)
        beginning = b"".join(next(events) for _ in range(chunks + 2))
        self._transport.write(_chunked(beginning))
        generated = min(reply.counts["output"], (chunks + AHEAD) * CHUNK)

        def left() -> None:
            if self._standing is not None:
                self._standing.cancel()
            self._providers.book(question, model, at_ms, {**reply.counts, "output": generated}, cut=True)

        self._left = left
        self._standing = asyncio.get_running_loop().call_later(_STALL_S, self._transport.abort)

    def _pace(
        self, question: ModelQuestion, model: str, at_ms: int, reply: Reply, events: Iterator[bytes], pause_s: float
    ) -> None:
        """Say an answer as slowly as people read; whoever leaves before its end is billed for what was generated."""
        loop, count = asyncio.get_running_loop(), 0

        def left() -> None:
            if self._standing is not None:
                self._standing.cancel()
            generated = min(reply.counts["output"], (count + AHEAD) * CHUNK)
            self._providers.book(question, model, at_ms, {**reply.counts, "output": generated}, cut=True)

        def go_on() -> None:
            nonlocal count
            event = next(events, None)
            if event is not None:
                count += 1
                self._transport.write(_chunked(event))
                self._standing = loop.call_later(pause_s, go_on)
                return
            self._left = self._standing = None
            self._providers.book(question, model, at_ms, reply.counts)
            self._transport.write(_LAST)
            while self._waiting and self._left is None:
                self._answer(*self._waiting.popleft())

        self._left = left
        go_on()

    def _embed(self, body: dict[str, Any], provider: str, key: str) -> None:
        raw, counts = openai_wire.embeddings(body, body["model"])
        question = ModelQuestion(provider, key, body["model"], ())
        self._providers.book(question, body["model"], self._providers.now_ms(), counts)
        self._reply(200, raw)

    def _reply(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Refused'}\r\ncontent-type: application/json\r\n"
        self._transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_LAST: Final = b"0\r\n\r\n"


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
