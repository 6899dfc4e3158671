"""Reading a response out of the log: its request, its state, its stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

import msgspec

from holdfast.edge.dialects.openai_responses import request as requests_
from holdfast.edge.dialects.openai_responses.fold import ResponseFold
from holdfast.edge.dialects.openai_responses.ids import Ref
from holdfast.edge.dialects.openai_responses.items import EmittedEvent
from holdfast.edge.listener import Listener
from holdfast.edge.local_subscription import LocalSubscription, SubscriptionMessage
from holdfast.edge.sse import COMMENT
from holdfast.errors import Refused
from holdfast.protocol import contexts, limits, wire
from holdfast.protocol import events as e
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.session.access import Principal

_MESSAGE: Final = msgspec.json.Decoder(SubscriptionMessage)
SURFACE: Final = "openai"
"""What people see in presence of those who read through this dialect."""


class RunRecord(msgspec.Struct):
    """A run that exists, with the request it came from.

    Attributes:
        ref: names it.
        input: id of its input message, if any.
        text: the words of that message.
        body: the request as it came, or empty when it had nothing but text.
    """

    ref: Ref
    input: str | None
    text: str
    body: dict[str, Any]

    def new_fold(self) -> ResponseFold:
        """A fold of it, at its beginning."""
        return ResponseFold(self.ref, requests_.echo(self.body), requests_.functions(self.body))


class ResponseLog:
    """The log of one server's sessions, as this dialect reads it."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener

    async def find_record(self, principal: Principal, ref: Ref) -> RunRecord:
        """The run that an id names. Raises ``auth.denied`` or ``run.not_found``."""
        queued = await self._event(principal, ref, ref.queued_seq)
        if queued is None or queued.type != e.RUN_QUEUED or queued.run != ref.run:
            raise _unknown(ref)
        if ref.start:
            wait = await self._event(principal, ref, ref.start)
            if wait is None or wait.type != e.RUN_WAITING or wait.run != ref.run:
                raise _unknown(ref)
        record = RunRecord(ref, queued.data.get("input"), "", {})
        input_ = await self._event(principal, ref, ref.queued_seq - 1) if record.input else None
        if input_ is not None and input_.type == e.INPUT_MESSAGE and input_.data.get("messageId") == record.input:
            record.text = str(input_.data.get("text", ""))
            for attached in input_.data.get("attachments", []):
                if attached.get("mediaType") == contexts.OPENAI_REQUEST:
                    _, raw = await self.listener.hub.blobs.get(principal, ref.session, attached["blob"])
                    record.body = requests_.stored(raw)
        return record

    async def _event(self, principal: Principal, ref: Ref, seq: int) -> Event | None:
        """One event that is not merged with others, or None."""
        try:
            incarnation, _, frames = await self.listener.hub.read(principal, ref.session, seq - 1, 1)
        except Refused as error:
            if error.code != "session.compacted":
                raise
            return None
        if incarnation != ref.incarnation:
            raise _unknown(ref)
        events = (event for frame in frames for event in _MESSAGE.decode(frame).events if event.seq == seq)
        return next(events, None)

    async def fold_to_tail(self, principal: Principal, record: RunRecord, *, all_waits: bool = False) -> ResponseFold:
        """The response as it stands at the tail.

        Args:
            all_waits: fold the whole run, to know all its waits.
        """
        ref = record.ref
        fold = (
            ResponseFold(msgspec.structs.replace(ref, start=limits.INTEGER_MAX), {}) if all_waits else record.new_fold()
        )
        at = ref.queued_seq - 1
        while not fold.ended:
            try:
                incarnation, tail, frames = await self.listener.hub.read(principal, ref.session, at)
            except Refused as error:
                if error.code != "session.compacted":
                    raise
                return await self.fold_to_tail(principal, record, all_waits=all_waits)  # compacted meanwhile, behind us
            if incarnation != ref.incarnation:
                raise _unknown(ref)
            for message in map(_MESSAGE.decode, frames):
                for event in message.events:
                    if event.last > at:
                        fold.apply(event)
                at = max(at, message.to or 0)
            if at >= tail or not frames:
                break
        return fold

    async def open(self, principal: Principal, ref: Ref) -> LocalSubscription:
        """Begin to read a run from its first event on."""
        start = wire.Cursor(ref.incarnation, ref.queued_seq - 1)
        return await LocalSubscription.open(self.listener, principal, ref.session, start, surface=SURFACE)

    async def follow(
        self, principal: Principal, record: RunRecord, subscription: LocalSubscription
    ) -> AsyncGenerator[tuple[ResponseFold, list[EmittedEvent]], None]:
        """Fold the response while its events come, until it ends or the subscription does; no events: a quiet while.

        A reader who fell far behind, or behind a compaction, gets a snapshot; the run is then folded anew from its first
        event. The events have the same numbers, so callers skip those they had.
        """
        try:
            while True:
                fold, at, restart = record.new_fold(), record.ref.queued_seq - 1, False
                async for message in subscription.messages():
                    if message is None:
                        yield fold, []
                        continue
                    if message.op == "snapshot":
                        restart = message.incarnation == record.ref.incarnation
                    if message.op in ("snapshot", "closed"):
                        break
                    emitted = [
                        emitted_event
                        for event in message.events
                        if event.last > at
                        for emitted_event in fold.apply(event)
                    ]
                    at = max(at, message.to or 0)
                    if emitted:
                        yield fold, emitted
                    if fold.ended:
                        return
                if not restart:
                    return
                task = subscription.task
                subscription.end()
                subscription = await self.open(principal, record.ref)
                subscription.task = task
        finally:
            subscription.end()

    async def stream(
        self, principal: Principal, record: RunRecord, subscription: LocalSubscription, after: int
    ) -> AsyncIterator[bytes]:
        """The response as server-sent events beyond a sequence number, until it ends."""
        async with aclosing(self.follow(principal, record, subscription)) as following:
            async for _, emitted in following:
                chunk = b"" if emitted else COMMENT
                for event in emitted:
                    data = event.after(after)
                    if data is not None:
                        after = data["sequence_number"]
                        chunk += b"event: %b\ndata: %b\n\n" % (data["type"].encode(), encode(data))
                if chunk:
                    yield chunk

    async def wait_for_end(
        self, principal: Principal, record: RunRecord, client_left: Callable[[], Awaitable[bool]]
    ) -> ResponseFold:
        """Wait for the end of the response, or for its client to leave or its token to expire."""
        fold = record.new_fold()
        async with aclosing(self.follow(principal, record, await self.open(principal, record.ref))) as following:
            async for fold, _ in following:  # noqa: B007 - the last one is the answer
                if await client_left():
                    break
        return fold


def _unknown(ref: Ref) -> Refused:
    return Refused("run.not_found", f"no response {ref.id!r:.80}")
