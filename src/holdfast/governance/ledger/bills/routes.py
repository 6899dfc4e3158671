"""The routes of bills, below ``/v1/x/governance/ledger``. All that they answer is read with the capability ``spend``; to
settle estimates writes corrections, which needs ``budget``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from starlette.responses import Response, StreamingResponse

from holdfast.errors import Refused
from holdfast.extensions import ExtensionRoute, RouteCall
from holdfast.governance.ledger.bills.charts import bill_by_day, waste_by_day, waterfall
from holdfast.governance.ledger.bills.compare.model import MEANING
from holdfast.governance.ledger.bills.focus.columns import VERSIONS, Version
from holdfast.governance.ledger.bills.service import BillQuestion, Bills
from holdfast.governance.ledger.bills.tables import reconciliation_csv, variance_csv, waste_csv
from holdfast.governance.ledger.bills.variance.model import Measure

ROOT: Final = "/v1/x/governance/ledger"
_MEASURES: Final[tuple[Measure, ...]] = ("list", "contracted", "effective", "billed")


def routes(bills: Bills) -> Sequence[ExtensionRoute]:
    """What a server answers about bills."""
    handlers = _Handlers(bills)
    since = ("since", "until")
    return [
        ExtensionRoute("GET", f"{ROOT}/bills", "Providers whose bills were imported", handlers.providers, "spend", query=since),
        ExtensionRoute(
            "POST", f"{ROOT}/reconcile", "The ledger beside a provider's bill, with a name for what differs",
            handlers.reconcile, "spend", body=BillQuestion, query=("format",),
        ),
        ExtensionRoute(
            "POST", f"{ROOT}/settle", "Correct estimated rows as a provider's bill tells them", handlers.settle, "budget",
            body=BillQuestion,
        ),
        ExtensionRoute(
            "GET", f"{ROOT}/variance", "What changed between two periods: price, volume, mix, cache", handlers.variance,
            "spend", query=("before", "after", "by", "measure", "format"),
        ),
        ExtensionRoute(
            "GET", f"{ROOT}/waste", "What was paid for nothing, and the sessions that show it", handlers.waste, "spend",
            query=(*since, "format"),
        ),
        ExtensionRoute(
            "GET", f"{ROOT}/focus", "The ledger as a FOCUS dataset (CSV)", handlers.focus, "spend",
            query=(*since, "version"),
        ),
    ]  # fmt: skip


class _Handlers:
    def __init__(self, bills: Bills) -> None:
        self._bills = bills

    async def providers(self, call: RouteCall) -> Any:
        query = _query(call)
        found = await self._bills.providers(call.principal.tenant, query["since"], query["until"])
        return {"providers": found}

    async def reconcile(self, call: RouteCall) -> Any:
        found = await self._bills.reconcile(call.principal.tenant, call.body)
        if _query(call)["format"] == "csv":
            return csv_answer(reconciliation_csv(found), "reconciliation")
        return _json({"reconciliation": found, "explained_ppm": found.explained_ppm, "by_day": bill_by_day(found),
                      "meaning": MEANING})  # fmt: skip

    async def settle(self, call: RouteCall) -> Any:
        found = await self._bills.reconcile(call.principal.tenant, call.body)
        corrected = await self._bills.settle(call.principal.tenant, found)
        return {"settled": [row.corrects for row in corrected], "proposed": len(found.settlements)}

    async def variance(self, call: RouteCall) -> Any:
        query = _query(call)
        before, after = span(query["before"], "before"), span(query["after"], "after")
        measure = one_of(query["measure"] or "billed", _MEASURES, "measure")
        found = await self._bills.variance(
            call.principal.tenant, before, after, by=query["by"], measure=cast(Measure, measure)
        )
        if query["format"] == "csv":
            return csv_answer(variance_csv(found), "variance")
        return _json({"variance": found, "waterfall": waterfall(found)})

    async def waste(self, call: RouteCall) -> Any:
        query = _query(call)
        found = await self._bills.waste(call.principal.tenant, query["since"], query["until"])
        if query["format"] == "csv":
            return csv_answer(waste_csv(found), "waste")
        return _json({"waste": found, "by_day": waste_by_day(found)})

    async def focus(self, call: RouteCall) -> Response:
        query = _query(call)
        version = cast(Version, one_of(query["version"] or "1.2", VERSIONS, "version"))
        found = await self._bills.focus_export(call.principal.tenant, query["since"], query["until"], version)
        headers = {
            "content-disposition": f'attachment; filename="focus-{version}-{query["since"]}.csv"',
            "x-holdfast-left-out": str(found.left_out),
        }
        return StreamingResponse(found.csv(), media_type="text/csv; charset=utf-8", headers=headers)


def span(text: str, name: str) -> tuple[str, str]:
    """First and last day of ``2026-08-01/2026-08-31``; dates are checked where they are used. Raises
    ``input.malformed``."""
    first, slash, last = text.partition("/")
    if not slash or not first or not last:
        raise Refused("input.malformed", f"{name} {text!r:.60} is no period", fix="Write it as 2026-08-01/2026-08-31.")
    return first, last


def one_of(value: str, allowed: Sequence[str], name: str) -> str:
    """A value of a choice. Raises ``input.malformed``."""
    if value not in allowed:
        raise Refused("input.malformed", f"{name} {value!r:.40} is none of {', '.join(allowed)}")
    return value


def csv_answer(text: str, name: str) -> Response:
    """A file to be kept."""
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def _json(value: Mapping[str, Any]) -> Response:
    """Structs as JSON. Amounts are integers: a reader that takes them for doubles is exact up to nine million dollars."""
    return Response(msgspec.json.encode(value), media_type="application/json")


def _query(call: RouteCall) -> dict[str, str]:
    names = ("since", "until", "before", "after", "by", "measure", "format", "version")
    return {name: call.request.query_params.get(name, "") for name in names}
