"""Appending in order, each event once, as fast as acknowledgements allow (LOG-5).

What is written while the last append is in flight goes out together as the next one, and adjacent deltas of one text
become one delta: under load a stream of tokens turns into fewer, larger appends without any timer. Large amounts are
pipelined, a bounded number of appends at a time.

All text passes here, and what passes is UTF-8: the first half of a surrogate pair at the end of a delta waits for the next
delta of its text, and a half that stays alone becomes U+FFFD.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from holdfast.client.connection import Connection
from holdfast.client.retry import Backoff
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.bounds import too_large
from holdfast.protocol.codec import check_value, encode, well_formed, well_formed_data
from holdfast.protocol.events import Draft

_YIELD_EVERY: Final = 32  # writes; so that an agent that never waits still lets acknowledgements in
_REPLACEMENT: Final = "\ufffd"
_DELTA_OF_END: Final = {
    e.TEXT_END: e.TEXT_CONTENT, e.REASONING_END: e.REASONING_CONTENT, e.TOOL_END: e.TOOL_ARGS,
    e.TOOL_RESULT: e.TOOL_ARGS,
}  # fmt: skip
"""What closes a text, and what it was grown by."""


class _BufferedEvent:
    """An event that was not sent yet. A delta collects the text of its neighbours."""

    __slots__ = ("draft", "parts", "size")

    def __init__(self, draft: Draft, size: int) -> None:
        self.draft = draft
        self.parts: list[str] | None = [draft.data["delta"]] if draft.type in e.DELTAS else None
        self.size = size

    def merges(self, type_: str, data: dict[str, Any], size: int) -> bool:
        """Whether a delta continues this one: the same text, no other field, and small enough together."""
        draft = self.draft
        if self.parts is None or draft.type != type_ or self.size + size > limits.DELTA_CHARS:
            return False
        field = e.DELTAS[type_]
        return len(data) == 2 and len(draft.data) == 2 and draft.data[field] == data[field]

    def finish(self) -> Draft:
        if self.parts is not None and len(self.parts) > 1:
            self.draft.data = {**self.draft.data, "delta": "".join(self.parts)}
            self.parts = None
        return self.draft


class _Batch:
    """One append that was sent.

    ``failed`` once it was answered with something that is worth sending again; ``refused`` when that answer says that it
    was not applied, so that its content may still change.
    """

    __slots__ = ("drafts", "failed", "refused", "seq", "size")

    def __init__(self, seq: int, drafts: list[Draft], size: int) -> None:
        self.seq = seq
        self.drafts = drafts
        self.size = size
        self.failed = self.refused = False

    def drop_forbidden(self) -> None:
        """Drop what a run that is being cancelled may not append."""
        self.drafts = [draft for draft in self.drafts if draft.type in e.WHILE_STOPPING]


class Producer:
    """One writer of one session: for a run (then ``run``, ``generation`` and ``incarnation`` say by whose authority), or
    outside runs.

    Args:
        on_refused: called once, when the server refuses for good; everything not acknowledged is dropped then, and
            every later call raises the same error.
        on_stopping: called once, when the server says that the run is being cancelled; from then on only ends, tool
            results and usage are sent (CTL-3), the rest is dropped.
    """

    def __init__(
        self,
        connection: Connection,
        session: str,
        run: str | None = None,
        generation: int = 0,
        incarnation: str | None = None,
        *,
        on_refused: Callable[[HoldfastError], None] | None = None,
        on_stopping: Callable[[], None] | None = None,
    ) -> None:
        self._connection = connection
        self._session, self._run, self._generation, self._incarnation = session, run, generation, incarnation
        self._on_refused, self._on_stopping = on_refused, on_stopping
        self._ident = secrets.token_hex(8)
        self._next_seq = 1
        self._buffer: deque[_BufferedEvent] = deque()
        self._buffer_size = 0
        self._high_surrogates: dict[tuple[str, str], str] = {}  # first halves of surrogate pairs, by the text they end
        self._in_flight: deque[_Batch] = deque()
        self._unanswered = 0
        self._resend_scheduled = False
        self._backoff = Backoff()
        self._retry_after_s = 0.0  # seconds that one of the answers since asks to wait
        self._waiters: list[asyncio.Future[None]] = []
        self._send_scheduled = False
        self._writes_since_yield = 0
        self._sending_paused = False
        self._loop = asyncio.get_running_loop()
        self.stopping = False
        self.error: HoldfastError | None = None

    # --- writing
    async def write(self, type_: str, data: dict[str, Any]) -> None:
        """Append an event, soon; returns when it is gathered, and waits first while too much is on its way.

        Raises:
            Refused: the event is too large or too deep, or an earlier append was refused for good.
        """
        while self._buffer_size > limits.APPEND_BUFFER_BYTES and self.error is None:
            await self._wait_for_change()
        self._writes_since_yield += 1
        if self._writes_since_yield >= _YIELD_EVERY:
            self._writes_since_yield = 0
            await asyncio.sleep(0)
        self.put(type_, data)

    def put(self, type_: str, data: dict[str, Any]) -> None:
        """As ``write``, without waiting."""
        if self.error is not None:
            raise self.error
        if self.stopping and type_ not in e.WHILE_STOPPING:
            return
        if type_ in e.DELTAS:
            self._put_delta(type_, data)
            return
        if self._high_surrogates and type_ in _DELTA_OF_END:
            self._flush_surrogate(_DELTA_OF_END[type_], str(data.get(e.DELTAS[_DELTA_OF_END[type_]])))
        check_value(data, type_)
        try:
            size = len(encode(data))
        except UnicodeEncodeError:
            data = well_formed_data(data)
            size = len(encode(data))
        if size > limits.EVENT_BYTES:
            raise too_large(type_, limits.EVENT_BYTES, "bytes")
        self._enqueue(_BufferedEvent(Draft(type_, data), size))

    def _flush_surrogate(self, type_: str, ident: str) -> None:
        """Nothing more comes that could be the other half."""
        if self._high_surrogates.pop((type_, ident), None):
            self._put_delta(type_, {e.DELTAS[type_]: ident, "delta": _REPLACEMENT})

    def _put_delta(self, type_: str, data: dict[str, Any]) -> None:
        delta, text = data["delta"], (type_, data[e.DELTAS[type_]])
        if self._high_surrogates:
            delta = self._high_surrogates.pop(text, "") + delta
        if not delta.isascii():
            if "\ud800" <= delta[-1] <= "\udbff":
                self._high_surrogates[text], delta = delta[-1], delta[:-1]
            delta = well_formed(delta)
        if len(data) > 2:
            data = well_formed_data(data)
        for start in range(0, len(delta), limits.DELTA_CHARS):
            part = delta[start : start + limits.DELTA_CHARS] if len(delta) > limits.DELTA_CHARS else delta
            last = self._buffer[-1] if self._buffer else None
            if last is not None and last.merges(type_, data, len(part)):
                assert last.parts is not None
                last.parts.append(part)
                last.size += len(part)
                self._buffer_size += len(part)
            else:
                self._enqueue(_BufferedEvent(Draft(type_, {**data, "delta": part}), len(part) + 64))

    def _enqueue(self, event: _BufferedEvent) -> None:
        self._buffer.append(event)
        self._buffer_size += event.size
        if not self._send_scheduled:
            self._send_scheduled = True
            self._loop.call_soon(self._send)  # what is written in this turn of the loop goes out together

    async def flush(self) -> None:
        """Wait until everything written is durable. Raises what an append was refused with."""
        while (self._buffer or self._in_flight) and self.error is None:
            await self._wait_for_change()
        if self.error is not None:
            raise self.error

    async def take_rest(self) -> list[Draft]:
        """Wait until everything sent is durable and take what was not sent yet, for an append of the caller's own."""
        for type_, ident in list(self._high_surrogates):
            self._flush_surrogate(type_, ident)
        self._sending_paused = True
        try:
            while self._in_flight and self.error is None:
                await self._wait_for_change()
        finally:
            self._sending_paused = False
        if self.error is not None:
            raise self.error
        if len(self._buffer) > limits.BATCH_EVENTS or self._buffer_size > limits.APPEND_BYTES:
            self._send()
            await self.flush()
        rest = [event.finish() for event in self._buffer]
        self._buffer.clear()
        self._buffer_size = 0
        return rest

    def stop(self) -> None:
        """The run is being cancelled: drop what may not be appended any more."""
        if self.stopping:
            return
        self.stopping = True
        self._high_surrogates.clear()
        remaining = [event for event in self._buffer if event.draft.type in e.WHILE_STOPPING]
        self._buffer = deque(remaining)
        self._buffer_size = sum(event.size for event in remaining)
        self._wake()

    def fence(self, error: HoldfastError) -> None:
        """Nothing more will be accepted: drop everything."""
        if self.error is None:
            self.error = error
            self._buffer.clear()
            self._buffer_size = 0
            self._high_surrogates.clear()
            self._in_flight.clear()
            self._wake()

    # --- sending
    def _send(self) -> None:
        self._send_scheduled = False
        while self._buffer and not self._sending_paused and not self._has_failed_batch and self.error is None:
            full = self._buffer_size >= limits.APPEND_BYTES or len(self._buffer) >= limits.BATCH_EVENTS
            if self._in_flight and not (full and len(self._in_flight) < limits.APPENDS_IN_FLIGHT):
                break
            batch = self._next_batch()
            self._in_flight.append(batch)
            self._post(batch)
        self._wake()

    @property
    def _has_failed_batch(self) -> bool:
        return self._resend_scheduled or any(batch.failed for batch in self._in_flight)

    def _next_batch(self) -> _Batch:
        drafts: list[Draft] = []
        size = 0
        while self._buffer and len(drafts) < limits.BATCH_EVENTS:
            if drafts and size + self._buffer[0].size > limits.APPEND_BYTES:
                break
            event = self._buffer.popleft()
            size += event.size
            self._buffer_size -= event.size
            drafts.append(event.finish())
        batch = _Batch(self._next_seq, drafts, size)
        self._next_seq += 1
        return batch

    def _post(self, batch: _Batch) -> None:
        batch.failed = batch.refused = False
        self._unanswered += 1
        op = wire.Append(
            session=self._session,
            events=batch.drafts,
            run=self._run,
            generation=self._generation,
            producer=wire.AppendId(self._ident, 0, batch.seq),
            incarnation=self._incarnation,
        )
        self._connection.post(op, lambda outcome: self._answered(batch, outcome))

    def _answered(self, batch: _Batch, outcome: dict[str, Any] | HoldfastError) -> None:
        self._unanswered -= 1
        if self.error is not None:
            return
        if isinstance(outcome, HoldfastError):
            self._retry_after_s = max(self._retry_after_s, outcome.retry_after_s)
            self._refused(batch, outcome)
        else:
            self._backoff.reset()
            self._in_flight.remove(batch)
        if self.error is None and self._unanswered == 0 and any(b.failed for b in self._in_flight):
            self._resend_scheduled = True
            retry_after_s, self._retry_after_s = self._retry_after_s, 0.0
            delay_s = max(retry_after_s, self._backoff.next_s() if isinstance(outcome, Unavailable) else 0.0)
            self._loop.call_later(delay_s, self._resend)
        self._send()

    def _refused(self, batch: _Batch, error: HoldfastError) -> None:
        batch.failed, batch.refused = True, isinstance(error, Refused)
        if isinstance(error, Unavailable) and self._connection.error is None:
            return
        if error.stopping and any(d.type not in e.WHILE_STOPPING for d in batch.drafts):
            batch.drop_forbidden()
            first_time, self.stopping = not self.stopping, False
            self.stop()
            if first_time and self._on_stopping is not None:
                self._on_stopping()
            return
        if error.code == "producer.gap" and batch is not self._in_flight[0]:
            return  # an earlier append failed; this one waits for its turn
        if error.code == "producer.gap" and batch.seq > 1:  # earlier ones were acknowledged
            error = Refused("session.incarnation", "what was appended before is not there: the session was restored")
        self.fence(error)
        if self._on_refused is not None:
            self._on_refused(error)

    def _resend(self) -> None:
        """Every answer is in, and some appends were not accepted: send those again, in order.

        An append of which nothing is left (the run is stopping) was refused and consumed no number, and so did those
        behind it: they move up. All others keep their numbers, which settle what their first try has come to.
        """
        self._resend_scheduled = False
        if self.error is not None:
            return
        dropped = 0
        for batch in list(self._in_flight):
            batch.seq -= dropped
            if self.stopping and batch.refused:
                batch.drop_forbidden()
            if batch.drafts:
                self._post(batch)
            else:
                self._in_flight.remove(batch)
                dropped += 1
        self._next_seq -= dropped
        self._send()

    # --- waiting
    async def _wait_for_change(self) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(future)
        await future

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
