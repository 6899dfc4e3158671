"""For tests of what is built on Holdfast: a hub or a server that forgets, an agent that follows a script, a clock that
moves when the test says so.

Nothing here is a stand-in: the hub, the engine, the protocol and the worker are those of production, with their logs kept
in memory. Only the agent's words and the time are the test's.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from holdfast.agents.execution import Agent
from holdfast.agents.generator import Generator, as_agent
from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.edge import auth, config
from holdfast.edge.app import Edge
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.edge.extensions.port import Extension
from holdfast.edge.server import port_of, running
from holdfast.embed import EmbeddedHub
from holdfast.engines.address import engine_for
from holdfast.hub.clock import Clock
from holdfast.hub.hub import Hub

EPOCH_MS: Final = 1_750_000_000_000
"""Where a ``FakeClock`` begins, Unix ms."""

__all__ = ["PAUSE", "FakeClock", "RunningServer", "ScriptedAgent", "hub", "server"]


class _Pause:
    """The type of ``PAUSE``."""

    def __repr__(self) -> str:
        return "PAUSE"


PAUSE: Final = _Pause()
"""In a script: the agent waits here until the test calls ``go_on``."""

Step = str | _Pause | BaseException | Callable[[RunContext], Awaitable[Any]]
"""What an agent does next: says a piece of its message, waits, fails, or does what a function does with the run."""


class ScriptedAgent:
    """An agent that does what the test has written down, and no more.

    Each run gets one answer, in the order in which runs begin; a run that is retried gets the same answer again. Pieces of
    text in a row are one message.

    Args:
        answers: each a text, or a list of steps: pieces of text, ``PAUSE``, an exception that is raised, or an async
            function that is called with the ``RunContext`` (for tools, approvals and sub-runs).

    Attributes:
        inputs: what was said to it, in the order in which runs began.
    """

    def __init__(self, *answers: str | Sequence[Step]) -> None:
        self._answers: list[list[Step]] = [[answer] if isinstance(answer, str) else list(answer) for answer in answers]
        self._runs: dict[str, list[Step]] = {}
        self._paused: deque[asyncio.Event] = deque()
        self._arrived = asyncio.Event()
        self.inputs: list[str] = []

    async def __call__(self, run: RunContext) -> None:
        """Play the answer of a run. Raises ``LookupError`` when the script has no answer for it."""
        for speaks, steps in itertools.groupby(self._answer(run), lambda step: isinstance(step, (str, _Pause))):
            if speaks:
                await self._say(run, deque(steps))
                continue
            for step in steps:
                if isinstance(step, BaseException):
                    raise step
                assert callable(step)
                await step(run)

    async def _say(self, run: RunContext, steps: deque[Step]) -> None:
        """One message, with the pauses before and in it."""
        while steps and isinstance(steps[0], _Pause):
            steps.popleft()
            await self._pause()
        if not steps:
            return
        async with run.message() as message:
            for step in steps:
                if isinstance(step, str):
                    await message.write(step)
                else:
                    await run.flush()
                    await self._pause()

    async def paused(self) -> None:
        """Wait until some run stands at a pause; what it said before is durable then."""
        await self._arrived.wait()

    def go_on(self) -> None:
        """Let the run that has stood at a pause longest go on. Raises ``RuntimeError`` when none does."""
        if not self._paused:
            raise RuntimeError("no run stands at a pause: await paused() first")
        self._paused.popleft().set()
        if not self._paused:
            self._arrived.clear()

    def _answer(self, run: RunContext) -> list[Step]:
        if run.id not in self._runs:
            if len(self._runs) == len(self._answers):
                raise LookupError(f"the script has answers for {len(self._answers)} runs, and this is one more")
            self._runs[run.id] = self._answers[len(self._runs)]
            self.inputs.append(run.input.text)
        return self._runs[run.id]

    async def _pause(self) -> None:
        going_on = asyncio.Event()
        self._paused.append(going_on)
        self._arrived.set()
        try:
            await going_on.wait()
        finally:
            if going_on in self._paused:  # the run was stopped
                self._paused.remove(going_on)
                if not self._paused:
                    self._arrived.clear()


class FakeClock(Clock):
    """The time of day as the test sets it: deadlines come when it is advanced, and not before.

    Leases and heartbeats go by the time the machine measures, as they do in production, where a wall clock that jumps moves
    none of them.

    Args:
        now_ms: where it begins, Unix ms.
    """

    def __init__(self, now_ms: int = EPOCH_MS) -> None:
        super().__init__()
        self._now_ms = now_ms
        self._listeners: list[Callable[[], None]] = []

    def wall_ms(self) -> int:
        """See ``Clock``."""
        return self._now_ms

    def follow(self) -> None:
        """Nothing drifts here."""

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass; deadlines that lie in them are due at once."""
        self._now_ms += int(seconds * 1_000)
        for listener in self._listeners:
            listener()

    def drive(self, hub: Hub) -> None:
        """Let a hub look at its deadlines whenever this clock is advanced."""

        def look() -> None:
            for session in list(hub.sessions.values()):
                session.arm()

        self._listeners.append(look)


