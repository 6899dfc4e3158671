"""A hub over the memory engine, and connections that keep what they were sent."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from holdfast.engines.memory import MemoryEngine
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.hub.port import Batch
from holdfast.protocol import wire
from holdfast.protocol.answers import ANSWERS
from holdfast.protocol.rows import PresenceEntry, SessionRow
from holdfast.session.access import Principal, full_access
from tests.shapes import deviations

_COUNTER = itertools.count(1)


def check_lists(message: dict[str, Any]) -> None:
    """Rows of lists have the shape that ``protocol/rows.py`` says."""
    if message["op"] == "sessions":
        assert not list(deviations(message["rows"], list[SessionRow]))
    if message["op"] == "presence":
        assert not list(deviations(message["here"], list[PresenceEntry]))


def check_answer(op: wire.Op, answer: dict[str, Any]) -> None:
    """An answer has the shape that ``protocol/answers.py`` says."""
    if answer["op"] == "ok" and type(op) in ANSWERS:
        fields = {name: value for name, value in answer.items() if name not in ("op", "id")}
        assert not list(deviations(fields, ANSWERS[type(op)])), type(op).__name__


class Pipe:
    """A connection in this process; ``pause`` makes it a slow reader."""

    def __init__(self, hub: Hub, principal: Principal) -> None:
        self.hub = hub
        self.ident = f"c{next(_COUNTER)}"
        self.principal = principal
        self.surface, self.device = "test", "here"
        self.paused = False
        self.received: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.arrived = asyncio.Event()
        self._ids = itertools.count(1)
        hub.connect(self)

    def deliver(self, batch: Batch) -> None:
        messages = [msgspec.json.decode(payload) for payload in batch.payloads]
        for message in messages:
            check_lists(message)
        self.received += messages
        self.arrived.set()

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def resume(self) -> None:
        self.paused = False
        self.hub.resume(self)

    async def until(self, want: Any, timeout: float = 5.0) -> dict[str, Any]:
        """The first message for which ``want`` holds, waiting for it."""
        async with asyncio.timeout(timeout):
            while True:
                for message in self.received:
                    if want(message):
                        return message
                self.arrived.clear()
                await self.arrived.wait()

    async def ask(self, op: wire.Op) -> dict[str, Any]:
        """Send an operation through the front door and return its answer."""
        ident = next(self._ids)
        op.id = ident
        operations.handle(self.hub, self, msgspec.json.encode(op))
        answer = await self.until(lambda m: m.get("id") == ident)
        check_answer(op, answer)
        return answer

    def events(self, session: str = "s1") -> list[dict[str, Any]]:
        """Every event received of a session, skips left out."""
        frames = [m for m in self.received if m["op"] == "events" and m["session"] == session]
        return [event for frame in frames for event in frame["events"]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub(MemoryEngine())
    await hub.open()
    yield hub
    await hub.close(drain_s=2.0)


def user(name: str = "ann", tenant: str = "acme") -> Principal:
    return full_access(tenant, f"user:{name}")


def agent(name: str = "writer", tenant: str = "acme") -> Principal:
    return full_access(tenant, f"agent:{name}", (name,))
