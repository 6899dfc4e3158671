"""A company whose plan is computed: one organisation, its directory, its workflows, on a store of either kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from holdfast.governance.directory.model import Person
from holdfast.governance.directory.service import Directory
from holdfast.governance.organisation.document import parse
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.rollout.evidence import EvidenceReader
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.model import WorkflowManifest
from holdfast.governance.workflows.service import Workflows
from holdfast.testing import FakeClock

TENANT = "default"
WORKFLOW = "answer-mail"
TEAMS = b"organisation: {name: Acme, time_zone: Europe/Berlin}\nteams: [{name: sales}, {name: support}, {name: it}]\n"
DAY_MS = 86_400_000
MANIFEST: Mapping[str, Any] = {
    "workflow": WORKFLOW, "unit": "sales", "owner": "ann", "deputy": "bob", "sponsor": "cem", "payer": "dee",
    "stage": "chat", "agents": ("mailer",),
}  # fmt: skip


class Company:
    """What people of a company do, and what the plan says of it."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.organisation = Organisation(store, clock.wall_ms)
        self.directory = Directory(store, clock.wall_ms)
        self.workflows = Workflows(store, self.organisation, clock.wall_ms)
        self.plan = Rollout(store, self.organisation, self.workflows, EvidenceReader(store, {}), clock.wall_ms)

    async def begin(self) -> None:
        """Teams are described; nothing else is there."""
        for one in (self.organisation, self.directory, self.workflows, self.plan):
            await one.refresh()
        await self.organisation.change(parse(TEAMS, "yaml"), by="user:root")
        self.workflows.same = self.plan.same = self.directory.same
        self.workflows.launch_check = self.plan.launch_check
        self.workflows.production_check = self.plan.production_check

    async def manifest(self, **changes: Any) -> None:
        """Somebody applies the manifest, with changes."""
        await self.workflows.apply(WorkflowManifest(**{**MANIFEST, **changes}), by="user:ann", tenant=TENANT)

    async def people(self, *some: Person) -> None:
        """The directory brings people."""
        await self.directory.bring(TENANT, some)

    async def verdict(self, gate: str, workflow: str = WORKFLOW) -> tuple[str, str]:
        """What the gate says now, computed and put on record, and why."""
        await self.plan.compute(TENANT, workflow)
        found = next(one for one in self.plan.gates(TENANT, workflow) if one.gate == gate)
        return found.shown, found.reason

    async def staffed(self) -> None:
        """Owner and deputy are there as they should be."""
        await self.people(Person("ann", unit="sales"), Person("bob", unit="sales"))
        for name in ("ann", "bob"):
            await self.directory.sign_in(TENANT, name, self.clock.wall_ms())
            await self.workflows.accept(TENANT, WORKFLOW, name)

    def pass_days(self, days: float) -> None:
        """Time goes by."""
        self.clock.advance(days * 86_400.0)


@pytest.fixture
async def company(store: Store, clock: FakeClock) -> Company:
    made = Company(store, clock)
    await made.begin()
    return made


def with_(person: Person, **changes: Any) -> Person:
    """Somebody with something else about them."""
    return msgspec.structs.replace(person, **changes)
