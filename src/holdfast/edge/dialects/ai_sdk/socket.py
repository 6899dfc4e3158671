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
from holdfast.edge.dialects.ai_sdk.asking import TOOLS_HEADER, Asked, Asking, tools_of
from holdfast.edge.door import CLOSE_CODES, Door, Kind, Visit, Wire
from holdfast.edge.reading import Reading
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.hub.port import Batch
from holdfast.protocol import codec, limits, wire
from holdfast.protocol.codec import encode

HOLD_S: Final = 0.5
"""A ``resume`` that gives way to another one is aborted by the SDK as a stopped one is: a while tells them apart."""


class _Frame(msgspec.Struct, tag_field="type", kw_only=True):
    requestId: wire.Label  # bounded: every chunk of the answer carries it


class SendFrame(_Frame, tag="send", kw_only=True):
    """A new turn, or one regenerated. Further fields are of ``Asked``."""

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
_ASKED: Final = msgspec.json.Decoder(Asked)


class _Named(msgspec.Struct):
    requestId: wire.Label


_NAMED: Final = msgspec.json.Decoder(_Named)


class Exchange:
    """One request of the client and the stream that answers it.

    Attributes:
        run: what an abort of it stops; None until it is known.
        aborted: it was aborted before that.
    """

    def __init__(self, frame: SendFrame | ResumeFrame) -> None:
        self.ident = frame.requestId
        self.chat = frame.id
        self.tools = tools_of(frame.headers.get(TOOLS_HEADER))
        self.resumes = isinstance(frame, ResumeFrame)
        self.after = frame.lastSequence if isinstance(frame, ResumeFrame) and frame.lastSequence is not None else -1
        self.reading: Reading | None = None
        self.run: str | None = None
        self.aborted = False
        self.hold: asyncio.TimerHandle | None = None


class _Muted:
    """The wire without what the hub itself says, which is of another language; sessions are read beside it."""

    def __init__(self, wire_: Wire) -> None:
        self.shut, self.abort = wire_.shut, wire_.abort
        self.hold, self.go_on, self.unsent = wire_.hold, wire_.go_on, wire_.unsent

    def write(self, batch: Batch) -> None:
        """See ``door.Wire``."""