class RunningServer:
    """A server on a free port of this machine.

    Attributes:
        edge, hub: its parts, for tests that look inside.
        url: where it is.
    """

    def __init__(self, edge: Edge, port: int) -> None:
        self.edge = edge
        self.hub = edge.hub
        self.url = f"http://127.0.0.1:{port}"

    def token(self, subject: str = "user:ann", **more: Any) -> str:
        """A token for anybody; further arguments as for ``edge.auth.mint``, such as ``capabilities`` and ``tenant``."""
        assert self.edge.secret is not None, "HS256 is among the algorithms of a server for tests"
        return auth.mint(self.edge.secret, subject=subject, **more)

    def connect(self, subject: str = "user:ann", **more: Any) -> Holdfast:
        """A client as anybody: ``async with server.connect("user:ann") as hf``. Arguments as for ``token``."""
        return Holdfast(self.url, self.token(subject, **more))


@contextlib.asynccontextmanager
async def hub(
    agents: Mapping[str, Agent | Generator] | None = None,
    *,
    clock: Clock | None = None,
    extensions: Sequence[Extension] = (),
    **settings: Any,
) -> AsyncIterator[EmbeddedHub]:
    """A hub in this process that forgets, with a worker for its agents: no socket and no file is opened.

    Args:
        agents: by name, a ``ScriptedAgent`` among them.
        clock: its time, such as a ``FakeClock``.
        extensions: what plugs in.
        settings: as for ``EmbeddedHub``.
    """
    embedded = EmbeddedHub("memory:", clock=clock, extensions=extensions, **settings)
    if isinstance(clock, FakeClock):
        clock.drive(embedded.hub)
    for name, agent in (agents or {}).items():
        embedded.agent(name)(agent)
    async with embedded:
        yield embedded


@contextlib.asynccontextmanager
async def server(
    agents: Mapping[str, Agent | Generator] | None = None,
    *,
    clock: Clock | None = None,
    extensions: Sequence[Extension] = (),
    pages: bool = False,
    **settings: Any,
) -> AsyncIterator[RunningServer]:
    """A server that forgets, on a free port, with a worker for its agents; for clients that come over the network.

    Args:
        agents: by name; they are executed in this process, over a connection of their own.
        clock: its time, such as a ``FakeClock``.
        extensions: what plugs in.
        pages: whether the chat and the console are served.
        settings: of the server (``docs/reference/settings.md``); the environment is not read.
    """
    own = config.load({"port": 0, "drain_s": 1.0, **settings, "db": "memory:"}, {})
    plugged = ExtensionSet(extensions)
    sessions = Hub(engine_for("memory:"), clock=clock, lease_s=own.lease_s, policy=plugged.policy)
    if isinstance(clock, FakeClock):
        clock.drive(sessions)
    await sessions.open()
    edge = Edge(sessions, own, pages=pages, extensions=plugged)
    async with running(edge) as listening, contextlib.AsyncExitStack() as workers:
        found = RunningServer(edge, port_of(listening))
        if agents:
            await workers.enter_async_context(_working(found, agents))
        yield found


@contextlib.asynccontextmanager
async def _working(found: RunningServer, agents: Mapping[str, Agent | Generator]) -> AsyncIterator[None]:
    """A worker of the server while the context lasts."""
    async with found.connect("agent:worker", agents=list(agents)) as worker:
        for name, agent in agents.items():
            worker.add_agent(name, as_agent(agent))
        serving = asyncio.create_task(worker.serve(), name="holdfast worker of a test")
        try:
            yield
        finally:
            serving.cancel()
            await asyncio.wait([serving])
