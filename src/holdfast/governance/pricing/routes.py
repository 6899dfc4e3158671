"""The routes of prices, below ``/v1/x/governance/prices``: one for each action of the desk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from holdfast.extensions import ExtensionRoute, RouteCall
from holdfast.governance import limits
from holdfast.governance.pricing.currency import CSV_BYTES
from holdfast.governance.pricing.desk import ACTIONS, Action, CurrencyTable, PriceDesk

ROOT: Final = "/v1/x/governance/prices"


def routes(desk: PriceDesk) -> Sequence[ExtensionRoute]:
    """The routes. Each needs the capability that its action names, on all sessions."""
    return [_route(desk, action) for action in ACTIONS]


def _route(desk: PriceDesk, action: Action) -> ExtensionRoute:
    async def handle(call: RouteCall) -> Any:
        query = {name: call.request.query_params.get(name, "") for name in action.query}
        return await desk.answer(action, call.principal.actor, {**call.request.path_params, **query}, call.body)

    largest = CSV_BYTES if action.body is CurrencyTable else limits.PRICE_DOCUMENT_BYTES
    return ExtensionRoute(
        action.method, ROOT + action.path, action.summary, handle, verb=action.verb, body=action.body,
        body_bytes=largest, query=action.query,
    )  # fmt: skip