class SdkVisit(Visit):
    """One connection of a transport: many chats, many requests."""

    def __init__(self, door: Door, wire_: Wire, ident: str, *, version: int, agent: str) -> None:
        super().__init__(door, _Muted(wire_), ident)
        self._line = wire_
        self.surface = "ai-sdk"
        self._version = version
        self._agent = agent
        self._token = ""
        self._exchanges: dict[str, Exchange] = {}
        self._room = asyncio.Event()

    # --- driven by the transport
    def _greet(self, raw: bytes) -> None:
        """See ``Visit``: the first frame is as any other, with a token in it."""
        work = self.door.charges.price(raw, limits.OPERATION_BYTES)
        self._take(raw, _nothing)
        if self.account is not None:
            self.door.charges.spend(self.account, work)

    def _work(self, raw: bytes, work: int) -> None:
        """See ``Visit``."""
        self._take(raw, partial(self.done, work))

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
            asked = codec.decode(raw, _ASKED, "frame") if isinstance(frame, SendFrame) else None
        except HoldfastError as error:
            self._refuse_frame(ident or _named(raw), error)
            done()
            return
        self._begin(Exchange(frame), asked, done)

    def drained(self) -> None:
        """See ``Visit``."""
        self._room.set()
        super().drained()

    def lost(self) -> None:
        """The transport is gone. What was asked goes on (CTL-1)."""
        super().lost()
        self._room.set()
        for exchange in self._exchanges.values():
            if exchange.reading is not None:
                exchange.reading.close(0, "connection lost")

    # --- who
    def _authenticate(self, headers: dict[str, str]) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        if not token:
            if not self.principal.actor:
                raise Refused("auth.required", "give the transport headers: {authorization: 'Bearer …'}")
            return
        if token == self._token:
            return
        principal = self.door.verifier.verify(token)
        if not self.principal.actor:
            self.enter(principal)
        elif (principal.actor, principal.tenant) != (self.principal.actor, self.principal.tenant):
            raise Refused("auth.denied", "the token names another principal; open another connection for it")
        else:
            self.hub.replace_principal(self, principal)
            self._watch_expiry()
            for exchange in self._exchanges.values():
                if exchange.reading is not None:
                    self.hub.replace_principal(exchange.reading, principal)
        self._token = token

    def _refuse_frame(self, ident: str, error: HoldfastError) -> None:
        """In the SDK's shape; a frame that names no request can only end the connection."""
        if ident:
            self._say({"type": "error", "requestId": ident, "errorText": f"{error.code}: {error.text}"})
        if not self.principal.actor:
            self.close(CLOSE_CODES.get(error.code, 1008), error.code)
        elif not ident:
            self.close(1008, "Invalid frame")
        elif error.code == "limit.rate":
            try:
                self._patience.take()
            except Unavailable:
                self.close(CLOSE_CODES[error.code], error.code)

    def _say(self, frame: dict[str, Any]) -> None:
        if self._wire is None or self._closing:
            return
        raw = encode(frame)
        if self.paused:  # what is told meanwhile to somebody who asks and does not listen is bounded
            self._unread += len(raw)
            if self._unread > limits.UNREAD_BYTES:
                self.abort()
                return
        self._line.write(Batch([raw]))

    # --- requests
    def _begin(self, exchange: Exchange, asked: Asked | None, done: Callable[[], None]) -> None:
        if exchange.resumes:  # it takes the place of those that were aborted for it
            for other in self._exchanges.values():
                if other.chat == exchange.chat and other.hold is not None:
                    other.hold.cancel()
                    other.hold = None
        self._exchanges[exchange.ident] = exchange
        self.hub.background(self._serve(exchange, asked, done))

    async def _serve(self, exchange: Exchange, asked: Asked | None, done: Callable[[], None]) -> None:
        asking = Asking(self.door, self.principal, self._agent, self._version, exchange.tools)
        try:
            try:
                found = await (
                    asking.send(asked) if asked is not None else asking.resume(codec.check_session_id(exchange.chat))
                )
            finally:
                asked = None
                done()
            if found is None:
                self._say({"type": "no-active", "requestId": exchange.ident})
                return
            await self._stream(exchange, *found)
        except HoldfastError as error:
            self._say({"type": "error", "requestId": exchange.ident, "errorText": f"{error.code}: {error.text}"})
        except Exception:
            self.hub.log.exception("a request of an AI SDK client failed")
            self._say({"type": "error", "requestId": exchange.ident, "errorText": "server.internal"})
        finally:
            self._exchanges.pop(exchange.ident, None)

    async def _stream(self, exchange: Exchange, reading: Reading, answer: Answer) -> None:
        exchange.reading, exchange.run = reading, answer.run
        if exchange.aborted:
            self._stop(exchange)
        sequence = -1
        async with reading:
            if self._wire is None:
                return
            if exchange.resumes:
                self._say({"type": "start", "requestId": exchange.ident})
            async for message in reading.messages():
                for chunk in answer.take(message) if message is not None else ():
                    sequence += 1
                    if sequence > exchange.after:
                        told = {"type": "chunk", "requestId": exchange.ident, "sequence": sequence, "chunk": chunk}
                        self._say(told)
                if answer.done:
                    self._say({"type": "end", "requestId": exchange.ident})
                    return
                await self._taken()

    async def _taken(self) -> None:
        """Wait while the client does not take what is sent; the reading waits with it, and the log is the buffer."""
        while self._wire is not None and self.paused:
            self._room.clear()
            await self._room.wait()

    # --- stopping
    def _abort(self, ident: str) -> None:
        exchange = self._exchanges.get(ident)
        if exchange is None or exchange.aborted or exchange.hold is not None:
            return
        if exchange.resumes:
            exchange.hold = self.hub.loop.call_later(HOLD_S, self._stop, exchange)
        else:
            self._stop(exchange)

    def _stop(self, exchange: Exchange) -> None:
        exchange.aborted, exchange.hold = True, None
        if exchange.run is not None:
            asking = Asking(self.door, self.principal, self._agent, self._version)
            self.hub.background(_heeded(self, exchange, asking.stop(exchange.chat, exchange.run)))


async def _heeded(visit: SdkVisit, exchange: Exchange, stopping: Coroutine[Any, Any, Any]) -> None:
    """A refused abort has nobody to be told to in this language: the client has forgotten the request."""
    try:
        await stopping
    except HoldfastError as error:
        visit.hub.log.info("%s may not stop run %s: %s", visit.principal.actor, exchange.run, error.code)


def kind_of(version: int, agent: str) -> Kind:
    """A socket of the transport. Its first frame carries the conversation, and the token behind that."""
    return Kind(partial(SdkVisit, version=version, agent=agent), limits.MESSAGE_BYTES)


def _nothing() -> None:
    """A first frame is charged when it is known who sent it."""


def _named(raw: bytes) -> str:
    """The request that an unusable frame names, if it does."""
    try:
        named: _Named = codec.decode(raw, _NAMED)
    except HoldfastError:
        return ""
    return named.requestId
