"""The description of the REST API (OpenAPI 3.1), generated from the same structs and table that serve it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from holdfast.edge import openapi_dialects, response_schemas
from holdfast.edge.extensions.route import ExtensionRoute
from holdfast.edge.tokens import NarrowRequest, RevokeRequest
from holdfast.errors import CODES
from holdfast.session.access import NEEDS
from holdfast.version import __version__

_OPERATOR = "admin over all sessions"
_PLAIN = (
    ("GET", "/v1/sessions", "Sessions of the principal, newest activity first", "read", ("search", "limit", "before")),
    ("GET", "/v1/sessions/{session}", "The folded state", "read", ()),
    ("GET", "/v1/sessions/{session}/events", "Events after a position, or the SSE tail", "read", ("after", "max_bytes", "start", "cursor")),
    ("GET", "/v1/sessions/{session}/runs", "The runs of the window", "read", ()),
    ("GET", "/v1/sessions/{session}/runs/{run}", "One run", "read", ()),
    ("GET", "/v1/sessions/{session}/approvals", "The approvals of the window", "read", ("status",)),
    ("GET", "/v1/sessions/{session}/presence", "Who is here", "presence", ()),
    ("GET", "/v1/sessions/{session}/blobs/{blob}", "A blob's content", "read", ()),
    ("GET", "/v1/connections", "Open connections", _OPERATOR, ()),
    ("DELETE", "/v1/connections/{connection}", "Drop a connection as a dead network would", _OPERATOR, ()),
    ("GET", "/v1/runs", "Runs that have not ended, of sessions in memory", _OPERATOR, ()),
    ("GET", "/v1/activity", "What was written in which session, second by second", _OPERATOR, ()),
    ("GET", "/v1/stats", "The hub's counters and gauges", _OPERATOR, ()),
    ("GET", "/v1/consumers", "Who reads the feed under a name", _OPERATOR, ()),
    ("DELETE", "/v1/consumers/{consumer}", "Keep nothing for a consumer of the feed any more", _OPERATOR, ()),
)  # fmt: skip
_WRITES = (
    ("POST", "/v1/sessions/{session}/blobs", "Store the body as a blob", "append", 201),
    ("POST", "/v1/tokens", "Mint a narrower token", "what it grants", 201),
    ("POST", "/v1/tokens/revoke", "Revoke a token, or all of a subject", "admin", 200),
)
_WITH_ETAG = {("GET", "/v1/sessions/{session}")}
_QUERY = {"limit": "integer", "after": "integer", "max_bytes": "integer"}


def document(routes: Sequence[Any], extension_routes: Sequence[tuple[str, ExtensionRoute]] = ()) -> dict[str, Any]:
    """The whole document; ``routes`` are the ``OpRoute`` rows of ``http.py``, those of extensions come with their names."""
    schemas, components = msgspec.json.schema_components(
        [*(r.op for r in routes), NarrowRequest, RevokeRequest], ref_template="#/components/schemas/{name}"
    )
    tokens = {"/v1/tokens": schemas[-2], "/v1/tokens/revoke": schemas[-1]}
    paths: dict[str, dict[str, Any]] = {}
    for route, schema in zip(routes, schemas[:-2], strict=True):
        operation = _operation(route.op.__doc__ or "", NEEDS[route.op], route.path, route.status)
        if route.method != "GET":
            operation["requestBody"] = {"required": False, "content": {"application/json": {"schema": schema}}}
            operation["parameters"].append(_parameter("Idempotency-Key", "header", "Makes a retry safe (LOG-5)."))
        if "incarnation" in route.op.__struct_fields__:
            operation["parameters"].append(_parameter("incarnation", "query", "The life it was read in (LIFE-1)."))
        _add_response(operation, route.status, response_schemas.OPERATIONS[route.op])
        operation["operationId"] = f"{route.op.__name__}{'Run' if '/runs/' in route.path else ''}"
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    for method, path, summary, verb, query in _PLAIN:
        operation = _operation(summary, verb, path, 200)
        operation["parameters"] += [_parameter(name, "query", "", _QUERY.get(name, "string")) for name in query]
        _add_response(operation, 200, response_schemas.ROUTES.get((method, path)))
        if (method, path) in _WITH_ETAG:
            operation["parameters"].append(
                _parameter("If-None-Match", "header", "The `ETag` of what is known already.")
            )
            operation["responses"]["304"] = {"description": "Nothing is newer than that"}
        paths.setdefault(path, {})[method.lower()] = operation
    for method, path, summary, verb, status in _WRITES:
        operation = _operation(summary, verb, path, status)
        content = {"application/json": {"schema": tokens[path]}} if path in tokens else {"application/octet-stream": {}}
        operation["requestBody"] = {"required": path in tokens, "content": content}
        _add_response(operation, status, response_schemas.ROUTES[method, path])
        paths.setdefault(path, {})[method.lower()] = operation
    for row in openapi_dialects.TABLE:
        paths.setdefault(row.path, {})[row.method.lower()] = _dialect_operation(row)
    for name, schema in components.items():
        _relax(name, schema)
    for owner, own in extension_routes:
        operation, shapes = _extension_operation(owner, own)
        paths.setdefault(own.path.replace(":path}", "}"), {})[own.method.lower()] = operation
        components |= shapes
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": __version__,
            "description": "Durable sessions; see PROTOCOL.md.",
        },
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _error()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"token": []}],
    }


def _relax(name: str, schema: dict[str, Any]) -> None:
    """Over REST the path says the operation and the session: the body need not."""
    properties = schema.get("properties", {})
    if "op" in properties and "session" in properties:
        for field in ("op", "id", "run", "approval", "input"):
            if field in ("op", "id") or (field in schema.get("required", []) and field != "session"):
                properties.pop(field, None)
        schema["required"] = [
            r for r in schema.get("required", []) if r in properties and (r != "session" or name == "Create")
        ]
        if name != "Create":
            properties.pop("session", None)


def _add_response(operation: dict[str, Any], status: int, schema: dict[str, Any] | None) -> None:
    """Say what comes back. Routes without a schema answer something else than JSON."""
    if schema is not None:
        operation["responses"][str(status)]["content"] = {"application/json": {"schema": schema}}


def _dialect_operation(row: openapi_dialects.DialectRoute) -> dict[str, Any]:
    """A route of a dialect."""
    operation = _operation(row.summary, row.verbs, row.path, 200)
    operation["parameters"] += [_parameter(name, "query", "") for name in row.query]
    contents = {media: {"schema": schema} if schema else {} for media, schema in row.contents.items()}
    operation["responses"]["200"]["content"] = contents
    if row.no_content:
        operation["responses"]["204"] = {"description": row.no_content}
    media, shape = row.error
    error = {"description": "Refused, in the dialect's own shape", "content": {media: {"schema": shape}}}
    operation["responses"] |= {"4XX": error, "5XX": error}
    if row.body is not None:
        required = bool(row.body["required"])
        operation["requestBody"] = {"required": required, "content": {openapi_dialects.JSON: {"schema": row.body}}}
    return operation


def _extension_operation(owner: str, route: ExtensionRoute) -> tuple[dict[str, Any], dict[str, Any]]:
    """A route of an extension, and the shapes it names: under the extension's own name, beside others of theirs."""
    path = route.path.replace(":path}", "}")
    operation = _operation(route.summary, route.verb or "any valid token", path, route.status)
    operation["parameters"] += [_parameter(name, "query", "") for name in route.query]
    operation["tags"] = [owner]
    _add_response(operation, route.status, dict(route.answer) or None)
    shapes: dict[str, Any] = {}
    if route.body is bytes:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    elif route.body is not None:
        template = f"#/components/schemas/{owner}.{{name}}"
        (schema,), named = msgspec.json.schema_components([route.body], ref_template=template)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        shapes = {f"{owner}.{name}": shape for name, shape in named.items()}
    return operation, shapes


def _operation(summary: str, verb: str, path: str, status: int) -> dict[str, Any]:
    failed = {
        "description": "Refused: see the code",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    return {
        "summary": summary.strip().split("\n")[0],
        "description": f"Needs `{verb}`.",
        "parameters": [{**_parameter(name, "path", ""), "required": True} for name in re.findall(r"\{(\w+)\}", path)],
        "responses": {str(status): {"description": "Done"}, "4XX": failed, "5XX": failed},
    }


def _parameter(name: str, where: str, description: str, kind: str = "string") -> dict[str, Any]:
    return {"name": name, "in": where, "schema": {"type": kind}, "description": description}


def _error() -> dict[str, Any]:
    fields = {
        "code": {"type": "string", "enum": sorted(CODES)},
        "message": {"type": "string"},
        "fix": {"type": "string"},
        "retry": {"type": "boolean"},
        "request_id": {"type": "string"},
    }
    inner = {"type": "object", "properties": fields, "required": ["code", "message"]}
    return {"type": "object", "properties": {"error": inner}, "required": ["error"]}
