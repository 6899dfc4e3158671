"""A server that does exactly what a test says, behind the client's transport interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from holdfast.client.client import Client
from holdfast.client.retry import Backoff
from holdfast.client.transport import Sink
from holdfast.protocol import wire
from holdfast.protocol.codec import decode, encode

AT_ONCE = Backoff(0.0, 0.0)


class Line:
    """One transport: what the client sent on it, and a voice to answer with."""

    def __init__(self, server: Scripted, sink: Sink) -> None:
        self.server = server
        self.sink = sink
        self.sent: list[wire.Op] = []
        self.closed = False

    # the client's end
    def send(self, message: bytes) -> None:
        if not self.closed:
            op = decode(message, wire.DECODER)
            self.sent.append(op)
            self.server.arrived.set()
            asyncio.get_running_loop().call_soon(self.server.heard, self, op)

    def close(self) -> None:
        self.cut()

    # the server's end
    def say(self, message: dict[str, Any] | bytes) -> None:
        """Send a message, at once."""
        if not self.closed:
            self.sink.received(message if isinstance(message, bytes) else encode(message))

    def ok(self, op: wire.Op, **fields: Any) -> None:
        """Answer an operation."""
        self.say({"op": "ok", "id": op.id, **fields})

    def refuse(self, op: wire.Op, code: str, *, retry: bool = False, **fields: Any) -> None:
        """Refuse an operation."""
        self.say({"op": "error", "id": op.id, "error": {"code": code, "message": code, "retry": retry, **fields}})

    def cut(self, code: int = 1006, reason: str = "") -> None:
        """Lose the transport."""
        if not self.closed:
            self.closed = True
            self.sink.lost(code, reason)

    def of(self, kind: type[Any]) -> list[Any]:
        """What the client sent of a kind."""
        return [op for op in self.sent if isinstance(op, kind)]


class Scripted:
    """A ``Dialer``: every transport is welcomed, and every operation goes to ``answer``."""

    def __init__(self, *, authenticates: bool = False) -> None:
        self.authenticates = authenticates
        self.lines: list[Line] = []
        self.arrived = asyncio.Event()
        self.answer: Callable[[Line, wire.Op], None] = lambda line, op: None
        self.welcome: Callable[[Line], None] = lambda line: line.say({"op": "welcome", "principal": "user:ann"})
        self.refuse_dials: list[Exception] = []

    async def __call__(self, sink: Sink) -> Line:
        if self.refuse_dials:
            raise self.refuse_dials.pop(0)
        line = Line(self, sink)
        self.lines.append(line)
        if not self.authenticates:
            asyncio.get_running_loop().call_soon(self.welcome, line)
        return line

    def heard(self, line: Line, op: wire.Op) -> None:
        if isinstance(op, wire.Hello):
            self.welcome(line)
        else:
            self.answer(line, op)

    @property
    def line(self) -> Line:
        """The newest transport."""
        return self.lines[-1]

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until something holds; it is looked at whenever the client has sent something, and between."""
        async with asyncio.timeout(10):
            while not (found := condition()):
                await asyncio.sleep(0)
        return found

    def client(self, **options: Any) -> Client:
        """A client of this server that tries again at once."""
        return Client(self, backoff=AT_ONCE, **options)


def frame(session: str, *events: dict[str, Any]) -> bytes:
    """An ``events`` message."""
    last = events[-1].get("to", events[-1]["seq"])
    return msgspec.json.encode(
        {"op": "events", "session": session, "from": events[0]["seq"], "to": last, "events": list(events)}
    )


def event(seq: int, type_: str = "CUSTOM", **fields: Any) -> dict[str, Any]:
    """An event of a log."""
    return {"seq": seq, "ts": 1_000 + seq, "actor": "agent:w", "type": type_, "data": fields.pop("data", {}), **fields}


def empty_view() -> dict[str, Any]:
    """The view of a session in which nothing happened."""
    from holdfast.protocol.fold import View

    return View().export()
