"""The outermost layer of HTTP: Host and Origin before anything else, headers on every answer, errors in one shape."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

from holdfast.edge.browser import BrowserCheck, single_header
from holdfast.edge.request import ActiveRequest, active_request, error_headers, json_response
from holdfast.edge.response_sender import ClientTooSlow, ResponseSender
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.hub.hub import Hub
from holdfast.visible import logger

ErrorShape = Callable[[HoldfastError], Response]
"""An error as a dialect's clients read it."""

log = logger("holdfast.edge")

CONTENT_SECURITY: Final = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data: blob:",
    "connect-src": "'self' ws: wss:", "font-src": "'self'", "base-uri": "'none'", "form-action": "'none'",
    "frame-ancestors": "'none'",
}  # fmt: skip
"""What a browser may do on the server's pages; an answer that has a policy of its own keeps it."""
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        "; ".join(f"{directive} {sources}" for directive, sources in CONTENT_SECURITY.items()).encode(),
    ),
)
_CORS_ANSWER: Final = (
    b"access-control-expose-headers", b"etag, retry-after, x-request-id, x-holdfast-simulated, x-holdfast-extensions"
)  # fmt: skip
_CORS_PREFLIGHT: Final = {
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
    "access-control-allow-headers": "authorization, *",  # clients add headers of their own; `*` leaves out the first
    "access-control-max-age": "600",
}
_PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Probes come by address, under whatever Host; these routes tell nothing."""


class Middleware:
    """ASGI middleware around the edge's routes, in its own application and in somebody else's."""

    def __init__(self, app: ASGIApp, browser: BrowserCheck, hub: Hub) -> None:
        self.app = app
        self.browser = browser
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with active_request(scope) as active:
            await self._serve(scope, receive, send, active)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, active: ActiveRequest) -> None:
        request_id = secrets.token_hex(8)
        origin = dict(scope["headers"]).get(b"origin", b"").decode("latin1")
        extra = [*_HEADERS, (b"x-request-id", request_id.encode())]
        if (now := self._hub.clock.simulated_time()) is not None:  # whoever takes figures away takes this with them
            extra.append((b"x-holdfast-simulated", now.encode()))
        if self._hub.extensions:
            extra.append((b"x-holdfast-extensions", ", ".join(self._hub.extensions).encode()))
        if self.browser.is_listed(origin):
            extra += [(b"access-control-allow-origin", origin.encode("latin1")), (b"vary", b"origin"), _CORS_ANSWER]
        sender = ResponseSender(scope, receive, send, active, extra)
        try:
            if self._preflight(scope):
                await Response(status_code=204, headers=_CORS_PREFLIGHT)(scope, receive, sender.send)
            else:
                await self.app(scope, receive, sender.send)
        except (ClientDisconnect, ClientTooSlow):
            return
        except HoldfastError as error:
            if not sender.started:
                await answer_error(error, request_id)(scope, receive, sender.send)
        except Exception:
            log.exception("request %s %s failed (%s)", scope["method"], scope["path"], request_id)
            if sender.started:
                raise
            await answer_error(Unavailable("server.internal"), request_id)(scope, receive, sender.send)

    def _preflight(self, scope: Scope) -> bool:
        """Check where the request comes from; whether it only asks what a browser may send (CORS)."""
        headers = scope["headers"]
        self.browser.check(headers, any_host=scope["path"] in _PROBES)
        return scope["method"] == "OPTIONS" and single_header(headers, b"access-control-request-method") is not None


def answer_error(error: HoldfastError, request_id: str) -> Response:
    """The one error shape of the REST edge."""
    return json_response({"error": {**error.wire(), "request_id": request_id}}, error.row.status, error_headers(error))


def not_found_handler(shapes: Mapping[str, ErrorShape]) -> ExceptionHandler:
    """What the router refuses, as any other error: under a path of ``shapes`` as its dialect has errors."""

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code not in (404, 405):
            return Response(status_code=error.status_code, headers=error.headers)
        refusal = Refused("route.not_found")
        if error.status_code == 405 and (
            allowed := _methods(request)
        ):  # none: only pages are there, and they have none
            refusal = Refused("route.method", allow=allowed)
        for path, shape in shapes.items():
            if f"{request.scope['path']}/".startswith(f"{path}/"):
                return shape(refusal)
        raise refusal

    return refuse


def _methods(request: Request) -> list[str]:
    """Which methods the path has; each may be a route of its own."""
    routes = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in routes for method in getattr(route, "methods", None) or ()})
