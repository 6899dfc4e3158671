"""What people ask of routing: said once, served by REST and by the command line."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import yaml  # type: ignore[import-untyped]

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.actions import ActionCall, DomainAction
from holdfast.governance.routing.experiment import ExperimentRequest
from holdfast.governance.routing.service import Routing

ROOT: Final = "/v1/x/governance/routing"


class EndRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an experiment is stopped."""

    why: str = ""


async def show(routing: Routing, call: ActionCall) -> Any:
    """The document that holds, and who set which version."""
    document = msgspec.to_builtins(await routing.document(call.tenant))
    return {"document": document, "versions": await routing.versions(call.tenant)}


async def set_document(routing: Routing, call: ActionCall) -> Any:
    """Set the document: YAML or JSON."""
    try:
        value = yaml.safe_load(call.body)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        raise Refused("routing.invalid", f"it is no YAML{f', line {where.line + 1}' if where else ''}") from None
    return {"version": await routing.set_document(value, by=call.by, tenant=call.tenant)}


async def report(routing: Routing, call: ActionCall) -> Any:
    """Cost per accepted outcome, and what could be peeled."""
    return msgspec.to_builtins(await routing.report(call.tenant))


async def decisions(routing: Routing, call: ActionCall) -> Any:
    """The newest decisions."""
    names = ("route", "model", "kind", "experiment", "call", "workflow", "key")
    filters: dict[str, Any] = {name: value for name in names if (value := call.facts.get(name))}
    if call.facts.get("other") == "yes":
        filters["other"] = True
    text = call.facts.get("limit") or "50"
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 50
    return {"decisions": msgspec.to_builtins(await routing.decisions(call.tenant, limit, filters))}


async def experiments(routing: Routing, call: ActionCall) -> Any:
    """Experiments with the steps they took."""
    found = []
    for one in await routing.experiments(call.tenant):
        found.append({**msgspec.to_builtins(one), "steps": msgspec.to_builtins(await routing.steps(one.id))})
    return {"experiments": found}


async def begin(routing: Routing, call: ActionCall) -> Any:
    """Start an experiment."""
    return {"experiment": msgspec.to_builtins(await routing.begin(call.body, by=call.by, tenant=call.tenant))}


async def end(routing: Routing, call: ActionCall) -> Any:
    """Stop one."""
    body: EndRequest = call.body
    done = await routing.end(call.facts["experiment"], body.why, by=call.by, tenant=call.tenant)
    return {"experiment": msgspec.to_builtins(done)}


SHOW: Final = DomainAction("show", "GET", "", "spend", "Routing: the document that holds", show)
SET: Final = DomainAction(
    "set", "POST", "", "catalogue", "Routing: set the document", set_document, bytes,
    body_bytes=limits.ROUTING_DOCUMENT_BYTES,
)  # fmt: skip
REPORT: Final = DomainAction(
    "report", "GET", "/report", "spend", "Routing: cost per accepted outcome, and what could be peeled", report
)
DECISIONS: Final = DomainAction(
    "decisions", "GET", "/decisions", "spend", "Routing: decisions, each with its reason", decisions,
    query=("route", "model", "kind", "experiment", "call", "workflow", "key", "other", "limit"),
)  # fmt: skip
EXPERIMENTS: Final = DomainAction(
    "experiments", "GET", "/experiments", "spend", "Routing: experiments, and the steps they took", experiments
)
BEGIN: Final = DomainAction(
    "begin", "POST", "/experiments", "catalogue", "Routing: start a peel experiment", begin, ExperimentRequest
)
END: Final = DomainAction(
    "end", "POST", "/experiments/{experiment}/stop", "catalogue", "Routing: stop a peel experiment", end, EndRequest
)
ACTIONS: Final = (SHOW, SET, REPORT, DECISIONS, EXPERIMENTS, BEGIN, END)
"""All of them."""
