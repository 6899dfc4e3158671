"""One call: upstreams are asked one after the other until one answers, and every attempt is put on record.

An attempt is on record before its upstream is asked, and settled after; whatever happens between, it is not free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.gateway.answers import Answer, Headers
from holdfast.gateway.collecting import UpstreamError
from holdfast.gateway.followed import FollowedStream, estimated
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.port import Call, Meter, Opening, Outcome, Served
from holdfast.gateway.upstreams import RETRIED, Upstreams, UpstreamState
from holdfast.protocol import limits
from holdfast.providers.billing.model import BilledAttempt
from holdfast.providers.billing.reading import UsageReader, reader_of
from holdfast.visible import logger

log = logger("holdfast.gateway")
_PASSED_ON: Final = (
    "request-id", "openai-version", "openai-processing-ms", "anthropic-organization-id", "retry-after", "x-should-retry",
)  # fmt: skip
_PASSED_PREFIXES: Final = ("x-ratelimit-", "anthropic-ratelimit-")


class Left(Exception):
    """The caller does not wait any more, or somebody stopped the call."""


class Exchange:
    """One call on its way.

    Args:
        left: set when nobody waits for the answer any more, with the reason why.
    """

    def __init__(
        self, upstreams: Upstreams, meter: Meter, incoming: Incoming, call: Call, answer: Answer,
        now_ms: Callable[[], int], keep: Callable[[Served], None],
    ) -> None:  # fmt: skip
        self._upstreams = upstreams
        self._meter = meter
        self._incoming = incoming
        self._call = call
        self._answer = answer
        self._now_ms = now_ms
        self._keep = keep
        self._number = 0
        self._response: aiohttp.ClientResponse | None = None
        self._state: UpstreamState | None = None
        self._left = ""
        self._tell: HoldfastError | None = None

    def leave(self, why: str, *, cut: bool = False, tell: HoldfastError | None = None) -> None:
        """Nobody waits any more: the upstream's stream is cut, or drained, as its settings say; ``cut`` cuts it anyway.
        ``tell`` is what a caller that waits all the same is told."""
        self._tell = self._tell or tell
        self._left = self._left or why
        if self._response is not None and self._state is not None and (cut or self._state.upstream.on_leave == "cut"):
            self._response.close()

    async def run(self) -> None:
        """Answer the call.

        Raises:
            Refused, Unavailable: why it is not answered; nothing of an answer was given then.
        """
        failed: HoldfastError | _Told | None = None
        shape, model = self._incoming.wire.shape, self._incoming.model
        for state, theirs in self._upstreams.serving(shape, model):
            for again in range(state.upstream.retries + 1):
                if self._left:
                    return
                if state.streams >= state.upstream.streams:
                    failed = failed or Unavailable(
                        "server.busy", f"upstream {state.upstream.name!r} has as many calls as it may"
                    )
                    break
                if again:
                    await asyncio.sleep(limits.RETRY_FIRST_S * 2 ** (again - 1))
                failed = await self._attempt(state, theirs)
                if failed is None:
                    return
                if self._answer.started or self._number >= limits.CALL_ATTEMPTS:
                    raise _error_of(failed)
                if isinstance(failed, Unavailable) and failed.code == "upstream.key":
                    break
        if isinstance(failed, _Told):
            await self._answer.whole(failed.status, failed.headers, failed.body)
            return
        raise failed or self._nobody(model)

    def _nobody(self, model: str) -> Refused:
        others = self._upstreams.elsewhere(model)
        if others:
            words = f"model {model!r:.200} is not served on this path; the upstreams that have it speak {', '.join(sorted(others))}"
            return Refused("model.unknown", words)
        return Refused("model.unknown", f"no upstream serves model {model!r:.200}")

    async def _attempt(self, state: UpstreamState, theirs: str) -> HoldfastError | _Told | None:
        """Ask one upstream once; None when it answered, else why another may be asked."""
        self._number += 1
        upstream = state.upstream
        ident = f"{self._call.id}.{self._number}"
        opening = Opening(ident, self._call, self._number, upstream.name, upstream.catalogue, theirs, self._now_ms())
        await self._meter.open(opening)
        state.streams += 1
        state.requests += 1
        attempt = _Attempt(self._incoming, opening)
        try:
            return await self._ask(state, theirs, attempt)
        finally:
            state.streams -= 1
            self._state = self._response = None
            self._keep(attempt.served(self._now_ms()))

    async def _ask(self, state: UpstreamState, theirs: str, attempt: _Attempt) -> HoldfastError | _Told | None:
        wire = self._incoming.wire
        try:
            response = await self._upstreams.ask(
                state, wire, self._incoming.body_for(theirs), self._incoming.headers, self._call.id
            )
        except Unavailable as error:
            attempt.end("failed", error.code)
            state.failed()
            return error
        self._state, self._response = state, response
        async with response:
            if response.status != 200:
                return await self._told(state, response, attempt)
            attempt.sent = True
            headers = _headers(response, self._call.id, state.upstream.name)
            try:
                if wire.streams:
                    return await self._relay(state, response, attempt, headers)
                return await self._whole(state, response, attempt, headers)
            except asyncio.CancelledError:
                attempt.end("cut", "server.restarting")
                raise

    async def _told(
        self, state: UpstreamState, response: aiohttp.ClientResponse, attempt: _Attempt
    ) -> HoldfastError | _Told | None:
        """The upstream answers with an error: it goes on to the caller as it is, unless another may do better, or it is
        about the gateway's own key."""
        attempt.end("refused", f"http {response.status}")
        try:
            body = await _bounded(response, limits.UPSTREAM_ERROR_BYTES)
        except (aiohttp.ClientError, TimeoutError, Unavailable):
            body = b""
        if response.status in (401, 403):
            state.secret.refused()
            state.failed()
            log.warning("upstream %s refuses the key of the gateway (%d)", state.upstream.name, response.status)
            return Unavailable("upstream.refused", f"upstream {state.upstream.name!r} refuses the gateway's key")
        headers = [(b"content-type", b"application/json"), *_headers(response, self._call.id, state.upstream.name)]
        told = _Told(response.status if response.status >= 400 else 502, headers, body)
        if response.status in RETRIED or response.status < 400:
            state.failed()
            return told
        state.answered()
        await self._answer.whole(told.status, told.headers, told.body)
        return None

    async def _relay(
        self, state: UpstreamState, response: aiohttp.ClientResponse, attempt: _Attempt, headers: Headers
    ) -> HoldfastError | None:
        """Pass a stream on, read by read."""
        answer, reader, followed = self._answer, attempt.reader, attempt.followed
        assert followed is not None
        try:
            async for data in response.content.iter_any():
                if attempt.first_ms is None:
                    attempt.first_ms = self._now_ms() - attempt.opening.at_ms
                reader.feed(data)
                followed.add(data)
                if not self._left:
                    await answer.feed(data, headers)
            if not followed.has_ended():
                raise Unavailable("upstream.failed", "the provider's stream was cut before its end")
            if not self._left:
                await answer.end(headers)
        except UpstreamError as error:  # nothing of it was given to a caller who does not stream
            attempt.end("failed", error.code)
            state.failed()
            return None if self._left else error
        except (aiohttp.ClientError, OSError, TimeoutError, Unavailable) as error:
            return await self._broken(state, attempt, error)
        state.answered()
        attempt.end("drained" if self._left else "served", self._left)
        return None

    async def _broken(self, state: UpstreamState, attempt: _Attempt, error: Exception) -> HoldfastError | None:
        if self._left:
            attempt.end("cut", self._left)
            return await self._told_stopped(attempt)
        told = (
            error
            if isinstance(error, Unavailable)
            else Unavailable("upstream.failed", "the provider's connection was lost")
        )
        attempt.end("failed", told.code)
        state.failed()
        if self._answer.started and attempt.followed is not None:
            await self._answer.fail(attempt.followed.ending(told, attempt.used()))
            return None
        return told

    async def _told_stopped(self, attempt: _Attempt) -> HoldfastError | None:
        """End the answer of a caller who waits for what somebody else has stopped."""
        if self._tell is None or not self._answer.started or attempt.followed is None:
            return self._tell
        await self._answer.fail(attempt.followed.ending(self._tell, attempt.used()))
        return None

    async def _whole(
        self, state: UpstreamState, response: aiohttp.ClientResponse, attempt: _Attempt, headers: Headers
    ) -> HoldfastError | None:
        """Pass an answer on that is no stream."""
        try:
            body = await _bounded(response, limits.COLLECTED_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError, Unavailable) as error:
            return await self._broken(state, attempt, error)
        attempt.first_ms = self._now_ms() - attempt.opening.at_ms
        attempt.reader.feed(body)
        state.answered()
        attempt.end("drained" if self._left else "served", self._left)
        if not self._left:
            await self._answer.whole(200, [(b"content-type", b"application/json"), *headers], body)
        return None


