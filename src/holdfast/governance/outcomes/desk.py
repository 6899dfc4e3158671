"""What people and programs ask of outcomes: said once, served by REST and by the command line."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.governance.actions import ActionCall, DomainAction, moment_of
from holdfast.governance.money import show
from holdfast.governance.outcomes.model import OutcomeQuestion, WorkOutcome
from holdfast.governance.outcomes.service import OutcomeRequest, OutcomeService

ROOT: Final = "/v1/x/governance/outcomes"


def _shown(outcome: WorkOutcome) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(outcome)
    for name in ("value", "cost"):
        nano = found.pop(f"{name}_nano")
        found[f"{name}_usd"] = None if nano is None else show(nano)
    return found


async def record(outcomes: OutcomeService, call: ActionCall) -> Any:
    """Say what became of a call, or of a run."""
    made = await outcomes.record(call.body, by=call.by, tenant=call.tenant, principal=call.principal)
    return {"outcome": _shown(made)}


async def listed(outcomes: OutcomeService, call: ActionCall) -> Any:
    """The newest outcomes; ``session_name`` is what people call the session, empty for a deleted one."""
    text = call.facts.get("limit") or "50"
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 50
    facts = call.facts
    until = facts.get("until_ms", "")
    question = OutcomeQuestion(
        workflow=facts.get("workflow", ""), task=facts.get("task", ""), model=facts.get("model", ""),
        since_ms=moment_of(facts.get("since_ms") or "0", "since_ms"),
        until_ms=moment_of(until, "until_ms") if until else None, superseded=facts.get("superseded") == "yes",
    )  # fmt: skip
    found = await outcomes.listed(call.tenant, limit, question)
    names = await outcomes.session_names(found)
    return {"outcomes": [_shown(one) | {"session_name": names.get(one.session, "")} for one in found]}


async def proxies(outcomes: OutcomeService, call: ActionCall) -> Any:
    """How edits and regenerations go with not being accepted."""
    found = await outcomes.proxies(call.tenant)
    return {name: together._asdict() for name, together in found._asdict().items()}


RECORD: Final = DomainAction(
    "record", "POST", "", "record", "Outcomes: say what became of a call, or of a run", record, OutcomeRequest
)
LIST: Final = DomainAction(
    "list", "GET", "", "spend", "Outcomes: the newest ones", listed,
    query=("workflow", "task", "model", "since_ms", "until_ms", "superseded", "limit"),
)  # fmt: skip
PROXIES: Final = DomainAction(
    "proxies", "GET", "/proxies", "spend", "Outcomes: how edits and regenerations go with them", proxies
)
ACTIONS: Final = (RECORD, LIST, PROXIES)
"""All of them."""
