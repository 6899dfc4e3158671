"""The routes of the ledger's rows, below ``/v1/x/governance/ledger``: sums of them, and the rows themselves.

A question is asked in the query: ``since`` and ``until`` are first and last day in the organisation's time zone, ``where``
is ``dimension:value`` and may stand there again: values of one dimension are alternatives, dimensions all have to hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
from starlette.responses import Response, StreamingResponse

from holdfast.errors import Refused
from holdfast.extensions import ExtensionRoute, RouteCall
from holdfast.governance import limits
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.ledger.spend import Bucket

ROOT: Final = "/v1/x/governance/ledger"
_SPAN: Final = ("since", "until", "where")


def routes(ledger: Ledger, reader: LedgerReader) -> Sequence[ExtensionRoute]:
    """What a server answers about rows. All of it is read with the capability ``spend``."""
    handlers = _Handlers(ledger, reader)
    return [
        ExtensionRoute(
            "GET", f"{ROOT}/spend", "What was spent, by anything and over time", handlers.spend, "spend",
            query=(*_SPAN, "by", "bucket", "limit", "format"),
        ),
        ExtensionRoute(
            "GET", f"{ROOT}/rows", "Rows of the ledger, newest first", handlers.rows, "spend",
            query=(*_SPAN, "cursor", "limit", "replaced", "format"),
        ),
        ExtensionRoute(
            "GET", f"{ROOT}/row/{{row:path}}", "A row and what replaced it; the last one counts", handlers.row, "spend"
        ),
        ExtensionRoute(
            "GET", f"{ROOT}/sessions/{{session}}", "Rows of a session, oldest first", handlers.of_session, "spend"
        ),
    ]  # fmt: skip


class _Handlers:
    def __init__(self, ledger: Ledger, reader: LedgerReader) -> None:
        self._ledger, self._reader = ledger, reader

    async def spend(self, call: RouteCall) -> Any:
        query = call.request.query_params
        by = tuple(filter(None, query.get("by", "").split(",")))
        limit = _count(query.get("limit", ""), "limit", limits.LEDGER_GROUPS)
        found = await self._reader.spend(
            call.principal.tenant, query.get("since", ""), query.get("until", ""), by,
            cast(Bucket, query.get("bucket", "")), filters_of(query.getlist("where")), limit,
        )  # fmt: skip
        if query.get("format") == "csv":
            return _csv(found.csv(), "spend")
        return msgspec.to_builtins(found)

    async def rows(self, call: RouteCall) -> Any:
        query = call.request.query_params
        tenant, since, until = call.principal.tenant, query.get("since", ""), query.get("until", "")
        filters = filters_of(query.getlist("where"))
        if query.get("format") == "csv":
            await self._reader.rows(tenant, since, until, filters, limit=1)  # refused before the file begins
            return StreamingResponse(
                self._reader.row_file(tenant, since, until, filters),
                media_type="text/csv; charset=utf-8",
                headers=_file("rows"),
            )
        limit = _count(query.get("limit", ""), "limit", 100)
        found = await self._reader.rows(
            tenant, since, until, filters, query.get("cursor", ""), limit, replaced=query.get("replaced") == "1"
        )
        return msgspec.to_builtins(found)

    async def of_session(self, call: RouteCall) -> Any:
        found = await self._reader.of_session(call.principal.tenant, call.request.path_params["session"])
        return {"rows": msgspec.to_builtins(found), "more": len(found) >= limits.LEDGER_TREE_ROWS}

    async def row(self, call: RouteCall) -> Any:
        found = await self._ledger.row(call.principal.tenant, call.request.path_params["row"])
        return {"rows": msgspec.to_builtins(found)}


def filters_of(where: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Values by dimension, of ``dimension:value`` and ``tag:NAME:value``. Raises ``input.malformed``."""
    found: dict[str, tuple[str, ...]] = {}
    for each in where[: limits.LEDGER_FILTERS + 1]:
        name, colon, value = each.partition(":")
        if name == "tag":
            tag, colon, value = value.partition(":")
            name = f"tag:{tag}"
        if not colon:
            raise Refused("input.malformed", f"where {each!r:.80} is no filter", fix="Write it as team:support.")
        found[name] = (*found.get(name, ()), value)
    return found


def _count(text: str, name: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refused("input.malformed", f"{name} {text!r:.40} is no number")
    return int(text)


def _csv(text: str, name: str) -> Response:
    return Response(text, media_type="text/csv; charset=utf-8", headers=_file(name))


def _file(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}.csv"'}
