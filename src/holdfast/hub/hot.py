"""A hot session: gather, decide, commit, evolve, fan out.

While a commit runs, the next commands gather; when it is done they are decided in order and committed together. That is
group commit and coalescing without a timer. The control state runs ahead of the commit and is thrown away when the
commit fails; the view and every reader see an event only when it is durable (LOG-4).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from holdfast.engines.port import Append, Head, Index, Key
from holdfast.errors import CommitFailed, HoldfastError, Refused, Unavailable
from holdfast.hub import index as indexing
from holdfast.hub.port import Batch
from holdfast.hub.storing import Keeper, Loaded, load
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.protocol.frames import EVERYONE, OPERATORS, Frame, ProducerKey, encode_frame, skip_payload
from holdfast.session import producer, program
from holdfast.session.access import Principal, authorise_agent
from holdfast.session.run import Tick
from holdfast.session.state import State

if TYPE_CHECKING:
    from holdfast.hub.hub import Hub
    from holdfast.hub.readers import Reader

URGENT: Final = frozenset({wire.Cancel, wire.Steer, wire.Interrupt, wire.Resolve, wire.Take})
"""People's control goes before whatever content gathered with it; a worker's own operations keep their order."""

_QUIET: Final = frozenset({*e.DELTAS, e.CUSTOM, e.RAW, e.SOURCE_CITED})
"""Events that change nothing in lists, leases or assignments."""


class Pending:
    """A command that waits for its commit."""

    __slots__ = ("actor", "future", "op", "principal")

    def __init__(
        self, op: wire.Op, actor: str, future: asyncio.Future[dict[str, Any]], principal: Principal | None
    ) -> None:
        self.op = op
        self.actor = actor
        self.future = future
        self.principal = principal


class HotSession:
    """One session in memory.

    Attributes:
        state: control state, ahead of the commit in flight; None while not loaded.
        view: what people see, at ``tail``.
        tail: newest durable seq.
        ring: the newest encoded frames, capped in bytes.
        readers: subscriptions.
        leases: live attempts, run id to the monotonic time at which the lease runs out.
    """

    def __init__(self, hub: Hub, key: Key) -> None:
        self.hub = hub
        self.key = key
        self.state: State | None = None
        self.view = View()
        self.incarnation = ""
        self.tail = 0
        self.index = Index()
        self.created_ms = 0
        self.active_ms = 0
        self.bytes = 0
        self.ring: deque[Frame] = deque()
        self.ring_bytes = 0
        self.readers: dict[str, Reader] = {}
        self.leases: dict[str, float] = {}
        self.used = hub.clock.monotonic()
        self.keeper = Keeper(self)
        self._queue: list[Pending] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._snapshot: tuple[int, bytes] | None = None

    # --- asking
    def submit(self, op: wire.Op, actor: str, principal: Principal | None = None) -> asyncio.Future[dict[str, Any]]:
        """Queue a command; its place in the order is taken before this returns. The future holds its answer.

        ``principal`` is None for what the hub itself asks.
        """
        future: asyncio.Future[dict[str, Any]] = self.hub.loop.create_future()
        if len(self._queue) >= limits.GATHER_COMMANDS:
            future.set_exception(Unavailable("server.busy"))
        else:
            self._queue.append(Pending(op, actor, future, principal))
            self._wake()
        return future

    async def ready(self) -> None:
        """Wait until the session is loaded. Raises ``session.not_found`` or ``session.deleted``."""
        if self.state is None:
            await self.submit(wire.Ping(), "system:hub")

    def _wake(self) -> None:
        if self._task is None:
            self._task = self.hub.loop.create_task(self._pump(), name=f"session {self.key.session}")

    @property
    def idle(self) -> bool:
        """Nothing is queued or committing."""
        return self._task is None and not self._queue

    # --- gather, decide, commit
    async def _pump(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue, []
                try:
                    if self.state is None:
                        await self._load(batch)
                    await self._commit(batch)
                except HoldfastError as error:
                    self._fail(self._spare(batch, error), error)
                except Exception:
                    self.hub.log.exception("session %s: a batch failed", self.key.session)
                    self._forget()
                    self._fail(batch, Unavailable("server.internal"))
        finally:
            self._task = None
            self.used = self.hub.clock.monotonic()

    def _spare(self, batch: list[Pending], error: HoldfastError) -> list[Pending]:
        """On a full disk control and run ends are tried again by themselves; the rest is what failed."""
        spared = [p for p in batch if type(p.op) in program.ESSENTIAL and not p.future.done()]
        if error.code != "disk.full" or len(spared) == len(batch):
            return batch
        self._queue[:0] = spared
        return [p for p in batch if p not in spared]

    async def settled(self) -> None:
        """Wait until nothing is queued or committing."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def _fail(self, batch: list[Pending], error: HoldfastError) -> None:
        for pending in batch:
            if not pending.future.done():
                pending.future.set_exception(error)
                pending.future.exception()  # seen: a caller that went away is no error of ours

    async def _load(self, batch: list[Pending]) -> None:
        engine = self.hub.engine
        head = await engine.head(self.key)
        if head is None or head.deleted:
            if not any(isinstance(p.op, wire.Create) for p in batch):
                raise Refused("session.deleted" if head else "session.not_found")
            head = await engine.create(self.key, self.hub.new_incarnation(), self.hub.clock.wall_ms(), Index())
        self._adopt(head, await load(engine, head))
        self.hub.stats.loads += 1

    def _adopt(self, head: Head, loaded: Loaded) -> None:
        if self.incarnation and self.incarnation != head.incarnation:
            self.hub.readers.reset_all(self)
        self.state, self.view = loaded.state, loaded.view
        self.incarnation, self.tail = head.incarnation, head.tail
        self.index, self.created_ms, self.active_ms = head.index, head.created_ms, head.active_ms
        self._snapshot = None
        self.keeper.kept, self.keeper.compacted = loaded.kept, loaded.compacted
        now = self.hub.clock.monotonic()
        self.leases = {r.id: now + r.lease_s for r in loaded.state.runs.values() if r.status == "running"}
        self.hub.readers.recheck(self)
        self.arm()
        self.hub.workers.consider(self)

    def _forget(self) -> None:
        """The control state ran ahead of a commit that failed: fold it again before the next command."""
        self.state = None
        self.drop_ring()

    def drop_ring(self) -> None:
        """Forget the frames in memory; readers that want them read the log."""
        self.ring.clear()
        self.ring_bytes = 0

    def _decide(
        self, batch: list[Pending]
    ) -> tuple[list[Event], list[ProducerKey], list[tuple[Pending, dict[str, Any]]], bool]:
        """Decide in order and fold each decision into the control state."""
        state, now = self.state, self.hub.clock.wall_ms()
        assert state is not None
        if len(batch) > 1:
            batch.sort(key=lambda p: type(p.op) not in URGENT)
        events: list[Event] = []
        keys: list[ProducerKey] = []
        done: list[tuple[Pending, dict[str, Any]]] = []
        essential = True
        for pending in batch:
            op = pending.op
            if type(op) is wire.Ping:
                done.append((pending, {}))
                continue
            try:
                ident = producer.identify(pending.actor, op) if isinstance(op, wire.Command) else None
                if ident is not None:
                    content = producer.digest(op)  # type: ignore[arg-type]
                    known = producer.find(state, ident, content)
                    if known is not None:
                        answer = {"first": known.first, "last": known.last, "duplicate": True, **known.result}
                        done.append((pending, answer))
                        continue
                if pending.principal is not None:
                    authorise_holder(state, pending.principal, op)
                written = program.decide(state, op, pending.actor, now)
            except Refused as error:
                self.hub.stats.refused += 1
                pending.future.set_exception(error)
                pending.future.exception()
                continue
            for event in written.events:
                program.evolve(state, event)
            if written.events:
                events += written.events
                essential = essential and type(op) in program.ESSENTIAL
            last = state.tail
            first = last - len(written.events) + 1
            if ident is not None:
                facts = {k: v for k, v in written.result.items() if isinstance(v, (str, int, list)) or v is None}
                key = ProducerKey(*ident, content, first, last, written.ts, facts)
                producer.remember(state, key)
                keys.append(key)
            done.append((pending, {"first": first, "last": last, **written.result}))
        return events, keys, done, essential

    async def _commit(self, batch: list[Pending]) -> None:
        events, keys, done, essential = self._decide(batch)
        self.hub.stats.commands += len(batch)
        if events:
            loud = any(event.type not in _QUIET for event in events)
            frames = encode_frames(self.key.session, events)
            frames[-1].keys = keys
            index = indexing.build(self, events) if loud else None
            append = Append(
                self.key, self.incarnation, self.tail, frames, events[-1].ts, index,
                indexing.notices(self, events) if loud else [], essential,
            )  # fmt: skip
            started = self.hub.clock.monotonic()
            try:
                await self.hub.engine.append(append)
            except BaseException as error:
                self.hub.stats.commit_failures += 1
                self._forget()
                if (
                    isinstance(error, HoldfastError)
                    and not isinstance(error, CommitFailed)
                    and error.code != "disk.full"
                ):
                    raise Unavailable("commit.unknown", f"the log moved under this hub ({error.code})") from error
                raise
            self.hub.stats.commit_seconds.observe(self.hub.clock.monotonic() - started)
            self._committed(events, frames, index, loud)
        for pending, answer in done:
            if not pending.future.done():
                pending.future.set_result(answer)

    # --- evolve, fan out
    def _committed(self, events: list[Event], frames: list[Frame], index: Index | None, loud: bool) -> None:
        stats, view = self.hub.stats, self.view
        stats.commits += 1
        stats.events += len(events)
        stats.frames += len(frames)
        apply = view.apply
        for event in events:
            apply(event)
        self.tail, self.active_ms = events[-1].last, events[-1].ts
        for frame in frames:
            self.ring.append(frame)
            self.ring_bytes += len(frame.payload)
            self.bytes += len(frame.payload)
        while self.ring_bytes > limits.RING_BYTES and len(self.ring) > 1:
            self.ring_bytes -= len(self.ring.popleft().payload)
        if index is not None:
            self.index = index
        if self.readers:
            self.hub.readers.fan_out(self, frames)
        if loud:
            self.hub.workers.committed(self, events)
            self.arm()
            if any(event.type in (e.RUN_ENDED, e.APPROVAL_REQUESTED) for event in events):
                self.hub.notice_event.set()
        self.hub.lists.touch(self)
        self.keeper.committed(len(events), sum(len(f.payload) for f in frames))

    def forget_snapshot(self) -> None:
        """The view changed without an event (a page was turned)."""
        self._snapshot = None

    def snapshot(self) -> tuple[int, bytes]:
        """``(seq, encoded view)`` at the durable tail; encoded once however many join at it (SUB-1)."""
        if self._snapshot is None or self._snapshot[0] != self.tail:
            self._snapshot = (self.tail, encode(self.view.export()))
        return self._snapshot

    # --- deadlines
    def arm(self) -> None:
        """Set the timer to the earliest deadline of the session."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.state is None:
            return
        now = self.hub.clock.monotonic()
        waits = [lease - now for lease in self.leases.values()]
        due = program.due_ms(self.state)
        if due is not None:
            waits.append((due - self.hub.clock.wall_ms()) / 1_000)
        if waits:
            wait = min(max(min(waits), 0.0) + 0.002, 3_600.0)
            self._timer = self.hub.loop.call_later(wait, self._ring_bell)

    def _ring_bell(self) -> None:
        self._timer = None
        if self.state is None:
            return
        self.hub.workers.expire(self)
        due = program.due_ms(self.state)
        if due is not None and due <= self.hub.clock.wall_ms():
            self.submit(Tick(session=self.key.session), "system:session")
        else:
            self.arm()

    async def delete(self) -> None:
        """Erase the session; whoever reads it is told."""
        await self.settled()
        self.state = None
        await self.hub.engine.delete(self.key, self.incarnation, self.hub.clock.wall_ms())
        self.close()
        self.hub.sessions.pop(self.key, None)
        self.hub.readers.close_session(self, "session.deleted")
        self.hub.workers.forget(self)
        self.hub.lists.removed(self.key)

    def close(self) -> None:
        """Drop what would keep a timer alive."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def authorise_holder(state: State, principal: Principal, op: wire.Op) -> None:
    """Only who acts for a run's agent may act in its attempt; knowing the generation is not enough."""
    ident = op.run if isinstance(op, (wire.RunOp, wire.Append)) else None
    run = state.runs.get(ident) if ident is not None else None
    if run is not None:
        authorise_agent(principal, run.agent.partition("/")[0])


def audience(type_: str) -> int:
    """Who may read an event of this type."""
    return OPERATORS if type_ in e.OPERATORS_ONLY else EVERYONE


def encode_frames(session: str, events: list[Event]) -> list[Frame]:
    """Cut events into frames by audience and size, and encode each once."""
    frames: list[Frame] = []
    start = 0
    for i in range(1, len(events) + 1):
        if i == len(events) or audience(events[i].type) != audience(events[start].type):
            _encode_within(session, events[start:i], audience(events[start].type), frames)
            start = i
    return frames


def _encode_within(session: str, events: list[Event], whom: int, frames: list[Frame]) -> None:
    frame = encode_frame(session, events, whom)
    if len(frame.payload) <= limits.FRAME_BYTES or len(events) == 1:
        frames.append(frame)
        return
    half = len(events) // 2
    _encode_within(session, events[:half], whom, frames)
    _encode_within(session, events[half:], whom, frames)


def batch_of(frames: list[Frame], session: str, *, operator: bool) -> Batch:
    """Frames as one reader of an audience gets them."""
    return Batch(
        [f.payload if operator or f.audience == EVERYONE else skip_payload(session, f.first, f.last) for f in frames]
    )
