"""REST: the operations of ``protocol/wire.py`` as routes, one table. Bodies are the same structs as on a WebSocket."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from holdfast.edge import openapi, sse
from holdfast.edge.charges import EXTRA_WORK, LIST_WORK, SENT_TIMES, TOKEN_WORK, VIEW_ITEM_WORK
from holdfast.edge.extensions.route import ExtensionRoute
from holdfast.edge.listener import Listener
from holdfast.edge.request import Requests, json_response, matches_etag
from holdfast.edge.tokens import Tokens
from holdfast.errors import Refused
from holdfast.hub import operations
from holdfast.protocol import codec, ids, limits, wire
from holdfast.protocol.fold import View
from holdfast.session.life import check_life

_ANY: Final = msgspec.json.Decoder()
_INLINE_MEDIA: Final = re.compile(r"image/(?:png|jpeg|gif|webp|avif)|text/plain(?:; ?charset=[\w-]+)?|application/pdf")
"""Media types that are served as such; anything else a browser gets as bytes."""


class OpRoute(NamedTuple):
    """An operation as a route: path parameters and ``fixed`` fill fields of the struct, the body the rest."""

    method: str
    path: str
    op: type[wire.Op]
    status: int = 200
    fixed: dict[str, Any] = {}


S: Final = "/v1/sessions/{session}"
OP_ROUTES: Final = (
    OpRoute("POST", "/v1/sessions", wire.Create, 201),
    OpRoute("PATCH", S, wire.Rename),
    OpRoute("DELETE", S, wire.Delete),
    OpRoute("POST", f"{S}/events", wire.Append, 201),
    OpRoute("POST", f"{S}/messages", wire.Send, 201),
    OpRoute("POST", f"{S}/cancel", wire.Cancel),
    OpRoute("POST", f"{S}/runs/{{run}}/cancel", wire.Cancel, fixed={"scope": "run"}),
    OpRoute("POST", f"{S}/runs/{{run}}/steer", wire.Steer, 201),
    OpRoute("POST", f"{S}/interrupt", wire.Interrupt, 201),
    OpRoute("POST", f"{S}/approvals/{{approval}}", wire.Resolve),
    OpRoute("POST", f"{S}/messages/{{input}}/regenerate", wire.Regenerate, 201),
    OpRoute("POST", f"{S}/branch", wire.Select),
    OpRoute("POST", f"{S}/take", wire.Take),
    OpRoute("POST", f"{S}/give_back", wire.GiveBack),
    OpRoute("PUT", f"{S}/read", wire.Read),
    OpRoute("GET", f"{S}/history/{{page}}", wire.History),
)
"""Every operation that a request can carry; workers and readers need a connection."""


class Rest:
    """The REST edge of one server."""

    def __init__(self, listener: Listener, requests: Requests, tokens: Tokens) -> None:
        self.extension_routes: list[tuple[str, ExtensionRoute]] = []  # what ``/openapi.json`` describes beside its own
        self.listener = listener
        self.requests = requests
        self.tokens = tokens
        self._openapi_body: bytes | memoryview | None = None  # the same for everybody, who need no token to ask

    def routes(self) -> list[BaseRoute]:
        """All routes, for an application or a router."""
        routes: list[BaseRoute] = [
            Route(r.path, self._operation(r), methods=[r.method], name=f"{r.method} {r.path}") for r in OP_ROUTES
        ]
        routes += [
            Route("/v1/sessions", self.sessions, methods=["GET"]),
            Route(S, self.state, methods=["GET"]),
            Route(f"{S}/events", self.events, methods=["GET"]),
            Route(f"{S}/runs", self.runs, methods=["GET"]),
            Route(f"{S}/runs/{{run}}", self.run, methods=["GET"]),
            Route(f"{S}/approvals", self.approvals, methods=["GET"]),
            Route(f"{S}/presence", self.presence, methods=["GET"]),
            Route(f"{S}/blobs", self.put_blob, methods=["POST"]),
            Route(f"{S}/blobs/{{blob}}", self.get_blob, methods=["GET"]),
            Route("/v1/tokens", self.mint, methods=["POST"]),
            Route("/v1/tokens/revoke", self.revoke, methods=["POST"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
        ]
        return routes

    def _operation(self, route: OpRoute) -> Any:
        most = wire.max_bytes(str(route.op.__struct_config__.tag))

        async def handle(request: Request) -> Response:
            principal = self.requests.principal(request)
            async with self.requests.body(request, most) as raw:
                op = operation_of(request, route, raw)
                self.requests.spend(request, EXTRA_WORK.get(route.op, 0))
                if "session" in request.path_params:
                    self.requests.charge_load(request, request.path_params["session"])
                return json_response(await operations.execute(self.listener.hub, principal, op), route.status)

        return handle

    # --- reading
    async def sessions(self, request: Request) -> Response:
        """Sessions of the principal: ``?search=&limit=&before=``; ``before`` is the previous page's ``next``, which is
        null when there is no more. A page may hold fewer rows than it might, also none."""
        principal = self.requests.principal(request)
        limit = number(request.query_params.get("limit", "50"), "limit", most=limits.LIST_SESSIONS, least=1)
        before = None
        if "before" in request.query_params:
            ms, _, name = request.query_params["before"].partition("~")
            before = (number(ms, "before"), name)
        self.requests.spend(request, LIST_WORK)
        search = codec.check_text(request.query_params.get("search", ""), "search")[: limits.NAME_CHARS]
        rows, after = await self.listener.hub.lists.page(principal, search=search, before=before, limit=limit)
        return json_response({"sessions": rows, "next": None if after is None else f"{after[0]}~{after[1]}"})

    async def _view(self, request: Request) -> tuple[str, int, bytes]:
        principal, session = self.requests.principal(request), session_of(request)
        self.requests.charge_load(request, session)
        snapshot = await self.listener.hub.snapshot(principal, session)
        self.requests.spend(request, len(snapshot[2]) // SENT_TIMES)
        return snapshot

    async def _hub_view(self, request: Request) -> tuple[str, View]:
        """The session's life, and the view as ``Hub.view`` gives it: to be looked at before the next ``await``."""
        principal, session = self.requests.principal(request), session_of(request)
        self.requests.charge_load(request, session)
        incarnation, _, view = await self.listener.hub.view(principal, session)
        self.requests.spend(request, len(view.items) * VIEW_ITEM_WORK)
        return incarnation, view

    def _json_of_view(self, request: Request, body: Any) -> Response:
        """A response made of parts of the view: what is sent of it is charged."""
        response = json_response(body)
        self.requests.spend(request, len(response.body) // SENT_TIMES)
        return response

    async def state(self, request: Request) -> Response:
        """The folded state: ``{session, incarnation, seq, view}``; nothing for whoever names its tag (If-None-Match)."""
        incarnation, seq, view = await self._view(request)
        tag = {"etag": f'"{incarnation}:{seq}"'}
        if matches_etag(request, tag["etag"]):
            return Response(status_code=304, headers={"cache-control": "no-store", **tag})
        body = {"session": session_of(request), "incarnation": incarnation, "seq": seq, "view": msgspec.Raw(view)}
        return json_response(body, headers=tag)

    async def runs(self, request: Request) -> Response:
        """The runs of the window, in the order they were queued."""
        incarnation, view = await self._hub_view(request)
        return self._json_of_view(request, {"runs": list(view.runs.values()), "incarnation": incarnation})

    async def run(self, request: Request) -> Response:
        """One run."""
        incarnation, view = await self._hub_view(request)
        run_id, read = ids.unbind(request.path_params["run"])
        check_life(incarnation, read or request.query_params.get("incarnation"))
        run = view.runs.get(run_id)
        if run is None:
            raise Refused("run.not_found")
        return self._json_of_view(request, run)

    async def approvals(self, request: Request) -> Response:
        """The approvals of the window; ``?status=pending`` keeps those that wait."""
        incarnation, view = await self._hub_view(request)
        status = request.query_params.get("status")
        approvals = [i for i in view.items if i["kind"] == "approval" and status in (None, i["status"])]
        return self._json_of_view(request, {"approvals": approvals, "incarnation": incarnation})

    async def presence(self, request: Request) -> Response:
        """Who is here now."""
        principal = self.requests.principal(request)
        return json_response({"here": await self.listener.hub.list_present(principal, session_of(request))})

    async def events(self, request: Request) -> Response:
        """Events after a position as JSON, or followed live as SSE when the client accepts ``text/event-stream``."""
        principal = self.requests.principal(request)
        if "text/event-stream" in request.headers.get("accept", ""):
            return await sse.follow_session(self.listener, principal, session_of(request), request)
        self.requests.charge_load(request, session_of(request))
        after = number(request.query_params.get("after", "0"), "after")
        most = number(request.query_params.get("max_bytes", str(limits.PAGE_BYTES)), "max_bytes", least=1)
        incarnation, tail, frames = await self.listener.hub.read(
            principal, session_of(request), after, most, request.query_params.get("incarnation")
        )
        joined = b",".join(frames)
        self.requests.spend(request, len(joined) // SENT_TIMES)
        body = b'{"session":%b,"incarnation":"%b","tail":%d,"frames":[%b]}' % (
            codec.encode(session_of(request)),
            incarnation.encode(),
            tail,
            joined,
        )
        return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")

    # --- blobs
    async def put_blob(self, request: Request) -> Response:
        """Store the body as a blob: ``{blob, size}``."""
        principal, session = self.requests.principal(request), session_of(request)
        self.requests.charge_load(request, session)
        await self.listener.hub.sessions.load(principal, session, "append")  # before the body is waited for
        media = request.headers.get("content-type", "").lower()[: limits.NAME_CHARS]
        data = await self.requests.blob(request)
        blob = await self.listener.hub.blobs.put(principal, session, media or "application/octet-stream", data)
        return json_response({"blob": blob, "size": len(data)}, 201)

    async def get_blob(self, request: Request) -> Response:
        """A blob's content, which no browser will run."""
        principal, session = self.requests.principal(request), session_of(request)
        self.requests.charge_load(request, session)
        size = await self.listener.hub.blobs.size(principal, session, request.path_params["blob"])
        self.requests.allocate(request, size)  # before it is read
        self.requests.spend(request, size // SENT_TIMES)
        media, data = await self.listener.hub.blobs.get(principal, session, request.path_params["blob"])
        headers = {
            "content-disposition": "attachment",
            "content-security-policy": "default-src 'none'; sandbox",
            "cache-control": "private, max-age=31536000, immutable",
        }
        safe = media if _INLINE_MEDIA.fullmatch(media) else "application/octet-stream"
        return Response(data, 200, headers, safe)

    # --- tokens
    async def mint(self, request: Request) -> Response:
        """A token that grants no more than the one asking (ACC-2)."""
        principal = self.requests.principal(request)
        self.requests.spend(request, TOKEN_WORK)
        async with self.requests.body(request) as raw:
            return json_response(self.tokens.narrow(principal, codec.decode(raw, _ANY, "body")), 201)

    async def revoke(self, request: Request) -> Response:
        """Revoke a token by its id, or all of a subject; open connections with it close within a second (ACC-4)."""
        principal = self.requests.principal(request)
        async with self.requests.body(request) as raw:
            await self.tokens.revoke(principal, codec.decode(raw, _ANY, "body"))
        return json_response({})

    async def openapi(self, request: Request) -> Response:
        """This API, described (OpenAPI 3.1)."""
        if self._openapi_body is None:
            self._openapi_body = json_response(openapi.document(OP_ROUTES, self.extension_routes)).body
        return Response(self._openapi_body, headers={"cache-control": "no-store"}, media_type="application/json")


def operation_of(request: Request, route: OpRoute, raw: bytes) -> wire.Op:
    """The operation that a request asks for: what the path says goes before what the body says."""
    fields = codec.decode(raw, _ANY, "body") if raw.strip() else {}
    if not isinstance(fields, dict):
        raise Refused("input.malformed", "body: must be a JSON object")
    for forbidden in ("op", "id"):
        fields.pop(forbidden, None)
    fields.update(request.path_params, **route.fixed)
    if "page" in request.path_params:
        fields["page"] = number(request.path_params["page"], "page")
    if "incarnation" in request.query_params and "incarnation" in route.op.__struct_fields__:
        fields["incarnation"] = request.query_params["incarnation"]
    key = request.headers.get("idempotency-key")
    if key is not None and "key" in route.op.__struct_fields__:
        fields["key"] = codec.check_entity_id(key, "Idempotency-Key")
    return codec.convert(fields, route.op)


def session_of(request: Request) -> str:
    """The session a path names, or ``input.session_id``."""
    return codec.check_session_id(request.path_params["session"])


def number(raw: str, what: str, *, least: int = 0, most: int = limits.INTEGER_MAX) -> int:
    """A decimal parameter within bounds, or ``input.malformed``; ``input.number_range`` beyond any."""
    if raw.isascii() and raw.isdigit() and (len(raw) > 16 or int(raw) > limits.INTEGER_MAX):
        raise Refused("input.number_range", f"{what}: beyond 2^53-1")
    if not (raw.isascii() and raw.isdigit()) or not least <= int(raw) <= most:
        raise Refused("input.malformed", f"{what}: {raw[:80]!r}", fix=f"Send a whole number from {least} to {most}.")
    return int(raw)
