"""A plan as a file: every verdict that counts, with the evidence it stands on and the text of its queries. Whoever has it, and
the store or nothing but the file, can compute each verdict again."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.governance.rollout.evidence import query_text
from holdfast.governance.rollout.registry import GATES
from holdfast.governance.rollout.service import ORGANISATION, Rollout

FORMAT: Final = 1


async def bundle(plan: Rollout, tenant: str) -> dict[str, Any]:
    """``{format, tenant, as_of_ms, zone, verdicts: [{…, status, answers: [{…, sql}]}], unbuilt, profiles, waivers}``.

    Raises:
        Unavailable: of the store.
    """
    scope = plan.scope(tenant, ORGANISATION)
    verdicts = []
    for place in (ORGANISATION, *(one.workflow for one in plan.workflows(tenant))):
        for gate in GATES:
            if gate.decide is None or (gate.span == "organisation") != (place == ORGANISATION):
                continue
            status, row, answers = await plan.explain(tenant, gate.name, place)
            if row is None:
                continue
            answered = [{**msgspec.to_builtins(one), "sql": sql_of(one.query)} for one in answers]
            verdicts.append({**msgspec.to_builtins(row), "status": msgspec.to_builtins(status), "answers": answered})
    return {
        "format": FORMAT, "tenant": tenant, "as_of_ms": scope.as_of_ms, "zone": scope.zone, "verdicts": verdicts,
        "unbuilt": [gate.name for gate in GATES if gate.decide is None],
        "profiles": msgspec.to_builtins(plan.profiles(tenant)), "waivers": msgspec.to_builtins(plan.waivers(tenant)),
    }  # fmt: skip


def sql_of(name: str) -> str:
    """The text of a query; empty for a reckoning, which is no single one."""
    try:
        return query_text(name)
    except FileNotFoundError:
        return ""
