"""What people ask of the plan: said once, served by REST and by the command line."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.actions import ActionCall, DomainAction, check_person
from holdfast.governance.organisation.dates import zone_of
from holdfast.governance.rollout import monday, overview
from holdfast.governance.rollout.behind import behind
from holdfast.governance.rollout.bundle import bundle, sql_of
from holdfast.governance.rollout.model import DoorName
from holdfast.governance.rollout.service import Rollout
from holdfast.version import build_id

ROOT: Final = "/v1/x/governance/plan"
_DOORS: Final[dict[str, DoorName]] = {"L": "L", "P": "P", "O": "O", "R": "R"}


class WaiveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gate to pass over. ``days``: for how long, at most 30; ``workflow`` empty for one of the organisation."""

    gate: str
    reason: str
    workflow: str = ""
    days: int = 30


class ProfileRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of the rules: a base, and what differs from it by gate."""

    base: str
    reason: str
    thresholds: dict[str, dict[str, int | str]] = {}


async def status(plan: Rollout, call: ActionCall) -> Any:
    """How every workflow stands, or one; computed anew where that is asked."""
    workflow = call.facts.get("workflow", "")
    if call.facts.get("compute") == "1":
        await plan.compute(call.tenant, workflow or None)
    found = await overview.plan_status(plan, call.tenant, workflow)
    if workflow and not found["workflows"]:
        raise Refused("workflow.not_found", f"no workflow {workflow!r:.140} has a manifest")
    return found


async def next_steps(plan: Rollout, call: ActionCall) -> Any:
    """What to do next."""
    return overview.plan_next(plan, call.tenant)


async def monday_page(plan: Rollout, call: ActionCall) -> Any:
    """What the Monday page shows."""
    return await monday.answer(plan, call.tenant)


async def explain(plan: Rollout, call: ActionCall) -> Any:
    """A gate's verdict with the evidence it stands on."""
    gate, workflow = call.facts["gate"], call.facts.get("workflow", "")
    _check_workflow(plan, call.tenant, workflow)
    found, row, answers = await plan.explain(call.tenant, gate, workflow)
    history = await plan.history(call.tenant, found.workflow, gate, 50)
    zone = zone_of(plan.scope(call.tenant, workflow).zone)
    return {
        "status": msgspec.to_builtins(found),
        "verdict": msgspec.to_builtins(row) if row is not None else None,
        "evidence": [
            {**msgspec.to_builtins(one), "sql": sql_of(one.query), "behind": msgspec.to_builtins(behind(one, zone))}
            for one in answers
        ],
        "beside": await plan.beside(call.tenant, gate, workflow),
        "who": plan.who(call.tenant, gate, workflow),
        "history": [
            {"verdict": one.verdict, "reason": one.reason, "computed_ms": one.computed_ms, "n": one.n}
            for one in history
        ],
    }


async def check(plan: Rollout, call: ActionCall) -> Any:
    """Whether a door of a workflow opens now, computed anew, with one sentence why not."""
    workflow, name = call.facts["workflow"], call.facts.get("door") or "L"
    if name not in _DOORS:
        raise Refused("input.malformed", f"door {name!r:.8}: L, P, O or R")
    _check_workflow(plan, call.tenant, workflow)
    await plan.compute(call.tenant, workflow)
    why = plan.refusals(call.tenant, workflow, _DOORS[name])
    shut = next(one for one in plan.doors(call.tenant, workflow) if one.door == name)
    verdict = "pass" if shut.open else "fail" if shut.shut_by else "unknown"
    return {"workflow": workflow, "door": name, "verdict": verdict, "open": shut.open, "why": why}


def _check_workflow(plan: Rollout, tenant: str, workflow: str) -> None:
    if workflow and workflow not in {one.workflow for one in plan.workflows(tenant)}:
        raise Refused("workflow.not_found", f"no workflow {workflow!r:.140} has a manifest")


