"""The SSE tail: a session followed over plain HTTP, for those behind old proxies (control goes by POST there).

Each message of the session is one server-sent event whose ``id`` is ``incarnation:seq``; ``Last-Event-ID`` resumes as a
cursor does. A client that reads slowly is paused like any other reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from holdfast.edge.listener import Listener
from holdfast.edge.local_subscription import LocalSubscription, parse_cursor
from holdfast.edge.request import active_request_of
from holdfast.errors import Refused
from holdfast.protocol import codec, limits
from holdfast.session.access import Principal, authorise

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no", "connection": "keep-alive"}
"""Of every event stream: nothing on the way may cache or buffer it."""
COMMENT = b": still here\n\n"


class _Position(msgspec.Struct):
    """Where a message leaves its reader."""

    op: str
    seq: int | None = None
    to: int | None = None
    incarnation: str | None = None


_POSITION = msgspec.json.Decoder(_Position)


def parse_start(request: Request) -> Any:
    """Where to begin: ``Last-Event-ID``, ``?cursor=incarnation:seq`` or ``?start=snapshot|tail``."""
    if cursor := request.headers.get("last-event-id"):
        return parse_cursor(cursor, "Last-Event-ID")
    if cursor := request.query_params.get("cursor"):
        return parse_cursor(cursor, "cursor")
    start = request.query_params.get("start", "snapshot")
    if start not in ("snapshot", "tail"):
        raise Refused("input.malformed", f"start: {start[:80]!r}", fix="Ask for start=snapshot or start=tail.")
    return start


async def follow_session(listener: Listener, principal: Principal, session: str, request: Request) -> Response:
    """Follow a session as server-sent events. Raises before the first byte when that is not possible."""
    authorise(principal, "read", session)
    start = parse_start(request)
    if request.method == "HEAD":
        return Response(headers=HEADERS, media_type="text/event-stream")
    device = codec.check_text(request.query_params.get("device", ""), "device")[: limits.NAME_CHARS]
    subscription = await LocalSubscription.open(listener, principal, session, start, surface="sse", device=device)
    return SubscriptionResponse(subscription, _body(subscription))


async def _body(subscription: LocalSubscription) -> AsyncIterator[bytes]:
    """The response body; ends when the connection is closed, the token expires or the session ends."""
    yield b"retry: 1000\n\n"
    incarnation = subscription.incarnation
    async for payload in subscription.payloads():
        if payload is None:
            yield COMMENT
            continue
        at = _POSITION.decode(payload)
        if at.op == "welcome":
            continue
        incarnation = at.incarnation or incarnation
        seq = at.to if at.to is not None else at.seq
        id_line = b"id: %b:%d\n" % (incarnation.encode(), seq) if seq is not None else b""
        yield b"%bdata: %b\n\n" % (id_line, payload)
        if at.op == "closed":
            return


class SubscriptionResponse(StreamingResponse):
    """A response that streams what a reader reads; whatever becomes of it, the subscription ends with it."""

    def __init__(
        self,
        subscription: LocalSubscription,
        body: AsyncIterator[bytes],
        headers: dict[str, str] | None = None,
        media_type: str = "text/event-stream",
    ) -> None:
        self._subscription = subscription
        super().__init__(body, headers={**HEADERS, **(headers or {})}, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._subscription.task = asyncio.current_task()
        active_request_of(scope).start_streaming()
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            if self._subscription.close_reason is None:
                raise
        finally:
            self._subscription.task = None
            self._subscription.end()
