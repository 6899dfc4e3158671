"""Carrying one stop out: look, put on record, end, and look again until nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from msgspec.structs import replace
from sqlalchemy import Connection

from holdfast.errors import HoldfastError
from holdfast.governance import limits
from holdfast.governance.operations import incidents, store
from holdfast.governance.operations.hub_stops import HubStops
from holdfast.governance.operations.model import StopOrder
from holdfast.governance.operations.store import FoundSession
from holdfast.governance.store.store import Store
from holdfast.visible import logger

log = logger("holdfast.operations")


class StopEnding:
    """One stop that is being carried out.

    Everything it needs to know is in the store and in the sessions' logs: who cancelled a run, why, and when. So another
    process may go on where this one died.

    Attributes:
        looked: set once every session was looked at, or the stop is over.
    """

    def __init__(self, stop: StopOrder, runs: HubStops, database: Store, now_ms: Callable[[], int]) -> None:
        self.stop = stop
        self.looked = asyncio.Event()
        self._runs = runs
        self._store = database
        self._now_ms = now_ms
        self._left = -1
        self._recorded: set[tuple[str, str]] = set()  # (session, run) that are on record

    async def run(self, holds: Callable[[], bool]) -> bool:
        """Until a look finds nothing, or ``holds`` says that the stop was lifted. Whether it is done."""
        try:
            while holds():
                pause_s = limits.STOP_LOOK_S
                try:
                    if await self._look():
                        return True
                except HoldfastError as error:
                    pause_s = limits.STOP_AGAIN_S
                    log.warning("stop %s goes on in a moment: %s", self.stop.id, error.code)
                except Exception:
                    pause_s = limits.STOP_AGAIN_S
                    log.exception("stop %s: a look failed", self.stop.id)
                await asyncio.sleep(pause_s)
            return False
        finally:
            self.looked.set()
            self._runs.forget(self.stop)

    async def _look(self) -> bool:
        """One look; whether nothing was left."""
        stop = self.stop
        seen = await self._runs.look(stop, self._record)
        if seen.forced:
            now_ms = self._now_ms()
            await self._store.write(lambda connection: store.mark_forced(connection, stop, seen.forced, now_ms))
        if not seen.left and not seen.unseen:
            await self._finish()
            return True
        if seen.left != self._left:
            await self._store.write(lambda connection: store.put_left(connection, stop.id, seen.left))
            self._left = seen.left
        self.looked.set()
        return False

    async def _record(self, found: Sequence[FoundSession]) -> None:
        stop, now_ms = self.stop, self._now_ms()
        fresh = [
            one._replace(runs=runs)
            for one in found
            if (runs := tuple(run for run in one.runs if (one.session, run.run) not in self._recorded))
        ]
        if fresh:
            await self._store.write(lambda connection: store.record(connection, stop, fresh, now_ms))
            self._recorded.update((one.session, run.run) for one in fresh for run in one.runs)

    async def _finish(self) -> None:
        stop, now_ms = self.stop, self._now_ms()

        def work(connection: Connection) -> None:
            if not store.finish(connection, stop.id, now_ms) or not stop.incident:
                return
            incident = store.find_incident(connection, stop.tenant, stop.incident)
            if incident is not None:
                ended = replace(stop, done_ms=now_ms)
                store.put_incident(connection, incidents.of_stop(connection, incident, ended))

        await self._store.write(work)
