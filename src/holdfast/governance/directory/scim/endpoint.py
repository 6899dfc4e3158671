"""Where identity providers come to, on the server's port: an application with a door of its own (``PATH``).

In order: the provider's token, the tenant's rate, the size and the time of the body, its JSON put right (``tolerance.py``). Then a
thread answers it with the library, so that no model of a large group keeps the event loop from others; what it asks of the
store goes back to the loop, where the store is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from holdfast.edge.rate import Bucket
from holdfast.edge.request import ON_AUTHENTICATED, error_headers
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.extensions import ExtensionMount
from holdfast.governance import limits
from holdfast.governance.directory.scim.call import ScimAnswer, ScimCall
from holdfast.governance.directory.scim.tolerance import body_of
from holdfast.governance.directory.service import Directory
from holdfast.governance.store.changes import Changes
from holdfast.governance.store.store import Store
from holdfast.protocol.bounds import too_large
from holdfast.protocol.limits import BODY_BYTES_PER_S, BODY_S
from holdfast.visible import logger, visible

log: Final = logger("holdfast.governance")
T = TypeVar("T")

PATH: Final = "/v1/scim/v2"
_TYPE: Final = "application/scim+json"
_ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
_THREADS: Final = 2


class ScimEndpoint:
    """The application.

    Args:
        directory: who comes with which token, and what it knows.
        store: where resources are.
        changes: says whether what is in memory may be trusted.
        now_ms: the clock, Unix ms.
        monotonic: seconds that never run backwards.
    """

    def __init__(
        self, directory: Directory, store: Store, changes: Changes, now_ms: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:  # fmt: skip
        self._directory = directory
        self._store = store
        self._changes = changes
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._rates: dict[str, Bucket] = {}
        self._running = 0
        self._threads: ThreadPoolExecutor | None = None

    def mounts(self) -> Sequence[ExtensionMount]:
        """Where a server has it."""
        return [ExtensionMount(PATH, self), ExtensionMount(f"{PATH}/{{rest:path}}", self)]

    def stop(self) -> None:
        """Begin nothing any more. What is being answered ends by itself, within ``limits.DIRECTORY_CALL_S``."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        except HoldfastError as error:
            response = _refusal(error)
        except Exception:
            log.exception("a request of an identity provider failed")
            response = _response(_problem(500, "Internal server error"))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        tenant = self._admit(request)
        if self._running >= limits.DIRECTORY_REQUESTS:
            raise Unavailable("server.busy", "too many requests of identity providers at a time")
        self._running += 1
        try:
            call = await self._call(request, tenant)
            await self._directory.hear(tenant)
            answer = await self._in_thread(call)
            if call.method != "GET":
                await self._directory.refresh()
            return _response(answer)
        finally:
            self._running -= 1

    def _admit(self, request: Request) -> str:
        """Whose identity provider it is. Raises ``directory.denied``, ``limit.rate``, ``store.unavailable``."""
        if not self._changes.fresh:  # whether the token was revoked meanwhile is not known
            raise Unavailable("store.unavailable", "changes in the store cannot be seen")
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused("directory.denied")
        tenant = self._directory.tenant_of(text.strip())
        if (on_authenticated := request.scope.get(ON_AUTHENTICATED)) is not None:
            on_authenticated()
        rate = self._rates.get(tenant)
        if rate is None:
            per_s, burst = limits.DIRECTORY_REQUESTS_PER_S, limits.DIRECTORY_REQUESTS_BURST
            rate = self._rates[tenant] = Bucket(per_s, burst, self._monotonic)
        rate.take()
        return tenant

    async def _call(self, request: Request, tenant: str) -> ScimCall:
        query = request.url.query
        if len(query) > limits.DIRECTORY_QUERY_CHARS:
            raise too_large("query", limits.DIRECTORY_QUERY_CHARS, "characters")
        raw = await _body(request)
        try:
            body = body_of(request.method, raw) if raw else b""
        except ValueError as error:
            raise Refused("input.malformed", f"body: {error}") from None
        base = f"{request.url.scheme}://{request.headers.get('host', '')}{PATH}"
        headers = [(name, value) for name, value in request.headers.items() if name != "authorization"]
        path = request.url.path.removeprefix(PATH)
        pairs = dict(parse_qsl(query, keep_blank_values=True))
        return ScimCall(tenant, request.method, base, path, pairs, headers, body)

    async def _in_thread(self, call: ScimCall) -> ScimAnswer:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "holdfast-directory")
        loop = asyncio.get_running_loop()

        def wait(work: Coroutine[Any, Any, T]) -> T:
            return asyncio.run_coroutine_threadsafe(work, loop).result(limits.DIRECTORY_CALL_S)

        def answer() -> ScimAnswer:
            from holdfast.governance.directory.scim.answering import answer

            read, write = self._store.read, self._store.write
            return answer(call, lambda work: wait(read(work)), lambda work: wait(write(work)), self._now_ms)

        return await loop.run_in_executor(self._threads, answer)


async def _body(request: Request) -> bytes:
    """The body, within a size and a time."""
    most = limits.DIRECTORY_BODY_BYTES
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise too_large("body", most, "bytes")
    parts, size = list[bytes](), 0
    try:
        async with asyncio.timeout(BODY_S + most / BODY_BYTES_PER_S):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large("body", most, "bytes")
                parts.append(part)
    except TimeoutError:
        raise Unavailable("timeout", "the body did not arrive in time") from None
    return b"".join(parts)


def _refusal(error: HoldfastError) -> Response:
    scim_type = "invalidSyntax" if error.row.status == 400 else ""
    response = _response(_problem(error.row.status, visible(error.detail) or error.row.wrong, scim_type))
    response.headers.update(error_headers(error))
    return response


def _problem(status: int, detail: str, scim_type: str = "") -> ScimAnswer:
    body = {"schemas": [_ERROR], "status": str(status), "detail": detail}
    return ScimAnswer(status, {}, msgspec.json.encode(body | ({"scimType": scim_type} if scim_type else {})))


def _response(answer: ScimAnswer) -> Response:
    headers = {"cache-control": "no-store", **answer.headers}
    return Response(answer.body, answer.status, headers, media_type=_TYPE if answer.body else None)
