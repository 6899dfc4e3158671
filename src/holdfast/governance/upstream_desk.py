"""What operators ask of the gateway: how full its upstreams are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.gateway.capacity import UpstreamLoad
from holdfast.governance.actions import ActionCall, DomainAction

ROOT: Final = "/v1/x/governance/upstreams"


class UpstreamDesk:
    """The upstreams of this process. They are of no tenant, so only the operators' own sees them."""

    def __init__(self, load: Callable[[], Sequence[UpstreamLoad]], operator_tenant: str) -> None:
        self._load = load
        self._operator_tenant = operator_tenant

    def rows(self, tenant: str) -> list[Any]:
        """How full each is, by kind of call. Raises ``auth.denied``."""
        if tenant != self._operator_tenant:
            raise Refused("auth.denied", "only operators of the server see its upstreams")
        return [msgspec.to_builtins(load) for load in self._load()]


async def show(desk: UpstreamDesk, call: ActionCall) -> Any:
    """Slots in use, calls that wait and calls refused, of each upstream, seated and headless."""
    return {"upstreams": desk.rows(call.tenant)}


ACTIONS: Final = (DomainAction("upstreams", "GET", "", "audit", "Upstreams: how full each is, by kind of call", show),)
