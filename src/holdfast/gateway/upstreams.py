"""The upstreams of a gateway: which of them may be asked, how healthy they are, and one request to one of them."""

from __future__ import annotations

import asyncio
import copy
import io
import re
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, Protocol

import aiohttp
from yarl import URL

from holdfast.errors import Unavailable
from holdfast.gateway.capacity import Capacity, UpstreamLoad
from holdfast.gateway.secrets import SecretReference
from holdfast.gateway.settings import Shape, Upstream
from holdfast.gateway.wires import GatewayWire
from holdfast.protocol import limits

_SAFE: Final = re.compile(r"[\t -~]{1,1024}")
_PASSED: Final[tuple[str, ...]] = (
    "anthropic-version", "anthropic-beta", "anthropic-dangerous-direct-browser-access", "openai-beta", "idempotency-key",
    "accept-language",
)  # fmt: skip
"""What of a caller's headers goes on. Everything else stays: keys and cookies are the gateway's business."""


class Sending(Protocol):
    """Hears how far a request has come."""

    sent: bool


class _Progress:
    """One request on a connection."""

    def __init__(self, sending: Sending) -> None:
        self.sending = sending
        self.reused = False


class UpstreamState:
    """One upstream, with what is known of it now.

    Attributes:
        failures: one after the other, since it last answered.
        capacity: its slots.
    """

    def __init__(self, upstream: Upstream, monotonic: Callable[[], float]) -> None:
        self.upstream = upstream
        self.secret = SecretReference(upstream.key, monotonic)
        self.failures = 0
        self.capacity = Capacity(upstream.name, upstream.streams, upstream.seated_share)
        self.errors = 0
        self.requests = 0
        self._monotonic = monotonic
        self._resting_until = 0.0
        self.timeout = aiohttp.ClientTimeout(
            total=None, connect=None, sock_connect=upstream.connect_s, sock_read=upstream.idle_s
        )
        self._addresses: dict[str, URL] = {}

    def address(self, wire: GatewayWire) -> URL:
        """Where a wire is asked; parsed once."""
        if wire.name not in self._addresses:
            self._addresses[wire.name] = URL(f"{_base(self.upstream)}{wire.upstream}")
        return self._addresses[wire.name]

    @property
    def healthy(self) -> bool:
        """Whether it is asked before others that rest."""
        return self._monotonic() >= self._resting_until

    def answered(self) -> None:
        """It did what it should, or refused what is the caller's fault."""
        self.failures = 0
        self._resting_until = 0.0

    def failed(self) -> None:
        """It did not. After a few failures it rests, longer each time."""
        self.errors += 1
        self.failures += 1
        over = self.failures - limits.UPSTREAM_FAILURES
        if over >= 0:
            rest = min(limits.UPSTREAM_REST_S * 2 ** min(over, 10), limits.UPSTREAM_REST_MAX_S)
            self._resting_until = self._monotonic() + rest


