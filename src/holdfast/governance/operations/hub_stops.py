"""Ending the runs of a hub's sessions: all that are in the scope of a stop, in memory or not, until a look finds none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from holdfast.engines.port import Key
from holdfast.errors import HoldfastError, Refused
from holdfast.governance import limits
from holdfast.governance.operations.model import StopOrder
from holdfast.governance.operations.scope import StopWork, WorkOwner, reason_of, step_of, work_of
from holdfast.governance.operations.store import FoundSession
from holdfast.hub.hot import HotSession
from holdfast.hub.hub import Hub
from holdfast.protocol import wire
from holdfast.session.run import descendants
from holdfast.visible import logger

log = logger("holdfast.operations")

Record = Callable[[Sequence[FoundSession]], Awaitable[None]]
"""Puts what was found on record, durably."""


class StopLook(NamedTuple):
    """What one look found.

    Attributes:
        left: runs in scope that had not ended.
        forced: ``(session, run)`` that were ended without their agents.
        unseen: sessions that could not be looked at.
    """

    left: int = 0
    forced: tuple[tuple[str, str], ...] = ()
    unseen: int = 0


class HubStops:
    """The runs of a hub, for stops.

    Sessions in memory are looked at first, for there things change; then those whose index says that a run has not ended.
    One that has nothing in scope is not loaded again until its log has grown.
    """

    def __init__(self, hub: Hub, whose: WorkOwner) -> None:
        self._hub = hub
        self._whose = whose
        self._clear: dict[str, dict[Key, tuple[str, int]]] = {}  # by stop: sessions without any, by life and tail

    async def look(self, stop: StopOrder, record: Record) -> StopLook:
        """Look at every session, and end what is in scope: what was found is on record before.

        Raises:
            Unavailable: of the engine, or of ``record``; the next look may do better.
        """
        left, unseen, forced = 0, 0, []
        async for works, blind in self._works(stop):
            unseen += blind
            await record([work.found for _, work in works])
            done = await asyncio.gather(*(self._end(stop, hot) for hot, _ in works))
            for count, ended in done:
                left += count
                forced += ended
        return StopLook(left, tuple(forced), unseen)

    async def preview(self, stop: StopOrder) -> list[FoundSession]:
        """What a look would find; nothing is ended. Raises ``Unavailable`` of the engine."""
        found = []
        async for works, _ in self._works(stop):
            found += [work.found for _, work in works]
        self.forget(stop)
        return found

    def forget(self, stop: StopOrder) -> None:
        """The stop is over."""
        self._clear.pop(stop.id, None)

    async def _works(self, stop: StopOrder) -> AsyncIterator[tuple[list[tuple[HotSession, StopWork]], int]]:
        """Sessions with something in scope, a lot at a time, and how many of the lot could not be looked at."""
        seen: set[Key] = set()
        async for keys in self._keys(stop):
            fresh = [key for key in dict.fromkeys(keys) if key not in seen]
            seen.update(fresh)
            for begin in range(0, len(fresh), limits.STOP_AT_ONCE):
                lot = await asyncio.gather(*(self._loaded(key) for key in fresh[begin : begin + limits.STOP_AT_ONCE]))
                works, blind = [], 0
                for hot in lot:
                    if isinstance(hot, HotSession) and hot.state is not None:
                        work = work_of(hot.state, stop, self._whose)
                        if work.tops:
                            works.append((hot, work))
                        else:
                            self._clear.setdefault(stop.id, {})[hot.key] = (hot.incarnation, hot.tail)
                    elif hot is not None:
                        blind += 1
                if works or blind:
                    yield works, blind

    async def _keys(self, stop: StopOrder) -> AsyncIterator[Iterable[Key]]:
        sessions = self._hub.sessions
        yield [
            key for key, hot in sessions.items() if key.tenant == stop.tenant and (hot.state is None or hot.state.runs)
        ]
        after: str | None = ""
        while after is not None:
            page = await self._hub.engine.live(stop.tenant, after=after)
            clear = self._clear.get(stop.id, {})
            yield [head.key for head in page.heads if clear.get(head.key) != (head.incarnation, head.tail)]
            after = page.after

    async def _loaded(self, key: Key) -> HotSession | HoldfastError | None:
        """The session; None when there is none any more, and why it cannot be looked at now."""
        hot = self._hub.sessions.get(key)
        if hot is not None and hot.state is not None and not hot.ended:
            return hot
        try:
            return await self._hub.sessions.ready(key)
        except Refused:
            return None
        except HoldfastError as error:
            log.warning("session %s cannot be looked at: %s", key.session, error.code)
            return error

    async def _end(self, stop: StopOrder, hot: HotSession) -> tuple[int, list[tuple[str, str]]]:
        """Ask for the end of what is in scope now; how many runs had not ended, and which were forced."""
        if hot.state is None or hot.ended:
            return 1, []  # a commit failed, or another life begins: the next look sees
        work, now_ms = work_of(hot.state, stop, self._whose), self._hub.clock.wall_ms()
        steps = [(top.id, step_of(stop, top, now_ms)) for top in work.tops]
        submitted = [
            hot.submit(
                wire.Cancel(session=hot.key.session, run=run, force=step == "force", reason=reason_of(stop)), stop.by
            )
            for run, step in steps
            if step != "wait"
        ]
        forced = [
            (hot.key.session, run.id)
            for top, (_, step) in zip(work.tops, steps, strict=True)
            if step == "force"
            for run in (top, *descendants(hot.state, top.id))
        ]
        answers = await asyncio.gather(*submitted, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, HoldfastError):
                raise answer
        return len(work.found.runs), forced
