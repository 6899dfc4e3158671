"""The head of an upstream's answer, and its errors: what of them goes on to the caller."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import aiohttp
import msgspec

from holdfast.errors import Unavailable
from holdfast.gateway import refusal
from holdfast.gateway.answers import Headers
from holdfast.gateway.wires import GatewayWire
from holdfast.protocol import limits

_RETRIED: Final = frozenset({402, 408, 409, 425, 429})
"""Statuses below 500 after which another upstream, or the same one later, may do better."""
_NOT_HERE: Final = frozenset({402})
"""Of them, those after which the same upstream will not: its account is empty."""
_PASSED_ON: Final = frozenset({
    b"request-id", b"openai-version", b"openai-processing-ms", b"anthropic-organization-id", b"retry-after",
    b"retry-after-ms", b"x-should-retry",
})  # fmt: skip
_PASSED_PREFIXES: Final = (b"x-ratelimit-", b"anthropic-ratelimit-")
_UNSAFE: Final = re.compile(rb"[^\t -~\x80-\xff]")


class UpstreamRefusal:
    """What an upstream answered in place of an answer.

    Attributes:
        status, headers, body: for the caller.
        kind: the provider's own name of the error, for the log.
        elsewhere: whether another upstream may do better.
        again_s: after so many seconds the same may; None when it will not in time.
        pause_s: for so long it wants to be asked nothing, as far as it says that it is asked too often.
    """

    def __init__(
        self, status: int, headers: Headers, body: bytes, kind: str, again_s: float | None, pause_s: float = 0.0
    ) -> None:
        self.status, self.headers, self.body, self.kind = status, headers, body, kind
        self.elsewhere = status in _RETRIED or status >= 500
        self.again_s = None if status in _NOT_HERE else again_s
        self.pause_s = pause_s if status == 429 else 0.0


async def refusal_of(wire: GatewayWire, response: aiohttp.ClientResponse, call: str, upstream: str) -> UpstreamRefusal:
    """The refusal that a response is. One that is no error of a provider's, such as a page of HTML, is told in our words."""
    try:
        body = await bounded_body(response, limits.UPSTREAM_ERROR_BYTES)
    except (aiohttp.ClientError, OSError, TimeoutError, Unavailable):
        body = b""
    fields = _object(body)
    status = response.status if 400 <= response.status <= 599 else 502
    if fields is None or status != response.status:
        error = Unavailable("upstream.failed", f"upstream {upstream!r} answered {response.status}")
        body = refusal.body(wire, error, call)
    headers = [(b"content-type", b"application/json"), *passed_headers(response, call, upstream)]
    error_fields = (fields or {}).get("error")
    words = error_fields if isinstance(error_fields, dict) else {}
    kind = str(words.get("code") or words.get("type") or "")
    return UpstreamRefusal(status, headers, body, kind[:100], _pause(response), _wanted_s(response))


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _pause(response: aiohttp.ClientResponse) -> float | None:
    """How long the upstream wants us to wait; None where that is too long, or it wants no other try."""
    if response.headers.get("x-should-retry") == "false":
        return None
    wait = _wanted_s(response)
    return wait if 0 <= wait <= limits.RETRY_AFTER_S else None


def _wanted_s(response: aiohttp.ClientResponse) -> float:
    """How long the upstream says to wait, in seconds; 0 when it says nothing."""
    headers = response.headers
    try:
        if (ms := headers.get("retry-after-ms")) is not None:
            return float(ms) / 1_000
        return float(headers.get("retry-after", "0"))
    except ValueError:  # a date: minutes, if anything
        return math.inf


async def bounded_body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """A whole body.

    Raises:
        Unavailable: ``upstream.failed``: it is larger than it may be.
        aiohttp.ClientError, OSError, TimeoutError: the connection was lost.
    """
    parts, size = [], 0
    async for data in response.content.iter_any():
        size += len(data)
        if size > most:
            raise Unavailable("upstream.failed", f"the upstream's answer has more than {most:,} bytes")
        parts.append(data)
    return b"".join(parts)


def passed_headers(response: aiohttp.ClientResponse, call: str, upstream: str) -> Headers:
    """The headers of an answer: what the upstream says of its rates and its request, and who it was."""
    passed = []
    for name, value in response.raw_headers:
        name = name.lower()
        wanted = name in _PASSED_ON or name.startswith(_PASSED_PREFIXES)
        if wanted and len(value) <= limits.PASSED_HEADER_CHARS and not _UNSAFE.search(value):
            passed.append((name, value))
    ident = call.encode()
    return [
        *passed[: limits.PASSED_HEADERS],
        (b"x-request-id", ident),
        (b"x-holdfast-call", ident),
        (b"x-holdfast-upstream", upstream.encode()),
    ]