class _Told(Exception):
    """What an upstream answered in place of an answer."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        super().__init__(status)
        self.status, self.headers, self.body = status, headers, body


class _Attempt:
    """One attempt: what comes of it, as it comes."""

    def __init__(self, incoming: Incoming, opening: Opening) -> None:
        self.opening = opening
        self.reader: UsageReader = reader_of(incoming.wire.name)
        self.followed = FollowedStream(incoming.wire) if incoming.wire.streams else None
        self.first_ms: int | None = None
        self.sent = False
        self._input_bytes = incoming.text_bytes
        self._outcome: Outcome = "failed"
        self._reason = "server.internal"

    def end(self, outcome: Outcome, reason: str = "") -> None:
        """How it ended."""
        self._outcome, self._reason = outcome, reason

    def used(self) -> BilledAttempt:
        """What was used, as far as anybody knows."""
        reported = self.reader.end()
        output = self.followed.estimate(self._input_bytes, reported) if self.followed is not None else None
        return output or estimated(self._input_bytes, 0, reported)

    def served(self, at_ms: int) -> Served:
        """For the record."""
        facts = {"outcome": self._outcome, "reason": self._reason, "at_ms": at_ms, "first_ms": self.first_ms}
        if not self.sent:  # the upstream has not begun to answer
            return Served(self.opening.id, **facts)  # type: ignore[arg-type]
        reported = self.reader.end()
        whole = self._outcome in ("served", "drained")
        if reported and all(one.reported for one in reported) and (whole or self.reader.complete):
            return Served(self.opening.id, billed=reported, **facts)  # type: ignore[arg-type]
        return Served(self.opening.id, estimated=self.used(), **facts)  # type: ignore[arg-type]


def _error_of(failed: HoldfastError | _Told) -> HoldfastError:
    return (
        failed
        if isinstance(failed, HoldfastError)
        else Unavailable("upstream.failed", f"the upstream answered {failed.status}")
    )


async def _bounded(response: aiohttp.ClientResponse, most: int) -> bytes:
    parts, size = [], 0
    async for data in response.content.iter_any():
        size += len(data)
        if size > most:
            raise Unavailable("upstream.failed", f"the upstream's answer has more than {most:,} bytes")
        parts.append(data)
    return b"".join(parts)


def _headers(response: aiohttp.ClientResponse, call: str, upstream: str) -> Headers:
    passed = [
        (name.lower().encode("latin1"), value.encode("latin1", "replace"))
        for name, value in response.headers.items()
        if name.lower() in _PASSED_ON or name.lower().startswith(_PASSED_PREFIXES)
    ]
    return [
        *passed,
        (b"x-request-id", call.encode()),
        (b"x-holdfast-call", call.encode()),
        (b"x-holdfast-upstream", upstream.encode()),
    ]
