"""The small company of ``budgeting.py`` with a plan: people, manifests, verdicts of six weeks, waivers.

    python -m tests.browser.planning FOLDER     # writes it into an empty folder, serves it, prints the console's address

What stands in it that a page must show: a workflow that may go on, one whose owner and deputy left days ago and that
begins nothing new, one that is only observed though a gate fails, one that was never launched, one that does more than its stage; a
waiver that holds, one that is over while its gate still fails, one that was taken back.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from holdfast.governance.directory.model import Person
from holdfast.governance.directory.service import Directory
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.rollout.evidence import EvidenceReader
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.intake import Intake
from holdfast.governance.workflows.model import (
    DataSource,
    ManifestModel,
    ManifestTool,
    OwnerHours,
    ToolEffect,
    WorkflowManifest,
)
from holdfast.governance.workflows.service import Workflows
from holdfast.governance.workflows.triage import Condition, ConditionAnswer, TriageRequest
from holdfast.testing import FakeClock
from tests.browser.budgeting import GovernedCompany, GovernedSite, controlled_company

DAY_S: Final = 86_400
TENANT: Final = "default"
PEOPLE: Final = {
    "ann": "service", "bob": "service", "gus": "service", "cat": "sales", "dan": "sales", "eve": "research",
    "fin": "finance", "pia": "service", "root": "it",
}  # fmt: skip
MANIFESTS: Final[tuple[dict[str, Any], ...]] = (
    {"workflow": "answer-mail", "unit": "service", "owner": "ann", "deputy": "bob", "stage": "pilot", "usage": "seated",
     "agents": ("mailer",), "tools": (ManifestTool("crm.read", "read"), ManifestTool("mail.send", "write", "100 a day")),
     "data": (DataSource("crm", "personal"),)},
    {"workflow": "triage", "unit": "service", "owner": "ann", "deputy": "gus", "stage": "pilot", "usage": "headless",
     "agents": ("sorter",), "tools": (ManifestTool("tickets.label", "write"),)},
    {"workflow": "offers", "unit": "sales", "owner": "cat", "deputy": "dan", "stage": "pilot", "usage": "seated",
     "agents": ("writer",), "tools": (ManifestTool("erp.read", "read"), ManifestTool("offers.write", "write"))},
    {"workflow": "literature", "unit": "research", "owner": "eve", "deputy": "", "stage": "chat", "usage": "headless",
     "agents": ("lead",), "tools": (ManifestTool("papers.search", "read"),)},
    {"workflow": "recall-letters", "unit": "service", "owner": "bob", "deputy": "ann", "stage": "chat", "usage": "seated",
     "agents": ("letters",), "tools": (ManifestTool("letters.send", "write"),)},
)  # fmt: skip
CLASSES: Final[dict[str, ToolEffect]] = {
    "crm.read": "read",
    "erp.read": "read",
    "papers.search": "read",
    "mail.send": "write",
}
STATES: Final = {"answer-mail": "production", "triage": "pilot", "offers": "pilot", "recall-letters": "pilot"}
ENFORCED: Final = ("answer-mail", "offers")


class PlannedCompany(GovernedCompany):
    """Writes; what was spent is that of ``GovernedCompany``."""

    async def write(self) -> None:
        """See ``Company``. The plan is written by a clock of its own, while nobody else computes it."""
        await super().write()
        past = FakeClock(self.clock.wall_ms() - 38 * DAY_S * 1_000)
        store = await Store.open(str(self.folder / "holdfast-governance.db"), past.wall_ms)
        try:
            await self._plan(store, past)
        finally:
            await store.close()

    async def _plan(self, store: Store, past: FakeClock) -> None:
        organisation = Organisation(store, past.wall_ms)
        self.people = Directory(store, past.wall_ms)
        self.workflows = Workflows(store, organisation, past.wall_ms)
        self.plan = Rollout(store, organisation, self.workflows, EvidenceReader(store, {}), past.wall_ms)
        self.past, self.store = past, store
        for one in (organisation, self.people, self.workflows, self.plan):
            await one.refresh()
        await self._begin()
        await self._weeks()
        await self._ideas()

    async def _ideas(self) -> None:
        intake = Intake(self.store, self.workflows, self.past.wall_ms)
        made = await intake.add(
            "contract-check", "Find unusual clauses in supplier contracts", by="user:dan", tenant=TENANT
        )
        answers: dict[Condition, ConditionAnswer] = {
            "technical_users": "no", "trained_model": "yes", "verifiable_output": "yes", "one_context": "yes",
        }  # fmt: skip
        request = TriageRequest(answers=answers, risk="limited", data="confidential", low_usd="20000", high_usd="60000")
        await intake.answer(made.id, request, by="user:dan", tenant=TENANT)
        await intake.add("travel-desk", "Book trips", by="user:eve", tenant=TENANT)

    async def _begin(self) -> None:
        """Manifests are applied, and launched without asking at any door: the plan came later."""
        for tool, effect in CLASSES.items():
            await self.workflows.set_tool(TENANT, tool, effect, by="user:root")
        for facts in MANIFESTS:
            named = {
                "sponsor": "pia",
                "payer": "fin",
                "models": (ManifestModel("gpt-5-mini"),),
                "hours": OwnerHours(0.25),
                **facts,
            }
            name = str(facts["workflow"])
            await self.workflows.apply(WorkflowManifest(**named), by=f"user:{facts['owner']}", tenant=TENANT)
            if name in STATES:
                await self.workflows.set_state(TENANT, name, "pilot", by="user:root", reason="it runs already")
            if STATES.get(name) == "production":
                await self.workflows.set_state(TENANT, name, "production", by="user:root", reason="it runs already")
        await self.plan.compute(TENANT)

    async def _weeks(self) -> None:
        self._pass(2)
        await self._bring()
        for person, workflow in (
            ("ann", "answer-mail"),
            ("bob", "answer-mail"),
            ("cat", "offers"),
            ("dan", "offers"),
            ("ann", "triage"),
            ("ann", "recall-letters"),
            ("bob", "recall-letters"),
        ):
            await self.people.sign_in(TENANT, person, self.past.wall_ms())
            await self.workflows.accept(TENANT, workflow, person)
        await self.plan.compute(TENANT)
        self._pass(3)
        await self._waive("6.a", "literature", 14, "eve looks for a deputy")
        back = await self._waive("4.a", "answer-mail", 20, "the bill of the first month is not there yet")
        await self.plan.end_waiver(TENANT, back, "user:risk")
        for _ in range(4):
            self._pass(7)
            await self._bring()
            for person in ("ann", "bob", "cat", "dan"):
                await self.people.sign_in(TENANT, person, self.past.wall_ms())
            await self.plan.compute(TENANT)
        await self._waive("4.b", "offers", 12, "the budget of the new year is signed on the tenth")
        tried = {**MANIFESTS[1], "models": (ManifestModel("gpt-5-nano"),), "sponsor": "pia", "payer": "fin"}
        await self.workflows.apply(WorkflowManifest(**tried), by="user:ann", tenant=TENANT, reason="it is cheaper")
        self._pass(2)
        for name in ENFORCED:
            await self.workflows.set_mode(TENANT, name, "enforce", by="user:root", reason="agreed with the owners")
        await self._bring(left=("cat", "dan"))
        await self.plan.compute(TENANT)
        self.past.advance((self.clock.wall_ms() - self.past.wall_ms()) / 1_000)
        await self._bring(left=("cat", "dan"))
        await self.plan.compute(TENANT)

    def _pass(self, days: int) -> None:
        self.past.advance(days * DAY_S)

    async def _waive(self, gate: str, workflow: str, days: int, reason: str) -> str:
        until_ms = self.past.wall_ms() + days * DAY_S * 1_000
        waiver = await self.plan.waive(
            TENANT, gate, workflow, by="user:risk", reason=reason, until_ms=until_ms, may_waive=True
        )
        return waiver.id

    async def _bring(self, left: tuple[str, ...] = ()) -> None:
        """The directory speaks."""
        some = [
            Person(name, f"{name}@acme.example", name.title(), unit, "Employee", name not in left)
            for name, unit in PEOPLE.items()
        ]
        await self.people.bring(TENANT, some)


def planned_company(folder: Path, port: int = 0) -> Iterator[GovernedSite]:
    """The company, written and served; for a fixture."""
    yield from controlled_company(folder, port, PlannedCompany)


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    for running in planned_company(folder):
        print(running.page(), flush=True)
        try:
            time.sleep(DAY_S)
        except KeyboardInterrupt:
            break


if __name__ == "__main__":
    main()
