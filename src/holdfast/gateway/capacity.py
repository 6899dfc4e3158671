"""The slots of an upstream: a part of them is kept for people, and who finds none waits for a turn.

A **seated** call is one that a person waits for; everything else is **headless**. A headless call begins only while more slots
are free than are reserved, so that the next people find room however many are served already; a seated one takes any that
is free. A slot that comes free goes to people who wait, then to programs: workflow by workflow,
and within a workflow key by key, so that nobody is kept waiting by somebody else's flood. Who waits holds no money. Nothing is
polled: what gives a slot back hands it on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from holdfast.errors import HoldfastError, Unavailable
from holdfast.gateway.port import Caller
from holdfast.protocol import limits
from holdfast.session.labels import is_seated


class SlotAsker(NamedTuple):
    """Whose call wants a slot.

    Attributes:
        seated: a person waits for it.
        workflow, key: of the caller, by which programs take turns; a key without a workflow is one of its own.
    """

    seated: bool
    workflow: str = ""
    key: str = ""

    @classmethod
    def of(cls, caller: Caller) -> SlotAsker:
        """That of a caller."""
        labels = dict(caller.labels)
        return cls(is_seated(labels), labels.get("workflow") or caller.key, caller.key)

    @property
    def wait_s(self) -> float:
        """How long it waits."""
        return limits.SEATED_WAIT_S if self.seated else limits.HEADLESS_WAIT_S


class SlotUse(msgspec.Struct, frozen=True):
    """What one kind of calls has of an upstream: slots now, calls that wait now, and calls refused since the start."""

    in_use: int = 0
    waiting: int = 0
    refused: int = 0


class UpstreamLoad(msgspec.Struct, frozen=True):
    """How full an upstream is.

    Attributes:
        reserved: of its ``streams``, those that are kept free for people.
        paused: its provider has said that it is asked too often: headless calls wait.
    """

    upstream: str
    streams: int
    reserved: int
    paused: bool
    seated: SlotUse
    headless: SlotUse


class UpstreamSlot:
    """One of an upstream's slots, until it is given back."""

    __slots__ = ("_capacity", "_seated")

    def __init__(self, capacity: Capacity, seated: bool) -> None:
        self._capacity: Capacity | None = capacity
        self._seated = seated

    @property
    def capacity(self) -> Capacity | None:
        """Whose it is; None once it was given back."""
        return self._capacity

    def release(self) -> None:
        """Give it back. Twice is once."""
        capacity, self._capacity = self._capacity, None
        if capacity is not None:
            capacity.regain(self._seated)


class Waiter:
    """A call that waits at one upstream or several, until the first of them has a slot for it.

    Attributes:
        done: done when it has one; its exception is why it gets none.
    """

    def __init__(self, asker: SlotAsker) -> None:
        self.asker = asker
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._places: list[Capacity] = []
        self._slot: UpstreamSlot | None = None

    def stand(self, capacities: Sequence[Capacity]) -> None:
        """Stand in their lines."""
        for capacity in capacities:
            if self.done.done():
                return
            self._places.append(capacity)
            if not capacity.enter(self):
                self._places.remove(capacity)
        if not self._places and not self.done.done():
            stops = any(capacity.closed for capacity in capacities)
            self.refuse(Unavailable("server.restarting") if stops else full(capacities))

    def give(self, capacity: Capacity) -> bool:
        """It gets a slot of one of them; False when it has gone."""
        if self.done.done():
            return False
        self._slot = UpstreamSlot(capacity, self.asker.seated)
        self.leave()
        self.done.set_result(None)
        return True

    def refuse(self, error: HoldfastError) -> None:
        """It gets none."""
        self.leave()
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # seen: whoever has gone does not ask

    def pushed_out(self, capacity: Capacity) -> None:
        """Somebody else stands in its place; it waits on where else it stands."""
        self._places = [place for place in self._places if place is not capacity]
        if not self._places:
            self.refuse(full([capacity]))

    def take(self) -> UpstreamSlot | None:
        """The slot, from now on the caller's to give back; None when there is none."""
        slot, self._slot = self._slot, None
        return slot

    def leave(self) -> None:
        """Stand nowhere any more."""
        places, self._places = self._places, []
        for place in places:
            place.forget(self)


@contextlib.contextmanager
def waiting(asker: SlotAsker, capacities: Sequence[Capacity]) -> Iterator[Waiter]:
    """Wait at these upstreams while it lasts. A slot that was given and not taken goes back."""
    waiter = Waiter(asker)
    try:
        waiter.stand(capacities)
        yield waiter
    finally:
        waiter.leave()
        if (slot := waiter.take()) is not None:
            slot.release()


def full(capacities: Sequence[Capacity]) -> Unavailable:
    """What a caller hears that gets no slot."""
    names = ", ".join(capacity.name for capacity in capacities)
    return Unavailable(
        "server.busy", f"upstream {names} has as many calls as it may", retry_after_s=limits.BUSY_RETRY_S
    )


