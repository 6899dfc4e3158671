"""Deleting a session, in its place among the commands: what was asked before is done in this life, what was asked
after is for the next.

The life is over when its tombstone is durable. A deletion that is sent again, because its answer was lost, must not
delete the life that came after: the tombstone keeps its key, and the next life inherits it (LIFE-2).
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from holdfast.engines.port import Head, Index, Key
from holdfast.errors import Refused
from holdfast.hub.pending import PendingCommand
from holdfast.hub.runtime import Runtime
from holdfast.protocol import wire
from holdfast.protocol.frames import ProducerKey
from holdfast.session import life, producer
from holdfast.session import policy as policies
from holdfast.session.state import State

_KEY: Final = "deleted"


def key_of(tombstone: Head | None) -> ProducerKey | None:
    """The key of the deletion that left a tombstone; None when it had none."""
    card_key = tombstone.index.card.get(_KEY) if tombstone is not None else None
    return msgspec.convert(card_key, ProducerKey) if card_key is not None else None


class DeletableSession(Protocol):
    """The part of a session in memory that deleting needs."""

    key: Key
    state: State | None
    runtime: Runtime

    async def load(self) -> None: ...

    def forget(self) -> None: ...

    def end(self) -> None: ...


async def delete(session: DeletableSession, pending: PendingCommand, op: wire.Delete) -> None:
    """Delete the session's life, and answer when its content is erased, or cannot be for now.

    A session that cannot be read can be deleted.

    Raises:
        HoldfastError: ``session.not_found``, ``session.deleted``, or why the tombstone could not be made durable.
    """
    runtime, now_ms = session.runtime, session.runtime.clock.wall_ms()
    ident, digest = producer.identify(pending.actor, op), producer.digest(op)
    head = await runtime.engine.head(session.key)
    if head is None or head.deleted:
        if ident is not None and _repeats(key_of(head), ident, digest):
            pending.outcome = {"duplicate": True}
            return pending.notify()
        raise Refused("session.deleted" if head is not None else "session.not_found")
    if await _is_refused(session, pending, op, ident, digest):
        return None
    key = ProducerKey(*ident, digest, head.tail, head.tail - 1, now_ms) if ident is not None else None
    try:
        await runtime.engine.delete(session.key, head.incarnation, now_ms, Index(card={_KEY: key} if key else {}))
    except BaseException:
        session.forget()
        raise
    session.end()
    pending.outcome = {}
    runtime.background(_answer(session, head.incarnation, pending))
    return None


async def _is_refused(
    session: DeletableSession, pending: PendingCommand, op: wire.Delete, ident: tuple[str, int, int] | None, digest: str
) -> bool:
    """Whether the deletion is refused, or was done before; it is answered then."""
    try:
        await session.load()
    except Exception as error:
        session.runtime.log.warning("session %s is deleted and cannot be read: %r", session.key.session, error)
        return False
    if session.state is None:  # its life was over
        return False
    try:
        life.check(session.state, op)
        life.check_tail(session.state, op.expect)
        _permitted(session, pending, op)
        earlier = producer.find(session.state, ident, digest) if ident is not None else None
    except Refused as refusal:
        pending.outcome = refusal
    else:
        pending.outcome = {"duplicate": True} if earlier is not None else None
    pending.notify()
    return pending.outcome is not None


def _permitted(session: DeletableSession, pending: PendingCommand, op: wire.Delete) -> None:
    """Ask the policy. A deletion waits for no approval: nothing would be left to ask in."""
    policy, principal, state = session.runtime.policy, pending.principal, session.state
    if principal is None or state is None:
        return
    facts = policies.facts_of(state, principal, op)
    verdict = policies.answer_of(policy, lambda: policy.judge(facts, principal, op))
    if isinstance(verdict, policies.RequireApproval):
        verdict = policies.Deny("policy.denied", f"{verdict.rule}: a deletion cannot wait for an approval")
    if isinstance(verdict, policies.Deny):
        raise policies.refusal_of(verdict)


def _repeats(key: ProducerKey | None, ident: tuple[str, int, int], digest: str) -> bool:
    return key is not None and (key.id, key.epoch, key.seq, key.digest) == (*ident, digest)


async def _answer(session: DeletableSession, incarnation: str, pending: PendingCommand) -> None:
    try:
        await session.runtime.engine.wait_until_erased(session.key, incarnation)
    finally:
        pending.notify()
