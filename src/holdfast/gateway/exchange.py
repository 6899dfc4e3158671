"""One call: upstreams are asked one after the other until one answers, and every attempt is put on record.

An attempt is on record before its upstream is asked, and settled after; whatever happens between, it is not free.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple

import aiohttp

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.gateway.answers import CallerAnswer
from holdfast.gateway.attempt import UpstreamAttempt
from holdfast.gateway.brake import Braked, StreamBrake
from holdfast.gateway.capacity import SlotAsker, UpstreamSlot, full, waiting
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.port import BrakeNews, Meter, ModelCall, Opening, Served, ignore
from holdfast.gateway.relay import CallerStalled, GaveUp, Relay
from holdfast.gateway.responses import UpstreamRefusal, bounded_body, passed_headers, refusal_of
from holdfast.gateway.upstreams import Upstreams, UpstreamState
from holdfast.protocol import limits
from holdfast.visible import logger

log = logger("holdfast.gateway")
_LOST: Final = (aiohttp.ClientError, OSError, TimeoutError, Unavailable)
"""How a connection to an upstream ends that should not."""


_Serving = tuple[UpstreamState, str]
"""An upstream, and what it calls the model."""


class _Failed(NamedTuple):
    """Why an attempt did not answer, and after how many seconds the same upstream may be asked again; None: not for this
    call."""

    error: HoldfastError | UpstreamRefusal
    again_s: float | None = 0.0


class UpstreamExchange:
    """One call on its way.

    Args:
        keep: is given what became of each attempt, for the record.
        news: is told at once when a budget brakes the answer, and what becomes of it.
    """

    def __init__(
        self, upstreams: Upstreams, meter: Meter, incoming: Incoming, call: ModelCall, answer: CallerAnswer,
        now_ms: Callable[[], int], keep: Callable[[Served], None], news: Callable[[BrakeNews], None] = ignore,
    ) -> None:  # fmt: skip
        self._upstreams = upstreams
        self._meter = meter
        self._incoming = incoming
        self._call = call
        self._answer = answer
        self._now_ms = now_ms
        self._keep = keep
        self._news = news
        self._asker = SlotAsker.of(call.caller)
        self._waits = True
        self._waits_until: float | None = None
        self._failed: _Failed | None = None
        self._number = 0
        self._response: aiohttp.ClientResponse | None = None
        self._relay: Relay | None = None
        self._brake: StreamBrake | None = None
        self._scope: asyncio.Timeout | None = None  # around what waits now
        self._drains = False
        self._left = ""
        self._tell: HoldfastError | None = None

    def leave(self, why: str, *, cut: bool = False, tell: HoldfastError | None = None) -> None:
        """Nobody waits any more: the upstream's stream is cut, or drained, as its settings say; ``cut`` cuts it anyway.
        ``tell`` is what a caller that waits all the same is told."""
        self._tell = self._tell or tell
        self._left = self._left or why
        if self._brake is not None:
            self._brake.leave(cut=cut or not self._drains)
        if self._drains and not cut:
            if self._scope is not None and self._scope.when() is None:
                self._end_scope(limits.UPSTREAM_DRAIN_S)
        elif self._response is not None:
            self._response.close()
        else:
            self._end_scope()

    def _end_scope(self, after_s: float = 0.0) -> None:
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time() + after_s)

    async def run(self) -> None:
        """Answer the call.

        Raises:
            Refused, Unavailable: why it is not answered. Nothing of an answer was given then, unless a budget ended it in
                the middle: its caller has been told.
            CallerStalled: the caller takes nothing any more.
        """
        self._failed = None
        busy: list[_Serving] = []
        for serving in self._upstreams.serving(self._incoming.wire.shape, self._incoming.model):
            if self._left:
                break
            slot = serving[0].capacity.take(self._asker)
            if slot is None:
                busy.append(serving)
            elif await self._try(serving, slot, busy):
                return
        while busy and not self._left and (slot := await self._wait(busy)) is not None:
            serving = next(one for one in busy if one[0].capacity is slot.capacity)
            busy.remove(serving)
            if await self._try(serving, slot, busy):
                return
        await self._fail(self._failed.error if self._failed is not None else self._nobody())

    async def _try(self, serving: _Serving, slot: UpstreamSlot, busy: list[_Serving]) -> bool:
        """Ask an upstream, and again where that may help; whether the call is over. One that has no slot for another try is
        added to the ``busy`` ones."""
        state, theirs = serving
        for again in range(state.upstream.retries + 1):
            if again and self._failed is not None:
                await self._pause(max(self._failed.again_s or 0.0, limits.RETRY_FIRST_S * 2 ** (again - 1)))
                next_slot = None if self._left else state.capacity.take(self._asker)
                if next_slot is None:
                    busy.append(serving)
                    return False
                slot = next_slot
            new = await self._attempt(state, theirs, slot)
            if new is None:
                if self._left and not self._answer.started:
                    self._end_unanswered()
                return True
            if self._failed is None or not isinstance(new.error, Refused):
                self._failed = new
            if self._answer.started or self._number >= limits.CALL_ATTEMPTS:
                await self._fail(self._failed.error)
                return True
            if new.again_s is None:
                break
        return False

    async def _wait(self, busy: list[_Serving]) -> UpstreamSlot | None:
        """A slot of the first of these upstreams that has one; None when nobody waits any more, or none came in time."""
        capacities = [state.capacity for state, _ in busy]
        now = asyncio.get_running_loop().time()
        if self._waits_until is None:
            self._waits_until = now + self._asker.wait_s
        error = full(capacities)
        slot: UpstreamSlot | None = None
        if self._waits:
            with waiting(self._asker, capacities) as waiter:
                try:
                    async with asyncio.timeout_at(self._waits_until) as self._scope:
                        await waiter.done
                except TimeoutError:
                    pass  # it took too long, or nobody waits any more
                except Unavailable as refused:
                    error = refused
                finally:
                    self._scope = None
                if self._left:
                    return None
                slot = waiter.take()
        if slot is None:
            capacities[0].refused(self._asker)
            self._failed = self._failed or _Failed(error)
        return slot

    def _end_unanswered(self) -> None:
        if self._tell is not None:
            raise self._tell

    async def _fail(self, error: HoldfastError | UpstreamRefusal) -> None:
        if self._left:
            return self._end_unanswered()
        if isinstance(error, UpstreamRefusal) and not self._answer.started:
            return await self._answer.whole(error.status, error.headers, error.body)
        raise error if isinstance(error, HoldfastError) else Unavailable("upstream.failed")

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(None) as self._scope:
                await asyncio.sleep(seconds)
        except TimeoutError:
            pass  # nobody waits any more
        finally:
            self._scope = None

    def _nobody(self) -> Refused:
        model = self._incoming.model
        others = self._upstreams.elsewhere(model)
        if others:
            words = f"model {model!r:.200} is not served on this path; the upstreams that have it speak {', '.join(sorted(others))}"
            return Refused("model.unknown", words)
        return Refused("model.unknown", f"no upstream serves model {model!r:.200}")

    # --- one attempt
    async def _attempt(self, state: UpstreamState, theirs: str, slot: UpstreamSlot) -> _Failed | None:
        """Ask one upstream once; None when it answered, or nobody waits any more. The slot is given back when it is over."""
        upstream, number = state.upstream, self._number + 1
        ident = f"{self._call.id}.{number}"
        opening = Opening(ident, self._call, number, upstream.name, upstream.catalogue, theirs, self._now_ms())
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(slot.release)
            try:
                hold = await self._meter.open(opening)
            except Refused as error:
                if error.code.startswith("budget."):  # it is the caller's money, whichever upstream is asked
                    raise
                return _Failed(error, None)  # what this upstream serves has no price
            self._number = number
            self._answer.restart()
            state.requests += 1
            attempt = UpstreamAttempt(self._incoming, opening, hold, self._news)
            self._brake = attempt.brake
            stack.callback(self._settle, attempt)
            if attempt.brake is not None:
                stack.push_async_callback(attempt.brake.close)
            try:
                return await self._ask(state, theirs, attempt, stack)
            except asyncio.CancelledError:
                attempt.end("cut", "server.restarting")
                raise
            finally:
                self._response = self._relay = self._scope = self._brake = None
                self._drains = False

    def _settle(self, attempt: UpstreamAttempt) -> None:
        self._keep(attempt.served(self._now_ms()))

    async def _ask(
        self, state: UpstreamState, theirs: str, attempt: UpstreamAttempt, stack: contextlib.AsyncExitStack
    ) -> _Failed | None:
        upstream = state.upstream
        self._drains = upstream.on_leave == "drain"
        if self._left:
            attempt.end("refused", self._left)
            return None
        try:
            async with asyncio.timeout(upstream.first_s) as self._scope:
                response = await self._upstreams.ask(
                    state,
                    self._incoming.wire,
                    self._incoming.body_for(theirs),
                    self._incoming.headers,
                    self._call.id,
                    attempt,
                    read_bytes=limits.UPSTREAM_READ_BYTES if attempt.brake is None else limits.BRAKED_READ_BYTES,
                )
        except (Unavailable, TimeoutError) as error:
            if self._left:
                attempt.end("cut", self._left)
                return None
            slow = Unavailable("timeout", f"upstream {upstream.name!r} did not answer in time")
            failed = error if isinstance(error, Unavailable) else slow
            attempt.end("failed", failed.code)
            state.failed()
            return _Failed(failed, None if failed.code in ("upstream.key", "timeout") else 0.0)
        self._scope, self._response = None, response
        await stack.enter_async_context(response)
        if self._left and not self._drains:
            attempt.end("cut", self._left)
            return None
        if response.status != 200:
            return await self._refused(state, response, attempt)
        if self._incoming.wire.streams:
            return await self._stream(state, response, attempt, stack)
        return await self._whole(state, response, attempt)

    async def _refused(
        self, state: UpstreamState, response: aiohttp.ClientResponse, attempt: UpstreamAttempt
    ) -> _Failed | None:
        """The upstream answers with an error: it goes on to the caller as it is, unless another may do better, or it is
        about the gateway's own key."""
        attempt.end("refused", f"http {response.status}")
        refused = await refusal_of(self._incoming.wire, response, self._call.id, state.upstream.name)
        state.capacity.pause(refused.pause_s)
        if response.status in (401, 403):
            state.secret.refused()
            state.failed()
            log.warning(
                "upstream %s refuses the key of the gateway (%d %s)", state.upstream.name, response.status, refused.kind
            )
            error = Unavailable("upstream.refused", f"upstream {state.upstream.name!r} refuses the gateway's key")
            return _Failed(error, 0.0 if state.secret.may_have_changed else None)
        if refused.elsewhere:
            state.failed()
            return _Failed(refused, refused.again_s)
        state.answered()
        if not self._left:
            await self._answer.whole(refused.status, refused.headers, refused.body)
        return None

    async def _stream(
        self,
        state: UpstreamState,
        response: aiohttp.ClientResponse,
        attempt: UpstreamAttempt,
        stack: contextlib.AsyncExitStack,
    ) -> _Failed | None:
        """Pass a stream on, read by read."""
        headers = passed_headers(response, self._call.id, state.upstream.name)
        reads = response.content
        content = aiter(reads.iter_any() if attempt.brake is None else reads.iter_chunked(limits.BRAKED_READ_BYTES))
        relay = self._relay = Relay(
            self._incoming.wire, content, self._answer, attempt, headers, self._now_ms, lambda: self._left
        )
        watch = asyncio.get_running_loop().call_later(limits.CALLER_STALL_S, self._look_for_stall, relay)
        try:
            await self._run(relay)
        except Braked as braked:
            await self._braked(state, attempt, relay, braked, stack.pop_all())
            return None
        except _LOST as error:
            return await self._broken(state, attempt, relay, error)
        finally:
            watch.cancel()
        state.answered()
        attempt.end("drained" if self._left else "served", self._left)
        if self._left == "caller.stalled":
            raise CallerStalled
        return None

    async def _run(self, relay: Relay) -> None:
        while True:
            try:
                async with asyncio.timeout(limits.UPSTREAM_DRAIN_S if self._left else None) as self._scope:
                    return await relay.run(self._scope)
            except TimeoutError:
                if not (self._scope is not None and self._scope.expired()):
                    raise  # the upstream's own
                if self._left == "caller.stalled" and self._drains and relay.writing_since is not None:
                    relay.writing_since = None
                    continue
                if relay.followed.is_whole() and not self._left:
                    return await relay.close()
                raise
            finally:
                self._scope = None

    def _look_for_stall(self, relay: Relay) -> None:
        """The caller takes nothing for a while: the same as leaving, though its connection is there."""
        loop = asyncio.get_running_loop()
        if self._relay is not relay:
            return
        since = relay.writing_since
        if since is not None and loop.time() - since >= limits.CALLER_STALL_S and not self._left:
            self._left = "caller.stalled"
            if self._brake is not None:
                self._brake.leave(cut=not self._drains)
            self._end_scope()
            return
        loop.call_later(limits.CALLER_STALL_S, self._look_for_stall, relay)

    async def _broken(
        self, state: UpstreamState, attempt: UpstreamAttempt, relay: Relay, error: Exception
    ) -> _Failed | None:
        """The stream ended before its end: by us, or by the upstream."""
        if self._left:
            whole = relay.followed.is_whole()  # clients go as soon as they have read it
            attempt.end("served" if whole else "cut", "" if whole else self._left)
            if self._left == "caller.stalled":
                raise CallerStalled
            if whole or self._tell is None:
                return None
            if not self._answer.started:
                return _Failed(self._tell, None)
            await self._answer.fail(relay.followed.ending(self._tell, attempt.used()))
            return None
        lost = Unavailable("upstream.failed", "the provider's connection was lost")
        failed = error if isinstance(error, Unavailable) else lost
        attempt.end("failed", failed.code)
        state.failed()
        if not self._answer.started:
            return _Failed(failed)
        if not isinstance(error, GaveUp):
            log.warning("upstream %s: call %s: %s", state.upstream.name, self._call.id, failed.detail)
        await self._answer.fail(relay.followed.ending(failed, attempt.used()))
        return None

    async def _braked(
        self,
        state: UpstreamState,
        attempt: UpstreamAttempt,
        relay: Relay,
        braked: Braked,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        """No more money is granted: the upstream's stream is cut, or drained for nobody, and the caller's is ended. The
        attempt does not wait for a caller who takes its end slowly, nor the caller for what is drained."""
        assert attempt.brake is not None
        state.answered()
        attempt.brake.ended(braked)
        ending = self._ending_of(attempt, relay, braked)
        attempt.end("cut", braked.error.code)
        if state.upstream.on_brake == "drain":
            self._upstreams.drain(_drained(stack, attempt, relay, braked.error.code))
        else:
            relay.forgo()
            await stack.aclose()
        if self._left == "caller.stalled":
            raise CallerStalled
        if self._left:
            return
        if braked.policy == "truncate":
            await self._answer.feed(ending, relay.headers)
            await self._answer.end(relay.headers)
            return
        if self._answer.started:
            await self._answer.fail(ending)
        raise braked.error

    def _ending_of(self, attempt: UpstreamAttempt, relay: Relay, braked: Braked) -> bytes:
        assert attempt.brake is not None
        if braked.policy != "truncate":
            return relay.followed.ending(braked.error, attempt.used(so_far=True))
        choices = [index for index in range(self._incoming.choices) if index not in attempt.brake.ended_choices]
        return relay.followed.truncation(attempt.used(so_far=True), choices)

    async def _whole(
        self, state: UpstreamState, response: aiohttp.ClientResponse, attempt: UpstreamAttempt
    ) -> _Failed | None:
        """Pass an answer on that is no stream."""
        try:
            body = await bounded_body(response, limits.COLLECTED_BYTES)
        except _LOST as error:
            if self._left:
                attempt.end("cut", self._left)
                return None
            attempt.end("failed", "upstream.failed")
            state.failed()
            lost = Unavailable("upstream.failed", "the provider's connection was lost")
            return _Failed(error if isinstance(error, Unavailable) else lost)
        attempt.begin(self._now_ms())
        attempt.reader.feed(body)
        state.answered()
        attempt.end("drained" if self._left else "served", self._left)
        if not self._left:
            headers = passed_headers(response, self._call.id, state.upstream.name)
            await self._answer.whole(200, [(b"content-type", b"application/json"), *headers], body)
        return None


async def _drained(stack: contextlib.AsyncExitStack, attempt: UpstreamAttempt, relay: Relay, reason: str) -> None:
    """Read a stream on for nobody, so that what its provider bills is known."""
    async with stack:
        with contextlib.suppress(*_LOST):
            async with asyncio.timeout(limits.UPSTREAM_DRAIN_S):
                if await relay.drain():
                    attempt.end("drained", reason)
