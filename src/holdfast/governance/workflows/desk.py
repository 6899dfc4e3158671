"""What is asked of workflows together with all that is known of them elsewhere: what actions answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.actions import ActionCall, check_person
from holdfast.governance.money import show
from holdfast.governance.workflows import document, journal_store, observing
from holdfast.governance.workflows.approving import RadiusBook
from holdfast.governance.workflows.blast import BlastRadius
from holdfast.governance.workflows.document import ManifestFile, ManifestProblem
from holdfast.governance.workflows.first_plan import first_plan
from holdfast.governance.workflows.intake import Intake
from holdfast.governance.workflows.journal_question import cursor_of, question_of
from holdfast.governance.workflows.lint import lint
from holdfast.governance.workflows.model import CurrentWorkflow, WorkflowManifest, differences, document_of, version_of
from holdfast.governance.workflows.observing import WorkflowSources
from holdfast.governance.workflows.triage import Idea, triage

WEEK_MS = 7 * 86_400_000


class WorkflowDesk:
    """The desk.

    Args:
        sources: who knows what a workflow did.
        operator_tenant: that sees callers without a key.
    """

    def __init__(self, sources: WorkflowSources, operator_tenant: str = "default") -> None:
        self.sources = sources
        self.workflows = sources.workflows
        self.intake = Intake(sources.database, sources.workflows, sources.now_ms)
        self._radii = RadiusBook(sources.database, sources.workflows)
        self._operator_tenant = operator_tenant

    # --- looking
    async def list(self, call: ActionCall) -> Any:
        """All workflows, without their manifests."""
        return {"workflows": [shown(one) for one in self.workflows.listed(call.tenant)]}

    async def show(self, call: ActionCall) -> Any:
        """One workflow with everything that is known of it here."""
        tenant, name = call.tenant, call.facts["workflow"]
        one = self.found(tenant, name)
        return {
            "workflow": shown(one),
            "manifest": document_of(one.manifest) if one.manifest is not None else None,
            "acceptances": self.workflows.acceptances(tenant, name),
            "steps": (await self.workflows.steps(tenant, name))[:20],
            "blast": blast_shown(await self.workflows.blast_radius(tenant, name)),
            "elsewhere": self._elsewhere(one),
        }

    def _elsewhere(self, one: CurrentWorkflow) -> Sequence[str]:
        """Where the organisation says otherwise: whoever changed it there has not changed the manifest."""
        there = self.sources.organisation.workflow(one.workflow, one.tenant)
        unit = self.sources.organisation.tree(one.tenant).find("workflow", one.workflow, self.sources.now_ms())
        pairs = [(name, getattr(one, name), getattr(there, name, "")) for name in ("owner", "deputy", "stage")]
        pairs.append(("unit", one.unit, unit.parent if unit is not None else ""))
        return [
            f"{name}: {mine or 'none'} here, {theirs or 'none'} there" for name, mine, theirs in pairs if mine != theirs
        ]

    async def versions(self, call: ActionCall) -> Any:
        """The manifests that a workflow ever had."""
        self.found(call.tenant, call.facts["workflow"])
        found = await self.workflows.versions(call.tenant, call.facts["workflow"])
        return {"versions": [msgspec.to_builtins(one) for one in found]}

    async def blast(self, call: ActionCall) -> Any:
        """What a workflow could do wrong, and how fast."""
        return blast_shown(await self.workflows.blast_radius(call.tenant, call.facts["workflow"]))

    async def radius(self, call: ActionCall) -> Any:
        """What whoever may read a session is shown of what one of its runs could do wrong."""
        tenant, session, run = call.tenant, call.facts["session"], call.facts.get("run", "")
        return msgspec.to_builtins(await self._radii.of_run(tenant, session, run, call.principal))

    async def changes(self, call: ActionCall) -> Any:
        """What changed since a moment, a week ago if not said otherwise."""
        text = call.facts.get("since_ms") or str(self.sources.now_ms() - WEEK_MS)
        since_ms = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
        return msgspec.to_builtins(await observing.changes(self.sources, call.tenant, call.facts["workflow"], since_ms))

    async def runs(self, call: ActionCall) -> Any:
        """The rows of the journal that somebody asks for, the newest first, with the names of their sessions."""
        text = call.facts.get("limit") or "50"
        limit = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 50
        question, most = question_of(call.facts), max(1, min(limit, limits.WORKFLOW_PAGE_ROWS))
        found = await self.sources.database.read(
            lambda connection: journal_store.page(connection, call.tenant, question, most)
        )
        more = len(found) >= most
        return {
            "runs": [msgspec.to_builtins(run) | {"session_name": name} for run, name in found], "more": more,
            "next": cursor_of(found[-1].run.queued_ms, found[-1].run.id) if more and question.recorded else "",
        }  # fmt: skip

    async def inventory(self, call: ActionCall) -> Any:
        """What belongs to no workflow."""
        found = await observing.seen(self.sources, call.tenant, operator=call.tenant == self._operator_tenant)
        return {"seen": [_with_usd(msgspec.to_builtins(one), "spend") for one in found]}

    async def plan(self, call: ActionCall) -> Any:
        """The first dated plan of a use case."""
        name = call.facts["use_case"]
        if not 1 <= len(name) <= limits.ORG_NAME_CHARS:
            raise Refused("workflow.invalid", f"a use case has a name of 1 to {limits.ORG_NAME_CHARS} characters")
        facts = await observing.plan_facts(self.sources, self.intake, call.tenant, name)
        return msgspec.to_builtins(first_plan(name, facts))

    # --- manifests
    async def draft(self, call: ActionCall) -> Any:
        """A manifest of what was observed, as YAML."""
        agents = [one for one in call.facts.get("agents", "").split(",") if one]
        made = await observing.draft(self.sources, call.tenant, call.facts["name"], agents)
        return {"yaml": document.write(made)}

    async def lint(self, call: ActionCall) -> Any:
        """All that is wrong with a manifest."""
        problems = await self.problems(call.tenant, document.read(call.body))
        return {"problems": problems, "blocked": any(one.blocks for one in problems)}

    async def problems(self, tenant: str, file: ManifestFile) -> Sequence[ManifestProblem]:
        """All that is wrong with a file."""
        if file.manifest is None:
            return file.problems
        return lint(file, await observing.lint_facts(self.sources, tenant, file.manifest))

    async def diff(self, call: ActionCall) -> Any:
        """How a manifest differs from the one that holds."""
        manifest = document.parse(call.body)
        one = self.workflows.current(call.tenant, manifest.workflow)
        before = one.manifest if one is not None else None
        return {
            "workflow": manifest.workflow, "before": one.version if one is not None else "", "version": version_of(manifest),
            "fields": differences(before, manifest),
        }  # fmt: skip

    async def apply(self, call: ActionCall) -> Any:
        """Let a manifest hold."""
        file = document.read(call.body)
        manifest = self._whole(file)
        problems = await self.problems(call.tenant, file)
        made = await self.workflows.apply(
            manifest, by=call.by, tenant=call.tenant, reason=call.facts.get("reason", ""),
            dry_run=call.facts.get("dry_run") == "1",
        )  # fmt: skip
        return {"applied": msgspec.to_builtins(made), "problems": problems}

    def _whole(self, file: ManifestFile) -> WorkflowManifest:
        if file.manifest is None:
            raise Refused("workflow.invalid", "; ".join(map(str, file.problems)))
        return file.manifest

    # --- where it stands
    async def launch(self, call: ActionCall) -> Any:
        """Begin the pilot."""
        one = await self.workflows.launch(call.tenant, call.facts["workflow"], by=call.by, reason=call.body.reason)
        return {"workflow": shown(one)}

    async def production(self, call: ActionCall) -> Any:
        """Leave the pilot."""
        one = await self.workflows.to_production(
            call.tenant, call.facts["workflow"], by=call.by, reason=call.body.reason
        )
        return {"workflow": shown(one)}

    async def set_mode(self, call: ActionCall) -> Any:
        """Judge only, or enforce. Lifting enforcement needs the right of whoever audits, and a reason."""
        before = self.found(call.tenant, call.facts["workflow"])
        if before.enforced and call.body.mode == "observe":
            check_person(call, "lifting enforcement")
            if call.principal is not None and not call.principal.may("audit", "*"):
                raise Refused("auth.denied", "lifting enforcement needs the right 'audit'")
            if not call.body.reason:
                raise Refused("workflow.invalid", "lifting enforcement needs a reason")
        one = await self.workflows.set_mode(
            call.tenant, before.workflow, call.body.mode, by=call.by, reason=call.body.reason
        )
        return {"workflow": shown(one)}

    async def set_stage(self, call: ActionCall) -> Any:
        """Declare another stage."""
        one = await self.workflows.set_stage(
            call.tenant, call.facts["workflow"], call.body.stage, by=call.by, reason=call.body.reason
        )
        return {"workflow": shown(one)}

    async def accept(self, call: ActionCall) -> Any:
        """Take on a role. Over a server everybody speaks for themselves, and no agent for anybody."""
        own = call.by.removeprefix("user:")
        person = call.body.person or own
        if call.principal is not None:
            by_agent = any(minter.startswith("agent:") for minter in call.principal.minters)
            if by_agent or not call.by.startswith("user:") or not self.workflows.same(call.tenant, person, own):
                raise Refused("auth.denied", "everybody takes on a role for themselves")
        return {"acceptance": await self.workflows.accept(call.tenant, call.facts["workflow"], person)}

    async def tools(self, call: ActionCall) -> Any:
        """What tools were classed as."""
        return {"tools": self.workflows.tool_classes(call.tenant)}

    async def set_tool(self, call: ActionCall) -> Any:
        """Class a tool. Whoever answers for a workflow that declares it does not: a tool that writes would be one that reads."""
        check_person(call, "classing a tool")
        person, tool = call.by.partition(":")[2].casefold(), call.body.tool
        for one in self.workflows.listed(call.tenant) if call.principal is not None else ():
            declared = one.manifest is not None and any(each.name == tool for each in one.manifest.tools)
            if declared and person in (one.owner.casefold(), one.deputy.casefold()):
                reason = f"{person} answers for {one.workflow}: somebody else classes its tools"
                raise Refused("workflow.invalid", reason)
        return {"tool": await self.workflows.set_tool(call.tenant, call.body.tool, call.body.effect, by=call.by)}

    # --- ideas
    async def ideas(self, call: ActionCall) -> Any:
        """Ideas, each with what its answers come to."""
        return {"ideas": [self._idea(one) for one in await self.intake.listed(call.tenant)]}

    async def add_idea(self, call: ActionCall) -> Any:
        """Put an idea on record."""
        made = await self.intake.add(call.body.name, call.body.title, by=call.by, tenant=call.tenant)
        return {"idea": self._idea(made)}

    async def answer_idea(self, call: ActionCall) -> Any:
        """Put answers on record."""
        made = await self.intake.answer(call.facts["idea"], call.body, by=call.by, tenant=call.tenant)
        return {"idea": self._idea(made)}

    async def register_idea(self, call: ActionCall) -> Any:
        """Make a workflow of an idea."""
        body = call.body
        idea, one = await self.intake.register(
            call.facts["idea"], by=call.by, tenant=call.tenant, owner=body.owner, unit=body.unit, reason=body.reason
        )
        return {"idea": self._idea(idea), "workflow": shown(one)}

    def _idea(self, one: Idea) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(one)
        return found | {"triage": msgspec.to_builtins(triage(one, self.sources.now_ms()))}

    def found(self, tenant: str, workflow: str) -> CurrentWorkflow:
        """Where a workflow stands. Raises ``workflow.not_found``."""
        one = self.workflows.current(tenant, workflow)
        if one is None:
            raise Refused("workflow.not_found", f"there is no workflow {workflow!r:.140}")
        return one


def shown(one: CurrentWorkflow) -> dict[str, Any]:
    """A workflow without its manifest."""
    found: dict[str, Any] = msgspec.to_builtins(one)
    found.pop("manifest")
    return found


def blast_shown(blast: BlastRadius) -> dict[str, Any]:
    """A blast radius, its spend as decimal text."""
    return _with_usd(msgspec.to_builtins(blast), "spend")


def _with_usd(found: dict[str, Any], name: str) -> dict[str, Any]:
    nano = found.pop(f"{name}_nano")
    return found | {f"{name}_usd": None if nano is None else show(nano)}
