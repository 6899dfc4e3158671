"""What the company does for its plan: it brings its people into the directory, writes manifests, takes on roles, classes tools, and
computes every gate on Monday. Somebody leaves; nobody takes over.
"""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Final

from holdfast.company.agents import TOOLS
from holdfast.company.description import SCHEDULER, Company, Staff, WorkflowDescription
from holdfast.company.office import PLATFORM
from holdfast.company.plants import Plants
from holdfast.engines.port import Engine
from holdfast.governance.app import Governance
from holdfast.governance.directory.model import Person
from holdfast.governance.organisation.model import Stage
from holdfast.governance.workflows import document
from holdfast.governance.workflows.journal import RunJournal
from holdfast.governance.workflows.model import (
    ManifestModel,
    ManifestTool,
    OwnerHours,
    WorkflowManifest,
    WorkflowState,
    WorkflowUsage,
)

TENANT: Final = "default"
STAGES: Final[tuple[Stage, ...]] = ("chat", "pilot", "stateful")
STEP_DAYS: Final = 29
"""After so many days a workflow takes the next stage, until it is at its own."""
_STATES: Final[dict[str, tuple[WorkflowState, ...]]] = {
    "chat": ("pilot",),
    "pilot": ("pilot",),
    "stateful": ("pilot", "production"),
}
_HOURS: Final = 3.0
_ADOPTED: Final = "It ran before there was a plan."


class Stewards:
    """See the module.

    Args:
        governance: of the company's server, running.
        engine: where its sessions are.
    """

    def __init__(self, company: Company, staff: Staff, plants: Plants, governance: Governance, engine: Engine) -> None:
        self._company, self._staff, self._plants, self._governance = company, staff, plants, governance
        self._journal = RunJournal(engine, governance.store, governance.workflows)
        self._leavers: set[str] = set()

    @property
    def _workflows(self) -> list[WorkflowDescription]:
        return [one for one in self._company.workflows if one.agent != "brake"]

    async def open(self) -> None:
        """The first day. What looks by itself, in real seconds, looks every Monday instead while days are simulated."""
        await self._governance.plan_watch.stop()
        await self._governance.inbox_watch.stop()
        for tool in TOOLS:
            await self._governance.workflows.set_tool(TENANT, tool, "read", by=PLATFORM)
        await self._bring()
        for one in self._workflows:
            await self._governance.workflows.apply(
                self.manifest(one, "chat"), by=f"user:{self._staff.owners[one.name][0]}"
            )
            for state in _STATES[one.stage]:
                await self._governance.workflows.set_state(TENANT, one.name, state, by=PLATFORM, reason=_ADOPTED)
        await self._sign_in()
        for one in self._workflows:
            for person in self._staff.owners[one.name]:
                await self._governance.workflows.accept(TENANT, one.name, person)

    def manifest(self, workflow: WorkflowDescription, stage: Stage) -> WorkflowManifest:
        """What a workflow's owner has declared of it."""
        owner, deputy = self._staff.owners[workflow.name]
        people = [name for name in self._staff.teams[workflow.team] if name not in (owner, deputy)]
        replaced = self._plants.replacement
        models = [
            replaced.first if name == replaced.alias else name for name in (workflow.model, workflow.cheaper) if name
        ]
        usage: WorkflowUsage = "headless" if workflow.usage == "headless" else "seated"
        return WorkflowManifest(
            workflow=workflow.name, unit=workflow.team, owner=owner, deputy=deputy, sponsor=people[0], payer=people[1],
            stage=stage, usage=usage, unit_of_work=workflow.task,
            agents=() if workflow.agent in ("program", "chat") else (workflow.name,),
            models=tuple(ManifestModel(model=name) for name in models),
            tools=tuple(ManifestTool(name=tool, effect="read") for tool in TOOLS) if workflow.agent == "tools" else (),
            hours=OwnerHours(owner_week=_HOURS),
        )  # fmt: skip

    async def morning(self, day: datetime.date) -> None:
        """What is done on a day before the work begins."""
        number = (day - self._company.first_day).days
        if number and number % STEP_DAYS == 0 and number // STEP_DAYS < len(STAGES):
            for one in self._workflows:
                await self._step(one, STAGES[number // STEP_DAYS])
        await self._governance.directory.hear(TENANT, "import")
        left = len(self._leavers)
        if day == self._plants.leaver.day:
            self._leavers.add(self._staff.owners[self._plants.leaver.workflow][0])
        if day == self._plants.deserted.day:
            self._leavers.update(self._staff.owners[self._plants.deserted.workflow])
        if len(self._leavers) > left:
            await self._bring()
        if day.weekday() == 0:
            await self._sign_in()

    async def _step(self, one: WorkflowDescription, stage: Stage) -> None:
        if STAGES.index(stage) <= STAGES.index(one.stage):
            await self._governance.workflows.apply(
                self.manifest(one, stage), by=f"user:{self._staff.owners[one.name][0]}"
            )

    async def _bring(self) -> None:
        people = [
            Person(name, email=f"{name}@fjordline.example", unit=team, active=name not in self._leavers)
            for team, names in self._staff.teams.items()
            for name in names
        ]
        await self._governance.directory.bring(TENANT, people)

    async def _sign_in(self) -> None:
        now_ms = self._governance.clock.wall_ms()
        names = {name for one in self._workflows for name in self._staff.owners[one.name]} - self._leavers - {SCHEDULER}
        for name in sorted(names):
            await self._governance.directory.sign_in(TENANT, name, now_ms)

    async def evening(self, day: datetime.date) -> None:
        """The journal is read; on Monday, and on the last day, the plan is computed."""
        await self._journal.read()
        if day.weekday() == 0 or day == self._company.last_day:
            await self._governance.plan.compute(TENANT)

    async def close(self, folder: Path) -> None:
        """From now on the product looks by itself again. What the owners' repositories have is written into ``folder``."""
        await self.evening(self._company.last_day)
        await asyncio.to_thread(self._write_manifests, folder)
        self._governance.plan_watch.start(serves=True)
        self._governance.inbox_watch.start()

    def _write_manifests(self, folder: Path) -> None:
        folder.mkdir()
        for one in self._governance.workflows.listed(TENANT):
            if one.manifest is not None:
                (folder / f"{one.workflow}.yaml").write_text(document.write(one.manifest))
