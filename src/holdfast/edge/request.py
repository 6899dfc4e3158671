"""What every HTTP request goes through: Host, Origin, token, rate, size; and how every error leaves."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.edge.auth import Verifier
from holdfast.edge.browser import BrowserCheck
from holdfast.edge.config import Settings
from holdfast.edge.rate import Bucket
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.protocol import limits
from holdfast.protocol.codec import encode
from holdfast.session.access import Principal

log = logging.getLogger("holdfast.edge")

_BUCKETS = 10_000
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' ws: wss:; "
    b"font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response that nothing on the way may keep."""
    told = {"cache-control": "no-store", **(headers or {})}
    return Response(encode(body), status, told, media_type="application/json")


def answer_error(error: HoldfastError, request_id: str) -> Response:
    """The one error shape of the REST edge."""
    headers = {"x-request-id": request_id}
    if "retry_after_s" in error.fields:
        headers["retry-after"] = str(max(1, round(error.fields["retry_after_s"])))
    elif error.row.retry:
        headers["retry-after"] = "1"
    if error.row.status == 401:
        headers["www-authenticate"] = "Bearer"
    return answer({"error": {**error.wire(), "request_id": request_id}}, error.row.status, headers)


class Guard:
    """The outermost middleware: browser checks before anything else, security headers on everything, errors in one shape."""

    def __init__(self, app: ASGIApp, browser: BrowserCheck) -> None:
        self.app = app
        self.browser = browser

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        headers = {name: value.decode("latin1") for name, value in scope["headers"]}
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {name for name, _ in message["headers"]}
                extra = [*_HEADERS, (b"content-security-policy", PAGE_POLICY)]
                message["headers"] = [*message["headers"], *((n, v) for n, v in extra if n not in present)]
            await send(message)

        try:
            self.browser.host(headers.get(b"host"))
            self.browser.origin(headers.get(b"origin"), headers.get(b"host"))
            await self.app(scope, receive, guarded)
        except HoldfastError as error:
            if not started:
                await answer_error(error, request_id)(scope, receive, guarded)
        except Exception:
            log.exception("request %s %s failed (%s)", scope["method"], scope["path"], request_id)
            if started:
                raise
            await answer_error(Unavailable("server.internal"), request_id)(scope, receive, guarded)


class Requests:
    """Authenticates and bounds requests."""

    def __init__(self, settings: Settings, verifier: Verifier) -> None:
        self._settings = settings
        self._verifier = verifier
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

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

    async def body(self, request: Request, most: int = limits.MESSAGE_BYTES) -> bytes:
        """The body, within a bound and a time. Raises ``input.too_large`` or ``timeout``."""
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > most:
            raise Refused("input.too_large", f"body: more than {most} bytes")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(limits.BODY_S):
                async for part in request.stream():
                    size += len(part)
                    if size > most:
                        raise Refused("input.too_large", f"body: more than {most} bytes")
                    parts.append(part)
        except TimeoutError:
            raise Unavailable("timeout", "the body did not arrive in time") from None
        return b"".join(parts)


Handler = Callable[[Request], Awaitable[Response]]