async def waivers(plan: Rollout, call: ActionCall) -> Any:
    """Every waiver, the newest first, with its age."""
    now_ms = plan.scope(call.tenant, "").as_of_ms
    rows = [
        {**msgspec.to_builtins(one), "holds": one.holds(now_ms), "age_days": (now_ms - one.at_ms) // 86_400_000}
        for one in reversed(plan.waivers(call.tenant))
    ]
    return {"waivers": rows[: limits.WAIVER_ROWS], "now_ms": now_ms}


async def waive(plan: Rollout, call: ActionCall) -> Any:
    """Pass a gate over until a date."""
    body: WaiveRequest = call.body
    check_person(call, "waiving a gate")
    until_ms = plan.scope(call.tenant, "").as_of_ms + body.days * 86_400_000
    may = call.principal is None or call.principal.may("waive", "*")
    waiver = await plan.waive(
        call.tenant, body.gate, body.workflow, by=call.by, reason=body.reason, until_ms=until_ms, may_waive=may
    )
    return {"waiver": msgspec.to_builtins(waiver)}


async def end_waiver(plan: Rollout, call: ActionCall) -> Any:
    """Take a waiver back."""
    await plan.end_waiver(call.tenant, call.facts["waiver"], call.by)
    return {}


async def profile(plan: Rollout, call: ActionCall) -> Any:
    """The numbers that hold."""
    return {"profile": msgspec.to_builtins(plan.profile(call.tenant))}


async def set_profile(plan: Rollout, call: ActionCall) -> Any:
    """Set the numbers of the rules."""
    check_person(call, "setting the numbers of the rules")
    body: ProfileRequest = call.body
    new = await plan.set_profile(call.tenant, body.base, body.thresholds, by=call.by, reason=body.reason)
    return {"profile": msgspec.to_builtins(new)}


async def export(plan: Rollout, call: ActionCall) -> Any:
    """Every verdict that counts with its evidence, for whoever computes them again."""
    return await bundle(plan, call.tenant)


async def validation(plan: Rollout, call: ActionCall) -> Any:
    """Put a report of ``holdfast validate`` on record, or of a load test."""
    try:
        document = msgspec.json.decode(call.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("input.malformed", f"the report is no JSON object: {error!s:.200}") from None
    return {"validation": msgspec.to_builtins(await plan.validations.record(call.tenant, document, call.by))}


async def validations(plan: Rollout, call: ActionCall) -> Any:
    """Reports on record, the newest first."""
    return {"validations": msgspec.to_builtins(await plan.validations.listed(call.tenant, limits.PLAN_HISTORY_ROWS))}


async def build(plan: Rollout, call: ActionCall) -> Any:
    """Which build answers."""
    return {"build": await asyncio.to_thread(build_id)}


STATUS: Final = DomainAction(
    "status", "GET", "", "spend", "Plan: how every workflow stands", status, query=("workflow", "compute")
)
NEXT: Final = DomainAction("next", "GET", "/next", "spend", "Plan: what to do next, and who", next_steps)
MONDAY: Final = DomainAction(
    "monday", "GET", "/monday", "spend", "Plan: the page for Monday, by person, with what flipped", monday_page
)
EXPLAIN: Final = DomainAction(
    "explain", "GET", "/gates/{gate}", "spend", "Plan: a gate's verdict with its evidence", explain, query=("workflow",)
)
CHECK: Final = DomainAction(
    "check", "GET", "/check", "spend", "Plan: whether a door opens", check, query=("workflow", "door")
)
WAIVERS: Final = DomainAction("waivers", "GET", "/waivers", "spend", "Plan: waivers and their age", waivers)
WAIVE: Final = DomainAction(
    "waive", "POST", "/waivers", "spend", "Plan: pass a gate over, by name and date", waive, WaiveRequest
)
END_WAIVER: Final = DomainAction(
    "end waiver", "POST", "/waivers/{waiver}/end", "waive", "Plan: take a waiver back", end_waiver
)
PROFILE: Final = DomainAction("profile", "GET", "/profile", "spend", "Plan: the numbers of the rules", profile)
SET_PROFILE: Final = DomainAction(
    "set profile", "POST", "/profile", "audit", "Plan: set the numbers of the rules", set_profile, ProfileRequest
)
EXPORT: Final = DomainAction("export", "GET", "/export", "audit", "Plan: every verdict with its evidence", export)
VALIDATION: Final = DomainAction(
    "validation",
    "POST",
    "/validations",
    "audit",
    "Plan: put a report of holdfast validate on record",
    validation,
    bytes,
)
VALIDATIONS: Final = DomainAction(
    "validations", "GET", "/validations", "spend", "Plan: reports of holdfast validate", validations
)
BUILD: Final = DomainAction("build", "GET", "/build", "", "Plan: which build answers", build)
ACTIONS: Final = (
    STATUS, NEXT, MONDAY, EXPLAIN, CHECK, WAIVERS, WAIVE, END_WAIVER, PROFILE, SET_PROFILE, EXPORT, VALIDATION, VALIDATIONS,
    BUILD,
)  # fmt: skip
"""All of them."""