class Upstreams:
    """All upstreams of a gateway, in the order of their preference."""

    def __init__(self, upstreams: Sequence[Upstream], monotonic: Callable[[], float]) -> None:
        self.states = [UpstreamState(upstream, monotonic) for upstream in upstreams]
        self._http: aiohttp.ClientSession | None = None
        self._drains: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the pool of connections."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=limits.UPSTREAM_KEPT_S, ttl_dns_cache=60, socket_factory=_socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
            skip_auto_headers=("User-Agent", "Accept"),
            read_bufsize=limits.UPSTREAM_READ_BYTES,
            trust_env=False,
            trace_configs=[_tracing()],
        )

    def drain(self, draining: Coroutine[Any, Any, None]) -> None:
        """Let a stream be read on that its caller does not wait for any more."""
        task = asyncio.ensure_future(draining)
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def cut_drains(self) -> None:
        """Read on nothing that nobody waits for."""
        for task in (drains := list(self._drains)):
            task.cancel()
        await asyncio.gather(*drains, return_exceptions=True)

    def load(self) -> list[UpstreamLoad]:
        """How full each is now."""
        return [state.capacity.load() for state in self.states]

    def refuse_waiters(self) -> None:
        """Give nobody a slot any more; those who wait are told that this stops."""
        for state in self.states:
            state.capacity.close()

    async def stop(self) -> None:
        """Close it."""
        self.refuse_waiters()
        if self._http is not None:
            await self._http.close()

    def serving(self, shape: Shape, model: str) -> Iterator[tuple[UpstreamState, str]]:
        """The upstreams that serve a model, with what they call it: healthy ones first, each in their order."""
        found = [
            (state, theirs)
            for state in self.states
            if state.upstream.shape == shape and (theirs := state.upstream.serves(model)) is not None
        ]
        yield from sorted(found, key=lambda pair: not pair[0].healthy)

    def only(self, names: Sequence[str]) -> Upstreams:
        """The same upstreams, with their health and connections, but only those of these names; all for none."""
        if not names:
            return self
        some = copy.copy(self)
        some.states = [state for state in self.states if state.upstream.name in names]
        return some

    def elsewhere(self, model: str) -> set[Shape]:
        """The shapes of the upstreams that serve a model."""
        return {s.upstream.shape for s in self.states if s.upstream.serves(model) is not None}

    async def ask(
        self,
        state: UpstreamState,
        wire: GatewayWire,
        body: bytes,
        headers: dict[str, str],
        call: str,
        sending: Sending,
        *,
        read_bytes: int = limits.UPSTREAM_READ_BYTES,
    ) -> aiohttp.ClientResponse:
        """Send a request and wait for the head of its answer.

        Args:
            read_bytes: how far its answer is read ahead of whoever takes it.

        Raises:
            Unavailable: ``upstream.unreachable``, ``upstream.key``; ``timeout`` when no connection came about in time.
        """
        upstream = state.upstream
        assert self._http is not None, "it is started before anybody is served"
        secret = await state.secret.value()
        sent = {name: value for name in _PASSED if (value := headers.get(name)) and _SAFE.fullmatch(value)}
        sent["content-type"] = "application/json"
        sent["accept"] = "text/event-stream" if wire.streams else "application/json"
        sent["accept-encoding"] = "identity"
        sent["user-agent"] = "holdfast-gateway"
        sent["x-request-id"] = call
        if secret:
            sent |= {"x-api-key": secret} if upstream.shape == "anthropic" else {"authorization": f"Bearer {secret}"}
        timeout, address = state.timeout, state.address(wire)
        for _ in range(limits.STALE_CONNECTIONS):
            progress = _Progress(sending)
            try:
                data = io.BytesIO(body) if len(body) > limits.GATEWAY_WHOLE_BYTES else body
                return await self._http.post(
                    address, data=data, headers=sent, timeout=timeout, allow_redirects=False,
                    trace_request_ctx=progress, read_bufsize=read_bytes,
                )  # fmt: skip
            except TimeoutError:
                raise Unavailable("timeout", f"upstream {upstream.name!r} did not answer in time") from None
            except (aiohttp.ClientError, OSError) as error:
                if progress.reused and isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
                    sending.sent = False  # it had closed the connection before: what nobody read costs nothing
                    continue
                raise _unreachable(upstream, error) from None
        raise _unreachable(upstream, ConnectionResetError())


def _socket(address: Any) -> socket.socket:
    """A socket in which little waits: what the system has taken in, a provider has generated, and nobody has seen."""
    made = socket.socket(*address[:3])
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limits.UPSTREAM_SOCKET_BYTES)
    return made


def _unreachable(upstream: Upstream, error: Exception) -> Unavailable:
    return Unavailable("upstream.unreachable", f"upstream {upstream.name!r} cannot be asked: {type(error).__name__}")


def _tracing() -> aiohttp.TraceConfig:
    """Tells each request whether its connection was kept from another one, and when it was sent."""

    def context(trace_request_ctx: Any = None) -> Any:
        return trace_request_ctx

    async def reuse(session: aiohttp.ClientSession, progress: Any, params: Any) -> None:
        progress.reused = True

    async def sent(session: aiohttp.ClientSession, progress: Any, params: Any) -> None:
        progress.sending.sent = True

    config = aiohttp.TraceConfig(trace_config_ctx_factory=context)  # type: ignore[arg-type]
    config.on_connection_reuseconn.append(reuse)
    config.on_request_headers_sent.append(sent)
    return config


def _base(upstream: Upstream) -> str:
    """Anthropic's own clients take an address without the version, OpenAI's with it."""
    return upstream.url.removesuffix("/v1") if upstream.shape == "anthropic" else upstream.url
