"""The server's side of the SDK's ``WebSocketChatTransport`` (``ai`` 7; ``ai/src/ui/websocket-chat-transport.ts``).

Browsers cannot give a WebSocket headers, but the transport puts its ``headers`` option into every ``send`` and
``resume`` frame: the token comes there, in the first frame within the time for a hello, and a newer one with any later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

import msgspec

from holdfast.edge.dialects.ai_sdk.answer import Answer
from holdfast.edge.dialects.ai_sdk.commands import ChatCommands
from holdfast.edge.dialects.ai_sdk.request import TOOLS_HEADER, ChatRequest, parse_tools
from holdfast.edge.listener import CLOSE_CODES, Listener, ServerConnection, SocketKind, SocketTransport
from holdfast.edge.local_subscription import LocalSubscription
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.hub.port import Batch
from holdfast.protocol import codec, limits, wire
from holdfast.protocol.codec import encode

RESUME_GRACE_S: Final = 0.5
"""A ``resume`` that gives way to another one is aborted by the SDK as a stopped one is: a while tells them apart."""


class _Frame(msgspec.Struct, tag_field="type", kw_only=True):
    requestId: wire.Label  # bounded: every chunk of the answer carries it


class SendFrame(_Frame, tag="send", kw_only=True):
    """A new turn, or one regenerated. Further fields are of ``ChatRequest``."""

    id: str
    headers: dict[str, str] = {}


class ResumeFrame(_Frame, tag="resume", kw_only=True):
    """The answer of a chat again. The SDK leaves ``lastSequence`` out: it wants all of it."""

    id: str
    headers: dict[str, str] = {}
    lastSequence: int | None = None


class AbortFrame(_Frame, tag="abort", kw_only=True):
    """Stop what a request began."""


_FRAME: Final = msgspec.json.Decoder(SendFrame | ResumeFrame | AbortFrame)
_CHAT_REQUEST: Final = msgspec.json.Decoder(ChatRequest)


class _RequestId(msgspec.Struct):
    requestId: wire.Label


_REQUEST_ID: Final = msgspec.json.Decoder(_RequestId)


class Exchange:
    """One request of the client and the stream that answers it.

    Attributes:
        run: what an abort of it stops; None until it is known.
        aborted: it was aborted before that.
    """

    def __init__(self, frame: SendFrame | ResumeFrame) -> None:
        self.ident = frame.requestId
        self.chat = frame.id
        self.tools = parse_tools(frame.headers.get(TOOLS_HEADER))
        self.is_resume = isinstance(frame, ResumeFrame)
        self.after = frame.lastSequence if isinstance(frame, ResumeFrame) and frame.lastSequence is not None else -1
        self.subscription: LocalSubscription | None = None
        self.run: str | None = None
        self.aborted = False
        self.stop_timer: asyncio.TimerHandle | None = None


class _MutedTransport:
    """The transport without what the hub itself writes, which is of another protocol; sessions are read beside it."""

    def __init__(self, transport: SocketTransport) -> None:
        self.close, self.abort = transport.close, transport.abort
        self.pause_reading, self.resume_reading, self.unsent = (
            transport.pause_reading,
            transport.resume_reading,
            transport.unsent,
        )

    def write(self, batch: Batch) -> None:
        """See ``SocketTransport``."""


class ChatConnection(ServerConnection):
    """One connection of a transport: many chats, many requests."""

    def __init__(self, listener: Listener, transport: SocketTransport, ident: str, *, version: int, agent: str) -> None:
        super().__init__(listener, _MutedTransport(transport), ident)
        self._client_transport = transport
        self.surface = "ai-sdk"
        self._version = version
        self._agent = agent
        self._token = ""
        self._exchanges: dict[str, Exchange] = {}
        self._writable = asyncio.Event()

    # --- called by the transport
    def _handle_first(self, raw: bytes) -> None:
        """See ``ServerConnection``: the first frame is as any other, with a token in it."""
        work = self.listener.charges.price(raw, limits.OPERATION_BYTES)
        self._take(raw, _no_work)
        if self.account is not None:
            self.listener.charges.spend(self.account, work)

    def _handle(self, raw: bytes, work: int) -> None:
        """See ``ServerConnection``."""
        self._take(raw, partial(self.finish_work, work))

    def _take(self, raw: bytes, done: Callable[[], None]) -> None:
        """Do what a frame asks for; ``done`` is called when that is answered, or is being answered."""
        ident = ""
        try:
            try:
                frame = codec.decode(raw, _FRAME, "frame")
            except HoldfastError:
                self._operations.take()  # what is malformed is counted, too
                raise
            ident = frame.requestId
            if not isinstance(frame, AbortFrame) or ident not in self._exchanges:  # else its request was counted
                self._operations.take()
            if isinstance(frame, AbortFrame):
                self._abort(ident)
                done()
                return
            self._authenticate(frame.headers)
            if ident in self._exchanges:
                raise Refused("input.malformed", "requestId: in use")
            chat_request = codec.decode(raw, _CHAT_REQUEST, "frame") if isinstance(frame, SendFrame) else None
        except HoldfastError as error:
            self._refuse_frame(ident or _request_id_of(raw), error)
            done()
            return
        self._begin(Exchange(frame), chat_request, done)

    def resume_writing(self) -> None:
        """See ``ServerConnection``."""
        self._writable.set()
        super().resume_writing()

    def connection_lost(self) -> None:
        """The transport is gone. What was requested goes on (CTL-1)."""
        super().connection_lost()
        self._writable.set()
        for exchange in self._exchanges.values():
            if exchange.subscription is not None:
                exchange.subscription.close(0, "connection lost")

    # --- authentication
    def _authenticate(self, headers: dict[str, str]) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        if not token:
            if not self.principal.actor:
                raise Refused("auth.required", "give the transport headers: {authorization: 'Bearer …'}")
            return
        if token == self._token:
            return
        principal = self.listener.verifier.verify(token)
        if not self.principal.actor:
            self.register(principal)
        elif (principal.actor, principal.tenant) != (self.principal.actor, self.principal.tenant):
            raise Refused("auth.denied", "the token names another principal; open another connection for it")
        else:
            self.hub.replace_principal(self, principal)
            self._watch_expiry()
            for exchange in self._exchanges.values():
                if exchange.subscription is not None:
                    self.hub.replace_principal(exchange.subscription, principal)
        self._token = token

    def _refuse_frame(self, ident: str, error: HoldfastError) -> None:
        """In the SDK's shape; a frame that names no request can only end the connection."""
        if ident:
            self._send_frame({"type": "error", "requestId": ident, "errorText": f"{error.code}: {error.text}"})
        if not self.principal.actor:
            self.close(CLOSE_CODES.get(error.code, 1008), error.code)
        elif not ident:
            self.close(1008, "Invalid frame")
        elif error.code == "limit.rate":
            try:
                self._refusals.take()
            except Unavailable:
                self.close(CLOSE_CODES[error.code], error.code)

    def _send_frame(self, frame: dict[str, Any]) -> None:
        if self._transport is None or self._closing:
            return
        raw = encode(frame)
        if self.paused:  # what is written meanwhile for a client that does not read is bounded
            self._unread += len(raw)
            if self._unread > limits.UNREAD_BYTES:
                self.abort()
                return
        self._client_transport.write(Batch([raw]))

    # --- requests
    def _begin(self, exchange: Exchange, chat_request: ChatRequest | None, done: Callable[[], None]) -> None:
        if exchange.is_resume:  # it takes the place of those that were aborted for it
            for other in self._exchanges.values():
                if other.chat == exchange.chat and other.stop_timer is not None:
                    other.stop_timer.cancel()
                    other.stop_timer = None
        self._exchanges[exchange.ident] = exchange
        self.hub.runtime.background(self._serve(exchange, chat_request, done))

    async def _serve(self, exchange: Exchange, chat_request: ChatRequest | None, done: Callable[[], None]) -> None:
        commands = ChatCommands(self.listener, self.principal, self._agent, self._version, exchange.tools)
        try:
            try:
                stream = await (
                    commands.send(chat_request)
                    if chat_request is not None
                    else commands.resume(codec.check_session_id(exchange.chat))
                )
            finally:
                chat_request = None
                done()
            if stream is None:
                self._send_frame({"type": "no-active", "requestId": exchange.ident})
                return
            await self._stream(exchange, *stream)
        except HoldfastError as error:
            self._send_frame({"type": "error", "requestId": exchange.ident, "errorText": f"{error.code}: {error.text}"})
        except Exception:
            self.hub.runtime.log.exception("a request of an AI SDK client failed")
            self._send_frame({"type": "error", "requestId": exchange.ident, "errorText": "server.internal"})
        finally:
            self._exchanges.pop(exchange.ident, None)

    async def _stream(self, exchange: Exchange, subscription: LocalSubscription, answer: Answer) -> None:
        exchange.subscription, exchange.run = subscription, answer.run
        if exchange.aborted:
            self._stop(exchange)
        sequence = -1
        async with subscription:
            if self._transport is None:
                return
            if exchange.is_resume:
                self._send_frame({"type": "start", "requestId": exchange.ident})
            async for message in subscription.messages():
                for chunk in answer.chunks(message) if message is not None else ():
                    sequence += 1
                    if sequence > exchange.after:
                        frame = {"type": "chunk", "requestId": exchange.ident, "sequence": sequence, "chunk": chunk}
                        self._send_frame(frame)
                if answer.done:
                    self._send_frame({"type": "end", "requestId": exchange.ident})
                    return
                await self._wait_writable()

    async def _wait_writable(self) -> None:
        """Wait while the client does not take what is sent; the subscription waits with it, and the log is the buffer."""
        while self._transport is not None and self.paused:
            self._writable.clear()
            await self._writable.wait()

    # --- stopping
    def _abort(self, ident: str) -> None:
        exchange = self._exchanges.get(ident)
        if exchange is None or exchange.aborted or exchange.stop_timer is not None:
            return
        if exchange.is_resume:
            exchange.stop_timer = self.hub.runtime.loop.call_later(RESUME_GRACE_S, self._stop, exchange)
        else:
            self._stop(exchange)

    def _stop(self, exchange: Exchange) -> None:
        exchange.aborted, exchange.stop_timer = True, None
        if exchange.run is not None:
            commands = ChatCommands(self.listener, self.principal, self._agent, self._version)
            self.hub.runtime.background(_log_refusal(self, exchange, commands.stop(exchange.chat, exchange.run)))


async def _log_refusal(connection: ChatConnection, exchange: Exchange, stopping: Coroutine[Any, Any, Any]) -> None:
    """Log a refused abort: this protocol has no answer to one, and the client has forgotten the request."""
    try:
        await stopping
    except HoldfastError as error:
        connection.hub.runtime.log.info(
            "%s may not stop run %s: %s", connection.principal.actor, exchange.run, error.code
        )


def socket_kind(version: int, agent: str) -> SocketKind:
    """A socket of the transport. Its first frame carries the conversation, and the token behind that."""
    return SocketKind(partial(ChatConnection, version=version, agent=agent), limits.MESSAGE_BYTES)


def _no_work() -> None:
    """A first frame is charged once its sender is authenticated."""


def _request_id_of(raw: bytes) -> str:
    """The request that an unusable frame names, if it does."""
    try:
        frame: _RequestId = codec.decode(raw, _REQUEST_ID)
    except HoldfastError:
        return ""
    return frame.requestId
