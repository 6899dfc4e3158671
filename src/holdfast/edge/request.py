"""What every request to a route goes through: token, rate, slot, size, turn; and its JSON responses."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from holdfast.edge.accounts import Account
from holdfast.edge.auth import Verifier
from holdfast.edge.listener import Listener
from holdfast.edge.pool import Allocation
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.protocol import limits
from holdfast.protocol.bounds import too_large
from holdfast.protocol.codec import encode
from holdfast.session.access import Principal

ON_AUTHENTICATED: Final = "holdfast.known"
"""In an ASGI scope: what to call once the request is authenticated."""
_ACTIVE_REQUEST: Final = "holdfast.stay"
_BLOB_BYTES_PER_WORK: Final = 4  # so many bytes of a blob are the work of one of JSON


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response that nothing on the way may keep."""
    all_headers = {"cache-control": "no-store", **(headers or {})}
    return Response(encode(body), status, all_headers, media_type="application/json")


def matches_etag(request: Request, tag: str) -> bool:
    """Whether the caller has what this entity tag names already (RFC 9110, 13.1.2)."""
    etags = ",".join(request.headers.getlist("if-none-match"))
    return any(etag.strip().removeprefix("W/") in (tag, "*") for etag in etags.split(","))


def error_headers(error: HoldfastError) -> dict[str, str]:
    """What HTTP says of an error beside its status (RFC 9110): when to come again, how to say who it is, what goes."""
    headers: dict[str, str] = {}
    if error.row.retry or "retry_after_s" in error.fields:
        headers["retry-after"] = str(max(1, math.ceil(error.fields.get("retry_after_s", 1))))
    if error.row.status == 401:
        headers["www-authenticate"] = "Bearer"
    if "allow" in error.fields:
        headers["allow"] = ", ".join(error.fields["allow"])
    return headers


class ActiveRequest:
    """A request while it is answered: what it has acquired is released when that is over.

    Attributes:
        principal: who asks, once that is known; ``account`` is whose work it is, ``allocation`` its memory.
        response_bytes: memory that is allocated for the response already.
        slot: its place among the requests at a time; a stream has one among the connections instead, and gives it back.
    """

    def __init__(self) -> None:
        self.principal: Principal | None = None
        self.account: Account | None = None
        self.allocation: Allocation | None = None
        self.response_bytes = 0
        self.slot = contextlib.ExitStack()

    def begin(self, listener: Listener, principal: Principal, account: Account) -> None:
        """The request is authenticated. Raises ``limit.connections`` for too many requests at a time."""
        pool = listener.connection_limits.requests
        pool.acquire(account.key, 1)
        self.slot.callback(pool.release, account.key, 1)
        account.users += 1
        self.principal, self.account, self.allocation = (
            principal,
            account,
            Allocation(listener.charges.memory, account.key),
        )

    def start_streaming(self) -> None:
        """The response is a stream, which has its own slot and its own bounds; the request's memory is released."""
        self.slot.close()
        if self.allocation is not None:
            self.allocation.shrink(self.allocation.size)

    def end(self) -> None:
        """It is answered."""
        self.slot.close()
        if self.account is not None and self.allocation is not None:
            self.allocation.release()
            self.account.users -= 1


@contextlib.contextmanager
def active_request(scope: Scope) -> Iterator[ActiveRequest]:
    """The ``ActiveRequest`` of a request, as long as it is answered."""
    active = scope[_ACTIVE_REQUEST] = ActiveRequest()
    try:
        yield active
    finally:
        active.end()


def active_request_of(scope: Scope) -> ActiveRequest:
    """The ``ActiveRequest`` of a request that is being answered."""
    active: ActiveRequest = scope[_ACTIVE_REQUEST]
    return active


