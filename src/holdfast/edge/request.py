"""What every request to a route goes through: token, rate, size; and how every answer leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from holdfast.edge.auth import Verifier
from holdfast.edge.config import Settings
from holdfast.edge.rate import Bucket
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.protocol import limits
from holdfast.protocol.bounds import too_large
from holdfast.protocol.codec import encode
from holdfast.session.access import Principal

_BUCKETS = 10_000


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response that nothing on the way may keep."""
    told = {"cache-control": "no-store", **(headers or {})}
    return Response(encode(body), status, told, media_type="application/json")


def is_known(request: Request, tag: str) -> bool:
    """Whether the caller has what this entity tag names already (RFC 9110, 13.1.2)."""
    named = ",".join(request.headers.getlist("if-none-match"))
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in named.split(","))


def headers_of(error: HoldfastError) -> dict[str, str]:
    """What HTTP says of an error beside its status (RFC 9110): when to come again, how to say who it is, what goes."""
    headers: dict[str, str] = {}
    if error.row.retry or "retry_after_s" in error.fields:
        headers["retry-after"] = str(max(1, round(error.fields.get("retry_after_s", 1))))
    if error.row.status == 401:
        headers["www-authenticate"] = "Bearer"
    if "allow" in error.fields:
        headers["allow"] = ", ".join(error.fields["allow"])
    return headers


class Held:
    """Bodies and blobs in memory, of everybody and of each principal."""

    def __init__(self) -> None:
        self._each: Counter[tuple[str, str]] = Counter()
        self._total = 0

    @contextlib.contextmanager
    def room(self, principal: Principal) -> Iterator[Room]:
        """Room for one body, given back at the end."""
        room = Room(self, (principal.tenant, principal.actor))
        try:
            yield room
        finally:
            room.leave()

    def take(self, who: tuple[str, str], size: int) -> None:
        """Count bytes. Raises ``server.busy`` when there is no room for them."""
        if self._total + size > limits.HELD_BYTES or self._each[who] + size > limits.HELD_EACH_BYTES:
            raise Unavailable("server.busy", "too many large bodies at a time")
        self._total += size
        self._each[who] += size

    def give(self, who: tuple[str, str], size: int) -> None:
        """Count bytes no more."""
        self._total -= size
        self._each[who] -= size
        if not self._each[who]:
            del self._each[who]


class Room:
    """What one request holds."""

    def __init__(self, held: Held, who: tuple[str, str]) -> None:
        self._held = held
        self._who = who
        self._size = 0

    def grow(self, size: int) -> None:
        """Hold more. Raises ``server.busy``."""
        self._held.take(self._who, size)
        self._size += size

    def leave(self) -> None:
        """Hold nothing; idempotent."""
        self._held.give(self._who, self._size)
        self._size = 0


class Requests:
    """Authenticates and bounds requests."""

    def __init__(self, settings: Settings, verifier: Verifier) -> None:
        self._settings = settings
        self._verifier = verifier
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()
        self.held = Held()

    def principal(self, request: Request) -> Principal:
        """Who is asking; counts against the principal's rate. Raises ``auth.*`` or ``limit.rate``."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused("auth.required")
        principal = self._verifier.verify(token.strip())
        now = asyncio.get_running_loop().time()
        key = (principal.tenant, principal.actor)
        bucket = self._buckets.get(key)
        if bucket is None:
            rate = self._settings.requests_per_s
            bucket = self._buckets[key] = Bucket(rate, rate * 2, now)
            if len(self._buckets) > _BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        bucket.take(now)
        return principal

    @contextlib.asynccontextmanager
    async def body(
        self, request: Request, principal: Principal, most: int = limits.MESSAGE_BYTES
    ) -> AsyncIterator[bytes]:
        """The body, within a size and a time; its room is given back at the end.

        Raises:
            Refused: ``input.too_large``.
            Unavailable: ``timeout``, ``server.busy``.
        """
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared) > most:
            raise too_large("body", most, "bytes")
        with self.held.room(principal) as room:
            yield await _read(request, room, most)


async def _read(request: Request, room: Room, most: int) -> bytes:
    body = bytearray()
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(limits.BODY_S) as patience:
            async for part in request.stream():
                if len(body) + len(part) > most:
                    raise too_large("body", most, "bytes")
                room.grow(len(part))
                body += part
                patience.reschedule(began + limits.BODY_S + len(body) / limits.BODY_BYTES_PER_S)
    except TimeoutError:
        raise Unavailable("timeout", "the body did not arrive in time") from None
    return bytes(body)
