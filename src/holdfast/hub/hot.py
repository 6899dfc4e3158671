"""A hot session: gather, decide, commit, evolve, fan out.

While a commit runs, the next commands gather; when it is done they are decided in order and committed together. That is
group commit and coalescing without a timer. The control state runs ahead of the commit and is thrown away when the
commit fails; the view and every reader see an event only when it is durable (LOG-4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from holdfast.engines.port import Head, Index, Key, LogAppend
from holdfast.errors import CommitFailed, HoldfastError, Refused, Unavailable
from holdfast.hub import deciding, deleting, leases, notices
from holdfast.hub import index as indexing
from holdfast.hub.activity import Activity
from holdfast.hub.observer import Commit, SessionObserver
from holdfast.hub.pending import Callback, Outcome, PendingCommand, resolve_into
from holdfast.hub.reader import Reader
from holdfast.hub.ring import Ring
from holdfast.hub.runtime import Runtime
from holdfast.hub.snapshotter import Loaded, Snapshotter, load
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.protocol.frames import ProducerKey, decode_frame, encode_frames
from holdfast.session import producer, program
from holdfast.session.access import Principal
from holdfast.session.run import Tick
from holdfast.session.state import State

T = TypeVar("T")


class HotSession:
    """One life of one session, in memory. When the life is over so is this object; the next life gets its own.

    Args:
        runtime: what it runs on.
        key: which session.
        observers: who is told what becomes durable.
        next_life: takes the commands that waited when this life ended.

    Attributes:
        ended: the life has ended, and nothing more is done here.
        state: control state, ahead of the commit in flight; None while not loaded.
        view: what people see, at ``tail``.
        tail: newest durable seq.
        ring: the newest encoded frames.
        readers: subscriptions.
        leases: live attempts, run id to the monotonic time at which the lease runs out.
    """

    def __init__(
        self,
        runtime: Runtime,
        key: Key,
        observers: Sequence[SessionObserver[HotSession]],
        next_life: Callable[[PendingCommand], None],
    ) -> None:
        self.runtime = runtime
        self.key = key
        self.ended = False
        self.state: State | None = None
        self.view = View()
        self.incarnation = ""
        self.tail = 0
        self.index = Index()
        self.created_ms = 0
        self.active_ms = 0
        self.bytes = 0
        self.ring = Ring(limits.RING_BYTES)
        self.readers: dict[str, Reader[HotSession]] = {}
        self.leases: dict[str, float] = {}
        self.activity = Activity()
        self.last_used = runtime.clock.monotonic()
        self.snapshotter = Snapshotter(self, runtime)
        self._observers = observers
        self._next_life = next_life
        self._queue: list[PendingCommand] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._snapshot: tuple[int, bytes] | None = None
        self._inherited_keys: list[ProducerKey] = []
        self._deletions = 0  # that wait or are under way: whoever comes behind them is of the next life

    # --- commands
    def enqueue(self, op: wire.Op, actor: str, principal: Principal | None, notify: Callback) -> None:
        """Queue a command; its place in the order is taken before this returns, and ``notify`` is called when it is
        durable or refused, in the order of the places. Raises ``server.busy``.

        ``principal`` is None for what the hub itself asks; that is about this life and no other.
        """
        if self.ended:
            return notify(Refused("session.deleted"))
        capacity = limits.GATHER_COMMANDS
        if type(op) not in program.CONTENT:  # a flood of content leaves capacity for control
            capacity *= 2
        if len(self._queue) >= capacity and principal is not None:
            raise Unavailable("server.busy")
        return self.enqueue_pending(PendingCommand(op, actor, principal, notify))

    def submit(self, op: wire.Op, actor: str, principal: Principal | None = None) -> asyncio.Future[dict[str, Any]]:
        """As ``enqueue``; the future holds the answer."""
        future: asyncio.Future[dict[str, Any]] = self.runtime.loop.create_future()
        notify = resolve_into(future)
        try:
            self.enqueue(op, actor, principal, notify)
        except Unavailable as error:
            notify(error)
        return future

    async def ready(self) -> None:
        """Wait until the session is loaded; see ``SessionRegistry.ready``. Raises ``session.not_found`` or ``session.deleted``."""
        if self.state is None or self._deletions:
            await self.submit(wire.Ping(), "system:hub")

    def when_durable(self, read: Callable[[], T]) -> asyncio.Future[T]:
        """Call ``read`` when the control state is exactly what is durable, and no sooner: it runs ahead of commits.

        Raises, from the future: what ``read`` raises, or why the session cannot be loaded.
        """
        future: asyncio.Future[T] = self.runtime.loop.create_future()

        def notify(outcome: Outcome) -> None:
            if future.done():
                return
            try:
                if isinstance(outcome, HoldfastError):
                    raise outcome
                if self.ended:
                    raise Refused("session.deleted")
                future.set_result(read())
            except HoldfastError as error:
                future.set_exception(error)

        self.enqueue(wire.Ping(), "system:hub", None, notify)
        return future

    @property
    def idle(self) -> bool:
        """Nothing is queued or committing."""
        return self._task is None and not self._queue

    # --- gather, decide, commit
    async def _pump(self) -> None:
        try:
            while self._queue:
                batch = self._next_batch()
                try:
                    if isinstance(deletion := batch[0].op, wire.Delete):
                        try:
                            await deleting.delete(self, batch[0], deletion)
                        finally:
                            self._deletions -= 1
                        continue
                    if self.state is None:
                        await self.load(create=any(type(pending.op) is wire.Create for pending in batch))
                    if self.ended:  # a deletion that was reported as failed was done after all
                        self._forward(batch)
                        continue
                    for pending in batch:
                        if type(pending.op) is wire.Ping:  # it asked to be loaded; no failed commit stops reading
                            pending.outcome = {}
                            pending.notify()
                    await self._commit(batch)
                except HoldfastError as error:
                    for pending in self._requeue_essential(batch, error):
                        pending.fail(error)
                except Exception:
                    self.runtime.log.exception("session %s: a batch failed", self.key.session)
                    self.forget()
                    for pending in batch:
                        pending.fail(Unavailable("server.internal"))
        finally:
            self._task = None
            self.last_used = self.runtime.clock.monotonic()

    def _next_batch(self) -> list[PendingCommand]:
        """Everything that waits, up to a deletion, which is done by itself."""
        at = next((at for at, pending in enumerate(self._queue) if type(pending.op) is wire.Delete), len(self._queue))
        batch, self._queue = self._queue[: at or 1], self._queue[at or 1 :]
        return batch

    def _requeue_essential(self, batch: list[PendingCommand], error: HoldfastError) -> list[PendingCommand]:
        """On a full disk control and run ends are tried again by themselves; the rest is what failed."""
        essential = [p for p in batch if type(p.op) in program.ESSENTIAL and not isinstance(p.outcome, HoldfastError)]
        if error.code != "disk.full" or len(essential) == len(batch):
            return batch
        self._queue[:0] = essential
        return [p for p in batch if p not in essential]

    async def wait_until_idle(self) -> None:
        """Wait until nothing is queued or committing."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def load(self, *, create: bool = False) -> None:
        """Fold the session from the engine; ``create`` begins a life when there is none. Ends this object when its
        life turns out to be over. Raises ``session.not_found``, ``session.deleted``, or why it cannot be read.
        """
        engine = self.runtime.engine
        head = await engine.head(self.key)
        if self.incarnation and (head is None or head.deleted or head.incarnation != self.incarnation):
            return self.end()
        inherited: ProducerKey | None = None
        if head is None or head.deleted:
            if not create:
                raise Refused("session.deleted" if head else "session.not_found")
            inherited, life = deleting.key_of(head), self.runtime.new_incarnation(first=head is None)
            head = await engine.create(self.key, life, self.runtime.clock.wall_ms(), Index())
        handled = self.tail if self.incarnation else head.tail
        try:
            loaded = await load(engine, head)
        except HoldfastError:
            now = await engine.head(self.key)
            if now is not None and (now.incarnation, now.deleted) == (head.incarnation, head.deleted):
                raise
            return await self.load(create=create)  # it was deleted while it was read: nothing of it is damaged
        self._adopt(head, loaded)
        if inherited is not None:
            self._inherited_keys.append(inherited)
        for key in self._inherited_keys:
            producer.remember(loaded.state, key)
        self.runtime.stats.loads += 1
        while handled < self.tail:  # a commit of unknown outcome was applied: workers hear of it now
            frames = await engine.read(self.key, handled, max_bytes=limits.PAGE_BYTES)
            events = [event for frame in frames for event in decode_frame(frame.payload).events if event.seq > handled]
            for observer in self._observers:
                observer.missed(self, events)
            handled = frames[-1].last
        return None

    def _adopt(self, head: Head, loaded: Loaded) -> None:
        self.state, self.view = loaded.state, loaded.view
        self.incarnation, self.tail = head.incarnation, head.tail
        self.index, self.created_ms, self.active_ms = head.index, head.created_ms, head.active_ms
        self._snapshot = None
        self.snapshotter.snapshot_seq, self.snapshotter.compacted = loaded.snapshot_seq, loaded.compacted
        self.leases = leases.granted(loaded.state, self.runtime.clock.monotonic())
        for observer in self._observers:
            observer.loaded(self)
        self.arm()

    def forget(self) -> None:
        """The control state ran ahead of a commit that failed: fold it again before the next command."""
        self.state = None
        self.ring.clear()

    async def _commit(self, batch: list[PendingCommand]) -> None:
        assert self.state is not None
        decision = deciding.decide(
            self.state, batch, self.runtime.clock.wall_ms(), self.runtime.stats, self.runtime.policy
        )
        if decision.events:
            control = decision.has_control or len(self.state.participants) != len(self.index.participants)
            frames = encode_frames(self.key.session, decision.events, decision.types)
            frames[-1].keys = (*self._inherited_keys, *decision.keys)
            events = decision.merged_events
            decision.events.clear()  # encoded: their memory is used again while it is in the processor's cache
            for pending in batch:
                pending.drop_content()
            index = indexing.build(self.state, events, self.index) if control else None
            news = self._notices(events) if any(map(notices.is_notable, decision.types)) else []
            append = LogAppend(
                self.key,
                self.incarnation,
                self.tail,
                frames,
                events[-1].ts,
                index,
                news,
                decision.essential,
            )
            await self._append(append)
            self._inherited_keys.clear()
            commit = Commit(events, frames, decision.types, has_control=control, has_notices=bool(news))
            self._on_commit(commit, index)
            if e.UPSTREAM_UNKNOWN in decision.types:
                self.runtime.stats.count_unknown(events)
        for pending in batch:
            pending.notify()

    def _notices(self, events: list[Event]) -> list[dict[str, Any]]:
        assert self.state is not None
        readers = self.readers.values()
        return notices.build(self.state, events, lambda: {reader.conn.principal.actor for reader in readers})

    async def _append(self, append: LogAppend) -> None:
        """Make it durable, or forget what was decided on the way to it."""
        stats, clock = self.runtime.stats, self.runtime.clock
        started = clock.monotonic()
        try:
            await self.runtime.engine.append(append)
        except BaseException as error:
            stats.commit_failures += 1
            self.forget()
            if isinstance(error, HoldfastError) and not isinstance(error, CommitFailed) and error.code != "disk.full":
                raise Unavailable("commit.unknown", f"the log moved under this hub ({error.code})") from error
            raise
        stats.commit_seconds.observe(clock.monotonic() - started)

    # --- evolve, fan out
    def _on_commit(self, commit: Commit, index: Index | None) -> None:
        stats, written = self.runtime.stats, commit.frames[-1].last - commit.frames[0].first + 1
        stats.commits += 1
        stats.events += written
        stats.frames += len(commit.frames)
        self.activity.record(written, self.runtime.clock.monotonic())
        self.view.apply_all(commit.events)
        self.tail, self.active_ms = commit.events[-1].last, commit.events[-1].ts
        self.ring.append(commit.frames, commit.size)
        self.bytes += commit.size
        if index is not None:
            self.index = index
        for observer in self._observers:
            observer.committed(self, commit)
        if commit.has_control:
            self.arm()
        self.snapshotter.on_commit(written, commit.size)

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
        now = self.runtime.clock.monotonic()
        waits = [lease - now for lease in self.leases.values()]
        due = program.due_ms(self.state)
        if due is not None:
            waits.append((due - self.runtime.clock.wall_ms()) / 1_000)
        if waits:
            wait = min(max(min(waits), 0.0) + 0.002, 3_600.0)
            self._timer = self.runtime.loop.call_later(wait, self._on_deadline)

    def _on_deadline(self) -> None:
        self._timer = None
        if self.state is None:
            return
        self._expire_leases(self.state)
        due = program.due_ms(self.state)
        if due is not None and due <= self.runtime.clock.wall_ms():
            self.submit(Tick(session=self.key.session), "system:session")
        else:
            self.arm()

    def _expire_leases(self, state: State) -> None:
        """Record the attempts whose lease has run out (RUN-3)."""
        if self.runtime.behind:
            return  # nothing was received meanwhile: the next tick adds what the stall took
        for op in leases.expire(self.leases, state, self.runtime.clock.monotonic()):
            self.runtime.stats.leases_lost += 1
            self.submit(op, "system:session")

    def renew(self, ident: str) -> None:
        """Start a run's lease anew; the timer finds it when it runs out."""
        run = self.state.runs.get(ident) if self.state is not None else None
        if run is not None:
            is_new = ident not in self.leases
            self.leases[ident] = self.runtime.clock.monotonic() + run.lease_s
            if is_new:
                self.arm()

    def extend_leases(self, seconds: float) -> None:
        """Time in which the hub did not run does not count (RUN-2)."""
        self.leases = {ident: until + seconds for ident, until in self.leases.items()}
        self.arm()

    # --- the end
    def end(self) -> None:
        """End this life: those who watch it are told, and commands that still wait go to the next life."""
        self.ended, self.state = True, None
        self.close()
        for observer in self._observers:
            observer.deleted(self)
        waiting, self._queue = self._queue, []
        self._forward(waiting)

    def _forward(self, waiting: list[PendingCommand]) -> None:
        for pending in waiting:
            if pending.principal is not None or type(pending.op) is wire.Ping:
                self._next_life(pending)
            else:
                pending.fail(Refused("session.deleted"))

    def enqueue_pending(self, pending: PendingCommand) -> None:
        """A command that came when the life before this one ended."""
        self._queue.append(pending)
        self._deletions += type(pending.op) is wire.Delete
        if self._task is None:
            self._task = self.runtime.loop.create_task(self._pump())

    def close(self) -> None:
        """Drop what would keep a timer alive."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
