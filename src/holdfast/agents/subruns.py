"""Sub-agents: runs below a run, each writing to the session as its own actor (RUN-6)."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast

from holdfast.agents.attempt import Attempt
from holdfast.agents.ending import end
from holdfast.agents.input import Input
from holdfast.agents.tools import Tools, error_data
from holdfast.errors import Refused
from holdfast.protocol import wire
from holdfast.protocol.answers import ChildEnd

if TYPE_CHECKING:
    from holdfast.agents.run import RunContext


class SpawnedRun:
    """A run of another agent that this run has started.

    Attributes:
        id: of the run.
        name: as it was named when it was started.
    """

    def __init__(self, parent: RunContext, ident: str, name: str) -> None:
        self._parent = parent
        self.id = ident
        self.name = name

    async def finished(self) -> ChildEnd:
        """Wait for its end: ``{"run", "name", "status", "error"}``."""
        attempt = self._parent.attempt
        while self.id not in attempt.children:
            await attempt.wait_for_change()
        return cast(ChildEnd, attempt.children[self.id])

    async def text(self) -> str:
        """Wait for its end and return what it said."""
        return await self._parent.session.run(self.id).text()

    async def cancel(self, *, force: bool = False) -> None:
        """Stop it. The worker's token needs ``control`` for that."""
        await self._parent.session.cancel(self.id, force=force)


async def spawn(parent: RunContext, agent: str, input: dict[str, Any] | str, name: str, attempts: int) -> SpawnedRun:
    """See ``RunContext.spawn``."""
    attempt = parent.attempt
    result = await attempt.request(
        wire.Spawn(
            session=attempt.session,
            run=attempt.run,
            generation=attempt.generation,
            agent=agent,
            name=name,
            input=Input(input).data,
            local=False,
            attempts=attempts,
        )
    )
    ident = str(result["run"])
    if result.get("status") in ("completed", "failed", "cancelled", "lost"):
        attempt.record_child_end({"run": ident, "name": name, "status": result["status"], "error": None})
    elif ident not in attempt.children:
        attempt.pending_children.add(ident)
    return SpawnedRun(parent, ident, name)


class SubRun:
    """A sub-run inside its parent's attempt, as a block. The block gets a ``RunContext`` of its own."""

    def __init__(self, parent: RunContext, agent: str, name: str, input: dict[str, Any] | str) -> None:
        self._parent = parent
        self._agent = agent
        self._name = name
        self._input = Input(input)
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._inside = False
        self._child: RunContext | None = None

    async def __aenter__(self) -> RunContext:
        parent = self._parent.attempt
        result = await parent.request(
            wire.Spawn(
                session=parent.session,
                run=parent.run,
                generation=parent.generation,
                agent=self._agent,
                name=self._name,
                input=self._input.data,
            )
        )
        if result.get("status") != "running":
            raise Refused("run.ended", f"sub-run {self._name!r} was completed by an earlier attempt", run=result["run"])
        self._task, self._inside = asyncio.current_task(), True
        attempt = Attempt(
            parent.connection,
            parent.session,
            str(result["run"]),
            max(1, int(result["generation"])),
            parent.incarnation,
            self._interrupt,
        )
        tools = Tools(attempt, {}, set(), self._parent.tools.load, self._parent.tools.store)
        self._child = self._parent.child_context(attempt, self._agent, self._input, tools)
        self._parent.track(attempt, True)
        return self._child

    def _interrupt(self) -> None:
        """Only the sub-run is stopped: cancel what the block waits for."""
        if self._inside and not self._parent.cancelled and self._task is not None and not self._interrupted:
            self._interrupted = True
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        assert self._child is not None
        attempt = self._child.attempt
        self._inside = False
        suppress = False
        if self._interrupted and self._task is not None:
            # as asyncio.timeout does: take the cancel back, unless somebody cancels the whole run as well
            suppress = self._task.uncancel() <= 0 and (error is None or isinstance(error, asyncio.CancelledError))
        try:
            if not attempt.fenced and not self._parent.attempt.fenced:
                await end(attempt, self._status(error), error_data(error) if isinstance(error, Exception) else None)
        finally:
            self._parent.track(attempt, False)
        return suppress

    def _status(self, error: BaseException | None) -> Literal["completed", "failed", "cancelled"]:
        assert self._child is not None
        if self._child.cancelled or isinstance(error, asyncio.CancelledError):
            return "cancelled"
        return "completed" if error is None else "failed"
