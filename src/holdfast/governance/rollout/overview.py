"""What the pages and commands show of a plan, put together from memory and from what was put on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from holdfast.governance import limits
from holdfast.governance.rollout.critical_path import NextAction, missing, next_actions, next_door
from holdfast.governance.rollout.doors import GateStatus
from holdfast.governance.rollout.port import WorkflowFacts
from holdfast.governance.rollout.progress import Progress, durations, progress
from holdfast.governance.rollout.registry import GATES, STEPS
from holdfast.governance.rollout.sentence import sentence
from holdfast.governance.rollout.service import Rollout

Status = dict[str, dict[str, GateStatus]]


def status_by_gate(plan: Rollout, tenant: str, some: Sequence[WorkflowFacts]) -> Status:
    """How every gate stands, by workflow and gate."""
    return {one.workflow: {gate.gate: gate for gate in plan.gates(tenant, one.workflow)} for one in some}


def actions(plan: Rollout, tenant: str, some: Sequence[WorkflowFacts], status: Status) -> list[NextAction]:
    """What has to be done for some workflows."""
    who = {(one.workflow, gate.name): plan.who(tenant, gate.name, one.workflow) for one in some for gate in GATES}
    return next_actions(some, status, who)


async def plan_status(plan: Rollout, tenant: str, workflow: str = "") -> dict[str, Any]:
    """Every workflow, or one: its sentence, its doors, its gates, and how far it is."""
    some = [one for one in plan.workflows(tenant) if workflow in ("", one.workflow)]
    status = status_by_gate(plan, tenant, some)
    todo = actions(plan, tenant, some, status)
    rows = await plan.history(tenant, None, None, limits.PLAN_HISTORY_ROWS)
    took = durations(reversed(rows))
    return {
        "zone": plan.scope(tenant, "").zone,
        "as_of_ms": plan.scope(tenant, "").as_of_ms,
        "profile": msgspec.to_builtins(plan.profile(tenant)),
        "workflows": [_workflow(plan, tenant, one, status, todo, took) for one in some],
        "steps": [{"step": step, "title": title} for step, title in STEPS.items()],
        "gates": [_gate(gate) for gate in GATES],
    }


def _gate(gate: Any) -> dict[str, Any]:
    return {
        "gate": gate.name, "step": gate.step, "title": gate.title, "holds": list(gate.holds), "span": gate.span,
        "built": gate.decide is not None, "effect": gate.effect,
    }  # fmt: skip


def _workflow(
    plan: Rollout,
    tenant: str,
    facts: WorkflowFacts,
    status: Status,
    todo: Sequence[NextAction],
    took: dict[str, list[int]],
) -> dict[str, Any]:
    own = status[facts.workflow]
    wanted = missing(facts, own)
    holder = plan.who(tenant, wanted[0], facts.workflow) if wanted else ""
    scope = plan.scope(tenant, facts.workflow)
    far: Progress = progress(wanted, own, took, holder, scope.as_of_ms)
    return {
        "workflow": facts.workflow, "state": facts.state, "mode": facts.mode, "stage": facts.stage, "owner": facts.owner,
        "deputy": facts.deputy, "sponsor": facts.sponsor, "payer": facts.payer, "next_door": next_door(facts),
        "sentence": sentence(facts, own, todo, plan.zone(tenant), scope.as_of_ms),
        "doors": msgspec.to_builtins(plan.doors(tenant, facts.workflow)),
        "gates": msgspec.to_builtins(list(own.values())),
        "missing": wanted,
        "progress": msgspec.to_builtins(far),
    }  # fmt: skip


def plan_next(plan: Rollout, tenant: str) -> dict[str, Any]:
    """What to do next, what opens the most first."""
    some = plan.workflows(tenant)
    todo = actions(plan, tenant, some, status_by_gate(plan, tenant, some))
    few, reach = _few(todo)
    return {"actions": msgspec.to_builtins(todo), "few": few, "reach": reach}


def _few(todo: Sequence[NextAction]) -> tuple[int, int]:
    """How few actions open how many doors: those that stop something or open one by themselves."""
    some = [one for one in todo if one.opens or one.stopped]
    return len(some), len({name for one in some for name in (*one.opens, *one.stopped)})
