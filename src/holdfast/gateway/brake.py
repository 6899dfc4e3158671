"""How far one stream may go: no farther than money was granted for, tranche by tranche.

Whole events wait here as long as nothing is granted for them, so that a caller is given what was granted and no more. The
next tranche is asked for while there is still half of one, so that a stream whose budget has money never waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import msgspec

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.gateway.port import BrakeNews, BrakePolicy, BrakeStage, Hold
from holdfast.gateway.seen import SeenOutput
from holdfast.gateway.whole_events import BLANK
from holdfast.gateway.wires import CHAT, GatewayWire
from holdfast.protocol import limits
from holdfast.providers.sse import SseParser

Ping = Callable[[], Awaitable[None]]
_REASON: Final = b'"finish_reason"'


class Braked(Exception):
    """No more is granted: the answer ends here.

    Attributes:
        error: why: a budget's refusal, or ``store.unavailable``.
        policy: how it ends. What nobody could ask a budget about ends with the error.
    """

    def __init__(self, error: HoldfastError, policy: BrakePolicy) -> None:
        super().__init__(error.code)
        self.error = error
        self.policy: BrakePolicy = policy


class StreamBrake:
    """The brake of one stream.

    Args:
        hold: what is granted.
        attempt: its id, for the news.
        news: is told what becomes of the answer.

    Attributes:
        seen: all that was read, given on or not.
        ended_choices: of a chat completion with several answers, those that said why they stopped.
    """

    def __init__(self, wire: GatewayWire, hold: Hold, attempt: str, news: Callable[[BrakeNews], None]) -> None:
        self.seen = SeenOutput(wire)
        self.ended_choices: set[int] = set()
        self._wire = wire
        self._hold = hold
        self._attempt = attempt
        self._news = news
        self._waiting: deque[tuple[bytes, int]] = deque()  # events, with the tokens that were seen with each
        self._granted = self._tranche = hold.granted or 0
        self._early_for: int | None = None  # the grant for whose successor was asked in good time
        self._extending: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._refused: Refused | None = None  # what a person is asked about
        loop = asyncio.get_running_loop()
        self._unwatched: asyncio.Future[None] = loop.create_future()
        self._cut: asyncio.Future[None] = loop.create_future()

    # --- what may go on
    def take(self, events: bytes) -> bytes:
        """Whole events that were read; returns those that may go on now."""
        self._note_ends(events)
        granted = self._now_granted()
        pieces, size = self.seen.weigh(events)
        if not self._waiting and (granted is None or self.seen.tokens_with(pieces, size) <= granted):
            self.seen.add(pieces, size)
            ready = events
        else:
            for event in _split(events):
                self.seen.add(*self.seen.weigh(event))
                self._waiting.append((event, self.seen.tokens))
            ready = self.ready()
        self._extend_early(granted)
        return ready

    def ready(self) -> bytes:
        """What waited and may go on now."""
        granted = self._now_granted()
        found: list[bytes] = []
        while self._waiting and (granted is None or self._waiting[0][1] <= granted):
            found.append(self._waiting.popleft()[0])
        return b"".join(found)

    @property
    def blocks(self) -> bool:
        """Whether something waits, so that nothing more is to be read."""
        return bool(self._waiting)

    def rest(self) -> bytes:
        """What waits and is never given on."""
        rest = b"".join(event for event, _ in self._waiting)
        self._waiting.clear()
        return rest

    @property
    def _needed(self) -> int:
        """Tokens for which money is needed now: what comes next, though more may have been read."""
        return self._waiting[0][1] if self._waiting else self.seen.tokens

    def _now_granted(self) -> int | None:
        granted = self._hold.granted
        if granted is not None and granted > self._granted:
            self._tranche, self._granted = granted - self._granted, granted
        return granted

    def _note_ends(self, events: bytes) -> None:
        if self._wire is CHAT and events.count(_REASON) > events.count(_REASON + b":null"):
            for data in SseParser().feed(events):
                try:
                    choices = msgspec.json.decode(data, type=_Chunk).choices
                except (msgspec.DecodeError, RecursionError):
                    continue
                self.ended_choices.update(choice.index for choice in choices or () if choice.finish_reason)

    def _extend_early(self, granted: int | None) -> None:
        done = self._extending
        if done is not None and done.done() and not done.cancelled() and done.exception() is None:
            self._extending = None
        if granted is None or self._extending is not None or self._early_for == granted:
            return
        if self._waiting or self.seen.tokens * 2 > granted * 2 - self._tranche:
            self._early_for = granted
            self._extending = asyncio.ensure_future(self._hold.extend(self._needed))

    # --- more of it
    async def more(self, ping: Ping) -> None:
        """Have more granted. The upstream is not read meanwhile: it may generate on into its buffers, and ours.

        Args:
            ping: keeps the caller's stream open; called every ``SSE_COMMENT_S``.

        Raises:
            Braked: no more is granted, and nobody who was asked has changed that.
            ConnectionResetError: the stream is cut.
        """
        if self._refused is None:
            try:
                await self._extend(ping)
                return
            except HoldfastError as error:
                policy = self._hold.on_brake if isinstance(error, Refused) else "error"
                if policy != "ask" or self._unwatched.done() or not isinstance(error, Refused):
                    raise Braked(error, policy) from None
                self._refused = error
                self._tell("asked", error, policy)
        await self._ask(self._refused, ping)

    async def _extend(self, ping: Ping) -> None:
        early, before = self._extending is not None, self._hold.granted
        while True:
            if self._extending is None:
                self._extending = asyncio.ensure_future(self._hold.extend(self._needed))
            work = self._extending
            try:
                await self._done(work, ping, self._cut)
                break
            except Unavailable:  # that may have passed since
                if not early:
                    raise
                early = False
            finally:
                if work.done():
                    self._extending = None
        if not early and self._hold.granted is not None and self._hold.granted <= (before or 0):
            raise Refused("budget.exceeded", "no more was granted")

    async def _ask(self, refused: Refused, ping: Ping) -> None:
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._hold.ask(refused, self._needed))
        try:
            if self._unwatched.done():
                raise Braked(refused, "ask")
            await self._done(self._asking, ping, self._cut, self._unwatched)
        except HoldfastError as error:
            raise Braked(error, "ask") from None
        self._asking = self._refused = None
        self._tell("resumed", refused, "ask")

    async def _done(self, work: asyncio.Task[None], ping: Ping, *ends: asyncio.Future[None]) -> None:
        while not work.done():
            await asyncio.wait({work, *ends}, timeout=limits.SSE_COMMENT_S, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                break
            if self._cut.done():
                raise ConnectionResetError("nobody waits any more")
            if any(end.done() for end in ends):
                assert self._refused is not None, "only a question ends with those who wait for its answer"
                raise self._refused
            await ping()
        work.result()

    # --- its end
    def leave(self, *, cut: bool) -> None:
        """Nobody waits any more, so nobody is asked any more; ``cut``: nor is it read on."""
        for future in (self._unwatched, self._cut) if cut else (self._unwatched,):
            if not future.done():
                future.set_result(None)

    def ended(self, braked: Braked) -> None:
        """Tell that it has ended."""
        self._tell("ended", braked.error, braked.policy)

    async def close(self) -> None:
        """Nothing more is wanted: an extension that is under way is given up. What it grants all the same ends when the
        attempt is settled."""
        for work in (self._extending, self._asking):
            if work is not None:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        self._extending = self._asking = None

    def _tell(self, stage: BrakeStage, error: HoldfastError, policy: BrakePolicy) -> None:
        self._news(
            BrakeNews(stage, policy, error.code, error.detail, dict(error.fields), self._attempt, self.seen.tokens)
        )


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    """Of a chunk, which answers say why they stopped."""

    choices: list[_Choice] | None = None


def _split(events: bytes) -> Iterator[bytes]:
    begin = 0
    for found in BLANK.finditer(events):
        yield events[begin : found.end()]
        begin = found.end()
    if begin < len(events):
        yield events[begin:]
