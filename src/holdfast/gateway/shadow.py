"""Shadows: the same request put to a second model, whose answer nobody is given and nothing is kept of.

What it costs is metered like every call, under a task of its own (``experiment:NAME``), so that a budget can bound it. It is
no run of a session and holds nobody up: the caller's answer goes on whatever becomes of it.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import secrets
from collections.abc import Callable

import msgspec
from msgspec import structs

from holdfast.errors import HoldfastError
from holdfast.gateway.answers import CallerAnswer, Headers
from holdfast.gateway.exchange import UpstreamExchange
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.port import Meter, ModelCall, Route, Router, Served, ShadowAnswer
from holdfast.gateway.upstreams import Upstreams
from holdfast.protocol import limits
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.errors import MalformedStream
from holdfast.providers.pieces import RefusalDelta, TextDelta
from holdfast.session.labels import HEADLESS, SIGN_IN, USAGE
from holdfast.visible import logger

log = logger("holdfast.gateway")


class DigestedAnswer:
    """An answer of which a digest is made as it passes; it goes on to ``inner`` where there is one.

    Attributes:
        ended: it came whole.
        over: set when nothing more comes, whole or not.
    """

    def __init__(self, incoming: Incoming, inner: CallerAnswer | None = None) -> None:
        self._dialect = STREAM_DIALECTS[incoming.wire.name]
        self._inner = inner
        self.ended = False
        self.over = asyncio.Event()
        self.restart_digest()

    def restart_digest(self) -> None:
        """Forget what came so far."""
        self._decoder = self._dialect.decoder()
        self._hash = hashlib.blake2b(digest_size=16)
        self._any = self._broken = False

    @property
    def digest(self) -> str:
        """Of its text without case and spaces; empty when it did not come whole, or had none."""
        return self._hash.hexdigest() if self.ended and self._any and not self._broken else ""

    @property
    def started(self) -> bool:
        """See ``CallerAnswer``."""
        return self._inner.started if self._inner is not None else self._any

    def restart(self) -> None:
        """See ``CallerAnswer``."""
        self.restart_digest()
        if self._inner is not None:
            self._inner.restart()

    async def feed(self, data: bytes, headers: Headers) -> None:
        """See ``CallerAnswer``."""
        if self._inner is not None:
            await self._inner.feed(data, headers)
        if self._broken:
            return
        try:
            for piece in self._decoder.feed(data):
                if isinstance(piece, (TextDelta, RefusalDelta)) and (words := "".join(piece.text.casefold().split())):
                    self._any = True
                    self._hash.update(words.encode("utf-8", "replace"))
        except MalformedStream:
            self._broken = True

    async def end(self, headers: Headers) -> None:
        """See ``CallerAnswer``."""
        self.ended = True
        if self._inner is not None:
            await self._inner.end(headers)

    async def fail(self, ending: bytes) -> None:
        """See ``CallerAnswer``."""
        if self._inner is not None:
            await self._inner.fail(ending)

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """See ``CallerAnswer``."""
        if self._inner is not None:
            await self._inner.whole(status, headers, body)


class Shadows:
    """The shadows under way.

    Args:
        keep: hears what was served, for the record.
    """

    def __init__(
        self, upstreams: Upstreams, meter: Meter, now_ms: Callable[[], int], keep: Callable[[Served], None], router: Router
    ) -> None:  # fmt: skip
        self._upstreams = upstreams
        self._meter = meter
        self._now_ms = now_ms
        self._keep = keep
        self._router = router
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, incoming: Incoming, call: ModelCall, route: Route, answer: CallerAnswer) -> DigestedAnswer | None:
        """Put the request to the shadow as well. What is returned is where the caller's own answer goes from now on; None
        with too many under way: an experiment waits, people do not."""
        if not route.shadow or len(self._tasks) >= limits.SHADOWS:
            return None
        own = DigestedAnswer(incoming, answer)
        twin = copy.copy(incoming)
        twin.model = route.shadow
        if "store" in twin.fields or incoming.wire.name == "openai.responses":
            twin.fields = {**twin.fields, "store": msgspec.Raw(b"false")}
        labels = {**dict(call.caller.labels), "task": f"experiment:{route.experiment}", USAGE: HEADLESS}
        labels.pop(SIGN_IN, None)  # nobody waits for it
        caller = structs.replace(call.caller, labels=tuple(sorted(labels.items())))
        ident = f"c-{secrets.token_hex(10)}"
        second = structs.replace(call, id=ident, caller=caller, model=route.shadow, session="", run="", attempt=0)
        task = asyncio.ensure_future(self._run(twin, second, call, route, own))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return own

    async def _run(
        self, incoming: Incoming, second: ModelCall, call: ModelCall, route: Route, own: DigestedAnswer
    ) -> None:
        answer, reason = DigestedAnswer(incoming), ""
        exchange = UpstreamExchange(
            self._upstreams.only(route.shadow_upstreams),
            self._meter,
            incoming,
            second,
            answer,
            self._now_ms,
            self._keep,
        )
        try:
            await exchange.run()
        except HoldfastError as error:
            reason = error.code
        except Exception:
            log.exception("the shadow %s of call %s failed", second.id, call.id)
            reason = "server.internal"
        if not answer.ended:
            reason = reason or "upstream.failed"
        await own.over.wait()
        same = answer.digest == own.digest if answer.digest and own.digest else None
        self._router.shadowed(call, route, ShadowAnswer(second.id, answer.ended, answer.digest, same, reason))

    async def stop(self) -> None:
        """End those under way; what they used until then goes on record."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until those that are under way have ended."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
