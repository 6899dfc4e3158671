"""Planted bugs: each breaks one promise in the way a plausible mistake would. The product knows nothing of this file.

``HOLDFAST_MUTANT=name`` plants one when pytest loads this module as a plugin (``-p tests.mutants.plant``). A mutant is
worth something only while some test kills it; ``tests/mutants/run.py`` shows that each does.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from conformance.planting import end, replace, stand_in

from holdfast.edge import revocation
from holdfast.engines.sqlite import store
from holdfast.errors import HoldfastError, Refused
from holdfast.hub import deciding, hot, readers, snapshotter, workers
from holdfast.hub.pending import PendingCommand
from holdfast.protocol import compaction, fold, wire
from holdfast.protocol import events as e
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.protocol.frames import decode_frame
from holdfast.session import approval, content, control, program, run, writer

VARIABLE = "HOLDFAST_MUTANT"


class Mutant(NamedTuple):
    """``plant`` plants it; ``tests`` are pytest's arguments for the few that should kill it. ``rule`` is the promise it
    breaks, of PROTOCOL.md or, for ``engine``, of the port of engines."""

    plant: Callable[[], None]
    rule: str
    what: str
    tests: tuple[str, ...]


MUTANTS: dict[str, Mutant] = {}


def mutant(rule: str, what: str, *tests: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a mutant under its function's name."""

    def register(plant: Callable[[], None]) -> Callable[[], None]:
        MUTANTS[plant.__name__] = Mutant(plant, rule, what, tests)
        return plant

    return register


COMMITS = "tests/unit/hub/test_commits.py"
SEES = f"{COMMITS}::test_nobody_sees_what_is_not_durable_yet"
FAILED = f"{COMMITS}::test_a_failed_commit_is_reported_and_a_retry_settles_it"
LEASES = "tests/unit/hub/test_leases.py"
RUNS = "tests/unit/session/test_runs.py"
CONTROL = "tests/unit/session/test_control.py"
HANDOVER = "tests/property/test_hub_handover.py"
PROGRAM = "tests/property/test_program.py"


# --- durability -----------------------------------------------------------------------------------------------------------
@mutant("LOG-4", "readers get events before they are durable", SEES)
def dirty_read() -> None:
    real = hot.HotSession._append

    async def append(self: Any, append: Any) -> None:
        for observer in self._observers:
            if isinstance(observer, readers.Readers):
                observer.fan_out(self, append.frames, 0)
        await real(self, append)

    replace(hot.HotSession, "_append", append)


@mutant(
    "LOG-4",
    "a worker hears of what is not durable yet",
    "tests/unit/hub/test_when_durable.py::test_who_attaches_is_told_what_is_durable",
)
def assignment_ahead() -> None:
    def when_durable(self: Any, read: Callable[[], Any]) -> Any:
        future = self.runtime.loop.create_future()
        future.set_result(read())
        return future

    replace(hot.HotSession, "when_durable", when_durable)


@mutant("LOG-4", "a snapshot holds what is not durable yet", SEES)
def snapshot_ahead() -> None:
    real_append, real_snapshot = hot.HotSession._append, hot.HotSession.snapshot
    ahead: dict[int, Any] = {}

    async def append(self: Any, append: Any) -> None:
        ahead[id(self)] = append
        try:
            await real_append(self, append)
        finally:
            del ahead[id(self)]

    def snapshot(self: Any) -> tuple[int, bytes]:
        seq, view = real_snapshot(self)
        if id(self) not in ahead:
            return seq, view
        folded = View.load(msgspec.json.decode(view))
        for frame in ahead[id(self)].frames:
            folded.apply_all(decode_frame(frame.payload).events)
        return seq, encode(folded.export())

    replace(hot.HotSession, "_append", append)
    replace(hot.HotSession, "snapshot", snapshot)


@mutant("LOG-3", "an append is acknowledged before its commit", SEES, FAILED)
def early_ack() -> None:
    real = deciding.decide

    def decide(state: Any, batch: Any, *more: Any) -> Any:
        decision = real(state, batch, *more)
        for pending in batch:
            pending.notify()
        return decision

    replace(deciding, "decide", decide)


