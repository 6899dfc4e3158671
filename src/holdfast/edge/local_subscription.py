"""A reader of one session inside this process, behind an HTTP response: the SSE tail and every dialect read through it.

The hub sees a connection like any other, with an identity, a token that expires and a transport that pauses; what it
delivers waits here until the response takes it; at most a few batches wait.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Self

import msgspec

from holdfast.edge.charges import SENT_TIMES
from holdfast.edge.listener import LONGEST_TIMER_S, Listener
from holdfast.errors import Refused
from holdfast.hub import operations
from holdfast.hub.port import Batch
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Event
from holdfast.session.access import Principal

_NUMBERS = itertools.count(1)


class SubscriptionMessage(msgspec.Struct):
    """A message of a session to its reader (PROTOCOL.md, sections 3 and 4).

    Attributes:
        op: ``snapshot``, ``events``, ``skip``, ``live``, ``closed``, or another that a reader may ignore.
        seq: of ``snapshot`` and ``live``; ``to`` of ``events`` and ``skip``: where the message leaves its reader.
        view: of ``snapshot``: the folded state (section 6).
        events: of ``events``; the first of them may lie at or before the reader's position.
        code: of ``closed``: why.
    """

    op: str
    seq: int | None = None
    to: int | None = None
    incarnation: str | None = None
    view: dict[str, Any] | None = None
    events: list[Event] = []
    code: str | None = None


_MESSAGE = msgspec.json.Decoder(SubscriptionMessage)


class LocalSubscription:
    """A reader behind a response: ``async with await LocalSubscription.open(…) as subscription: async for payload in
    subscription.payloads()``.

    Attributes:
        incarnation: the session's life that is read.
        task: the task that sends the response; cancelled when the connection is closed and nobody takes what waits.
    """

    def __init__(self, listener: Listener, principal: Principal, surface: str, device: str) -> None:
        self.hub = listener.hub
        self._listener = listener
        self._account = listener.charges.account(principal)
        self.ident = f"{surface}{next(_NUMBERS)}"
        self.principal = principal
        self.surface = surface
        self.device = device
        self.incarnation = ""
        self.close_reason: str | None = None
        self.task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._changed = asyncio.Event()

    @classmethod
    async def open(
        cls, listener: Listener, principal: Principal, session: str, start: Any, *, surface: str, device: str = ""
    ) -> Self:
        """Begin to read a session.

        Args:
            start: as in ``wire.Subscribe``: ``"snapshot"``, ``"tail"`` or a ``wire.Cursor``.
            surface: what people see in presence.

        Raises:
            Refused: ``auth.denied``, ``auth.revoked`` (since the request began), ``session.not_found``.
            Unavailable: ``limit.connections``, ``server.restarting``.
        """
        listener.admit()
        self = cls(listener, principal, surface, device)
        self._register()
        listener.charge_load(self._account, session)
        try:
            self.incarnation = (await listener.hub.sessions.load(principal, session)).incarnation
            await operations.subscribe(listener.hub, self, wire.Subscribe(session=session, start=start))
        except BaseException:
            self.end()
            raise
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end()

    # --- called by the hub
    @property
    def paused(self) -> bool:
        """See ``hub.port.Connection``."""
        return self._size > limits.WRITE_HIGH_BYTES or self.close_reason is not None

    def deliver(self, batch: Batch) -> None:
        """See ``hub.port.Connection``."""
        size = sum(map(len, batch.payloads))
        self._queue.extend(batch.payloads)
        self._size += size
        if size > limits.WRITE_LOW_BYTES:
            self._listener.charges.spend(self._account, size // SENT_TIMES)
        self._changed.set()

    def close(self, code: int, reason: str) -> None:
        """See ``hub.port.Connection``; a client that does not take what waits for it is cut off."""
        if self.close_reason is None:
            self.close_reason = reason
            self._changed.set()
            if self.task is not None:
                self.hub.runtime.loop.call_later(limits.CLOSE_S, self.task.cancel)

    # --- life
    def _register(self) -> None:
        self._listener.verifier.recheck(self.principal)
        self._listener.connection_limits.acquire(self._account.key)
        self._account.users += 1
        self._watch_expiry()
        self.hub.connect(self)

    def end(self) -> None:
        """The response is over, or never began; idempotent."""
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._listener.connection_limits.release(self._account.key)
        self._account.users -= 1
        self.hub.disconnect(self)

    def _watch_expiry(self) -> None:
        if self.principal.expires_ms is None:
            return
        left_s = (self.principal.expires_ms - self.hub.clock.token_ms()) / 1_000
        if left_s <= 0:
            self.close(4410, "token expired")
        else:
            self._timer = self.hub.runtime.loop.call_later(min(left_s, LONGEST_TIMER_S), self._watch_expiry)

    # --- what arrived
    async def payloads(self, idle_s: float = limits.SSE_COMMENT_S) -> AsyncIterator[bytes | None]:
        """Messages as they were stored, each complete JSON; None after ``idle_s`` without any.

        Ends when the connection is closed: the token expired or was revoked, or the server goes away.
        """
        while self.close_reason is None or self._queue:
            if not self._queue:
                self.hub.resume(self)
                self._changed.clear()
                try:
                    async with asyncio.timeout(idle_s):  # wait_for of 3.11 loses some cancels
                        await self._changed.wait()
                except TimeoutError:
                    yield None
                continue
            payload = self._queue.popleft()
            self._size -= len(payload)
            yield payload

    async def messages(self, idle_s: float = limits.SSE_COMMENT_S) -> AsyncIterator[SubscriptionMessage | None]:
        """``payloads``, decoded."""
        async for payload in self.payloads(idle_s):
            yield None if payload is None else _MESSAGE.decode(payload)


def parse_cursor(text: str, what: str) -> wire.Cursor:
    """``incarnation:seq`` as a cursor; ``what`` it is, for errors. Raises ``input.malformed``, ``input.number_range``."""
    incarnation, _, seq = text.rpartition(":")
    if not incarnation or not seq.isascii() or not seq.isdigit():
        fix = "Send the `id` of the last event received, as it came: incarnation:seq. Without one it begins with a snapshot."
        raise Refused("input.malformed", f"{what}: {text[:80]!r} is no position", fix=fix)
    if len(seq) > 16 or int(seq) > limits.INTEGER_MAX:
        raise Refused("input.number_range", f"{what}: beyond 2^53-1")
    return wire.Cursor(incarnation, int(seq))
