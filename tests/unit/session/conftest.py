"""A session to give commands to. Everything that must hold after any command is checked after each of them."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.events import Draft, Event
from holdfast.session import run as runs
from tests.property.histories import SESSION, History

ANN, BOB, WRITER = "user:ann", "user:bob", "agent:writer"


class SessionHarness(History):
    """``History`` with short names. ``do`` expects to be accepted, ``refuse`` to be refused."""

    def do(self, op: wire.Op, actor: str = ANN) -> dict[str, Any]:
        refused = len(self.refused)
        result = self.ask(op, actor)
        assert result is not None, self.refused[refused:]
        return result

    def refuse(self, code: str, op: wire.Op, actor: str = ANN) -> None:
        tail = self.state.tail
        assert self.ask(op, actor) is None, f"accepted, not {code}"
        assert self.refused[-1] == code
        assert self.state.tail == tail, "a refusal consumed a number"

    def send(self, text: str = "hi", actor: str = ANN, **fields: Any) -> str:
        """Say something; returns the run it queued."""
        run = self.do(wire.Send(session=SESSION, text=text, **fields), actor)["run"]
        assert isinstance(run, str)
        return run

    def claim(self, run: str) -> dict[str, Any]:
        """Start the run's next attempt; returns ``run`` and ``generation`` for what the attempt says."""
        return self.do(runs.Claim(session=SESSION, run=run, worker="w", lease_s=15.0), WRITER)

    def running(self, **fields: Any) -> dict[str, Any]:
        """A run that executes."""
        return self.claim(self.send(**fields))

    def append(self, *drafts: Draft, **fields: Any) -> dict[str, Any]:
        return self.do(wire.Append(session=SESSION, events=list(drafts), **fields), WRITER)

    def end(self, attempt: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return self.do(wire.End(session=SESSION, **attempt, **fields), WRITER)

    def lose(self, attempt: dict[str, Any]) -> None:
        self.do(runs.LeaseExpired(session=SESSION, reason="lease expired", **attempt), "system:session")

    def tick(self, after_ms: int = 0) -> None:
        self.now += after_ms
        self.do(runs.Tick(session=SESSION), "system:session")

    def types(self, since: int = 0) -> list[str]:
        return [event.type for event in self.events[since:]]

    def last(self, type_: str) -> Event:
        return next(event for event in reversed(self.events) if event.type == type_)

    def item(self, kind: str, ident: str) -> dict[str, Any]:
        return self.view.by_id[kind, ident]


def text_drafts(message: str, *deltas: str, end: bool = True) -> list[Draft]:
    """A message, whole or left open."""
    name = {"messageId": message}
    parts = [Draft(e.TEXT_CONTENT, {**name, "delta": delta}) for delta in deltas]
    return [Draft(e.TEXT_START, name), *parts, *([Draft(e.TEXT_END, name)] if end else [])]


@pytest.fixture
def session() -> SessionHarness:
    return SessionHarness()
