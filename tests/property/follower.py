"""A reader at the hub that trusts nothing: it checks every message against what is durable at that moment (SUB-1 to SUB-4)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import msgspec

from holdfast.engines.port import Key
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.hub.port import Batch
from holdfast.protocol import wire
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.session.access import full_access

KEY = Key("acme", "s1")
Log = Callable[[], list[Event]]
"""What is durable now."""
_names = itertools.count(1)


class Follower:
    """A reader that trusts nothing: it checks every message against what is durable at that moment.

    Attributes:
        cursor: what it has applied; ``view`` is the fold of that.
    """

    surface, device = "test", ""

    def __init__(self, hub: Hub, log: Log | None, *, operator: bool = True) -> None:
        self.hub, self._log = hub, log
        self.ident = f"f{next(_names)}"
        self.principal = full_access("acme", f"user:{self.ident}")
        if not operator:
            verbs = self.principal.capabilities[0].verbs - {"admin"}
            capability = msgspec.structs.replace(self.principal.capabilities[0], verbs=verbs)
            self.principal = msgspec.structs.replace(self.principal, capabilities=(capability,))
        self.paused = False
        self.open = False
        self.live = False
        self.cursor = 0
        self.incarnation = ""
        self.view = View()
        self.resets = 0
        self.fresh = True
        self.next_id = 1
        self.answers: dict[int, tuple[asyncio.Future[None], int, View | None]] = {}
        hub.connect(self)

    def deliver(self, batch: Batch) -> None:
        for payload in batch.payloads:
            self._take(msgspec.json.decode(payload))

    def _take(self, message: dict[str, Any]) -> None:
        op = message["op"]
        if message.get("id") in self.answers:
            self._answered(message)
        elif op == "snapshot":
            assert self.incarnation != message["incarnation"] or message["seq"] >= self.cursor, "thrown back"
            assert self.fresh or message["reason"] != "start"
            self.view, self.cursor = View.load(message["view"]), message["seq"]
            self.incarnation = message["incarnation"]
            self.resets += message["reason"] != "start"
            self._durable(self.cursor)
        elif op in ("events", "skip"):
            assert self.open
            assert message["from"] <= self.cursor + 1, f"a gap before {message['from']}, at {self.cursor}"
            assert message["to"] > self.cursor, f"{message['to']} came twice"
            assert self.fresh or message["from"] == self.cursor + 1, "a frame that was half read, in the middle"
            self._durable(message["to"])
            for event in msgspec.convert(message.get("events", []), list[Event]):
                if event.last > self.cursor:
                    assert event.seq == self.cursor + 1
                    assert self.view.apply(event), "a bad join"
                    self.cursor = event.last
            self.cursor = message["to"]
        elif op == "live":
            assert message["seq"] == self.cursor
            self.live = True
        self.fresh = self.fresh and op not in ("events", "skip")

    def _durable(self, seq: int) -> None:
        if self._log is not None:
            assert seq <= len(self._log()), f"{seq} is not durable"

    def close(self, code: int, reason: str) -> None:
        """The hub closes."""

    def shut(self, code: int, reason: str) -> None:
        """The hub closes."""

    async def join(self, start: Any, cursor: int = 0, view: View | None = None) -> None:
        """Subscribe. What arrives before the answer belongs to the subscription before."""
        done = asyncio.get_running_loop().create_future()
        self.answers[self.next_id] = (done, cursor, view)
        operations.dispatch(self.hub, self, wire.Subscribe(session="s1", start=start, id=self.next_id))
        self.next_id += 1
        await done

    def _answered(self, message: dict[str, Any]) -> None:
        done, cursor, view = self.answers.pop(message["id"])
        if message["op"] == "ok":
            self.open, self.live, self.fresh = True, False, True
            self.cursor, self.view = cursor, view or View()
        done.set_result(None)

    async def again(self) -> None:
        """From its own cursor."""
        if self.incarnation:
            await self.join(wire.Cursor(self.incarnation, self.cursor), self.cursor, self.view)
        else:
            await self.join("snapshot")

    async def leave(self) -> None:
        self.open = False
        await operations.execute(self.hub, self.principal, wire.Unsubscribe(session="s1"), self)

    def drain(self) -> None:
        self.paused = False
        self.hub.resume(self)


async def drain(followers: list[Follower], hub: Hub) -> None:
    """Wait until all have caught up with the tail, whatever state they were left in."""
    for follower in followers:
        follower.drain()
        while not follower.open:
            await follower.again()
    async with asyncio.timeout(30):
        while not all(f.live and f.cursor == hub.sessions[KEY].tail for f in followers):
            await asyncio.sleep(0.005)
