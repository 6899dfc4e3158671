"""The messages of one authenticated connection: each is charged as it is, and done when its turn has come.

They are done in the order in which they came. When one of them waits for more than a turn, nothing more is read from the
connection until that is over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from holdfast.edge.accounts import Account
from holdfast.edge.charges import Charges
from holdfast.edge.pool import Room
from holdfast.protocol import limits


class Source(Protocol):
    """What messages come from."""

    def hold(self) -> None:
        """Read nothing more for now; what was read already still comes."""

    def go_on(self) -> None:
        """Read on. Holds are counted: reading goes on after as many of these."""


class Inbox:
    """See the module.

    Args:
        memory: what the connection holds of the server's.
        work: does what a message asks for; it is told what was charged, and says ``done`` when it is answered.
    """

    __slots__ = ("_account", "_charges", "_closed", "_held", "_later", "_memory", "_size", "_source", "_turn", "_work")

    def __init__(
        self, charges: Charges, account: Account, memory: Room, source: Source, work: Callable[[bytes, int], None]
    ) -> None:
        self._charges = charges
        self._account = account
        self._memory = memory
        self._source = source
        self._work = work
        self._later: deque[tuple[bytes, int]] | None = None  # most connections never have anything that waits
        self._size = 0  # of what waits
        self._turn = 0  # the number of the wait
        self._held = False  # nothing is read
        self._closed = False

    def received(self, raw: bytes, room: int = 0) -> None:
        """A message, and the memory that was kept for it while it came."""
        if self._closed:
            return
        later = self._later
        if not later:
            charges = self._charges
            work = charges.price(raw, limits.OPERATION_BYTES)
            if charges.admit(self._account, work):
                self._work(raw, work)
                if room:
                    self._memory.shrink(room)
                return
            self._wait(work)
        if later is None:
            later = self._later = deque()
        later.append((raw, room))
        self._size += len(raw)
        if self._size > limits.HELD_FREE_BYTES:
            self._hold(self._turn)

    def close(self) -> None:
        """Nothing more is done for the connection."""
        self._closed = True
        self._later = None

    def _wait(self, work: int) -> None:
        self._turn += 1
        self._charges.wait(self._account, work, lambda: self._my_turn(work))
        asyncio.get_running_loop().call_soon(self._hold, self._turn)  # after the turn that comes next

    def _hold(self, turn: int) -> None:
        if turn == self._turn and self._later and not self._held and not self._closed:
            self._held = True
            self._source.hold()

    def _my_turn(self, work: int) -> None:
        """The turn of the first that waits has come; those behind it go on as far as they may."""
        while (later := self._later) is not None:
            raw, room = later[0]
            self._work(raw, work)
            if self._closed:
                return
            later.popleft()
            self._size -= len(raw)
            if room:
                self._memory.shrink(room)
            if not later:
                if self._held:
                    self._held = False
                    self._source.go_on()
                return
            work = self._charges.price(later[0][0], limits.OPERATION_BYTES)
            if not self._charges.admit(self._account, work):
                self._wait(work)
                return
        self._charges.done(self._account, work)
