"""A worker: offers to run agents, executes what it is assigned, and keeps the leases of what it executes (RUN-2, RUN-7)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.agents.attempt import Attempt
from holdfast.agents.execution import Agent, Execution
from holdfast.client import messages
from holdfast.client.client import Client
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import limits, wire
from holdfast.protocol.view import ENDED
from holdfast.visible import logger

_LOG = logger("holdfast.agents")


class Worker:
    """See the module; ``Holdfast.serve`` makes one.

    Args:
        agents: what this worker runs, by name.
        slots: how many runs at a time.
        slots_for_people: how many of them take only runs that a person waits for.
    """

    def __init__(self, client: Client, agents: Mapping[str, Agent], slots: int, slots_for_people: int = 0) -> None:
        if not agents:
            raise Refused("run.no_agent", 'register an agent first: @hf.agent("name")')
        self._client = client
        self._connection = client.connection
        self._agents = dict(agents)
        self._slots = slots
        self._slots_for_people = slots_for_people
        self._attempts: dict[tuple[str, str], Attempt] = {}
        self._attached: set[Attempt] = set()  # known to the present connection: only those are heartbeated
        self._tasks: dict[asyncio.Task[None], Execution] = {}
        self._stop = asyncio.Event()
        self._error: HoldfastError | None = None

    # --- life
    async def serve(self, *, drain_s: float, signals: bool) -> None:
        """Work until cancelled or drained; see ``Holdfast.serve``."""
        registrations = [
            self._connection.on_message(messages.Assignment, self._assigned),
            self._connection.on_message(messages.Signal, self._signalled),
            self._connection.on_connected(self._connected),
            self._connection.on_disconnected(self._disconnected),
        ]
        heartbeats = asyncio.create_task(self._heartbeats(), name="holdfast heartbeats")
        try:
            with self._on_signals() if signals else contextlib.nullcontext():
                if self._connection.connected:
                    self._connected()
                await self._stop.wait()
                await self._drain(drain_s)
        finally:
            self.drain()  # a connection that outlives this must not be assigned more
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            heartbeats.cancel()
            for unregister in registrations:
                unregister()
        if self._error is not None:
            raise self._error

    def offer(self, name: str, agent: Agent) -> None:
        """Serve another agent from now on."""
        self._agents[name] = agent
        if self._connection.connected:
            self._offer()

    def drain(self) -> None:
        """Take no more runs; ``serve`` returns when those at hand are done, or the drain time is over."""
        self._stop.set()
        if self._connection.connected:
            self._offer()

    async def _drain(self, drain_s: float) -> None:
        if self._tasks and self._connection.error is None:
            await asyncio.wait(set(self._tasks), timeout=drain_s)

    @contextlib.contextmanager
    def _on_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.drain)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    # --- the connection comes and goes
    def _connected(self) -> None:
        self._connection.cap_backoff(
            self._lease_s / 3
        )  # a server that comes back grants every lease anew: be there in time
        self._offer()
        for attempt in list(self._attempts.values()):
            self._attach(attempt)

    def _offer(self) -> None:
        slots = 0 if self._stop.is_set() else self._slots
        offer = wire.Serve(agents=sorted(self._agents), slots=slots, slots_for_people=self._slots_for_people)
        self._connection.post(offer, self._served)

    def _disconnected(self) -> None:
        self._attached.clear()
        if self._connection.closed:
            self._stop.set()
        elif self._connection.error is not None:
            self._give_up(self._connection.error)

    def _served(self, outcome: dict[str, Any] | HoldfastError) -> None:
        if isinstance(outcome, Refused):
            self._give_up(outcome)

    def _give_up(self, error: HoldfastError) -> None:
        self._error = error
        self._stop.set()

    def _attach(self, attempt: Attempt) -> None:
        def on_outcome(outcome: dict[str, Any] | HoldfastError) -> None:
            if isinstance(outcome, dict):
                self._attached.add(attempt)
                attempt.catch_up(outcome)
                self._look_for_children(attempt)
            elif isinstance(outcome, Refused):
                attempt.fence(outcome)
            elif self._connection.connected:  # busy: the lease runs, so soon again
                asyncio.get_running_loop().call_later(limits.RETRY_BASE_S, self._attach_again, attempt)

        op = wire.Attach(
            session=attempt.session, run=attempt.run, generation=attempt.generation, incarnation=attempt.incarnation
        )
        self._connection.post(op, on_outcome)

    def _attach_again(self, attempt: Attempt) -> None:
        active = self._attempts.get(attempt.key) is attempt
        if active and self._connection.connected and attempt not in self._attached:
            self._attach(attempt)

    def _look_for_children(self, attempt: Attempt) -> None:
        """A spawned run may have ended while nobody listened: the session's state says so."""
        if attempt.pending_children:
            task = asyncio.get_running_loop().create_task(self._fetch_children(attempt))
            attempt.add_task(task)

    async def _fetch_children(self, attempt: Attempt) -> None:
        with contextlib.suppress(HoldfastError):
            view = await self._client.session(attempt.session).state()
            for ident in attempt.pending_children & view.runs.keys():
                run = view.runs[ident]
                if run["status"] in ENDED:
                    attempt.record_child_end(
                        {"run": ident, "name": run.get("name"), "status": run["status"], "error": run.get("error")}
                    )

    # --- runs
    def _assigned(self, message: messages.Assignment, size: int) -> None:
        current = self._attempts.get((message.session, message.run))
        if (
            current is not None
            and current.incarnation == message.incarnation
            and current.generation >= message.generation
        ):
            return
        if current is not None:
            current.fence(Refused("run.fenced", "a newer attempt was assigned"))
        agent = self._agents.get(message.agent)
        if agent is None:
            _LOG.warning("assigned a run of %s, which this worker does not serve", message.agent)
            return
        execution = Execution(self._client, message, agent, self.track)
        self.track(execution.attempt, True)
        task = asyncio.create_task(execution.run(), name=f"run {message.run}")
        self._tasks[task] = execution
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        execution = self._tasks.pop(task)
        self.track(execution.attempt, False)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("run %s could not be ended", execution.attempt.run, exc_info=error)

    def track(self, attempt: Attempt, active: bool) -> None:
        """An attempt begins here, or is over: its lease is renewed and its signals are handled in between."""
        if active:
            self._attempts[attempt.key] = attempt
            self._attached.add(attempt)
            return
        if self._attempts.get(attempt.key) is attempt:
            del self._attempts[attempt.key]
        self._attached.discard(attempt)

    def _signalled(self, message: messages.Signal, size: int) -> None:
        attempt = self._attempts.get((message.session, message.run))
        if attempt is not None and attempt.generation == message.generation:
            attempt.handle_signal(message)

    # --- leases
    @property
    def _lease_s(self) -> float:
        return float(self._connection.welcome.limits.get("lease_s", limits.LEASE_S))

    async def _heartbeats(self) -> None:
        """Renew every lease in one operation. It runs on the agents' own loop: a loop that hangs loses its leases."""
        while True:
            await asyncio.sleep(min(limits.HEARTBEAT_S, self._lease_s / 3))
            active = [
                attempt for attempt in self._attempts.values() if attempt in self._attached and not attempt.fenced
            ]
            if self._connection.connected:  # also without a run: a heartbeat shows that the worker does not hang
                leases = [wire.ActiveAttempt(a.session, a.run, a.generation, a.incarnation) for a in active]
                op = wire.Heartbeat(runs=leases)
                self._connection.post(op, self._renewed)

    def _renewed(self, outcome: dict[str, Any] | HoldfastError) -> None:
        if isinstance(outcome, dict):
            for session, run, generation in outcome.get("fenced", []):
                attempt = self._attempts.get((session, run))
                if attempt is not None and attempt.generation == generation:
                    attempt.fence(Refused("run.fenced", "the lease is not held any more"))
