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
from holdfast.edge.pool import Allocation
from holdfast.protocol import limits


class Source(Protocol):
    """What messages come from."""

    def pause_reading(self) -> None:
        """Read nothing more for now; what was read already still comes."""

    def resume_reading(self) -> None:
        """Read on. Pauses are counted: reading goes on after as many of these."""


class Inbox:
    """See the module.

    Args:
        memory: the connection's allocation of the server's memory.
        handle: does what a message asks for; it gets the message and what was charged, which it gives back (``finish``)
            when the message is answered.
    """

    __slots__ = (
        "_account",
        "_charges",
        "_closed",
        "_handle",
        "_memory",
        "_paused",
        "_queue",
        "_size",
        "_source",
        "_wait_number",
    )

    def __init__(
        self,
        charges: Charges,
        account: Account,
        memory: Allocation,
        source: Source,
        handle: Callable[[bytes, int], None],
    ) -> None:
        self._charges = charges
        self._account = account
        self._memory = memory
        self._source = source
        self._handle = handle
        self._queue: deque[tuple[bytes, int]] | None = None  # most connections never have anything that waits
        self._size = 0  # of what waits
        self._wait_number = 0  # the number of the wait
        self._paused = False  # nothing is read
        self._closed = False

    def receive(self, raw: bytes, allocated: int = 0) -> None:
        """A message, and the memory that was allocated for it while it came."""
        if self._closed:
            return
        queue = self._queue
        if not queue:
            charges = self._charges
            work = charges.price(raw, limits.OPERATION_BYTES)
            if charges.admit(self._account, work):
                self._handle(raw, work)
                if allocated:
                    self._memory.shrink(allocated)
                return
            self._wait(work)
        if queue is None:
            queue = self._queue = deque()
        queue.append((raw, allocated))
        self._size += len(raw)
        if self._size > limits.HELD_FREE_BYTES:
            self._pause(self._wait_number)

    def close(self) -> None:
        """Nothing more is done for the connection."""
        self._closed = True
        self._queue = None

    def _wait(self, work: int) -> None:
        self._wait_number += 1
        self._charges.wait(self._account, work, lambda: self._drain(work))
        asyncio.get_running_loop().call_soon(self._pause, self._wait_number)  # after the turn that comes next

    def _pause(self, wait_number: int) -> None:
        if wait_number == self._wait_number and self._queue and not self._paused and not self._closed:
            self._paused = True
            self._source.pause_reading()

    def _drain(self, work: int) -> None:
        """The turn of the first that waits has come; those behind it go on as far as they may."""
        while (queue := self._queue) is not None:
            raw, allocated = queue[0]
            self._handle(raw, work)
            if self._closed:
                return
            queue.popleft()
            self._size -= len(raw)
            if allocated:
                self._memory.shrink(allocated)
            if not queue:
                if self._paused:
                    self._paused = False
                    self._source.resume_reading()
                return
            work = self._charges.price(queue[0][0], limits.OPERATION_BYTES)
            if not self._charges.admit(self._account, work):
                self._wait(work)
                return
        self._charges.finish(self._account, work)
