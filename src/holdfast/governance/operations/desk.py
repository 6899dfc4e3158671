"""What people ask of operations: said once, served by REST and by the command line.

Stopping needs ``control`` over all sessions: whoever is on call may cancel every run one by one anyway, and nobody should have
to look for another right at three in the morning. Letting begin again needs ``audit``, which no owner has by being one.
Roll back and retire need ``budget``, as applying a manifest does.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from holdfast.governance import limits
from holdfast.governance.actions import ActionCall, DomainAction, check_person
from holdfast.governance.money import show as money
from holdfast.governance.operations.model import Incident, StopOrder, StopReceipt
from holdfast.governance.operations.moves import WorkflowMoves
from holdfast.governance.operations.service import Operations

ROOT: Final = "/v1/x/governance/operations"
_Reason = Annotated[str, msgspec.Meta(max_length=limits.STOP_REASON_CHARS)]
_Name = Annotated[str, msgspec.Meta(max_length=limits.ORG_NAME_CHARS)]
_Notes = Annotated[str, msgspec.Meta(max_length=limits.INCIDENT_NOTES_CHARS)]


class StopRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be stopped: ``scope`` is workflow, agent, model, tool or everything; ``grace_s``: seconds that an agent has to
    end by itself."""

    scope: _Name
    reason: _Reason
    subject: _Name = ""
    grace_s: float = limits.STOP_GRACE_S


class LiftRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it may begin again."""

    reason: _Reason


class IncidentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What went wrong, since when; ``to_ms`` is left out while it goes on. Unix ms."""

    workflow: _Name
    notes: _Notes
    from_ms: int
    to_ms: int | None = None


class IncidentEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That it is over, since when (now by default), and what is to be said beside what was."""

    notes: _Notes = ""
    to_ms: int | None = None


class RollBackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which version of the manifest is to hold again."""

    version: _Name
    reason: _Reason


class RetireRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is taken out of service."""

    reason: _Reason


class OperationsDesk:
    """The desk."""

    def __init__(self, operations: Operations, moves: WorkflowMoves) -> None:
        self._operations = operations
        self._moves = moves

    async def stop(self, call: ActionCall) -> Any:
        """Stop something."""
        body: StopRequest = call.body
        made = await self._operations.stop(
            call.tenant, body.scope, body.subject, body.reason, call.by, grace_s=body.grace_s
        )
        return receipt_shown(made)

    async def preview(self, call: ActionCall) -> Any:
        """What that would end."""
        return msgspec.to_builtins(
            await self._operations.preview(call.tenant, call.facts["scope"], call.facts.get("subject", ""))
        )

    async def list(self, call: ActionCall) -> Any:
        """Stops that hold, or all."""
        found = await self._operations.stops(call.tenant, lifted=call.facts.get("all") == "yes")
        return {"stops": [stop_shown(one) for one in found]}

    async def show(self, call: ActionCall) -> Any:
        """One stop with what it did."""
        return receipt_shown(await self._operations.receipt(call.tenant, call.facts["stop"]))

    async def lift(self, call: ActionCall) -> Any:
        """Let it begin again."""
        check_person(call, "letting begin again what was stopped")
        body: LiftRequest = call.body
        return receipt_shown(await self._operations.lift(call.tenant, call.facts["stop"], call.by, body.reason))

    async def incidents(self, call: ActionCall) -> Any:
        """Incidents."""
        found = await self._operations.incidents(call.tenant, call.facts.get("workflow", ""))
        return {"incidents": [incident_shown(one) for one in found]}

    async def incident(self, call: ActionCall) -> Any:
        """One of them, counted now."""
        return {"incident": incident_shown(await self._operations.incident(call.tenant, call.facts["incident"]))}

    async def add_incident(self, call: ActionCall) -> Any:
        """Record one by hand."""
        body: IncidentRequest = call.body
        made = await self._operations.add_incident(
            call.tenant, body.workflow, call.by, body.notes, body.from_ms, body.to_ms
        )
        return {"incident": incident_shown(made)}

    async def close_incident(self, call: ActionCall) -> Any:
        """End one."""
        body: IncidentEnd = call.body
        done = await self._operations.close_incident(
            call.tenant, call.facts["incident"], call.by, body.notes, body.to_ms
        )
        return {"incident": incident_shown(done)}

    async def roll_back(self, call: ActionCall) -> Any:
        """Let a former manifest hold again."""
        body: RollBackRequest = call.body
        return msgspec.to_builtins(
            await self._moves.roll_back(call.tenant, call.facts["workflow"], body.version, call.by, body.reason)
        )

    async def retire(self, call: ActionCall) -> Any:
        """Take a workflow out of service."""
        body: RetireRequest = call.body
        return msgspec.to_builtins(await self._moves.retire(call.tenant, call.facts["workflow"], call.by, body.reason))


def stop_shown(stop: StopOrder) -> dict[str, Any]:
    """A stop, as it is answered."""
    shown: dict[str, Any] = msgspec.to_builtins(stop)
    del shown["tenant"]
    return shown


def receipt_shown(found: StopReceipt) -> dict[str, Any]:
    """A receipt, as it is answered."""
    return {**msgspec.to_builtins(found), "stop": stop_shown(found.stop)}


def incident_shown(incident: Incident) -> dict[str, Any]:
    """An incident, as it is answered: money as a decimal text."""
    shown: dict[str, Any] = msgspec.to_builtins(incident)
    nano = shown.pop("cost_nano")
    del shown["tenant"]
    return {**shown, "cost_usd": money(nano) if nano is not None else None}


def _act(
    name: str,
    method: str,
    path: str,
    verb: str,
    summary: str,
    answer: Any,
    body: Any = None,
    query: tuple[str, ...] = (),
) -> DomainAction[OperationsDesk]:
    return DomainAction(name, method, path, verb, f"Operations: {summary}", answer, body, query)


_STOP: Final = "/stops/{stop}"
_INCIDENT: Final = "/incidents/{incident}"
STOP: Final = _act("stop", "POST", "/stops", "control", "stop something", OperationsDesk.stop, StopRequest)
PREVIEW: Final = _act(
    "preview", "GET", "/preview", "control", "what a stop would end", OperationsDesk.preview, query=("scope", "subject")
)
LIST: Final = _act("list", "GET", "/stops", "control", "what is stopped", OperationsDesk.list, query=("all",))
SHOW: Final = _act("show", "GET", _STOP, "control", "what a stop did", OperationsDesk.show)
LIFT: Final = _act(
    "lift", "POST", f"{_STOP}/lift", "audit", "let begin again what was stopped", OperationsDesk.lift, LiftRequest
)
INCIDENTS: Final = _act(
    "incidents", "GET", "/incidents", "control", "incidents", OperationsDesk.incidents, query=("workflow",)
)
INCIDENT: Final = _act("incident", "GET", _INCIDENT, "control", "one incident, counted now", OperationsDesk.incident)
ADD_INCIDENT: Final = _act(
    "add-incident", "POST", "/incidents", "control", "record an incident", OperationsDesk.add_incident, IncidentRequest
)
CLOSE_INCIDENT: Final = _act(
    "close-incident", "POST", f"{_INCIDENT}/close", "control", "end an incident", OperationsDesk.close_incident,
    IncidentEnd,
)  # fmt: skip
ROLL_BACK: Final = _act(
    "roll-back", "POST", "/workflows/{workflow}/rollback", "budget", "let a former manifest hold again",
    OperationsDesk.roll_back, RollBackRequest,
)  # fmt: skip
RETIRE: Final = _act(
    "retire", "POST", "/workflows/{workflow}/retire", "budget", "take a workflow out of service", OperationsDesk.retire,
    RetireRequest,
)  # fmt: skip
ACTIONS: Final = (
    STOP, PREVIEW, LIST, SHOW, LIFT, INCIDENTS, INCIDENT, ADD_INCIDENT, CLOSE_INCIDENT, ROLL_BACK, RETIRE,
)  # fmt: skip
"""All of them."""
