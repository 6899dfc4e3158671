"""A company whose plan is exported, forged, and verified."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from holdfast.governance.directory.model import Person
from holdfast.governance.rollout.bundle import bundle
from holdfast.governance.store.tables.workflows import workflow_runs
from holdfast.governance.verifier.canonical import evidence_hash, rows_hash, verdict_id
from holdfast.governance.verifier.documents import StatedAnswer, StatedVerdict, read_plan
from holdfast.governance.verifier.reader import opened, recorded_plan
from holdfast.governance.verifier.verify import PlanVerification, verify
from tests.unit.governance.rollout.conftest import DAY_MS, TENANT, WORKFLOW, Company
from tests.unit.governance.rollout.conftest import company as _company

company = _company
Plan = dict[str, Any]


class Auditor:
    """Who has an exported plan, and changes it before it is verified, or the store behind everybody's back."""

    def __init__(self, company: Company, address: str) -> None:
        self.company = company
        self.address = address

    async def exported(self) -> Plan:
        """The plan as it is exported now, computed anew."""
        await self.company.plan.compute(TENANT)
        found: Plan = msgspec.json.decode(msgspec.json.encode(await bundle(self.company.plan, TENANT)))
        return found

    async def alone(self, plan: Plan) -> PlanVerification:
        """What the verifier says with nothing but the file."""
        return await verify(read_plan(msgspec.json.encode(plan)), None, self.company.clock.wall_ms())

    async def beside(self, plan: Plan) -> PlanVerification:
        """What it says with the store at hand."""
        async with opened(self.address) as store:
            return await verify(read_plan(msgspec.json.encode(plan)), store, self.company.clock.wall_ms())

    async def recorded(self) -> PlanVerification:
        """What it says of the store itself."""
        now_ms = self.company.clock.wall_ms()
        async with opened(self.address) as store:
            return await verify(await recorded_plan(store, TENANT, now_ms), store, now_ms, recorded=True)

    async def sql(self, statement: str, **params: Any) -> None:
        """Change the store behind everybody's back."""
        await self.company.store.write(lambda connection: connection.execute(text(statement), params) and None)

    async def runs(self, count: int, days_ago: int = 3, *, start: int = 0, **flags: Any) -> None:
        """The journal has runs."""
        at_ms = self.company.clock.wall_ms() - days_ago * DAY_MS
        plain = {
            "tenant": TENANT, "session": "s", "parent": "", "root": "", "workflow": WORKFLOW, "agent": "mailer",
            "actor": "user:ann", "version": "", "usage": "seated", "interactive": True, "test": False, "queued_ms": at_ms,
            "queued_seq": 1, "status": "completed", "tools": 0, "side_effects": 0, "unclassified": 0, "memory": 0,
            "counted": True, "lost": False,
        }  # fmt: skip
        rows = [{**plain, "id": f"x:r{number}", "run": f"r{number}", **flags} for number in range(start, start + count)]
        await self.company.store.insert(workflow_runs, rows)


@pytest.fixture
async def auditor(company: Company, database: str) -> AsyncIterator[Auditor]:
    await company.manifest()
    await company.staffed()
    made = Auditor(company, database)
    await made.runs(20)
    with contextlib.suppress(RuntimeError):
        yield made


def of(plan: Plan, gate: str) -> Plan:
    """A verdict of the workflow in a plan."""
    found: Plan = next(one for one in plan["verdicts"] if one["gate"] == gate and one["workflow"] == WORKFLOW)
    return found


def evidence(verdict: Plan, query: str) -> Plan:
    """An answer of a verdict."""
    found: Plan = next(one for one in verdict["answers"] if one["query"] == query)
    return found


def mended(verdict: Plan, change: Callable[[Plan], Any] | None = None) -> None:
    """Change a verdict, and mend every hash in it: only rules, or the store, can tell."""
    if change is not None:
        change(verdict)
    for answer in verdict["answers"]:
        answer["digest"] = rows_hash(answer["rows"])
    verdict["evidence"] = evidence_hash(msgspec.convert(verdict["answers"], list[StatedAnswer]))
    verdict["id"] = verdict_id(msgspec.convert(verdict, StatedVerdict))
    verdict["status"]["verdict_id"] = verdict["id"]


def said_of(found: PlanVerification, subject: str) -> Mapping[str, str]:
    """Outcome and reason of the lines about a subject."""
    line = next(one for one in found.lines if one.subject.startswith(subject))
    return {"outcome": line.outcome, "reason": line.reason}


async def disagrees(auditor: Auditor, plan: Plan, subject: str, *, store: bool = False) -> str:
    """Why the verifier disagrees about a subject."""
    found = said_of(await (auditor.beside(plan) if store else auditor.alone(plan)), subject)
    assert found["outcome"] == "disagree", found
    return found["reason"]


async def red(auditor: Auditor) -> Plan:
    """A plan in which the owner has left."""
    await auditor.company.people(Person("ann", unit="sales", active=False), Person("bob", unit="sales"))
    return await auditor.exported()
