"""Deciding what gathered while the last commit ran: in order, each command against the state the one before it left."""

from __future__ import annotations

from typing import Final

from holdfast.errors import Refused
from holdfast.hub.pending import PendingCommand
from holdfast.hub.stats import Stats
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.events import Event
from holdfast.protocol.frames import ProducerKey
from holdfast.session import life, producer, program, usage
from holdfast.session.access import Principal, authorise_agent
from holdfast.session.policy import DEFAULT, Policy
from holdfast.session.state import State

URGENT: Final = frozenset({wire.Cancel, wire.Steer, wire.Interrupt, wire.Resolve, wire.Take})
"""People's control goes before whatever content gathered with it; a worker's own operations keep their order."""

_FIRST: Final = URGENT | {wire.Create}
"""The order within a batch; a session begins with its creation, whatever came with it."""

CONTROL_EVENTS: Final = frozenset(program.EVOLVE) - e.APPENDABLE
"""Events that may change lists, leases, deadlines or assignments; the rest is content."""


class BatchDecision:
    """What a batch of commands writes in one append.

    Attributes:
        events: in order, to be encoded.
        merged_events: the same as the state was, and the view will be, folded with (``Writer.merged_events``).
        keys: the producer keys of the appends among them.
        types: which types of events there are.
        essential: a full disk admits it.
    """

    __slots__ = ("essential", "events", "keys", "merged_events", "types")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.merged_events: list[Event] = []
        self.keys: list[ProducerKey] = []
        self.types: set[str] = set()
        self.essential = True

    @property
    def has_control(self) -> bool:
        """More than content was written."""
        return not CONTROL_EVENTS.isdisjoint(self.types)


def decide(
    state: State, batch: list[PendingCommand], now_ms: int, stats: Stats, policy: Policy = DEFAULT
) -> BatchDecision:
    """Decide a batch and fold it into the control state; every pending has its outcome then."""
    decision = BatchDecision()
    ordered = batch
    if any(type(pending.op) in _FIRST for pending in batch):
        ordered = sorted(batch, key=lambda p: (type(p.op) is not wire.Create, type(p.op) not in URGENT))
    for pending in ordered:
        try:
            _decide(state, pending, now_ms, decision, policy)
        except Refused as refusal:
            stats.refused += 1
            pending.outcome = refusal
    stats.commands += len(batch)
    decision.types = {event.type for event in decision.merged_events}
    return decision


def _decide(state: State, pending: PendingCommand, now_ms: int, decision: BatchDecision, policy: Policy) -> None:
    op = pending.op
    if type(op) is wire.Ping:
        pending.outcome = {}
        return
    life.check(state, op)
    ident = producer.identify(pending.actor, op) if isinstance(op, wire.Command) else None
    digest = ""
    if ident is not None:
        digest = producer.digest(op)  # type: ignore[arg-type]
        earlier = producer.find(state, ident, digest)
        if earlier is not None:
            if (code := earlier.result.get(usage.REFUSED)) is not None:
                raise Refused(code)
            pending.outcome = {"first": earlier.first, "last": earlier.last, "duplicate": True, **earlier.result}
            return
    if pending.principal is not None:
        authorise_attempt(state, pending.principal, op)
    writer = program.decide(state, op, pending.actor, now_ms, pending.principal, policy)
    events, result = writer.events, writer.result
    first = state.tail + 1
    if events:
        program.evolve_all(state, writer.merged_events)
        decision.events += events
        decision.merged_events += writer.merged_events
        decision.essential = decision.essential and type(op) in program.ESSENTIAL
    if ident is not None and (writer.refusal is None or result):
        answer = {k: v for k, v in result.items() if isinstance(v, (str, int, list)) or v is None}
        key = ProducerKey(*ident, digest, first, state.tail, writer.ts, answer)
        producer.remember(state, key)
        decision.keys.append(key)
    pending.outcome = writer.refusal or {"first": first, "last": state.tail, **result}


def authorise_attempt(state: State, principal: Principal, op: wire.Op) -> None:
    """Only who acts for a run's agent may act in its attempt; knowing the generation is not enough."""
    ident = op.run if isinstance(op, (wire.RunOp, wire.Append)) else None
    run = (state.runs.get(ident) or state.ended.get(ident)) if ident is not None else None
    if run is not None:
        authorise_agent(principal, run.agent.partition("/")[0])
