"""Endpoints over a WebSocket (RFC 6455): a recipe says which messages to send for each verb."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import picows

from holdfast.audit.budget import Budget, check_host, host_of
from holdfast.audit.drivers.http import trust, untold
from holdfast.audit.endpoint import Endpoint, Receipt
from holdfast.audit.knowledge import Chat, Tab, Untold, fresh
from holdfast.audit.reading import Message, Reader, parsed
from holdfast.audit.recipe import Call, Recipe, Verb
from holdfast.audit.stream import Stream
from holdfast.audit.transcript import End, Piece, Transcript
from holdfast.audit.values import fill
from holdfast.client.websocket import connect_socket
from holdfast.errors import Refused

SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


class _Listener(picows.WSListener):
    """Puts whole messages together; tells how the connection ended."""

    def __init__(self, arrived: Callable[[bytes], None], lost: Callable[[End], None]) -> None:
        self._arrived, self._lost = arrived, lost
        self._parts: list[bytes] = []
        self._end = End("cut", "the connection broke without a close frame")

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is picows.WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            code = int.from_bytes(payload[:2]) or 1005
            told = payload[2:].decode("utf-8", "replace")
            self._end = End("closed", f"close code {code} {told}".strip(), code)
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type in (picows.WSMsgType.TEXT, picows.WSMsgType.BINARY, picows.WSMsgType.CONTINUATION):
            self._parts.append(frame.get_payload_as_bytes())
            if frame.fin:
                whole, self._parts = b"".join(self._parts), []
                self._arrived(whole)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self._lost(self._end)


class WebSocketEndpoint(Endpoint):
    """An endpoint that a recipe with ``transport: websocket`` describes.

    Args:
        url: ``ws(s)://`` or ``http(s)://``. headers: sent with every handshake. hosts: the only hosts it may speak to.
    """

    def __init__(
        self,
        url: str,
        recipe: Recipe,
        budget: Budget,
        headers: dict[str, str] | None = None,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(url, recipe, budget)
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise Refused("config.invalid", f"{url!r:.100}: expected ws(s)://host[:port]/path")
        self._parts = parts._replace(scheme=SCHEMES[parts.scheme])
        self.headers = headers or {}
        self.hosts = hosts | {host_of(url)}

    @property
    def address(self) -> tuple[str, int]:
        return self._parts.hostname or "", self._parts.port or (443 if self._parts.scheme == "wss" else 80)

    # --- verbs
    async def ask(self, tab: Tab, chat: Chat, prompt: str, on: Stream | None = None) -> Stream:
        names = self.known(tab, chat, prompt=prompt, text=prompt, message=fresh())
        stream = on if on is not None and on.closed is None else await self._open(tab, chat, names, Transcript())
        for call in self.recipe.ask:
            await self._send(stream, call, names)
        return stream

    async def resume(self, tab: Tab, chat: Chat, after: Stream) -> Stream:
        call = self.recipe.resume
        assert call is not None
        kept = after.transcript.copy() if call.gives == "rest" else Transcript()
        stream = await self._follow(call, tab, chat, kept, after.cursor)
        stream.cursor = stream.cursor or after.cursor
        return stream

    async def join(self, tab: Tab, chat: Chat) -> Stream:
        call = self.recipe.join
        assert call is not None
        return await self._follow(call, tab, chat, Transcript(), "")

    async def _follow(self, call: Call, tab: Tab, chat: Chat, page: Transcript, cursor: str) -> Stream:
        """A connection on which an id may be needed."""
        try:
            names = await self.knowing(call, tab, chat, cursor=cursor, message=fresh())
        except Untold as why:
            return untold(Stream(self.budget, page), why)
        return await self._send(await self._open(tab, chat, names, page), call, names)

    async def history(self, tab: Tab, chat: Chat) -> Transcript | None:
        call = self.recipe.history
        assert call is not None
        stream = await self._follow(call, tab, chat, Transcript(), "")
        await stream.until(lambda page: bool(page.entries), 2.0)
        await stream.close()
        return stream.transcript if stream.transcript.entries else None

    async def command(
        self, verb: Verb, tab: Tab, chat: Chat, names: dict[str, str], on: Stream | None = None
    ) -> Receipt:
        call = self.recipe.call(verb)
        assert call is not None
        try:
            known = await self.knowing(call, tab, chat, **{"message": fresh(), **names})
        except Untold as why:
            if not why.somebody:
                raise
            return Receipt(False, str(why))
        stream = on if on is not None and on.closed is None else await self._open(tab, chat, known, Transcript())
        await self._send(stream, call, {**known, **stream.names})
        if stream.closed is not None and not stream.closed.said:
            return Receipt(False, f"{stream.closed.word} {stream.closed.detail}", stream.closed.status)
        return Receipt(True, "sent; this protocol has no receipts")

    # --- the connection
    def known(self, tab: Tab, chat: Chat, **more: str) -> dict[str, str]:
        return super().known(tab, chat, base=self._parts.path.rstrip("/"), **more)

    async def _send(self, stream: Stream, call: Call, names: dict[str, str]) -> Stream:
        for message in call.send:
            if stream.send is not None and stream.closed is None:
                await stream.send(fill(message, names))
        return stream

    def target(self, names: dict[str, str]) -> str:
        """The address of the connection."""
        base = self._parts.geturl()
        return urljoin(base, str(fill(self.recipe.path, names))) if self.recipe.path else base

    async def _open(self, tab: Tab, chat: Chat, names: dict[str, str], page: Transcript) -> Stream:
        self.budget.spend()
        url = self.target(names)
        check_host(url, self.hosts)
        stream = Stream(self.budget, page)
        reader = Reader(self.recipe.read, self.learner(tab, chat, stream.names))
        stream.reader = reader if self.recipe.read else None
        over = asyncio.Event()
        ways: list[picows.WSTransport] = []

        def arrived(data: bytes) -> None:
            if not stream.received(data):
                over.set()
                return
            for message in self.incoming(data, stream):
                if not self.recipe.read:
                    stream.piece(Piece("text", text=message.raw))
                for piece in reader.read(message) if self.recipe.read else ():
                    stream.piece(piece)
            stream.cursor = reader.cursor or stream.cursor

        def lost(end: End) -> None:
            stream.end(end)
            over.set()

        async def work() -> None:
            try:
                await over.wait()
            finally:
                for way in ways:
                    way.disconnect()

        async def close() -> None:
            for way in ways:
                way.send_close(picows.WSCloseCode.OK)
                way.disconnect()

        async def connect(_: object) -> Any:
            return await connect_socket("127.0.0.1", tab.proxy.port)

        try:
            way, _ = await picows.ws_connect(
                lambda: _Listener(arrived, lost),
                url,
                ssl_context=trust() if self._parts.scheme == "wss" else None,
                websocket_handshake_timeout=self.budget.within(self.budget.first_s),
                max_frame_size=self.budget.stream_bytes,
                extra_headers=[*{**self.headers, **tab.headers}.items()],
                max_redirects=0,
                socket_factory=connect,
            )
        except picows.WSHandshakeError as error:
            stream.end(_refusal(error))
            return stream
        except (OSError, TimeoutError) as error:
            stream.end(End("cut", f"{type(error).__name__}: {error}"))
            return stream
        ways.append(way)
        stream.head = f"WebSocket {urlsplit(url).path}"
        self._outgoing(stream, way)
        stream.run(work(), close)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.budget.within(self.budget.first_s)):
                await self.greet(stream, names)
        return stream

    def _outgoing(self, stream: Stream, way: picows.WSTransport) -> None:
        async def send(message: object) -> None:
            if not way.is_disconnected:
                way.send(picows.WSMsgType.TEXT, self.encoded(message))

        stream.send = send

    # --- what a protocol on top changes
    def encoded(self, message: object) -> bytes:
        """A message as it goes on the wire: text as it is, anything else as JSON."""
        return message.encode() if isinstance(message, str) else msgspec.json.encode(message)

    def incoming(self, data: bytes, stream: Stream) -> Iterator[Message]:
        """The messages in one WebSocket message."""
        yield parsed(data.decode("utf-8", "replace"))

    async def greet(self, stream: Stream, names: dict[str, str]) -> None:
        """What is said first on every connection."""
        for message in self.recipe.connect:
            if stream.send is not None:
                await stream.send(fill(message, names))


def _refusal(error: picows.WSHandshakeError) -> End:
    status = int(error.response.status) if error.response is not None else 0
    if 300 <= status < 400:
        return End("redirect", f"HTTP {status}; not followed", status)
    return End("refused", f"HTTP {status} instead of a WebSocket", status)
