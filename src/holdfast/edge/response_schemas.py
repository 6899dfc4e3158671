"""What the routes answer when all is well, as JSON Schemas of the API's description (OpenAPI 3.1).

docs/reference/operations.md says the same in words; a generated client is checked against these in the tests.
"""

from __future__ import annotations

from typing import Any, Final

from holdfast.protocol import wire

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
FLAG: Final[Schema] = {"type": "boolean"}
NULLABLE_TEXT: Final[Schema] = {"type": ["string", "null"]}
ANY: Final[Schema] = {"type": "object"}


def array_of(item: Schema) -> Schema:
    """A list of one kind."""
    return {"type": "array", "items": item}


def object_with(optional: Schema | None = None, /, **required: Schema) -> Schema:
    """An object with fields that are always there, and ``optional`` ones. More may come in later versions."""
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": sorted(required)}


_SPAN: Final = {"first": COUNT, "last": COUNT}
_DUPLICATE: Final = {"duplicate": FLAG}


def write_result(optional: Schema | None = None, /, **more: Schema) -> Schema:
    """The answer of an operation that writes: its positions, and whether it is a repeat's."""
    return object_with({**_DUPLICATE, **(optional or {})}, **_SPAN, **more)


_PLAIN: Final = write_result()
_SERVED: Final = {"served": FLAG}
_RUN: Final = write_result(_SERVED, messageId=TEXT, run=NULLABLE_TEXT)

OPERATIONS: Final[dict[type[wire.Op], Schema]] = {
    wire.Create: _PLAIN,
    wire.Rename: _PLAIN,
    wire.Delete: object_with(),
    wire.Append: _PLAIN,
    wire.Send: _RUN,
    wire.Regenerate: _RUN,
    wire.Interrupt: write_result(_SERVED, messageId=TEXT, run=NULLABLE_TEXT, cancelled=array_of(TEXT)),
    wire.Cancel: write_result(runs=array_of(TEXT), ended=array_of(TEXT)),
    wire.Steer: write_result(steerId=TEXT, run=TEXT),
    wire.Resolve: write_result(decision=TEXT),
    wire.Select: write_result(version=COUNT),
    wire.Take: _PLAIN,
    wire.GiveBack: _PLAIN,
    wire.Read: object_with(),
    wire.History: object_with(page=object_with(items=array_of(ANY), runs=ANY), older=COUNT),
}
"""By operation."""

VIEW: Final = object_with(
    fold=COUNT, title=TEXT, agent=TEXT, meta=ANY, items=array_of(ANY), runs=ANY, branch=ANY, older=COUNT
)
RUN: Final = object_with(id=TEXT, seq=COUNT, agent=TEXT, status=TEXT, attempt=COUNT, attempts=COUNT, version=COUNT)
ROW: Final = object_with(
    session=TEXT,
    title=TEXT,
    incarnation=TEXT,
    tail=COUNT,
    created_ms=COUNT,
    active_ms=COUNT,
    read=COUNT,
    unread=FLAG,
    card=ANY,
)
PRESENCE: Final = object_with(actor=TEXT, surface=TEXT, device=TEXT, connection=TEXT, doing=ANY, since_ms=COUNT)

_S: Final = "/v1/sessions/{session}"
ROUTES: Final[dict[tuple[str, str], Schema]] = {
    ("GET", "/v1/sessions"): object_with(sessions=array_of(ROW), next=NULLABLE_TEXT),
    ("GET", _S): object_with(session=TEXT, incarnation=TEXT, seq=COUNT, view=VIEW),
    ("GET", f"{_S}/events"): object_with(session=TEXT, incarnation=TEXT, tail=COUNT, frames=array_of(ANY)),
    ("GET", f"{_S}/runs"): object_with(runs=array_of(RUN), incarnation=TEXT),
    ("GET", f"{_S}/runs/{{run}}"): RUN,
    ("GET", f"{_S}/approvals"): object_with(approvals=array_of(ANY), incarnation=TEXT),
    ("GET", f"{_S}/presence"): object_with(here=array_of(PRESENCE)),
    ("GET", "/v1/connections"): object_with(connections=array_of(ANY), all=COUNT),
    ("DELETE", "/v1/connections/{connection}"): object_with(),
    ("GET", "/v1/runs"): object_with(runs=array_of(ANY), all=COUNT),
    ("GET", "/v1/activity"): object_with(sessions=ANY),
    ("GET", "/v1/stats"): object_with(now_ms=COUNT, stats=ANY, commit=ANY),
    ("GET", "/v1/consumers"): object_with(consumers=array_of(ANY), kept=COUNT),
    ("DELETE", "/v1/consumers/{consumer}"): object_with(),
    ("POST", f"{_S}/blobs"): object_with(blob=TEXT, size=COUNT),
    ("POST", "/v1/tokens"): object_with(token=TEXT, jti=TEXT, expires_in_s=COUNT),
    ("POST", "/v1/tokens/revoke"): object_with(),
}
"""By route, for those that are no operation."""