class _Line:
    """Who waits, in turns."""

    def __init__(self) -> None:
        self._workflows: OrderedDict[str, OrderedDict[str, OrderedDict[Waiter, None]]] = OrderedDict()
        self._of: dict[str, int] = {}
        self.count = 0

    def add(self, waiter: Waiter) -> None:
        asker = waiter.asker
        keys = self._workflows.setdefault(asker.workflow, OrderedDict())
        keys.setdefault(asker.key, OrderedDict())[waiter] = None
        self._of[asker.workflow] = self._of.get(asker.workflow, 0) + 1
        self.count += 1

    def remove(self, waiter: Waiter) -> None:
        asker = waiter.asker
        keys = self._workflows.get(asker.workflow)
        waiters = keys.get(asker.key) if keys is not None else None
        if keys is None or waiters is None or waiter not in waiters:
            return
        del waiters[waiter]
        self.count -= 1
        self._of[asker.workflow] -= 1
        if not waiters:
            del keys[asker.key]
        if not keys:
            del self._workflows[asker.workflow], self._of[asker.workflow]

    def next(self) -> Waiter | None:
        """Whose turn it is; the turn goes on."""
        if not self._workflows:
            return None
        workflow, keys = next(iter(self._workflows.items()))
        key, waiters = next(iter(keys.items()))
        waiter = next(iter(waiters))
        self._workflows.move_to_end(workflow)
        keys.move_to_end(key)
        self.remove(waiter)
        return waiter

    def newest_of_most(self, asker: SlotAsker) -> Waiter | None:
        """Who came last of the workflow with the most in line; None when that is the asker's own."""
        workflow = max(self._of, key=self._of.__getitem__)
        if self._of[workflow] <= self._of.get(asker.workflow, 0):
            return None
        waiters = max(self._workflows[workflow].values(), key=len)
        return next(reversed(waiters))

    def all(self) -> list[Waiter]:
        return [one for keys in self._workflows.values() for waiters in keys.values() for one in waiters]


class Capacity:
    """The slots of one upstream.

    Args:
        name: of the upstream.
        streams: how many there are.
        seated_share: which part of them is kept free for people; at least one of two or more, unless it is 0.

    Attributes:
        reserved: how many those are.
        closed: nobody gets one any more.
    """

    def __init__(self, name: str, streams: int, seated_share: float) -> None:
        self.name, self.streams = name, streams
        part = max(1, round(streams * seated_share)) if seated_share else 0
        self.reserved = min(part, streams - 1)
        self._used = {True: 0, False: 0}
        self._lines = {True: _Line(), False: _Line()}
        self._refused = {True: 0, False: 0}
        self._pause: asyncio.TimerHandle | None = None
        self.closed = False

    @property
    def in_use(self) -> int:
        """Slots that somebody has."""
        return self._used[True] + self._used[False]

    def load(self) -> UpstreamLoad:
        """How full it is now."""
        seated, headless = (
            SlotUse(self._used[kind], self._lines[kind].count, self._refused[kind]) for kind in (True, False)
        )
        return UpstreamLoad(self.name, self.streams, self.reserved, self._pause is not None, seated, headless)

    def _has_room(self, seated: bool) -> bool:
        if self.closed or self.in_use >= self.streams:
            return False
        return seated or (self._pause is None and self.in_use < self.streams - self.reserved)

    def take(self, asker: SlotAsker) -> UpstreamSlot | None:
        """A slot at once; None when there is none for the asker. It passes nobody: while others of its kind wait, there is
        none."""
        if not self._has_room(asker.seated):
            return None
        self._used[asker.seated] += 1
        return UpstreamSlot(self, asker.seated)

    def regain(self, seated: bool) -> None:
        """A slot was given back: it goes to whose turn it is."""
        self._used[seated] -= 1
        self._hand_on()

    def _hand_on(self) -> None:
        for seated in (True, False):
            while self._lines[seated].count and self._has_room(seated):
                waiter = self._lines[seated].next()
                if waiter is not None and waiter.give(self):
                    self._used[seated] += 1

    # --- waiting
    def enter(self, waiter: Waiter) -> bool:
        """Stand in line; whether there was a place. Of a full line the one that came last of those who have the most in it
        gives way."""
        line, asker = self._lines[waiter.asker.seated], waiter.asker
        if self.closed:
            return False
        if line.count >= limits.UPSTREAM_WAITING:
            other = line.newest_of_most(asker)
            if other is None:
                return False
            line.remove(other)
            other.pushed_out(self)
        line.add(waiter)
        self._hand_on()  # one may have come free since the caller looked
        return True

    def forget(self, waiter: Waiter) -> None:
        """It waits no more."""
        self._lines[waiter.asker.seated].remove(waiter)

    def refused(self, asker: SlotAsker) -> None:
        """Count a call that got no slot."""
        self._refused[asker.seated] += 1

    # --- what the provider says
    def pause(self, seconds: float) -> None:
        """The provider is asked too often: no headless call goes to it for so long, bounded. Longer counts, shorter does not
        shorten."""
        loop = asyncio.get_running_loop()
        until = loop.time() + min(seconds, limits.UPSTREAM_PAUSE_S)
        if not seconds > 0 or self.closed or (self._pause is not None and self._pause.when() >= until):
            return
        if self._pause is not None:
            self._pause.cancel()
        self._pause = loop.call_at(until, self.resume)

    def resume(self) -> None:
        """Headless calls go to it again."""
        if self._pause is not None:
            self._pause.cancel()
        self._pause = None
        self._hand_on()

    def close(self) -> None:
        """Nobody gets a slot any more; who waits is told."""
        self.closed = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        for line in self._lines.values():
            for waiter in line.all():
                waiter.refuse(Unavailable("server.restarting"))