class Requests:
    """Authenticates and bounds requests."""

    def __init__(self, listener: Listener, verifier: Verifier) -> None:
        self._listener = listener
        self._verifier = verifier

    def principal(self, request: Request) -> Principal:
        """Who is asking; counts against the rates of the principal's account. Raises ``auth.*`` or ``limit.*``."""
        active = active_request_of(request.scope)
        if active.principal is not None:
            return active.principal
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused("auth.required")
        principal = self._verifier.verify(token.strip())
        if (on_authenticated := request.scope.get(ON_AUTHENTICATED)) is not None:
            on_authenticated()
        charges = self._listener.charges
        account = charges.account(principal)
        account.requests.take()
        charges.check(account, 0)
        active.begin(self._listener, principal, account)
        charges.spend(account, limits.REQUEST_BYTES)
        return principal

    def spend(self, request: Request, work: int) -> None:
        """Charge for what a request asks for beside its body."""
        self._listener.charges.spend(_account_of(request), work)

    def charge_load(self, request: Request, session: str) -> None:
        """Charge for a session that has to be loaded."""
        self._listener.charge_load(_account_of(request), session)

    def allocate(self, request: Request, size: int) -> None:
        """Allocate memory for the response. Raises ``server.busy``."""
        self._allocation(request).grow(size)
        active_request_of(request.scope).response_bytes += size

    def _allocation(self, request: Request) -> Allocation:
        allocation = active_request_of(request.scope).allocation
        assert allocation is not None, "nobody has said who asks"
        return allocation

    @contextlib.asynccontextmanager
    async def body(self, request: Request, most: int = limits.MESSAGE_BYTES) -> AsyncIterator[bytes]:
        """The body as JSON, within a size and a time, when the turn of the work on it has come; what is done within the
        context is that work.

        Raises:
            Refused: ``input.too_large``; ``auth.revoked`` when the token was revoked while the body came.
            Unavailable: ``timeout``, ``server.busy``.
        """
        raw = await self._read(request, most)
        account = _account_of(request)
        work = self._listener.charges.price(raw, 0)
        await self._listener.charges.wait_turn(account, work)
        try:
            self._recheck(request)
            yield raw
        finally:
            self._listener.charges.finish(account, work)

    async def blob(self, request: Request) -> bytes:
        """The body as it is, within the size of a blob and a time. Raises as ``body`` does."""
        raw = await self._read(request, limits.BLOB_BYTES, _BLOB_BYTES_PER_WORK)
        self._recheck(request)
        return raw

    def _recheck(self, request: Request) -> None:
        """Refuse a request whose token was revoked while its body came and waited for its turn."""
        principal = active_request_of(request.scope).principal
        assert principal is not None, "nobody has said who asks"
        self._verifier.recheck(principal)

    async def _read(self, request: Request, most: int, bytes_per_work: int = 0) -> bytes:
        """The body; its memory stays allocated until the request is answered. With ``bytes_per_work`` it is charged
        for as it comes."""
        declared = request.headers.get("content-length", "0" if "transfer-encoding" not in request.headers else "")
        expected = int(declared) if declared.isascii() and declared.isdigit() else most
        if expected > most:
            raise too_large("body", most, "bytes")
        self._listener.charges.check(_account_of(request), expected)  # before it is waited for
        allocation, parts, size = self._allocation(request), list[bytes](), 0
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(limits.BODY_S) as deadline:
                async for part in request.stream():
                    counted = max(0, size - limits.HELD_FREE_BYTES)
                    size += len(part)
                    if size > most:
                        raise too_large("body", most, "bytes")
                    allocation.grow(max(0, size - limits.HELD_FREE_BYTES) - counted)
                    if bytes_per_work:
                        self.spend(request, len(part) // bytes_per_work)
                    parts.append(part)
                    deadline.reschedule(began + limits.BODY_S + size / limits.BODY_BYTES_PER_S)
        except TimeoutError:
            raise Unavailable("timeout", "the body did not arrive in time") from None
        return b"".join(parts)


def _account_of(request: Request) -> Account:
    account = active_request_of(request.scope).account
    assert account is not None, "nobody has said who asks"
    return account
