"""Sub-agents: runs below a run, each writing to the session as its own actor (RUN-6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar, cast

from holdfast.agents.attempt import Attempt
from holdfast.agents.ending import end
from holdfast.agents.input import Input
from holdfast.agents.tools import error_data
from holdfast.client.session import Session
from holdfast.errors import Refused
from holdfast.protocol import wire
from holdfast.protocol.answers import ChildEnd

_Context = TypeVar("_Context")


class SpawnedRun:
    """A run of another agent that this run has started.

    Attributes:
        id: of the run.
        name: as it was named when it was started.
    """

    def __init__(self, parent: Attempt, session: Session, ident: str, name: str) -> None:
        self._parent = parent
        self._session = session
        self.id = ident
        self.name = name

    async def finished(self) -> ChildEnd:
        """Wait for its end: ``{"run", "name", "status", "error"}``."""
        while self.id not in self._parent.children:
            await self._parent.wait_for_change()
        return cast(ChildEnd, self._parent.children[self.id])

    async def text(self) -> str:
        """Wait for its end and return what it said."""
        return await self._session.run(self.id).text()

    async def cancel(self, *, force: bool = False) -> None:
        """Stop it. The worker's token needs ``control`` for that."""
        await self._session.cancel(self.id, force=force)


async def spawn(
    attempt: Attempt, session: Session, agent: str, input: dict[str, Any] | str, name: str, attempts: int
) -> SpawnedRun:
    """See ``RunContext.spawn``.

    Args:
        attempt: of the run that starts it.
        session: of that run.
    """
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
    return SpawnedRun(attempt, session, ident, name)


class SubRun(Generic[_Context]):
    """A sub-run inside its parent's attempt, as a block. The block gets a ``RunContext`` of its own."""

    def __init__(
        self,
        parent: Attempt,
        agent: str,
        name: str,
        input: Input,
        create_context: Callable[[Attempt], _Context],
        track: Callable[[Attempt, bool], None],
    ) -> None:
        self._parent = parent
        self._agent = agent
        self._name = name
        self._input = input
        self._create_context = create_context
        self._track = track
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._inside = False
        self._attempt: Attempt | None = None

    async def __aenter__(self) -> _Context:
        parent = self._parent
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
        self._attempt = Attempt(
            parent.connection,
            parent.session,
            str(result["run"]),
            max(1, int(result["generation"])),
            parent.incarnation,
            self._interrupt,
        )
        context = self._create_context(self._attempt)
        self._track(self._attempt, True)
        return context

    def _interrupt(self) -> None:
        """Only the sub-run is stopped: cancel what the block waits for."""
        if self._inside and not self._parent.is_over and self._task is not None and not self._interrupted:
            self._interrupted = True
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        assert self._attempt is not None
        attempt = self._attempt
        self._inside = False
        suppress = False
        if self._interrupted and self._task is not None:
            # as asyncio.timeout does: take the cancel back, unless somebody cancels the whole run as well
            suppress = self._task.uncancel() <= 0 and (error is None or isinstance(error, asyncio.CancelledError))
        try:
            if not attempt.fenced and not self._parent.fenced:
                await end(attempt, _status(attempt, error), error_data(error) if isinstance(error, Exception) else None)
        finally:
            self._track(attempt, False)
        return suppress


def _status(attempt: Attempt, error: BaseException | None) -> Literal["completed", "failed", "cancelled"]:
    if attempt.is_over or isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return "completed" if error is None else "failed"