@mutant(
    "LOG-3",
    "commits are not synced to the disk",
    "tests/sim/test_power_cut.py::test_nothing_acknowledged_or_seen_is_lost",
)
def skipped_fsync() -> None:
    real = store.Store.__init__

    def init(self: Any, path: str, **options: Any) -> None:
        real(self, path, **{**options, "synchronous": "NORMAL"})

    replace(store.Store, "__init__", init)


@mutant("LOG-5", "a restart forgets what producers have appended", FAILED, "tests/unit/hub/test_snapshotter.py")
def forgotten_window() -> None:
    replace(snapshotter, "producer", stand_in(snapshotter.producer, remember=lambda state, key: None))


@mutant(
    "LOG-4",
    "a refusal stands though what it was based on was never stored",
    f"{COMMITS}::test_a_refusal_decided_on_what_was_never_stored_is_void",
)
def refusal_of_the_lost() -> None:
    def fail(self: Any, error: HoldfastError) -> None:
        self.outcome = self.outcome if isinstance(self.outcome, HoldfastError) else error
        self.notify()

    replace(PendingCommand, "fail", fail)


@mutant(
    "LOG-7",
    "workers never hear what a failed commit stored after all",
    f"{COMMITS}::test_workers_hear_of_what_was_stored_by_a_commit_that_failed",
)
def unheard_commit() -> None:
    replace(workers.Workers, "missed", lambda self, session, events: None)


@mutant("LOG-10", "time follows a wall clock that steps back", PROGRAM)
def time_runs_back() -> None:
    real = writer.Writer.__init__

    def init(self: Any, state: Any, actor: str, now_ms: int, *more: Any, **named: Any) -> None:
        real(self, state, actor, now_ms, *more, **named)
        self._ts = now_ms

    replace(writer.Writer, "__init__", init)


# --- reading --------------------------------------------------------------------------------------------------------------
@mutant("SUB-2", "catching up repeats the last frame", HANDOVER)
def double_replay() -> None:
    real = readers.Readers._step

    async def step(self: Any, reader: Any) -> None:
        reader.cursor -= reader.cursor > 1
        await real(self, reader)

    replace(readers.Readers, "_step", step)


@mutant("SUB-2", "resuming skips one event", HANDOVER)
def off_by_one_resume() -> None:
    real = readers.Readers.attach

    async def attach(self: Any, conn: Any, session: Any, start: Any) -> Any:
        if isinstance(start, wire.Cursor) and start.seq < session.tail:
            start = wire.Cursor(start.incarnation, start.seq + 1)
        return await real(self, conn, session, start)

    replace(readers.Readers, "attach", attach)


@mutant(
    "SUB-4",
    "a slow reader is written to all the same",
    "tests/unit/hub/test_hub.py",
    f"{HANDOVER}::test_a_reader_that_stands_still_costs_bounded_memory_while_50_mb_pass",
)
def slow_reader_buffered() -> None:
    def fan_out(self: Any, session: Any, frames: Any, size: int) -> None:
        batch = readers.batch_of(frames, session.key.session, operator=True)
        for reader in list(session.readers.values()):
            if reader.live:
                reader.cursor = frames[-1].last
                reader.conn.deliver(batch)

    replace(readers.Readers, "fan_out", fan_out)


@mutant("SUB-3", "a cursor inside merged events is read on from", "tests/unit/hub/test_compacting.py")
def split_cover() -> None:
    replace(readers, "splits_cover", lambda frame, cursor: False)


@mutant("SUB-5", "windows are never cut", f"{HANDOVER}::test_windows_and_pages_hold_the_whole_conversation")
def endless_window() -> None:
    replace(snapshotter.Snapshotter, "_turn_page", lambda self: None)


@mutant("ACC-4", "a revoked token goes on reading", "tests/unit/edge/test_connections.py")
def revoked_reads() -> None:
    async def token(self: Any, principal: Any, token_id: str) -> None:
        if token_id != principal.token_id and not principal.may("admin", "*"):
            raise Refused("auth.denied")
        self._tokens.add((principal.tenant, token_id))

    replace(revocation.Revocations, "token", token)


# --- folding --------------------------------------------------------------------------------------------------------------
@mutant("FOLD-3", "offsets count code points, not what browsers count", "tests/unit/session/test_content.py")
def offset_in_code_points() -> None:
    replace(content, "utf16_len", lambda text: len(text))


