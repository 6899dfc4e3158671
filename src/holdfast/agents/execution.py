"""Executing one assigned run: the agent's task, and what its end means for the run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.agents.attempt import Attempt
from holdfast.agents.ending import Status, end
from holdfast.agents.input import Input
from holdfast.agents.run import RunContext
from holdfast.agents.tools import Tools, described
from holdfast.client.client import Client
from holdfast.client.messages import Assigned
from holdfast.protocol import limits, wire
from holdfast.protocol.fold import View
from holdfast.visible import logger

Agent = Callable[[RunContext], Awaitable[Any]]
"""An agent: an async function of a run. It is cancelled like any asyncio task when somebody stops the run."""

_LOG = logger("holdfast.agents")


class Execution:
    """One attempt in this worker."""

    def __init__(
        self, client: Client, assigned: Assigned, agent: Agent, track: Callable[[Attempt, bool], None]
    ) -> None:
        self._agent = agent
        self._name = assigned.agent
        self._work: asyncio.Task[Any] | None = None
        self._interrupted = asyncio.Event()
        self.attempt = Attempt(
            client.connection,
            assigned.session,
            assigned.run,
            assigned.generation,
            assigned.incarnation,
            self._interrupt,
        )
        self.context = self._context(client, assigned, track)
        self.attempt.caught_up({"steers": assigned.steers, "approvals": assigned.approvals})
        self._cancel = assigned.cancel

    def _context(self, client: Client, assigned: Assigned, track: Callable[[Attempt, bool], None]) -> RunContext:
        view = View.load(assigned.view) if assigned.view is not None else View()
        session = client.session(assigned.session)
        begun = {item["id"] for item in view.items if item["kind"] == "tool" and item.get("run") == assigned.run}

        async def load(blob: str) -> bytes:
            return (await client.blobs.get(session.id, blob))[1]

        async def store(data: bytes) -> str:
            return await client.blobs.put(session.id, data, "application/json")

        said = frozenset((*assigned.said, *view.completed_messages(assigned.run)))
        began = int(view.runs.get(assigned.run, {}).get("seq", 1))
        return RunContext(
            self.attempt, session, assigned.agent, Input(assigned.input), view,
            Tools(self.attempt, assigned.journal, begun, load, store),
            by=assigned.by, parent=assigned.parent, turn=assigned.turn or (assigned.input or {}).get("messageId"),
            since=wire.Cursor(assigned.incarnation, began - 1), said=said, track=track,
        )  # fmt: skip

    def _interrupt(self) -> None:
        self._interrupted.set()
        if self._work is not None:
            self._work.cancel()

    async def run(self) -> None:
        """Execute to the end. Cancelling this lets go of the run without ending it: its lease decides."""
        self._work = asyncio.create_task(self._agent_task(), name=f"agent {self._name} {self.attempt.run}")
        if self._cancel is not None:  # stopped before this attempt began
            self.attempt.cancel(self._cancel)
        try:
            await self._settled(self._work)
        except asyncio.CancelledError:
            self._work.cancel()
            await asyncio.wait({self._work}, timeout=limits.CLOSE_S)
            raise
        if not self.attempt.fenced and self._work.done():
            await self._finish(self._work)
        elif self._work.done() and not self._work.cancelled():
            self._work.exception()  # whatever came of unwinding a fenced attempt is nobody's concern

    async def _agent_task(self) -> None:
        await self._agent(self.context)

    async def _settled(self, work: asyncio.Task[Any]) -> None:
        """Wait for the agent. One that does not stop is waited for until the session has ended its run, no longer."""
        while not work.done():
            if self.attempt.fenced:
                work.cancel()
                done, _ = await asyncio.wait({work}, timeout=limits.CLOSE_S)
                if not done:
                    _LOG.warning(
                        "agent %s does not stop; its run %s is over all the same", self._name, self.attempt.run
                    )
                return
            self._interrupted.clear()
            signal = asyncio.ensure_future(self._interrupted.wait())
            await asyncio.wait({work, signal}, return_when=asyncio.FIRST_COMPLETED)
            signal.cancel()

    async def _finish(self, work: asyncio.Task[Any]) -> None:
        error = None if work.cancelled() else work.exception()
        if self.attempt.released:  # whatever came of unwinding, a group of exceptions for example
            return
        status: Status = "completed"
        if self.attempt.cancelled is not None:
            status = "cancelled"
        elif work.cancelled():  # the agent cancelled itself: nobody asked for a stop, so it failed
            status, error = "failed", RuntimeError("the agent's task was cancelled by itself")
        elif error is not None:
            status = "failed"
            _LOG.error("agent %s failed in run %s", self._name, self.attempt.run, exc_info=error)
        await end(self.attempt, status, described(error) if status == "failed" and error is not None else None)
