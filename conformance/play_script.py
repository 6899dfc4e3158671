"""``script`` cases: the client talks to a server that does exactly what the steps say."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from conformance.cases import Case
from conformance.driver import Driver
from conformance.match import Mismatch, short
from conformance.scripted import Line, ScriptedServer
from conformance.steps import Step, Steps, compact
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View

SESSION, INCARNATION = "s1", "i1"
WELCOME = {
    "op": "welcome",
    "principal": "user:ann",
    "tenant": "t1",
    "expires_ms": None,
    "connection": "c1",
    "limits": {},
}


class Script(Steps):
    """Plays one case."""

    def __init__(self, case: Case, driver: Driver, server: ScriptedServer) -> None:
        super().__init__(case, driver, SESSION)
        self._server = server
        self._line: Line | None = None
        self._received: dict[str, dict[str, Any]] = {}
        self.handlers |= {
            "connect": self._connect, "accept": self._accept, "receive": self._receive, "again": self._again,
            "subscribe": self._subscribe, "send": self._send, "raw": self._raw, "frame": self._frame,
            "snapshot": self._snapshot, "live": self._live, "cut": self._cut, "silence": self._silence,
        }  # fmt: skip

    @property
    def line(self) -> Line:
        """The connection in use."""
        if self._line is None:
            raise Mismatch("the case has not accepted a connection yet")
        return self._line

    async def _connect(self, step: Step) -> None:
        answer = self.begin("connect", {"server": self._server.url, "token": "token-1"})
        if step["connect"] is not None and "refuse" in step["connect"]:
            await self._hello()
            await self.line.close(step["connect"]["refuse"])
        else:
            await self._accept(step)
        self.check(await self.within(answer, "the answer to connect"), step)

    async def _hello(self) -> dict[str, Any]:
        self._line = await self.within(self._server.accept(), "a connection")
        hello: dict[str, Any] = await self.within(self.line.receive(), "hello")
        self.bound.match({"op": "hello", "token": "token-1"}, hello, "hello")
        return hello

    async def _accept(self, step: Step) -> None:
        await self._hello()
        await self.line.send(WELCOME)

    async def _receive(self, step: Step) -> None:
        wanted = step["receive"]
        got = await self.within(self.line.receive(), f"{wanted['op']} from the client")
        self.bound.match(wanted, got, wanted["op"])
        if "as" in step:
            self._received[step["as"]] = got

    async def _again(self, step: Step) -> None:
        """The same operation with the same key and content; its ``id`` may be another."""
        first = self._received[step["again"]]
        got = await self.within(self.line.receive(), f"{first['op']} again")
        if {**got, "id": 0} != {**first, "id": 0}:
            raise Mismatch(f"expected {short(first)} again, got {short(got)}")
        self.bound["$id"] = got.get("id")

    async def _subscribe(self, step: Step) -> None:
        """The client subscribes as said, and is answered."""
        how = step["subscribe"]
        wanted = {"op": "subscribe", "session": SESSION, "start": how["start"]}
        got = await self.within(self.line.receive(), "subscribe from the client")
        self.bound.match(wanted, got, "subscribe")
        tail = how.get("tail", self.log[-1].get("to", self.log[-1]["seq"]) if self.log else 0)
        incarnation = how.get("incarnation", INCARNATION)
        await self.line.send({"op": "ok", "id": got["id"], "incarnation": incarnation, "tail": tail})

    async def _send(self, step: Step) -> None:
        messages = step["send"] if isinstance(step["send"], list) else [step["send"]]
        for message in messages:
            await self.line.send(compact(self.bound.fill(message)))

    async def _raw(self, step: Step) -> None:
        await self.line.send(step["raw"])

    async def _frame(self, step: Step) -> None:
        """Events of the log from one position to another, as one frame."""
        first, last = step["frame"]
        await self.line.send(
            {"op": "events", "session": SESSION, "from": first, "to": last, "events": self.events([first, last])}
        )

    async def _snapshot(self, step: Step) -> None:
        """The log folded up to a position."""
        how, view = step["snapshot"], View()
        for event in msgspec.convert(self.events([1, how["seq"]]), list[Event]):
            view.apply(event)
        incarnation = how.get("incarnation", INCARNATION)
        body = {"incarnation": incarnation, "seq": how["seq"], "view": {**view.export(), **how.get("view", {})}}
        await self.line.send({"op": "snapshot", "session": SESSION, **body, "reason": how.get("reason", "start")})

    async def _live(self, step: Step) -> None:
        await self.line.send({"op": "live", "session": SESSION, "incarnation": INCARNATION, "seq": step["live"]})

    async def _cut(self, step: Step) -> None:
        if isinstance(step["cut"], int) and not isinstance(step["cut"], bool):
            await self.line.close(step["cut"])
        else:
            await asyncio.sleep(0.02)  # what was sent before is read before: a reset would throw it away
            self.line.cut()

    async def _silence(self, step: Step) -> None:
        self.line.fall_silent()


async def play(case: Case, driver: Driver) -> None:
    """Play a case. Raises ``Mismatch``."""
    async with ScriptedServer() as server:
        await Script(case, driver, server).play(case.body["steps"])
