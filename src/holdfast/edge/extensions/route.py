"""A route of an extension: said as data, so that every request passes the doors that the server's own routes have.

Before the handler is called, the token was verified and charged, the verb was asked of the one access function, and the
body was read within its bounds, in its turn, and decoded. A handler cannot forget any of that, because it does none of it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.edge.request import Requests, json_response
from holdfast.errors import Unavailable
from holdfast.protocol import codec, limits
from holdfast.session.access import VERBS, Principal, authorise

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
OWN: Final = "/v1/x/"
"""Where extensions have their routes under ``/v1``; the rest of it is the server's, now and later."""
_PATH: Final = re.compile(r"(?:/(?:[A-Za-z0-9._~-]+|\{[a-z_]+\}))+(?:/\{[a-z_]+:path\})?")


@dataclass(frozen=True)
class RouteCall:
    """One admitted request.

    Attributes:
        request: as it came; its body was read.
        principal: who asks.
        body: what the route's ``body`` makes of it; None for a route without one.
    """

    request: Request
    principal: Principal
    body: Any = None


Handler = Callable[[RouteCall], Awaitable[Any]]
"""Answers a ``RouteCall``: with a Starlette ``Response``, or with what becomes the JSON of one."""


@dataclass(frozen=True)
class ExtensionRoute:
    """One method of one path.

    Attributes:
        method: one of ``METHODS``.
        path: under ``/v1/x/``, or outside ``/v1``; ``{name}`` stands for one part of it, ``{name:path}`` for the rest.
        summary: what it does, for people who read ``/openapi.json``.
        handler: answers it.
        verb: asked of the access function for the session that ``{session}`` names, else for all sessions; empty when
            any valid token may ask.
        body: a msgspec struct that the JSON of the body must be, ``bytes`` for the body as it is, None for no body.
        body_bytes: the largest body.
        status: of an answer that is no ``Response``.
        answer: JSON schema of it, for ``/openapi.json``.
        query: names of the parameters in the query.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    verb: str = "admin"
    body: type[msgspec.Struct] | type[bytes] | None = None
    body_bytes: int = limits.MESSAGE_BYTES
    status: int = 200
    answer: Mapping[str, Any] = field(default_factory=dict)
    query: tuple[str, ...] = ()

    def problem(self) -> str | None:
        """Why the server cannot serve this route as it is said; None when it can."""
        if self.method not in METHODS:
            return f"its method is none of {', '.join(METHODS)}"
        if not _PATH.fullmatch(self.path):
            return "its path is none that can be served; write /like/{this}"
        if f"{self.path}/".startswith("/v1/") and not self.path.startswith(OWN):
            return f"under /v1 extensions have their routes below {OWN}"
        if self.verb and self.verb not in VERBS:
            return f"{self.verb!r} is no verb; there are {', '.join(sorted(VERBS))}"
        if self.body is not None and self.method in ("GET", "DELETE"):
            return f"a {self.method} has no body"
        if not 0 < self.body_bytes <= limits.MESSAGE_BYTES:
            return f"a body has 1 to {limits.MESSAGE_BYTES:,} bytes, not {self.body_bytes:,}"
        return None

    def served_by(self, requests: Requests, started: Callable[[], bool]) -> Route:
        """The route as Starlette serves it, with all doors before the handler.

        Args:
            requests: who asks, and what it costs.
            started: whether the extension runs; while it does not, requests are told to come again.
        """
        decoder = msgspec.json.Decoder(self.body) if self.body not in (None, bytes) else None

        async def handle(request: Request) -> Response:
            if not started():
                raise Unavailable("server.restarting")
            principal = requests.principal(request)
            self._authorise(request, principal)
            if "session" in request.path_params:
                requests.charge_load(request, request.path_params["session"])
            if self.body is None:
                return self._response(await self.handler(RouteCall(request, principal)))
            async with requests.body(request, self.body_bytes) as raw:
                body = raw if decoder is None else codec.decode(raw, decoder, "body")
                return self._response(await self.handler(RouteCall(request, principal, body)))

        return Route(self.path, handle, methods=[self.method])

    def _authorise(self, request: Request, principal: Principal) -> None:
        session = request.path_params.get("session")
        if session is not None:
            codec.check_session_id(session)
        if self.verb:
            authorise(principal, self.verb, "*" if session is None else session)

    def _response(self, answer: Any) -> Response:
        return answer if isinstance(answer, Response) else json_response(answer, self.status)
