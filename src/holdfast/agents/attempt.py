"""One attempt at a run: its identity, what it appends, and the signals it gets. ``RunContext`` is its public face."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from holdfast.client.connection import Connection
from holdfast.client.messages import Signal
from holdfast.client.producer import Producer
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import wire
from holdfast.protocol.codec import encode, well_formed_data
from holdfast.visible import logger

_LOG = logger("holdfast.agents")

_END_CODES = ("run.fenced", "run.ended", "run.not_found", "session.deleted", "session.not_found", "session.incarnation")
"""Refusals that say that nothing of an attempt is accepted any more; they are nobody's failure."""


class Steer(msgspec.Struct, frozen=True):
    """Words a person put into the running run."""

    id: str
    text: str
    by: str = ""


class Attempt:
    """See the module.

    Args:
        incarnation: the life of the session in which it was assigned; no other accepts anything of it.
        interrupt: cancels whatever executes the attempt; called when a person stops the run, and when it is fenced.

    Attributes:
        cancelled: the cancel as signalled (``{by, deadline, force}``), or None.
        fenced: nothing of this attempt is accepted any more: the run ended, or another attempt has it.
        released: the run waits for a person without this worker.
    """

    def __init__(
        self,
        connection: Connection,
        session: str,
        run: str,
        generation: int,
        incarnation: str,
        interrupt: Callable[[], None],
    ) -> None:
        self.connection = connection
        self.session, self.run, self.generation, self.incarnation = session, run, generation, incarnation
        self._interrupt = interrupt
        self.producer = Producer(
            connection,
            session,
            run,
            generation,
            incarnation,
            on_refused=self._append_refused,
            on_stopping=lambda: self.cancel({}),
        )
        self.cancelled: dict[str, Any] | None = None
        self.fenced = False
        self.released = False
        self.steers: deque[Steer] = deque()
        self.decisions: dict[str, dict[str, Any]] = {}
        self.children: dict[str, dict[str, Any]] = {}
        self.pending_children: set[str] = set()  # spawned runs that have not ended yet
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen_steers: set[str] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self.on_change: Callable[[], None] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """``(session, run)``."""
        return self.session, self.run

    @property
    def is_over(self) -> bool:
        """Whether its agent is to stop: somebody stops the run, or nothing of this attempt is accepted any more."""
        return self.cancelled is not None or self.fenced

    # --- operations
    async def request(self, op: wire.RunOp) -> dict[str, Any]:
        """Do an operation of this attempt, after everything it has appended. It is tried until it is answered."""
        await self.producer.flush()
        return await self.request_now(op)

    async def request_now(self, op: wire.RunOp) -> dict[str, Any]:
        """As ``request``, without waiting for appends. Texts in it are made well-formed, as the producer does it."""
        op.incarnation = self.incarnation
        try:
            encode(op)
        except UnicodeEncodeError:
            fields = {name: well_formed_data(getattr(op, name)) for name in op.__struct_fields__}
            op = msgspec.structs.replace(op, **fields)
        except (TypeError, ValueError, OverflowError, RecursionError):
            pass  # refused below, with a code
        try:
            return await self.connection.request(op, timeout_s=None)
        except Refused as error:
            self._handle_refusal(error)
            raise

    def confirm_receipt(self, steer: str | None = None) -> None:
        """Write the receipt of the cancel, or of a steer, without waiting for it."""
        op = wire.Received(
            session=self.session, run=self.run, generation=self.generation, steer=steer, incarnation=self.incarnation
        )
        self.connection.post(op, lambda outcome: None)

    # --- signals
    def handle_signal(self, signal: Signal) -> None:
        """A signal of this run and generation."""
        data = signal.data
        if signal.what == "cancel":
            self.cancel(data)
        elif signal.what == "fenced":
            self.fence(Refused("run.fenced", "the server ended this attempt", **data))
        elif signal.what == "steer":
            self.add_steer(data)
        elif signal.what == "approval":
            self.decisions[str(data.get("approvalId"))] = data
        elif signal.what == "child":
            self.record_child_end(data)
        self.notify()

    def cancel(self, data: dict[str, Any]) -> None:
        """A person stops the run: the agent is cancelled like any asyncio task."""
        if self.cancelled is None and not self.fenced:
            self.cancelled = data
            self.producer.stop()
            self.confirm_receipt()
            self._interrupt()
            self.notify()

    def fence(self, error: HoldfastError) -> None:
        """Stop at once and drop everything."""
        if not self.fenced:
            self.fenced = True
            self.producer.fence(error)
            self._interrupt()
            self.notify()

    def add_steer(self, data: dict[str, Any]) -> None:
        """Words arrived; each steer counts once, however often the server repeats it."""
        ident = str(data.get("steerId", ""))
        if ident not in self._seen_steers:
            self._seen_steers.add(ident)
            self.steers.append(Steer(ident, str(data.get("text", "")), str(data.get("by", ""))))

    def record_child_end(self, data: dict[str, Any]) -> None:
        """A spawned run is over: ``{run, name, status, error}``."""
        self.children[str(data.get("run"))] = data
        self.pending_children.discard(str(data.get("run")))
        self.notify()

    def add_task(self, task: asyncio.Task[None]) -> None:
        """Hold a task that works for this attempt until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def catch_up(self, updates: dict[str, Any]) -> None:
        """After a reconnect: what the server says happened meanwhile."""
        for steer in updates.get("steers") or []:
            self.add_steer(steer)
        for ident, decision in (updates.get("approvals") or {}).items():
            if decision.get("decision"):
                self.decisions[ident] = decision
        if updates.get("cancel"):
            self.cancel(updates["cancel"])
        self.notify()

    def _handle_refusal(self, error: Refused) -> None:
        if error.code in _END_CODES:
            self.fence(error)
        elif error.stopping:
            self.cancel({})

    def _append_refused(self, error: HoldfastError) -> None:
        """The producer gave up. Being fenced ends the attempt; any other mistake is raised where the agent writes."""
        _LOG.info("run %s in %s: append refused: %s", self.run, self.session, error.code)
        if error.code in _END_CODES:
            self.fenced = True
            self._interrupt()
        self.notify()

    # --- waiting
    def notify(self) -> None:
        """Wake whoever waits for a signal."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self.on_change is not None:
            self.on_change()

    async def wait_for_change(self) -> None:
        """Wait for the next signal. Raises ``CancelledError`` in a fenced attempt."""
        if self.fenced:
            raise asyncio.CancelledError("fenced")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter
