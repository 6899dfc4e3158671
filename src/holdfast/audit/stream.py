"""One client's view of one conversation, while it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final

from holdfast.audit.budget import ProbeBudget
from holdfast.audit.parsing import StreamParser
from holdfast.audit.transcript import Piece, StreamEnd, Transcript

EVIDENCE_BYTES: Final = 1_500
"""How much of the raw stream is kept as evidence, from its beginning and from its end."""


class ClientStream:
    """What arrives on one connection, folded as it comes.

    A task of the driver feeds it; probes wait on it. For transports that carry a whole conversation it stays open after
    an answer has ended.

    Attributes:
        transcript: what the client has on its page. closed: how the connection ended; None while it is open.
        head: the first line and the headers of the answer, for evidence. cursor: where to resume.
        names: ids received on this connection, by the names templates use. reader: what parses its messages.
        first_s, last_s: when the first and the last byte came; silence_s: the longest time without any.
    """

    def __init__(self, budget: ProbeBudget, transcript: Transcript | None = None) -> None:
        self.budget = budget
        self.transcript = transcript or Transcript()
        self.closed: StreamEnd | None = None
        self.head = ""
        self.cursor = ""
        self.names: dict[str, str] = {}
        self.reader: StreamParser | None = None
        self.opened_s = time.monotonic()
        self.first_s = self.last_s = 0.0
        self.text_s = 0.0
        self.silence_s = 0.0
        self.bytes = 0
        self.alive_signs = 0
        self._begin, self._end = bytearray(), bytearray()
        self._greetings: set[str] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._close: Callable[[], Awaitable[None]] | None = None
        self.send: Callable[[object], Coroutine[None, None, None]] | None = None
        """Sends a message on the connection, where that is possible."""

    # --- fed by a driver
    def run(self, work: Awaitable[None], close: Callable[[], Awaitable[None]] | None = None) -> ClientStream:
        """Let ``work`` feed it; ``close`` ends the connection politely."""
        self._close = close
        self._task = asyncio.ensure_future(self._guard(work))
        return self

    async def _guard(self, work: Awaitable[None]) -> None:
        try:
            await work
            self.end(StreamEnd("closed", "the connection was closed without a word"))
        except asyncio.CancelledError:
            self.end(StreamEnd("closed", "closed by the audit"))
            raise
        except Exception as error:
            self.end(StreamEnd("cut", f"{type(error).__name__}: {error}"[:300]))

    def received(self, data: bytes) -> bool:
        """Bytes came; False when they are too many."""
        now = time.monotonic()
        self.silence_s = max(self.silence_s, now - (self.last_s or self.opened_s))
        self.first_s, self.last_s = self.first_s or now, now
        self.bytes += len(data)
        if len(self._begin) < EVIDENCE_BYTES:
            self._begin += data[: EVIDENCE_BYTES - len(self._begin)]
        self._end = (self._end + data)[-EVIDENCE_BYTES:]
        if self.bytes > self.budget.stream_bytes:
            self.end(StreamEnd("flood", f"more than {self.budget.stream_bytes} bytes in one stream"))
            return False
        return True

    def piece(self, piece: Piece) -> None:
        """The client learned something."""
        if piece.kind in ("text", "whole"):
            self.text_s = time.monotonic()
        self.transcript.apply(piece)
        self._wake()

    def end(self, end: StreamEnd) -> None:
        """The connection is over; the first end stands."""
        if self.closed is None:
            self.closed = end
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def greeted(self, word: str) -> None:
        """The other side's part of a greeting came."""
        self._greetings.add(word)
        self._wake()

    async def greeting(self, word: str) -> None:
        """Wait for the other side's part of a greeting."""
        await self.until(lambda _: word in self._greetings, self.budget.first_s)

    # --- waited on by probes
    async def until(self, condition: Callable[[Transcript], bool], timeout_s: float) -> bool:
        """Wait until the page meets a condition; False when it did not in time or cannot any more."""
        deadline = time.monotonic() + self.budget.within(timeout_s)
        while not condition(self.transcript):
            left = deadline - time.monotonic()
            if self.closed is not None or left <= 0:
                return False
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await waiter
        return True

    async def finished(self, timeout_s: float, answers: int = 1) -> StreamEnd:
        """Wait until so many answers have ended, or the connection has; how that was."""
        await self.until(lambda page: page.ended >= answers and not page.open, timeout_s)
        page = self.transcript
        if page.ended >= answers and not page.open:
            return StreamEnd(page.last_end)  # type: ignore[arg-type]
        return self.closed or StreamEnd("silent", f"no end within {timeout_s:.3g} s")

    async def quiet(self, for_s: float) -> None:
        """Wait until nothing came for a while, or the connection is over."""
        while self.closed is None:
            count = self.transcript.pieces
            if not await self.until(lambda page, seen=count: page.pieces > seen, for_s):  # type: ignore[misc]
                return

    async def close(self) -> None:
        """Close the connection politely, as a page that is left does."""
        self.end(StreamEnd("closed", "closed by the audit"))
        if self._close is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await self._close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def evidence(self) -> str:
        """What came, as it came: the head, the beginning and the end."""
        begin, end = bytes(self._begin), bytes(self._end)
        if self.bytes <= EVIDENCE_BYTES:
            body = begin.decode("utf-8", "replace")
        else:
            body = f"{begin[:600].decode('utf-8', 'replace')}\n… {self.bytes} bytes in all …\n"
            body += end[-600:].decode("utf-8", "replace")
        how = f"\n[{self.closed.word}: {self.closed.detail}]" if self.closed else ""
        return f"{self.head}\n\n{body}{how}".strip()
