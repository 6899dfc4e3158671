"""Random legal histories: the session program driven by random commands, checked at every step.

A history is made from plain integers, so Hypothesis can shrink it. Each step picks a command that makes sense in the
present state (and now and then one that does not), lets the program decide, and folds what it wrote into the control
state and into a view. What must hold after every step is asserted here; what must hold of a whole history is asserted by
the tests that use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from holdfast.errors import CODES, Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Draft, Event
from holdfast.protocol.fold import View
from holdfast.protocol.frames import ProducerKey
from holdfast.session import life, producer, program
from holdfast.session import run as runs
from holdfast.session.state import State
from holdfast.session.writer import SYSTEM
from tests.property.output import WORDS, drafts, pick

SESSION = "s1"
LIFE = "0a1b2c3d4e"
AGENTS = ("writer", "critic")
PEOPLE = ("user:ann", "user:bob")
START_MS = 1_764_000_000_000

Step = tuple[int, int, int, int]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.integers(0, 999), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)), max_size=60
)
"""The integers of one history: which command, and three choices for its fields."""


def control(state: State) -> bytes:
    """The control state as bytes, for comparison. The order of its entries counts."""
    return msgspec.msgpack.encode(state)


class RunModel:
    """RUN-1, written once more and independently of the program: where each run stands."""

    def __init__(self) -> None:
        self.status: dict[str, str] = {}
        self.generation: dict[str, int] = {}

    def apply(self, event: Event) -> None:
        ident, now = event.run or "", self.status.get(event.run or "")
        if event.type == e.RUN_QUEUED:
            assert now in (None, "waiting"), f"{event.type} of a {now} run"
            self.status[ident] = "queued"
        elif event.type == e.RUN_STARTED:
            assert now == "queued"
            assert event.data["generation"] == self.generation.get(ident, 0) + 1, "generations are contiguous"
            self.status[ident], self.generation[ident] = "running", event.data["generation"]
        elif event.type == e.RUN_WAITING:
            assert now == "running"
            self.status[ident] = "waiting"
        elif event.type == e.RUN_ATTEMPT_LOST:
            assert now == "running"
            assert event.data["generation"] == self.generation[ident]
            self.status[ident] = "queued"
        elif event.type == e.RUN_ENDED:
            assert now in ("queued", "running", "waiting"), f"the end of a {now} run"
            self.status[ident] = event.data["status"]
        elif event.actor == SYSTEM and event.type == e.USAGE_RECORDED:
            assert 1 <= (event.attempt or 0) <= self.generation[ident], "usage of an attempt that never was"
        elif event.attempt is not None:
            assert now == "running", f"{event.type} of a {now} run"
            assert event.attempt == self.generation[ident], "an event of a fenced attempt was accepted (LOG-6)"


class History:
    """A session that commands are given to.

    Attributes:
        events: everything written, in order.
        keys: the producer keys in the order they were remembered, each with the tail at that moment.
        refused: codes of the refusals so far.
    """

    def __init__(self) -> None:
        self.state = State(SESSION, LIFE)
        self.view = View()
        self.model = RunModel()
        self.events: list[Event] = []
        self.keys: list[ProducerKey] = []
        self.refused: list[str] = []
        self.now = START_MS
        self.ask(wire.Create(session=SESSION, agent=AGENTS[0], title="t"), PEOPLE[0])

    # --- one command
    def ask(self, op: wire.Op, actor: str) -> dict[str, Any] | None:
        """Decide, check, fold. None when it was refused."""
        before = control(self.state)
        ident = producer.identify(actor, op) if isinstance(op, wire.Command) else None
        try:
            life.check(self.state, op)
            if ident is not None:
                known = producer.find(self.state, ident, producer.digest(op))  # type: ignore[arg-type]
                if known is not None:
                    return {"first": known.first, "last": known.last, **known.result}
            written = program.decide(self.state, op, actor, self.now)
        except Refused as error:
            assert error.code in CODES
            assert control(self.state) == before, "a refusal changed the state"
            self.refused.append(error.code)
            return None
        assert control(self.state) == before, "deciding changed the state"
        encode(written.result)
        for event in written.events:
            self._fold(msgspec.json.decode(encode(event), type=Event))  # as a restart would read it
        if written.refusal is not None:
            self.refused.append(written.refusal.code)
        if ident is not None and (written.refusal is None or written.result):
            first = self.state.tail - len(written.events) + 1
            facts = {k: v for k, v in written.result.items() if isinstance(v, (str, int, list)) or v is None}
            content = producer.digest(op)  # type: ignore[arg-type]
            key = ProducerKey(*ident, content, first, self.state.tail, written.ts, facts)
            producer.remember(self.state, key)
            self.keys.append(key)
        self._check()
        return None if written.refusal is not None else written.result

    def _fold(self, event: Event) -> None:
        assert event.seq == len(self.events) + 1, "positions are contiguous (LOG-1)"
        assert not self.events or event.ts >= self.events[-1].ts, "time ran backwards (LOG-10)"
        self.model.apply(event)
        self.events.append(event)
        program.evolve(self.state, event)
        assert self.view.apply(event), f"a bad join at {event} (FOLD-3)"

    def _check(self) -> None:
        """What holds after every command."""
        assert self.state.tail == len(self.events)
        for ident, run in self.state.runs.items():
            shown = self.view.runs[ident]
            assert run.status == self.model.status[ident] == shown["status"]
            assert run.version == shown["version"], f"version of {ident} (LOG-8)"
            assert run.generation == shown["attempt"]
            assert run.parent is None or run.parent in self.state.runs or run.parent in self.state.ended
        live = {ident for ident, status in self.model.status.items() if status in ("queued", "running", "waiting")}
        assert live == self.state.runs.keys()
        assert self.state.branch_version == self.view.branch["version"]
        assert self.state.head == self.view.branch["head"]
        for key, length in [*self.state.loose.items(), *(i for r in self.state.runs.values() for i in r.open.items())]:
            kind = {"m": "message", "r": "reasoning", "t": "tool"}[key[0]]
            assert self.view.open[kind, key[2:]].length == length, f"{key} is {length} long"
        assert len(self.view.open) == len(self.state.loose) + sum(len(r.open) for r in self.state.runs.values())
        due = program.due_ms(self.state)
        assert due is None or due <= self.now + limits.APPROVAL_DEADLINE_MAX_S * 1_000

    # --- many commands
    def play(self, choices: Sequence[Step]) -> History:
        """Give the commands that the integers stand for."""
        for kind, a, b, c in choices:
            COMMANDS[kind % len(COMMANDS)](self, a, b, c)
        return self

    def some_run(self, a: int, status: str = "running") -> Any:
        """A live run, preferably of a status."""
        live = list(self.state.runs.values())
        fit = [run for run in live if run.status == status] or live
        return fit[a % len(fit)] if fit else None


# --- commands ----------------------------------------------------------------------------------------------------------
def _send(h: History, a: int, b: int, c: int) -> None:
    edits = pick(h.state.inputs, b) if c % 5 == 0 else None
    parent = pick(h.state.inputs, a) if c % 5 == 1 else None
    op = wire.Send(
        session=SESSION, text=WORDS[a % len(WORDS)], agent=pick(("", *AGENTS), b), key=f"k{a % 8}" if a % 2 else None,
        edits=edits, parent=parent, concurrent=c % 7 == 0, silent=c % 11 == 0, attempts=1 + c % 3,
    )  # fmt: skip
    h.ask(op, pick(PEOPLE, a))


def _claim(h: History, a: int, b: int, c: int) -> None:
    ready = [run for run in h.state.runs.values() if runs.claimable(h.state, run)]
    run = pick(ready, a) if b % 8 else h.some_run(a, "queued")
    if run is not None:
        h.ask(runs.Claim(session=SESSION, run=run.id, worker="w1", lease_s=15.0), f"agent:{run.agent}")


def _append(h: History, a: int, b: int, c: int) -> None:
    run = h.some_run(c)
    if run is None:
        return
    generation = max(0, run.generation - (c % 10 == 0))
    written = drafts(h.state.tail, run.open, list(run.journal), a, b, c)
    h.ask(wire.Append(session=SESSION, run=run.id, generation=generation, events=written), f"agent:{run.agent}")


def _append_loose(h: History, a: int, b: int, c: int) -> None:
    who = pick((*PEOPLE, "agent:writer"), c)
    number = len([k for k in h.keys if k.id == f"p {who} p1"]) + 1
    identity = wire.AppendId("p1", 1, number) if a % 3 else None
    h.ask(wire.Append(session=SESSION, events=drafts(h.state.tail, h.state.loose, [], a, b, c), producer=identity), who)


def _append_late(h: History, a: int, b: int, c: int) -> None:
    """By a run that has ended, or a generation that was superseded: never accepted."""
    gone = pick(h.state.ended, a)
    if gone is not None:
        op = wire.Append(session=SESSION, run=gone, generation=1 + b % 2, events=[Draft(e.CUSTOM, {"name": "late"})])
        assert h.ask(op, "agent:writer") is None


def _end(h: History, a: int, b: int, c: int) -> None:
    run = h.some_run(a)
    if run is not None:
        written = drafts(h.state.tail, run.open, list(run.journal), a, b, c) if c % 2 else []
        status = pick(("completed", "completed", "failed", "cancelled"), b)
        op = wire.End(session=SESSION, run=run.id, generation=run.generation, status=status, events=written)
        h.ask(op, f"agent:{run.agent}")


def _cancel(h: History, a: int, b: int, c: int) -> None:
    run = h.some_run(a)
    which = b % 4
    op = wire.Cancel(session=SESSION, force=c % 3 == 0)
    if which == 0 and run is not None:
        op.run = run.id
        op.version = run.version + (c % 4 == 1) if c % 2 else None
    elif which == 1:
        op.scope, op.input = "input", f"k{a % 8}" if c % 2 else pick((*h.state.inputs, "k9"), a)
    elif which == 2:
        op.scope = "mine"
    else:
        op.scope = "all" if c % 8 == 0 else "run"
    h.ask(op, pick(PEOPLE, c))


def _received(h: History, a: int, b: int, c: int) -> None:
    run = h.some_run(a)
    if run is not None:
        steer = pick(run.steers, b) if c % 2 else None
        h.ask(wire.Received(session=SESSION, run=run.id, generation=run.generation, steer=steer), f"agent:{run.agent}")


def _steer(h: History, a: int, b: int, c: int) -> None:
    run = h.some_run(a)
    if run is not None:
        h.ask(wire.Steer(session=SESSION, run=run.id, text=WORDS[b % len(WORDS)]), pick(PEOPLE, c))


def _interrupt(h: History, a: int, b: int, c: int) -> None:
    run = h.some_run(a) if b % 2 else None
    op = wire.Interrupt(
        session=SESSION, text="stop", run=run.id if run else None, agent=pick(("", *AGENTS), b), force=c % 3 == 0
    )
    h.ask(op, pick(PEOPLE, c))


def _ask(h: History, a: int, b: int, c: int) -> None:
    run = h.some_run(a)
    if run is not None:
        op = wire.Ask(
            session=SESSION, run=run.id, generation=run.generation, approval=f"a{b % 5}", tool="mail", args={"to": b % 2},
            deadline_s=1.0 + c % 60, default=pick(("approved", "denied", "denied"), c), self_approve=c % 7 == 0, wait=c % 3 == 0,
            call=pick(run.journal, a) if c % 2 else None,
        )  # fmt: skip
        h.ask(op, f"agent:{run.agent}")


def _resolve(h: History, a: int, b: int, c: int) -> None:
    op = wire.Resolve(
        session=SESSION, approval=pick((*h.state.approvals, "a9"), a), decision=pick(("approved", "denied"), b)
    )
    h.ask(op, pick((*PEOPLE, "agent:writer"), c))


def _wait(h: History, a: int, b: int, c: int) -> None:
    run = h.some_run(a)
    if run is not None and h.state.approvals:
        mine = [ident for ident, approval in h.state.approvals.items() if approval.run == run.id]
        names = [pick(mine or h.state.approvals, b), pick(h.state.approvals if c % 4 == 0 else mine, c)]
        op = wire.Wait(session=SESSION, run=run.id, generation=run.generation, approvals=[n for n in names if n])
        h.ask(op, f"agent:{run.agent}")


def _spawn(h: History, a: int, b: int, c: int) -> None:
    run = h.some_run(a)
    if run is not None:
        op = wire.Spawn(
            session=SESSION, run=run.id, generation=run.generation, agent=pick(AGENTS, b), name=f"n{b % 3}",
            input={"q": b}, local=c % 2 == 0, attempts=1 + c % 2,
        )  # fmt: skip
        h.ask(op, f"agent:{run.agent}")


def _lose(h: History, a: int, b: int, c: int) -> None:
    run = h.some_run(a)
    if run is not None:
        generation = run.generation - (b % 9 == 0)
        h.ask(
            runs.LeaseExpired(session=SESSION, run=run.id, generation=generation, reason="lease expired"),
            "system:session",
        )


def _tick(h: History, a: int, b: int, c: int) -> None:
    due = program.due_ms(h.state)
    h.now = max(h.now, due) if due is not None and a % 4 else h.now + b * 100
    h.ask(runs.Tick(session=SESSION), "system:session")


def _time(h: History, a: int, b: int, c: int) -> None:
    h.now += a * 37 if c % 5 else -a * 37  # a wall clock may step back


def _branch(h: History, a: int, b: int, c: int) -> None:
    ident = pick((*h.state.inputs, "zz"), a)
    if b % 2:
        h.ask(wire.Regenerate(session=SESSION, input=ident, agent=pick(("", *AGENTS), c)), pick(PEOPLE, a))
        return
    run = pick((*h.state.runs, *h.state.ended), c) if c % 2 else None
    version = h.state.branch_version + (c % 5 == 0) if c % 3 else None
    h.ask(wire.Select(session=SESSION, input=ident if a % 2 else None, run=run, version=version), pick(PEOPLE, a))


def _handoff(h: History, a: int, b: int, c: int) -> None:
    who = h.state.taken_by if b % 5 and h.state.taken_by else pick(PEOPLE, a)
    taking = c % 5 == 0 if h.state.taken_by is not None else c % 3 == 0
    op = wire.Take(session=SESSION, force=b % 4 == 0) if taking else wire.GiveBack(session=SESSION, force=b % 4 == 0)
    h.ask(op, who)


def _title(h: History, a: int, b: int, c: int) -> None:
    op = (
        wire.Rename(session=SESSION, title=WORDS[a % len(WORDS)])
        if b % 2
        else wire.Create(session=SESSION, agent=pick(AGENTS, a))
    )
    h.ask(op, pick(PEOPLE, c))


Command = Callable[[History, int, int, int], None]
COMMANDS: tuple[Command, ...] = (
    *(_send,) * 3, *(_claim,) * 4, *(_append,) * 8, *(_append_loose,) * 2, _append_late, *(_end,) * 2, *(_cancel,) * 2,
    _received, *(_steer,) * 2, _interrupt, *(_ask,) * 2, *(_resolve,) * 2, *(_wait,) * 2, *(_spawn,) * 2, *(_lose,) * 2,
    *(_tick,) * 2, *(_time,) * 2, _branch, _handoff, _title,
)  # fmt: skip
"""Each command as often as it should come."""


def histories(max_steps: int = 60) -> st.SearchStrategy[History]:
    """Random legal histories."""
    one = st.tuples(st.integers(0, len(COMMANDS) - 1), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
    return st.lists(one, max_size=max_steps).map(lambda choices: History().play(choices))
