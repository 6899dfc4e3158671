"""Executing one assigned run: the agent's task, and what its end means for the run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.agents.attempt import Attempt
from holdfast.agents.ending import EndStatus, end
from holdfast.agents.input import Input
from holdfast.agents.run import RunContext
from holdfast.agents.tools import Tools, error_data
from holdfast.client.client import Client
from holdfast.client.messages import Assignment
from holdfast.protocol import limits, wire
from holdfast.protocol.fold import View
from holdfast.visible import logger

Agent = Callable[[RunContext], Awaitable[Any]]
"""An agent: an async function of a run. It is cancelled like any asyncio task when somebody stops the run."""

_LOG = logger("holdfast.agents")


class Execution:
    """One attempt in this worker."""

    def __init__(
        self, client: Client, assignment: Assignment, agent: Agent, track: Callable[[Attempt, bool], None]
    ) -> None:
        self._agent = agent
        self._name = assignment.agent
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = asyncio.Event()
        self.attempt = Attempt(
            client.connection,
            assignment.session,
            assignment.run,
            assignment.generation,
            assignment.incarnation,
            self._interrupt,
        )
        self.context = self._create_context(client, assignment, track)
        self.attempt.catch_up({"steers": assignment.steers, "approvals": assignment.approvals})
        self._cancel = assignment.cancel

    def _create_context(
        self, client: Client, assignment: Assignment, track: Callable[[Attempt, bool], None]
    ) -> RunContext:
        view = View.load(assignment.view) if assignment.view is not None else View()
        session = client.session(assignment.session)
        started_calls = {
            item["id"] for item in view.items if item["kind"] == "tool" and item.get("run") == assignment.run
        }

        async def load(blob: str) -> bytes:
            return (await client.blobs.get(session.id, blob))[1]

        async def store(data: bytes) -> str:
            return await client.blobs.put(session.id, data, "application/json")

        completed_messages = frozenset((*assignment.said, *view.completed_messages(assignment.run)))
        run = view.runs.get(assignment.run)
        run_seq = run["seq"] if run is not None else 1
        return RunContext(
            self.attempt,
            session,
            assignment.agent,
            Input(assignment.input),
            view,
            Tools(self.attempt, assignment.journal, started_calls, load, store),
            by=assignment.by,
            labels=assignment.labels,
            parent=assignment.parent,
            turn=assignment.turn or (assignment.input or {}).get("messageId"),
            since=wire.Cursor(assignment.incarnation, run_seq - 1),
            completed_messages=completed_messages,
            track=track,
        )

    def _interrupt(self) -> None:
        self._interrupted.set()
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Execute to the end. Cancelling this lets go of the run without ending it: its lease decides."""
        self._task = asyncio.create_task(self._run_agent(), name=f"agent {self._name} {self.attempt.run}")
        if self._cancel is not None:  # stopped before this attempt began
            self.attempt.cancel(self._cancel)
        try:
            await self._wait_for_agent(self._task)
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=limits.CLOSE_S)
            raise
        if not self.attempt.fenced and self._task.done():
            await self._finish(self._task)
        elif self._task.done() and not self._task.cancelled():
            self._task.exception()  # whatever came of unwinding a fenced attempt is nobody's concern

    async def _run_agent(self) -> None:
        await self._agent(self.context)

    async def _wait_for_agent(self, task: asyncio.Task[Any]) -> None:
        """Wait for the agent. One that does not stop is waited for until the session has ended its run, no longer."""
        while not task.done():
            if self.attempt.fenced:
                task.cancel()
                done, _ = await asyncio.wait({task}, timeout=limits.CLOSE_S)
                if not done:
                    _LOG.warning(
                        "agent %s does not stop; its run %s is over all the same", self._name, self.attempt.run
                    )
                return
            self._interrupted.clear()
            signal = asyncio.ensure_future(self._interrupted.wait())
            await asyncio.wait({task, signal}, return_when=asyncio.FIRST_COMPLETED)
            signal.cancel()

    async def _finish(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if self.attempt.released:  # whatever came of unwinding, a group of exceptions for example
            return
        status: EndStatus = "completed"
        if self.attempt.cancelled is not None:
            status = "cancelled"
        elif task.cancelled():  # the agent cancelled itself: nobody asked for a stop, so it failed
            status, error = "failed", RuntimeError("the agent's task was cancelled by itself")
        elif error is not None:
            status = "failed"
            _LOG.error("agent %s failed in run %s", self._name, self.attempt.run, exc_info=error)
        await end(self.attempt, status, error_data(error) if status == "failed" and error is not None else None)
