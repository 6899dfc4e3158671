"""Planted bugs of kinds of work: who gets a slot of an upstream or a worker, whose turn it is, and who counts as a person."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from conformance.planting import replace

from holdfast.gateway import capacity, person, sessions
from holdfast.gateway.capacity import Capacity, SlotAsker, UpstreamSlot, Waiter
from holdfast.gateway.exchange import UpstreamExchange
from holdfast.gateway.port import Opening
from holdfast.governance import labels
from holdfast.hub import index
from holdfast.hub.connected_worker import ConnectedWorker
from tests.mutants.plant import mutant

CAPACITY = "tests/unit/gateway/test_capacity.py"
KINDS = "tests/unit/gateway/test_kinds.py"
PERSON = "tests/unit/gateway/test_person.py"
WORKERS = "tests/unit/hub/test_kinds.py"
TREE = "tests/unit/governance/organisation/test_model.py"


@mutant("GATE-9", "programs take what is kept for people", CAPACITY)
def nothing_kept() -> None:
    def has_room(self: Any, seated: bool) -> bool:
        return not self.closed and self.in_use < self.streams and (seated or self._pause is None)

    replace(Capacity, "_has_room", has_room)


@mutant("GATE-9", "people who are served use up what is kept for the next", CAPACITY)
def used_up() -> None:
    def has_room(self: Any, seated: bool) -> bool:
        if self.closed or self.in_use >= self.streams:
            return False
        return seated or (self._pause is None and self._used[False] < self.streams - self.reserved)

    replace(Capacity, "_has_room", has_room)


@mutant("GATE-9", "programs are served in the order in which they came, whoever floods the line", CAPACITY)
def flood_first() -> None:
    real = Waiter.stand

    def stand(self: Any, capacities: Sequence[Capacity]) -> None:
        if not self.asker.seated:
            self.asker = SlotAsker(False)
        real(self, capacities)

    replace(Waiter, "stand", stand)


@mutant("GATE-9", "programs that wait longer go before people", CAPACITY)
def programs_first() -> None:
    def hand_on(self: Any) -> None:
        for seated in (False, True):
            while self._lines[seated].count and self._has_room(seated):
                waiter = self._lines[seated].next()
                if waiter is not None and waiter.give(self):
                    self._used[seated] += 1

    replace(Capacity, "_hand_on", hand_on)


@mutant("GATE-9", "a slot that was given and not taken is lost", CAPACITY)
def lost_slot() -> None:
    @contextlib.contextmanager
    def waiting(asker: SlotAsker, capacities: Sequence[Capacity]) -> Iterator[Waiter]:
        waiter = Waiter(asker)
        waiter.stand(capacities)
        try:
            yield waiter
        finally:
            waiter.leave()

    replace(capacity, "waiting", waiting)


@mutant("GATE-9", "a slot is given back twice", CAPACITY)
def twice_free() -> None:
    replace(UpstreamSlot, "release", lambda self: self._capacity.regain(self._seated))


@mutant("GATE-9", "who waits has its money reserved already", KINDS)
def money_first() -> None:
    real = UpstreamExchange._wait

    async def wait(self: Any, busy: list[Any]) -> UpstreamSlot | None:
        (state, theirs), call = busy[0], self._call
        await self._meter.open(Opening(f"{call.id}.1", call, 1, state.upstream.name, "", theirs, call.at_ms))
        return await real(self, busy)

    replace(UpstreamExchange, "_wait", wait)


@mutant("GATE-9", "after a 429 everybody goes on", KINDS)
def no_pause() -> None:
    replace(Capacity, "pause", lambda self, seconds: None)


@mutant("GATE-9", "a key says itself that a person signed in", PERSON)
def own_word() -> None:
    def signed_in(caller: Any, headers: dict[str, str], people: Any) -> Any:
        return real(caller, headers, people) if person.PERSON_HEADER in headers else caller

    real = person.signed_in
    replace(person, "signed_in", signed_in)


@mutant("GATE-9", "a run has the sign-in of the caller's first call", PERSON)
def first_sign_in() -> None:
    def name(caller: Any) -> str:
        return "\0".join((caller.key, caller.tenant, sessions.actor_of(caller), *sessions.patterns_of(caller)))

    replace(sessions.SessionClients, "_name", staticmethod(name))


@mutant("GATE-9", "a sign-in counts for ever", TREE)
def signed_in_for_ever() -> None:
    replace(labels, "is_interactive", lambda claims, at_ms: labels.signed_in_s(claims) is not None)


@mutant("RUN-7", "a run of a program at hand passes a person who waits elsewhere", WORKERS)
def at_hand_first() -> None:
    @contextlib.contextmanager
    def holding(self: Any, seated: bool) -> Iterator[None]:
        yield

    replace(ConnectedWorker, "holding", holding)


@mutant("RUN-7", "the index does not say where people wait", WORKERS)
def people_unseen() -> None:
    replace(index, "is_seated", lambda labels: False)


@mutant("RUN-7", "programs take the slots for people", WORKERS)
def no_slots_for_people() -> None:
    replace(ConnectedWorker, "takes", lambda self, seated: self.has_free_slot and not self._on_hold[seated])
