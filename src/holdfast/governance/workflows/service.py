"""Workflows: where each stands, in memory, and every way in which that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from holdfast.errors import Refused, Unavailable
from holdfast.governance import labels, limits
from holdfast.governance.directory.names import SameName, literally
from holdfast.governance.organisation.document import OrganisationFile
from holdfast.governance.organisation.model import Stage, Unit, Workflow
from holdfast.governance.organisation.planning import ChangeLine, Described
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.store import Store
from holdfast.governance.workflows import store
from holdfast.governance.workflows.blast import BlastRadius
from holdfast.governance.workflows.blast_facts import blast_of
from holdfast.governance.workflows.lint import LintFacts, blocking
from holdfast.governance.workflows.model import (
    UNCLASSED,
    CurrentWorkflow,
    ManifestVersion,
    RoleAcceptance,
    ToolClass,
    ToolEffect,
    WorkflowManifest,
    WorkflowMode,
    WorkflowState,
    WorkflowStep,
    differences,
    document_of,
    version_of,
)
from holdfast.governance.workflows.moves import PLACED, moved, placed, steps_between

_TRIES = 5
"""How often a change is made anew because another process changed the workflow meanwhile."""
_OF_RUNS: Final = ({"pilot", "production"}, {"registered"}, {"retired"})
"""States of workflows in the order in which a run without a label is taken to be of one: an agent of which nothing else is
left is still that of what was retired."""
LaunchCheck = Callable[[str, str], Awaitable[Sequence[str]]]
"""Of a tenant's workflow: the reasons why it may not go through a door; none where it may."""


class AppliedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What came of applying a manifest, or would.

    Attributes:
        before: the version that held; empty for none.
        changed: whether anything changed, or would.
        fields: ``(field, before, after)`` of the manifest.
        steps: ``(what, before, after)`` of where the workflow stands.
        organisation: lines of what changes there.
    """

    workflow: str
    version: str
    before: str = ""
    changed: bool
    fields: Sequence[tuple[str, str, str]] = ()
    steps: Sequence[tuple[str, str, str]] = ()
    organisation: Sequence[ChangeLine] = ()


class Workflows:
    """The workflows of a store.

    Attributes:
        launch_check: asked before a pilot begins (door L); ``production_check`` before production (door P). Who judges
            doors sets them; until then they refuse nothing.
        same: whether two names are one person's.

    Args:
        database: the store.
        organisation: in which workflows have their place.
        now_ms: the clock, Unix ms.
    """

    def __init__(self, database: Store, organisation: Organisation, now_ms: Callable[[], int]) -> None:
        self._store = database
        self._organisation = organisation
        self._now_ms = now_ms
        self._contents = store.WorkflowContents({}, {}, {})
        self._agents: dict[tuple[str, str], list[str]] = {}
        self._refreshing = asyncio.Lock()
        self.launch_check: LaunchCheck = _nothing_against
        self.production_check: LaunchCheck = _nothing_against
        self.same: SameName = literally

    async def refresh(self) -> None:
        """Read everything again. Raises of the store."""
        async with self._refreshing:  # who began to read earlier must not have the last word
            contents = await self._store.read(store.read_all)
            agents: dict[tuple[str, str], list[str]] = {}
            for tenant, some in contents.current.items():
                for one in some.values():
                    if one.manifest is not None:
                        for agent in one.manifest.agents:
                            agents.setdefault((tenant, agent), []).append(one.workflow)
            self._contents, self._agents = contents, agents

    # --- asked for every run, without waiting
    def current(self, tenant: str, workflow: str) -> CurrentWorkflow | None:
        """Where a workflow stands; None for one without a manifest that nobody registered."""
        return self._contents.current.get(tenant, {}).get(workflow)

    def listed(self, tenant: str) -> list[CurrentWorkflow]:
        """All of a tenant, by name."""
        return sorted(self._contents.current.get(tenant, {}).values(), key=lambda one: one.workflow)

    def tenants(self) -> list[str]:
        """Those that have workflows."""
        return sorted(self._contents.current)

    def workflow_of(self, tenant: str, claims: Mapping[str, str], agent: str) -> str:
        """Whose a run is: what the label says, where that is declared; else the only workflow whose manifest names the agent,
        of those that were launched where one was, and of these of the enforced ones where one is; else ``unassigned``. So
        neither a label that names nothing declared leads past a manifest, nor another manifest past an enforced one."""
        found = self.claimants(tenant, claims, agent)
        return found[0] if len(found) == 1 else labels.UNASSIGNED

    def claimants(self, tenant: str, claims: Mapping[str, str], agent: str) -> Sequence[str]:
        """The workflows that a run may be of: several where an agent is named by several manifests and no label says which.
        What one agent is below (``writer/reader``) is that agent's."""
        name = claims.get(labels.WORKFLOW, "")
        if name and self.is_declared(tenant, name):
            return (name,)
        found: Sequence[str] = ()
        while agent and not found:
            found, agent = self._agents.get((tenant, agent), ()), agent.rpartition("/")[0]
        current = self._contents.current.get(tenant, {})
        for states in _OF_RUNS:
            some = [one for one in found if current[one].state in states]
            if some:
                return [one for one in some if current[one].enforced] or some
        return ()

    def claims_of(self, tenant: str, claims: Mapping[str, str], agent: str) -> dict[str, str]:
        """The labels of work with the workflow that it is of: what budgets and the ledger know it by."""
        name = self.workflow_of(tenant, claims, agent)
        return dict(claims) if name == labels.UNASSIGNED else {**claims, labels.WORKFLOW: name}

    def is_declared(self, tenant: str, workflow: str) -> bool:
        """Whether somebody registered or declared it, here or in the organisation."""
        if self.current(tenant, workflow) is not None:
            return True
        found = self._organisation.workflow(workflow, tenant)
        return found is not None and found.declared

    def tool_class(self, tenant: str, tool: str) -> ToolClass | None:
        """What a tool was classed as; None for one that nobody classed."""
        return self._contents.tools.get(tenant, {}).get(tool)

    def effect_of(self, tenant: str, tool: str) -> ToolEffect:
        """What a tool counts as."""
        found = self.tool_class(tenant, tool)
        return found.effect if found is not None else UNCLASSED

    def tool_classes(self, tenant: str) -> list[ToolClass]:
        """All that were classed, by name."""
        return sorted(self._contents.tools.get(tenant, {}).values(), key=lambda each: each.tool)

    def acceptances(self, tenant: str, workflow: str) -> list[RoleAcceptance]:
        """The last time that each person took on each role of a workflow, the newest first."""
        found = [one for one in self._contents.acceptances.get(tenant, {}).values() if one.workflow == workflow]
        return sorted(found, key=lambda one: (-one.at_ms, one.role, one.person))

    # --- manifests
    async def apply(
        self, manifest: WorkflowManifest, *, by: str, tenant: str = "default", reason: str = "", dry_run: bool = False
    ) -> AppliedManifest:
        """Let a manifest hold, here and in the organisation: both or neither. Applying the same twice is once.

        Raises:
            Refused: ``workflow.invalid`` with all that blocks it; ``org.invalid`` where the organisation refuses its place.
            Unavailable: of the store.
        """
        version, now_ms = version_of(manifest), self._now_ms()
        self._check(manifest, tenant)

        def to(before: CurrentWorkflow | None) -> CurrentWorkflow:
            return placed(before, manifest, tenant, by, now_ms)

        made = ManifestVersion(workflow=manifest.workflow, version=version, manifest=manifest, by=by, at_ms=now_ms)
        before, after, lines = await self._change(tenant, manifest.workflow, to, by, reason, made=made, dry_run=dry_run)
        old = before.manifest if before is not None else None
        steps = steps_between(before, after)
        return AppliedManifest(
            workflow=manifest.workflow, version=version, before=before.version if before is not None else "",
            changed=bool(steps or lines), fields=differences(old, manifest), steps=steps, organisation=lines,
        )  # fmt: skip

    def _check(self, manifest: WorkflowManifest, tenant: str) -> None:
        """Refuse what contradicts itself, or the organisation. What is only missing is for gates to judge."""
        try:
            msgspec.convert(document_of(manifest), WorkflowManifest)
        except msgspec.ValidationError as error:
            raise Refused("workflow.invalid", str(error)) from None
        teams = [unit.name for unit in self._organisation.tree(tenant).at(self._now_ms()) if unit.kind == "team"]
        if problems := blocking(manifest, LintFacts(teams=teams)):
            raise Refused("workflow.invalid", "; ".join(map(str, problems)))

    async def set_version(self, tenant: str, workflow: str, version: str, *, by: str, reason: str) -> CurrentWorkflow:
        """Let a manifest hold again that held before. State, mode, stage and people stay as they are: a rollback brings nobody
        back who has left, and lifts nothing.

        Raises:
            Refused: ``workflow.not_found``.
        """
        _checked(reason)
        found = await self._store.read(lambda connection: store.find_version(connection, tenant, workflow, version))
        if found is None:
            raise Refused("workflow.not_found", f"workflow {workflow!r:.140} has no version {version!r:.40}")

        def to(before: CurrentWorkflow) -> CurrentWorkflow:
            return msgspec.structs.replace(before, version=version, manifest=found.manifest)

        return await self._move(tenant, workflow, to, by, reason)

    async def versions(self, tenant: str, workflow: str) -> list[ManifestVersion]:
        """The manifests that it ever had, the newest first."""
        return await self._store.read(lambda connection: store.list_versions(connection, tenant, workflow))

    async def steps(self, tenant: str, workflow: str, since_ms: int = 0) -> list[WorkflowStep]:
        """Its transitions since a moment, the newest first."""
        return await self._store.read(lambda connection: store.list_steps(connection, tenant, workflow, since_ms))

    # --- where it stands
    async def register(
        self, tenant: str, workflow: str, *, by: str, reason: str = "", owner: str = "", unit: str = ""
    ) -> CurrentWorkflow:
        """Have a workflow before it has a manifest; one that is there stays as it is. Raises ``workflow.invalid``."""
        now_ms = self._now_ms()

        def to(before: CurrentWorkflow | None) -> CurrentWorkflow:
            return before or CurrentWorkflow(
                tenant=tenant, workflow=workflow, owner=owner, unit=unit, since_ms=now_ms, by=by
            )

        return (await self._change(tenant, workflow, to, by, reason))[1]

    async def set_state(
        self, tenant: str, workflow: str, state: WorkflowState, *, by: str, reason: str
    ) -> CurrentWorkflow:
        """Let a workflow be in another state, without asking at any door; see ``launch``.

        Raises:
            Refused: ``workflow.not_found``, ``workflow.retired``, ``workflow.invalid``.
        """
        now_ms = self._now_ms()
        return await self._move(tenant, workflow, lambda one: moved(one, state, by, now_ms), by, reason)

    async def launch(self, tenant: str, workflow: str, *, by: str, reason: str = "") -> CurrentWorkflow:
        """Begin the pilot, where door L has nothing against it.

        Raises:
            Refused: ``workflow.launch`` with every reason; else as ``set_state``.
        """
        return await self._through(tenant, workflow, "pilot", self.launch_check, by, reason)

    async def to_production(self, tenant: str, workflow: str, *, by: str, reason: str = "") -> CurrentWorkflow:
        """Leave the pilot, where door P has nothing against it. Raises as ``launch``."""
        return await self._through(tenant, workflow, "production", self.production_check, by, reason)

    async def _through(
        self, tenant: str, workflow: str, state: WorkflowState, check: LaunchCheck, by: str, reason: str
    ) -> CurrentWorkflow:
        before = await self._found(tenant, workflow)
        moved(before, state, by, self._now_ms())
        if before.state != state and (against := await check(tenant, workflow)):
            raise Refused("workflow.launch", f"workflow {workflow!r} cannot be {state} yet: {'; '.join(against)}")
        return await self.set_state(tenant, workflow, state, by=by, reason=reason)

    async def set_mode(
        self, tenant: str, workflow: str, mode: WorkflowMode, *, by: str, reason: str
    ) -> CurrentWorkflow:
        """Judge only, or enforce what is judged. Raises ``workflow.not_found``, ``workflow.invalid``."""
        return await self._move(tenant, workflow, lambda one: msgspec.structs.replace(one, mode=mode), by, reason)

    async def set_stage(self, tenant: str, workflow: str, stage: Stage, *, by: str, reason: str) -> CurrentWorkflow:
        """Declare another stage, here and in the organisation. Raises ``workflow.not_found``, ``workflow.invalid``."""
        return await self._move(tenant, workflow, lambda one: msgspec.structs.replace(one, stage=stage), by, reason)

    async def set_people(
        self, tenant: str, workflow: str, *, by: str, reason: str, owner: str | None = None, deputy: str | None = None
    ) -> CurrentWorkflow:
        """Let others answer for it, here and in the organisation; None leaves one as they are.

        Raises:
            Refused: ``workflow.not_found``; ``org.invalid`` for an owner who is the deputy.
        """

        def to(one: CurrentWorkflow) -> CurrentWorkflow:
            return msgspec.structs.replace(
                one, owner=one.owner if owner is None else owner, deputy=one.deputy if deputy is None else deputy
            )

        return await self._move(tenant, workflow, to, by, reason)

    async def accept(self, tenant: str, workflow: str, person: str) -> RoleAcceptance:
        """Somebody takes on the role that they have, under whichever of their names: what is kept is the one by which the
        manifest names them. Raises ``workflow.not_found``; ``workflow.invalid`` for who has none."""
        one = await self._found(tenant, workflow)
        theirs = [name for name in (one.owner, one.deputy) if name and self.same(tenant, person, name)]
        named = person if person in theirs else next(iter(theirs), "")
        if not named:
            raise Refused("workflow.invalid", f"{person!r:.140} is neither owner nor deputy of {workflow!r}")
        acceptance = RoleAcceptance(
            tenant=tenant, workflow=workflow, role="owner" if named == one.owner else "deputy", person=named,
            at_ms=self._now_ms(),
        )  # fmt: skip
        await self._store.write(lambda connection: store.add_acceptance(connection, acceptance))
        await self.refresh()
        return acceptance

    async def set_tool(self, tenant: str, tool: str, effect: ToolEffect, *, by: str) -> ToolClass:
        """Class a tool. Only the policy editor does: whoever asks has shown the right. Raises ``workflow.invalid``."""
        if not 1 <= len(tool) <= limits.ORG_NAME_CHARS:
            raise Refused("workflow.invalid", f"a tool has a name of 1 to {limits.ORG_NAME_CHARS} characters")
        each = ToolClass(tenant=tenant, tool=tool, effect=effect, by=by, at_ms=self._now_ms())
        await self._store.write(lambda connection: store.put_tool(connection, each))
        await self.refresh()
        return each

    # --- what it could do
    async def blast_radius(self, tenant: str, workflow: str) -> BlastRadius:
        """What it could do wrong, and how fast. Raises ``workflow.not_found``, and of the store."""
        one = self.current(tenant, workflow) or await self._found(tenant, workflow)
        classes = {each.tool: each.effect for each in self.tool_classes(tenant)}
        return await blast_of(self._store, self._organisation, one, classes, self._now_ms())

    # --- how
    async def _found(self, tenant: str, workflow: str) -> CurrentWorkflow:
        found = await self._store.read(lambda connection: store.find(connection, tenant, workflow))
        if found is None:
            raise Refused("workflow.not_found", f"there is no workflow {workflow!r:.140}")
        return found

    async def _move(
        self, tenant: str, workflow: str, to: Callable[[CurrentWorkflow], CurrentWorkflow], by: str, reason: str
    ) -> CurrentWorkflow:
        def known_only(before: CurrentWorkflow | None) -> CurrentWorkflow:
            if before is None:
                raise Refused("workflow.not_found", f"there is no workflow {workflow!r:.140}")
            return to(before)

        return (await self._change(tenant, workflow, known_only, by, reason))[1]

    async def _change(
        self, tenant: str, workflow: str, to: Callable[[CurrentWorkflow | None], CurrentWorkflow], by: str, reason: str, *,
        made: ManifestVersion | None = None, dry_run: bool = False,
    ) -> tuple[CurrentWorkflow | None, CurrentWorkflow, Sequence[ChangeLine]]:  # fmt: skip
        """Before, after, and what changes in the organisation: in one transaction, or not at all."""
        _checked(reason)
        for _ in range(_TRIES):
            before = await self._store.read(lambda connection: store.find(connection, tenant, workflow))
            after = to(before)
            also = self._written(before, after, by, reason, made) if before != after else None
            lines: Sequence[ChangeLine] = ()
            try:
                if _concerns(before, after) or made is not None:
                    file = self._described(before, after)
                    lines = await self._organisation.change(file, by=by, dry_run=dry_run, tenant=tenant, also=also)
                elif also is not None and not dry_run:
                    await self._store.write(also)
            except _Overtaken:
                continue
            if not dry_run:
                await self.refresh()
            return before, after, lines
        raise Unavailable("store.busy", "others keep changing the workflow")

    def _written(
        self, before: CurrentWorkflow | None, after: CurrentWorkflow, by: str, reason: str, made: ManifestVersion | None
    ) -> Callable[[Connection], None]:
        now_ms = self._now_ms()

        def work(connection: Connection) -> None:
            if store.find(connection, after.tenant, after.workflow) != before:
                raise _Overtaken
            if made is not None:
                store.add_manifest(connection, after.tenant, made)
            store.put(connection, after)
            for what, old, new in steps_between(before, after):
                store.add_step(connection, after, what, old, new, by, now_ms, reason)

        return work

    def _described(self, before: CurrentWorkflow | None, after: CurrentWorkflow) -> OrganisationFile:
        """A workflow as the organisation has it. What only the organisation knows of it stays, also where it was moved."""
        there = self._organisation.tree(after.tenant).find("workflow", after.workflow, self._now_ms())
        unit = there or Unit("workflow", after.workflow)
        title = after.manifest.title if after.manifest is not None else ""
        moves = there is None or before is None or before.unit != after.unit or before.version != after.version
        unit = msgspec.structs.replace(unit, parent=after.unit if moves else unit.parent, title=title or unit.title)
        described = Workflow(after.workflow, after.owner, after.deputy, after.stage)
        return OrganisationFile(Described((unit,), (described,)))


class _Overtaken(Exception):
    """Another process changed the workflow between looking and writing."""


def _concerns(before: CurrentWorkflow | None, after: CurrentWorkflow) -> bool:
    return before is None or any(getattr(before, name) != getattr(after, name) for name in PLACED)


def _checked(reason: str) -> None:
    if len(reason) > limits.WORKFLOW_TEXT_CHARS:
        raise Refused("workflow.invalid", f"a reason has at most {limits.WORKFLOW_TEXT_CHARS} characters")


async def _nothing_against(tenant: str, workflow: str) -> Sequence[str]:
    return ()
