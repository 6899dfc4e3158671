"""Sub-agents: runs below a run, each writing to the session as its own actor (RUN-6)."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from holdfast.agents.attempt import Attempt
from holdfast.agents.ending import end
from holdfast.agents.input import Input
from holdfast.agents.tools import Tools, described
from holdfast.errors import Refused
from holdfast.protocol import wire

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

    async def finished(self) -> dict[str, Any]:
        """Wait for its end: ``{"run", "name", "status", "error"}``."""
        attempt = self._parent.attempt
        while self.id not in attempt.children:
            await attempt.change()
        return attempt.children[self.id]

    async def text(self) -> str:
        """Wait for its end and return what it said."""
        return await self._parent.session.run(self.id).text()

    async def cancel(self, *, force: bool = False) -> None:
        """Stop it. The worker's token needs ``control`` for that."""
        await self._parent.session.cancel(self.id, force=force)


async def spawn(parent: RunContext, agent: str, given: dict[str, Any] | str, name: str, attempts: int) -> SpawnedRun:
    """See ``RunContext.spawn``."""
    attempt = parent.attempt
    answer = await attempt.request(
        wire.Spawn(
            session=attempt.session, run=attempt.run, generation=attempt.generation, agent=agent, name=name,
            input=Input(given).data, local=False, attempts=attempts,
        )
    )  # fmt: skip
    ident = str(answer["run"])
    if answer.get("status") in ("completed", "failed", "cancelled", "lost"):
        attempt.child_ended({"run": ident, "name": name, "status": answer["status"], "error": None})
    elif ident not in attempt.children:
        attempt.awaited.add(ident)
    return SpawnedRun(parent, ident, name)


class SubRun:
    """A sub-run inside its parent's attempt, as a block. The block gets a ``RunContext`` of its own."""

    def __init__(self, parent: RunContext, agent: str, name: str, given: dict[str, Any] | str) -> None:
        self._parent = parent
        self._agent = agent
        self._name = name
        self._input = Input(given)
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._inside = False
        self._child: RunContext | None = None

    async def __aenter__(self) -> RunContext:
        above = self._parent.attempt
        answer = await above.request(
            wire.Spawn(
                session=above.session, run=above.run, generation=above.generation, agent=self._agent, name=self._name,
                input=self._input.data,
            )
        )  # fmt: skip
        if answer.get("status") != "running":
            raise Refused("run.ended", f"sub-run {self._name!r} was completed by an earlier attempt", run=answer["run"])
        self._task, self._inside = asyncio.current_task(), True
        attempt = Attempt(
            above.connection,
            above.session,
            str(answer["run"]),
            max(1, int(answer["generation"])),
            above.incarnation,
            self._interrupt,
        )
        tools = Tools(attempt, {}, set(), self._parent.tools.load, self._parent.tools.store)
        self._child = self._parent.below(attempt, self._agent, self._input, tools)
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
        quiet = False
        if self._interrupted and self._task is not None:
            # as asyncio.timeout does: take the cancel back, unless somebody cancels the whole run as well
            quiet = self._task.uncancel() <= 0 and (error is None or isinstance(error, asyncio.CancelledError))
        try:
            if not attempt.fenced and not self._parent.attempt.fenced:
                await end(attempt, self._status(error), described(error) if isinstance(error, Exception) else None)
        finally:
            self._parent.track(attempt, False)
        return quiet

    def _status(self, error: BaseException | None) -> Literal["completed", "failed", "cancelled"]:
        assert self._child is not None
        if self._child.cancelled or isinstance(error, asyncio.CancelledError):
            return "cancelled"
        return "completed" if error is None else "failed"
