"""Operations: stops, carried out until nothing of them runs, and the record of what went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace
from sqlalchemy import Connection

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.governance import limits
from holdfast.governance.operations import incidents, store
from holdfast.governance.operations.ending import StopEnding
from holdfast.governance.operations.hub_stops import HubStops
from holdfast.governance.operations.model import (
    Incident,
    StopOrder,
    StopPreview,
    StopReceipt,
    check_notes,
    check_reason,
    check_span,
    check_stop,
)
from holdfast.governance.operations.rules import StartBook, StopBook
from holdfast.governance.store.store import Store
from holdfast.visible import logger

log = logger("holdfast.operations")


class Calls(Protocol):
    """The calls of a gateway that are under way."""

    def end(self, stop: StopOrder) -> int:
        """End those in the scope of a stop; how many."""

    def count(self, stop: StopOrder) -> int:
        """How many there are in the scope of a stop."""


class Operations:
    """Stops and incidents of a store, as one process has them.

    A stop is durable before anything is ended, and what it finds is on record before it is ended: a process that dies in the
    middle goes on where it was. Whoever has the sessions ends their runs; every process ends its own gateway's calls and
    refuses what would begin.

    Args:
        database: the store.
        now_ms: the clock, Unix ms.
        rules: is told which stops hold.
        calls: of this process's gateway; None for none.
        runs: of this process's sessions; None where there are none: then another process ends them.
    """

    def __init__(
        self, database: Store, now_ms: Callable[[], int], rules: StartBook, calls: Calls | None = None,
        runs: HubStops | None = None,
    ) -> None:  # fmt: skip
        self._store = database
        self._now_ms = now_ms
        self.rules = rules
        self._calls = calls
        self._runs = runs
        self._refreshing = asyncio.Lock()
        self._flushing = asyncio.Lock()
        self._by_stop: dict[str, StopOrder] = {}
        self._ending: dict[str, tuple[StopEnding, asyncio.Task[None]]] = {}
        self._ended: defaultdict[str, int] = defaultdict(int)  # calls, by stop, that are not on record yet
        self._started = False
        self._task: asyncio.Task[None] | None = None

    # --- life
    async def refresh(self) -> None:
        """Read which stops hold: from here on they are refused, and what is new of them is ended. Raises of the store."""
        async with self._refreshing:  # who began to read earlier must not have the last word
            found = await self._store.read(store.holding)
            before, self._by_stop = self._by_stop, {stop.id: stop for stop in found}
            self.rules.stops = StopBook(found)
            for stop in found:
                if stop.id not in before and self._calls is not None:
                    self._ended[stop.id] += self._calls.end(stop)
            self._carry_out()

    def start(self) -> None:
        """Begin to end what stops have left, those of an earlier life of this process included."""
        self._started = True
        self._carry_out()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="holdfast operations")

    async def close(self) -> None:
        """End. What is not done is done by the next start."""
        self._started = False
        tasks = [task for task in (self._task, *(task for _, task in self._ending.values())) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task, self._ending = None, {}
        with contextlib.suppress(HoldfastError):
            await self.flush()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(limits.STOP_FLUSH_S)
            try:
                await self.flush()
            except HoldfastError as error:
                log.warning("what stops refused is written later: %s", error.code)

    async def flush(self) -> None:
        """Write down how often stops refused something, and how many calls they ended. Raises of the store; nothing is lost."""
        async with self._flushing:  # whoever comes second must not read what the first is still writing
            refused, self.rules.refused = self.rules.refused, type(self.rules.refused)()
            ended, self._ended = self._ended, defaultdict(int)
            more = {
                ident: {"refused": refused[ident], "calls": ended.get(ident, 0)}
                for ident in {*refused, *(ident for ident, count in ended.items() if count)}
            }
            if not more:
                return
            try:
                await self._store.write(lambda connection: store.count_more(connection, more))
            except BaseException:
                self.rules.refused.update(refused)
                for ident, count in ended.items():
                    self._ended[ident] += count
                raise

    # --- stops
    async def stop(
        self, tenant: str, scope: str, subject: str, reason: str, by: str, *, grace_s: float = limits.STOP_GRACE_S
    ) -> StopReceipt:
        """Stop something: from here on nothing of it begins in this process, and in others within half a second; what runs is
        ended in the name of ``by``. Stopping again what is stopped answers the stop that holds.

        Args:
            grace_s: what an agent has to end by itself.

        Returns:
            What it has found so far: in a process with sessions, all of what ran.

        Raises:
            Refused: ``input.malformed``.
            Unavailable: of the store.
        """
        checked, now_ms = check_stop(scope, subject, reason, grace_s), self._now_ms()
        ident, grace_ms = f"st-{secrets.token_hex(6)}", round(grace_s * 1_000)
        stop = StopOrder(ident, tenant, checked, subject, reason, by, now_ms, grace_ms)
        incident: Incident | None = None
        if checked == "workflow":
            incident = Incident(
                f"in-{secrets.token_hex(6)}", tenant, subject, now_ms, by, now_ms, notes=reason, stop=ident
            )
            stop = replace(stop, incident=incident.id)

        def work(connection: Connection) -> StopOrder:
            if (there := store.same(connection, stop)) is not None:
                return there
            if store.count_holding(connection, tenant) >= limits.STOPS:
                raise Refused("input.malformed", f"{limits.STOPS} stops hold already: lift some")
            store.add(connection, stop)
            if incident is not None:
                store.put_incident(connection, incident)
            return stop

        made = await self._store.write(work)
        await self.refresh()
        if (under_way := self._ending.get(made.id)) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.STOP_ANSWER_S):
                    await under_way[0].looked.wait()
        with contextlib.suppress(Unavailable):
            await self.flush()
        return await self.receipt(tenant, made.id)

    async def lift(self, tenant: str, ident: str, by: str, reason: str) -> StopReceipt:
        """A stop holds no more: what it stopped may begin again. What it ended stays ended. Twice is once.

        Raises:
            Refused: ``stop.not_found``, ``input.malformed`` without a reason.
            Unavailable: of the store.
        """
        check_reason(reason)
        now_ms = self._now_ms()

        def work(connection: Connection) -> None:
            store.lift(connection, _found(connection, tenant, ident), by, reason, now_ms)

        await self.flush()
        await self._store.write(work)
        await self.refresh()
        return await self.receipt(tenant, ident)

    async def receipt(self, tenant: str, ident: str, rows: int = limits.STOP_ROWS) -> StopReceipt:
        """What a stop has done so far. Raises ``stop.not_found``, and of the store."""
        return await self._store.read(
            lambda connection: store.receipt(connection, _found(connection, tenant, ident), rows)
        )

    async def stops(self, tenant: str, *, lifted: bool = False, limit: int = limits.STOP_ROWS) -> list[StopOrder]:
        """The stops of a tenant that hold, the newest first; those that were lifted too, if wanted. Raises of the store."""
        return await self._store.read(lambda connection: store.list_stops(connection, tenant, limit, lifted=lifted))

    async def preview(self, tenant: str, scope: str, subject: str) -> StopPreview:
        """What a stop would end, if it were made now; nothing is ended. Raises ``input.malformed``, and of the engine."""
        checked = check_stop(scope, subject, "looking", 0.0)
        stop = StopOrder(f"pv-{secrets.token_hex(6)}", tenant, checked, subject, "looking", "system:looking", 0, 0)
        calls = self._calls.count(stop) if self._calls is not None else 0
        if self._runs is None:
            return StopPreview(checked, subject, known=False, calls=calls)
        found = await self._runs.preview(stop)
        counts = [run.found for one in found for run in one.runs]
        people = {person for one in found for person in one.people}
        return StopPreview(
            checked, subject, known=True, running=counts.count("running"), queued=counts.count("queued"),
            waiting=counts.count("waiting"), sessions=len(found), people=len(people), calls=calls,
        )  # fmt: skip

    # --- carrying a stop out
    def _carry_out(self) -> None:
        if self._runs is None or not self._started:
            return
        for stop in self._by_stop.values():
            if stop.state == "stopping" and stop.id not in self._ending:
                ending = StopEnding(stop, self._runs, self._store, self._now_ms)
                task = asyncio.get_running_loop().create_task(self._end(ending), name=f"holdfast stop {stop.id}")
                self._ending[stop.id] = (ending, task)

    async def _end(self, ending: StopEnding) -> None:
        ident = ending.stop.id
        try:
            if await ending.run(lambda: ident in self._by_stop):
                await self.refresh()
        except Unavailable as error:
            log.warning("stop %s is done, which is seen later here: %s", ident, error.code)
        finally:
            self._ending.pop(ident, None)

    # --- incidents
    async def incidents(self, tenant: str, workflow: str = "", limit: int = limits.STOP_ROWS) -> list[Incident]:
        """Incidents, the newest first. Raises of the store."""
        return await self._store.read(lambda connection: store.list_incidents(connection, tenant, limit, workflow))

    async def incident(self, tenant: str, ident: str) -> Incident:
        """One incident, counted from what is on record now. Raises ``incident.not_found``, and of the store."""
        now_ms = self._now_ms()

        def work(connection: Connection) -> Incident:
            found = _incident(connection, tenant, ident)
            stop = store.find(connection, tenant, found.stop) if found.stop else None
            return incidents.measured(connection, found, stop, now_ms)

        return await self._store.read(work)

    async def add_incident(
        self, tenant: str, workflow: str, by: str, notes: str, from_ms: int, to_ms: int | None = None
    ) -> Incident:
        """Record an incident by hand. Raises ``input.malformed``, and of the store.

        Args:
            from_ms, to_ms: Unix ms; ``to_ms`` is None while it goes on.
        """
        now_ms = self._now_ms()
        incident = Incident(
            f"in-{secrets.token_hex(6)}", tenant, workflow, from_ms, by, now_ms, check_notes(notes), to_ms=to_ms
        )
        check_span(incident, now_ms)

        def work(connection: Connection) -> Incident:
            made = incidents.measured(connection, incident, None, now_ms)
            store.put_incident(connection, made)
            return made

        return await self._store.write(work)

    async def close_incident(self, tenant: str, ident: str, by: str, notes: str, to_ms: int | None = None) -> Incident:
        """An incident is over: since when, and what is to be said of it beside what was. Raises ``incident.not_found``,
        ``input.malformed``, and of the store."""
        now_ms = self._now_ms()

        def work(connection: Connection) -> Incident:
            found = _incident(connection, tenant, ident)
            words = f"{found.notes}\n{by}: {notes}" if notes else found.notes
            end_ms = to_ms if to_ms is not None else found.to_ms if found.to_ms is not None else now_ms
            closed = replace(found, to_ms=end_ms, notes=check_notes(words))
            check_span(closed, now_ms)
            stop = store.find(connection, tenant, found.stop) if found.stop else None
            closed = incidents.measured(connection, closed, stop, now_ms)
            store.put_incident(connection, closed)
            return closed

        return await self._store.write(work)


def _incident(connection: Connection, tenant: str, ident: str) -> Incident:
    found = store.find_incident(connection, tenant, ident)
    if found is None:
        raise Refused("incident.not_found", f"there is no incident {ident!r:.80}")
    return found


def _found(connection: Connection, tenant: str, ident: str) -> StopOrder:
    found = store.find(connection, tenant, ident)
    if found is None:
        raise Refused("stop.not_found", f"there is no stop {ident!r:.80}")
    return found