@mutant("FOLD-4", "the end of a run leaves texts open", CONTROL, PROGRAM)
def open_after_the_end() -> None:
    def ended(view: Any, event: Event) -> None:
        known = view.runs.get(event.run)
        if known is not None:
            known.update(status=event.data["status"], ended_ts=event.ts)
            known["version"] += 1

    replace(fold.HANDLERS, e.RUN_ENDED, ended)


@mutant("FOLD-5", "compaction moves deltas ahead of other events", PROGRAM)
def compaction_reorders() -> None:
    real = compaction.merge

    def merge(events: Any) -> list[Event]:
        events = list(events)
        first = events[0].seq if events else 1
        moved = sorted(events, key=lambda event: (event.type not in e.DELTAS, event.seq))
        return real([msgspec.structs.replace(event, seq=first + n) for n, event in enumerate(moved)])

    replace(compaction, "merge", merge)


# --- runs and control -------------------------------------------------------------------------------------------------------
@mutant("LOG-6", "a superseded attempt may go on appending", RUNS)
def dropped_fence() -> None:
    def run_of_attempt(state: Any, ident: str, generation: int) -> Any:
        return run.find(state, ident)

    replace(run, "run_of_attempt", run_of_attempt)


@mutant("CTL-2", "a cancel does not reach the worker", "tests/unit/hub/test_hub.py")
def lost_cancel() -> None:
    replace(workers._HANDLERS, e.CANCEL_REQUESTED, lambda self, session, event: None)


@mutant("CTL-3", "pressing stop again puts off the end", CONTROL)
def endless_grace() -> None:
    def requested(state: Any, event: Event) -> None:
        for ident in event.data["runs"]:
            known = state.runs.get(ident)
            if known is not None:
                known.cancel = None
        control.on_cancel_requested(state, event)

    replace(program.EVOLVE, e.CANCEL_REQUESTED, requested)


@mutant("CTL-3", "a stopping run may go on speaking", CONTROL)
def speaks_on() -> None:
    replace(e, "WHILE_STOPPING", e.APPENDABLE)


@mutant("CTL-4", "the end of a run forgets steers that wait", CONTROL)
def forgotten_steer() -> None:
    replace(run, "_drop", lambda state, run, writer, actor: None)


@mutant("CTL-6", "an approval has two winners", "tests/unit/session/test_approvals.py")
def two_winners() -> None:
    def resolve(state: Any, op: wire.Resolve, writer: Any) -> None:
        known = state.approvals.get(op.approval)
        if known is not None and known.decision:
            again = {**state.approvals, op.approval: msgspec.structs.replace(known, decision="")}
            state = msgspec.structs.replace(state, approvals=again)
        approval.resolve(state, op, writer)

    replace(program.DECIDE, wire.Resolve, resolve)


@mutant("RUN-1", "runs of one agent start side by side", RUNS)
def no_turns() -> None:
    def claimable(state: Any, run: Any) -> bool:
        return run.status == "queued" and not state.taken_by and not any(after in state.runs for after in run.after)

    replace(run, "claimable", claimable)


@mutant("RUN-2", "time in which the hub stood still counts against leases", LEASES)
def stall_counts() -> None:
    replace(hot.HotSession, "extend_leases", lambda self, seconds: None)


@mutant("RUN-3", "a lease never runs out", LEASES)
def endless_lease() -> None:
    replace(hot.HotSession, "_expire_leases", lambda self, state: None)


@mutant("RUN-5", "a decision does not wake the run that waits for it", "tests/unit/session/test_approvals.py")
def sleeps_on() -> None:
    replace(approval, "_wake", lambda state, ident, decided_ids, writer: None)


for _domain in (
    "adapters",
    "budget_desk",
    "budgets",
    "capacity",
    "cheats",
    "directory",
    "extensions",
    "feed",
    "frontends",
    "governance",
    "inbox",
    "lives",
    "models",
    "monday",
    "money",
    "money_gates",
    "neighbours",
    "operations",
    "trust",
    "verifier",
    "workflows",
):
    importlib.import_module(f"tests.mutants.{_domain}")


def pytest_configure() -> None:
    """Plant what the environment names."""
    name = os.environ.get(VARIABLE)
    if name:
        try:
            MUTANTS[name].plant()
        except Exception as problem:
            end(repr(problem))
