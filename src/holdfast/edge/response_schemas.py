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
MAYBE: Final[Schema] = {"type": ["string", "null"]}
ANY: Final[Schema] = {"type": "object"}


def listed(item: Schema) -> Schema:
    """A list of one kind."""
    return {"type": "array", "items": item}


def record(optional: Schema | None = None, /, **required: Schema) -> Schema:
    """An object with fields that are always there, and ``optional`` ones. More may come in later versions."""
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": sorted(required)}


_SPAN: Final = {"first": COUNT, "last": COUNT}
_REPEATED: Final = {"duplicate": FLAG}


def written(optional: Schema | None = None, /, **more: Schema) -> Schema:
    """The answer of an operation that writes: its positions, and whether it is a repeat's."""
    return record({**_REPEATED, **(optional or {})}, **_SPAN, **more)


_PLAIN: Final = written()
_SERVED: Final = {"served": FLAG}
_RUN: Final = written(_SERVED, messageId=TEXT, run=MAYBE)

OPERATIONS: Final[dict[type[wire.Op], Schema]] = {
    wire.Create: _PLAIN,
    wire.Rename: _PLAIN,
    wire.Delete: record(),
    wire.Append: _PLAIN,
    wire.Send: _RUN,
    wire.Regenerate: _RUN,
    wire.Interrupt: written(_SERVED, messageId=TEXT, run=MAYBE, cancelled=listed(TEXT)),
    wire.Cancel: written(runs=listed(TEXT), ended=listed(TEXT)),
    wire.Steer: written(steerId=TEXT, run=TEXT),
    wire.Resolve: written(decision=TEXT),
    wire.Select: written(version=COUNT),
    wire.Take: _PLAIN,
    wire.GiveBack: _PLAIN,
    wire.Read: record(),
    wire.History: record(page=record(items=listed(ANY), runs=ANY), older=COUNT),
}
"""By operation."""

VIEW: Final = record(fold=COUNT, title=TEXT, agent=TEXT, meta=ANY, items=listed(ANY), runs=ANY, branch=ANY, older=COUNT)
RUN: Final = record(id=TEXT, seq=COUNT, agent=TEXT, status=TEXT, attempt=COUNT, attempts=COUNT, version=COUNT)
ROW: Final = record(
    session=TEXT, title=TEXT, incarnation=TEXT, tail=COUNT, created_ms=COUNT, active_ms=COUNT, read=COUNT, unread=FLAG, card=ANY
)  # fmt: skip
HERE: Final = record(actor=TEXT, surface=TEXT, device=TEXT, connection=TEXT, doing=ANY, since_ms=COUNT)

_S: Final = "/v1/sessions/{session}"
ROUTES: Final[dict[tuple[str, str], Schema]] = {
    ("GET", "/v1/sessions"): record(sessions=listed(ROW), next=MAYBE),
    ("GET", _S): record(session=TEXT, incarnation=TEXT, seq=COUNT, view=VIEW),
    ("GET", f"{_S}/events"): record(session=TEXT, incarnation=TEXT, tail=COUNT, frames=listed(ANY)),
    ("GET", f"{_S}/runs"): record(runs=listed(RUN), incarnation=TEXT),
    ("GET", f"{_S}/runs/{{run}}"): RUN,
    ("GET", f"{_S}/approvals"): record(approvals=listed(ANY), incarnation=TEXT),
    ("GET", f"{_S}/presence"): record(here=listed(HERE)),
    ("GET", "/v1/connections"): record(connections=listed(ANY), all=COUNT),
    ("DELETE", "/v1/connections/{connection}"): record(),
    ("GET", "/v1/runs"): record(runs=listed(ANY), all=COUNT),
    ("GET", "/v1/activity"): record(sessions=ANY),
    ("GET", "/v1/stats"): record(now_ms=COUNT, stats=ANY, commit=ANY),
    ("POST", f"{_S}/blobs"): record(blob=TEXT, size=COUNT),
    ("POST", "/v1/tokens"): record(token=TEXT, jti=TEXT, expires_in_s=COUNT),
    ("POST", "/v1/tokens/revoke"): record(),
}
"""By route, for those that are no operation."""
