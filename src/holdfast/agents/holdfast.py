"""``holdfast.connect``: a client that can also serve agents."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from holdfast.agents.execution import Agent
from holdfast.agents.worker import Worker
from holdfast.client.client import Client
from holdfast.client.token import TokenSource
from holdfast.client.transport import Dialer
from holdfast.errors import Refused
from holdfast.protocol import limits

_Agent = TypeVar("_Agent", bound=Agent)


class Holdfast(Client):
    """A client with agents of its own; its arguments are those of ``Client``."""

    def __init__(self, server: str | Dialer, token: TokenSource = None, **options: Any) -> None:
        super().__init__(server, token, **options)
        self._agents: dict[str, Agent] = {}
        self._worker: Worker | None = None

    def agent(self, name: str) -> Callable[[_Agent], _Agent]:
        """Register an async function of a ``RunContext`` as the agent ``name``; served by ``serve``."""

        def register(function: _Agent) -> _Agent:
            self.add_agent(name, function)
            return function

        return register

    def add_agent(self, name: str, function: Agent) -> None:
        """As ``agent``, for functions that are at hand; also while serving."""
        if not name or len(name) > limits.NAME_CHARS or "/" in name:
            raise Refused("config.invalid", "an agent's name has 1 to 200 characters and no slash")
        self._agents[name] = function
        if self._worker is not None:
            self._worker.offer(name, function)

    async def serve(
        self, slots: int = 8, *, slots_for_people: int = 0, drain_s: float = limits.DRAIN_S, signals: bool = False
    ) -> None:
        """Run the registered agents until this is cancelled, drained, or the client is closed.

        When it ends in whatever way, runs that are still executing are let go: their leases run out and other workers
        take them over.

        Args:
            slots: how many runs at a time.
            slots_for_people: how many of them take only runs that a person waits for.
            drain_s: how long to let runs finish after ``drain`` or a signal, seconds.
            signals: drain on SIGTERM and SIGINT.

        Raises:
            Refused: ``run.no_agent``, ``auth.denied`` when the token does not act for an agent, or why the connection
                ended for good.
        """
        self._worker = Worker(self, self._agents, slots, slots_for_people)
        try:
            await self._worker.serve(drain_s=drain_s, signals=signals)
        finally:
            self._worker = None

    def drain(self) -> None:
        """Let ``serve`` take no more runs and return when those at hand are done."""
        if self._worker is not None:
            self._worker.drain()


def connect(
    server: str | Dialer,
    *,
    token: TokenSource = None,
    surface: str = "",
    device: str = "",
    tls: ssl.SSLContext | None = None,
    timeout_s: float = limits.REQUEST_TIMEOUT_S,
) -> Holdfast:
    """A client of a server: ``async with holdfast.connect(url, token=…) as hf: …``; see ``Client`` for the arguments."""
    return Holdfast(server, token, surface=surface, device=device, tls=tls, timeout_s=timeout_s)
