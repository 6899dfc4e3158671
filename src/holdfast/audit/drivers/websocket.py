"""Endpoints over a WebSocket (RFC 6455): a recipe says which messages to send for each verb."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import picows

from holdfast.audit.budget import ProbeBudget, check_host, host_of
from holdfast.audit.clients import Chat, NameUnknown, Tab, fresh
from holdfast.audit.drivers.http import refuse_stream, trust
from holdfast.audit.endpoint import Endpoint, Receipt
from holdfast.audit.parsing import ParsedMessage, StreamParser, parse_message
from holdfast.audit.recipe import Recipe, RecipeCall, Verb
from holdfast.audit.stream import ClientStream
from holdfast.audit.transcript import Piece, StreamEnd, Transcript
from holdfast.audit.values import fill
from holdfast.client.websocket import connect_socket
from holdfast.errors import Refused

SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


class _Listener(picows.WSListener):
    """Joins frames to whole messages; reports how the connection ended."""

    def __init__(self, arrived: Callable[[bytes], None], lost: Callable[[StreamEnd], None]) -> None:
        self._arrived, self._lost = arrived, lost
        self._parts: list[bytes] = []
        self._end = StreamEnd("cut", "the connection broke without a close frame")

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is picows.WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            code = int.from_bytes(payload[:2]) or 1005
            reason = payload[2:].decode("utf-8", "replace")
            self._end = StreamEnd("closed", f"close code {code} {reason}".strip(), code)
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
        budget: ProbeBudget,
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
    async def ask(self, tab: Tab, chat: Chat, prompt: str, on: ClientStream | None = None) -> ClientStream:
        names = self.template_names(tab, chat, prompt=prompt, text=prompt, message=fresh())
        stream = on if on is not None and on.closed is None else await self._open(tab, chat, names, Transcript())
        for call in self.recipe.ask:
            await self._send(stream, call, names)
        return stream

    async def resume(self, tab: Tab, chat: Chat, after: ClientStream) -> ClientStream:
        call = self.recipe.resume
        assert call is not None
        page = after.transcript.copy() if call.gives == "rest" else Transcript()
        stream = await self._follow(call, tab, chat, page, after.cursor)
        stream.cursor = stream.cursor or after.cursor
        return stream

    async def join(self, tab: Tab, chat: Chat) -> ClientStream:
        call = self.recipe.join
        assert call is not None
        return await self._follow(call, tab, chat, Transcript(), "")

    async def _follow(self, call: RecipeCall, tab: Tab, chat: Chat, page: Transcript, cursor: str) -> ClientStream:
        """A connection on which an id may be needed."""
        try:
            names = await self.resolve_names(call, tab, chat, cursor=cursor, message=fresh())
        except NameUnknown as error:
            return refuse_stream(ClientStream(self.budget, page), error)
        return await self._send(await self._open(tab, chat, names, page), call, names)

    async def history(self, tab: Tab, chat: Chat) -> Transcript | None:
        call = self.recipe.history
        assert call is not None
        stream = await self._follow(call, tab, chat, Transcript(), "")
        await stream.until(lambda page: bool(page.entries), 2.0)
        await stream.close()
        return stream.transcript if stream.transcript.entries else None

    async def command(
        self, verb: Verb, tab: Tab, chat: Chat, names: dict[str, str], on: ClientStream | None = None
    ) -> Receipt:
        call = self.recipe.call(verb)
        assert call is not None
        try:
            filled = await self.resolve_names(call, tab, chat, **{"message": fresh(), **names})
        except NameUnknown as error:
            if not error.known_to_others:
                raise
            return Receipt(False, str(error))
        stream = on if on is not None and on.closed is None else await self._open(tab, chat, filled, Transcript())
        await self._send(stream, call, {**filled, **stream.names})
        if stream.closed is not None and not stream.closed.marked:
            return Receipt(False, f"{stream.closed.word} {stream.closed.detail}", stream.closed.status)
        return Receipt(True, "sent; this protocol has no receipts")

    # --- the connection
    def template_names(self, tab: Tab, chat: Chat, **more: str) -> dict[str, str]:
        return super().template_names(tab, chat, base=self._parts.path.rstrip("/"), **more)

    async def _send(self, stream: ClientStream, call: RecipeCall, names: dict[str, str]) -> ClientStream:
        for message in call.send:
            if stream.send is not None and stream.closed is None:
                await stream.send(fill(message, names))
        return stream

    def target(self, names: dict[str, str]) -> str:
        """The address of the connection."""
        base = self._parts.geturl()
        return urljoin(base, str(fill(self.recipe.path, names))) if self.recipe.path else base

    async def _open(self, tab: Tab, chat: Chat, names: dict[str, str], page: Transcript) -> ClientStream:
        self.budget.spend()
        url = self.target(names)
        check_host(url, self.hosts)
        stream = ClientStream(self.budget, page)
        reader = StreamParser(self.recipe.read, self.captures(tab, chat, stream.names))
        stream.reader = reader if self.recipe.read else None
        over = asyncio.Event()
        transports: list[picows.WSTransport] = []

        def arrived(data: bytes) -> None:
            if not stream.received(data):
                over.set()
                return
            for message in self.incoming(data, stream):
                if not self.recipe.read:
                    stream.piece(Piece("text", text=message.raw))
                for piece in reader.parse(message) if self.recipe.read else ():
                    stream.piece(piece)
            stream.cursor = reader.cursor or stream.cursor

        def lost(end: StreamEnd) -> None:
            stream.end(end)
            over.set()

        async def work() -> None:
            try:
                await over.wait()
            finally:
                for open_transport in transports:
                    open_transport.disconnect()

        async def close() -> None:
            for open_transport in transports:
                open_transport.send_close(picows.WSCloseCode.OK)
                open_transport.disconnect()

        async def connect(_: object) -> Any:
            return await connect_socket("127.0.0.1", tab.proxy.port)

        try:
            transport, _ = await picows.ws_connect(
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
            stream.end(StreamEnd("cut", f"{type(error).__name__}: {error}"))
            return stream
        transports.append(transport)
        stream.head = f"WebSocket {urlsplit(url).path}"
        self._set_sender(stream, transport)
        stream.run(work(), close)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.budget.within(self.budget.first_s)):
                await self.greet(stream, names)
        return stream

    def _set_sender(self, stream: ClientStream, transport: picows.WSTransport) -> None:
        async def send(message: object) -> None:
            if not transport.is_disconnected:
                transport.send(picows.WSMsgType.TEXT, self.encoded(message))

        stream.send = send

    # --- what a protocol on top changes
    def encoded(self, message: object) -> bytes:
        """A message as it goes on the wire: text as it is, anything else as JSON."""
        return message.encode() if isinstance(message, str) else msgspec.json.encode(message)

    def incoming(self, data: bytes, stream: ClientStream) -> Iterator[ParsedMessage]:
        """The messages in one WebSocket message."""
        yield parse_message(data.decode("utf-8", "replace"))

    async def greet(self, stream: ClientStream, names: dict[str, str]) -> None:
        """Send what is sent first on every connection."""
        for message in self.recipe.connect:
            if stream.send is not None:
                await stream.send(fill(message, names))


def _refusal(error: picows.WSHandshakeError) -> StreamEnd:
    status = int(error.response.status) if error.response is not None else 0
    if 300 <= status < 400:
        return StreamEnd("redirect", f"HTTP {status}; not followed", status)
    return StreamEnd("refused", f"HTTP {status} instead of a WebSocket", status)
