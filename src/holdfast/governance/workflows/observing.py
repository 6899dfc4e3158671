"""What is known of a workflow from elsewhere: rows of the ledger, the journal, prices, budgets, keys and bills."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.gateway.sessions import MODEL_AGENT
from holdfast.governance import labels, limits
from holdfast.governance.budgets.service import Budgets
from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.ledger import work
from holdfast.governance.ledger.imports.service import Importer
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.ledger.spend import Group
from holdfast.governance.organisation.model import Unit
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.outcomes.service import OutcomeService
from holdfast.governance.pricing.service import Prices
from holdfast.governance.store.store import Store
from holdfast.governance.workflows import inventory, journal_store, what_changed
from holdfast.governance.workflows.blast_facts import days, since_of
from holdfast.governance.workflows.first_plan import PlanFacts
from holdfast.governance.workflows.intake import Intake
from holdfast.governance.workflows.inventory import SeenLine, SeenSpend
from holdfast.governance.workflows.lint import LintFacts
from holdfast.governance.workflows.model import ManifestModel, ManifestTool, WorkflowManifest, WorkflowUsage
from holdfast.governance.workflows.service import Workflows
from holdfast.governance.workflows.triage import triage
from holdfast.governance.workflows.what_changed import PriceNews, WorkflowChanges, WorkflowPeriod

NOBODY = (labels.UNASSIGNED, "")
"""What stands in rows of no workflow."""


class WorkflowSources(msgspec.Struct, frozen=True):
    """Who knows what a workflow did."""

    database: Store
    workflows: Workflows
    organisation: Organisation
    keys: GatewayKeys
    prices: Prices
    budgets: Budgets
    importer: Importer
    outcomes: OutcomeService
    now_ms: Callable[[], int]

    @property
    def reader(self) -> LedgerReader:
        """Of the ledger."""
        return LedgerReader(self.database)


async def lint_facts(sources: WorkflowSources, tenant: str, manifest: WorkflowManifest) -> LintFacts:
    """What a manifest is held beside."""
    now_ms = sources.now_ms()
    teams = [unit.name for unit in sources.organisation.tree(tenant).at(now_ms) if unit.kind == "team"]
    agents = {
        agent: one.workflow
        for one in sources.workflows.listed(tenant)
        if one.enforced and one.state != "retired" and one.manifest is not None and one.workflow != manifest.workflow
        for agent in one.manifest.agents
    }
    return LintFacts(
        teams=teams, budgets=[budget.name for budget in sources.budgets.definitions(tenant)],
        priced=[one.model for one in manifest.models if _priced(sources, one.model, manifest.workflow, now_ms)],
        tools={each.tool: each.effect for each in sources.workflows.tool_classes(tenant)}, agents=agents,
    )  # fmt: skip


def _priced(sources: WorkflowSources, model: str, workflow: str, at_ms: int) -> bool:
    """Whether a model, or ``provider/model``, has a price or is waived, at any provider."""
    maker, slash, name = model.partition("/")
    providers = {provider for provider, _, _ in sources.prices.models()}
    tried = [(maker, name)] if slash and maker in providers else []
    for provider, called in [*tried, *((provider, model) for provider in ("", *sorted(providers)))]:
        try:
            sources.prices.check(provider=provider, model=called, upstream="", at_ms=at_ms, workflow=workflow)
        except Refused:
            continue
        return True
    return False


async def changes(sources: WorkflowSources, tenant: str, workflow: str, since_ms: int) -> WorkflowChanges:
    """What changed in a workflow since a moment, beside as long a time before it.

    Raises:
        Refused: ``workflow.not_found``; ``input.malformed`` for a moment that is not before now.
    """
    until_ms = sources.now_ms()
    if sources.workflows.current(tenant, workflow) is None:
        raise Refused("workflow.not_found", f"there is no workflow {workflow!r:.140}")
    span_ms = until_ms - since_ms
    if not 0 < span_ms <= limits.LEDGER_DAYS * 86_400_000 // 2:
        raise Refused("input.malformed", f"since: a moment in the last {limits.LEDGER_DAYS // 2} days")
    before = await _period(sources, tenant, workflow, since_ms - span_ms, since_ms)
    after = await _period(sources, tenant, workflow, since_ms, until_ms)
    prices = [
        PriceNews(f"{one.kind}, {one.why}" if one.why else one.kind, _models(one.document), one.decided_ms or 0, one.decided_by)
        for one in await sources.prices.changes("approved")
        if since_ms <= (one.decided_ms or 0) < until_ms
    ]  # fmt: skip
    return what_changed.compare(
        workflow, since_ms, until_ms, before, after,
        steps=await sources.workflows.steps(tenant, workflow, since_ms),
        versions=await sources.workflows.versions(tenant, workflow), prices=prices,
    )  # fmt: skip


def _models(document: Mapping[str, Any]) -> Collection[str]:
    model = document.get("model")
    return [str(model)] if model else []


async def _period(sources: WorkflowSources, tenant: str, workflow: str, since_ms: int, until_ms: int) -> WorkflowPeriod:
    def read(connection: Any) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
        served = work.served_between(connection, tenant, workflow, since_ms, until_ms)
        return served, journal_store.tools_between(connection, tenant, workflow, since_ms, until_ms)

    models, tools = await sources.database.read(read)
    outcomes, accepted = await sources.outcomes.of_workflow(tenant, workflow, since_ms, until_ms)
    return WorkflowPeriod(
        models=models, tools={tool: calls for tool, (_, calls) in tools.items()}, outcomes=outcomes, accepted=accepted
    )


async def seen(sources: WorkflowSources, tenant: str, *, operator: bool) -> list[SeenLine]:
    """What works, or is paid for, and belongs to no workflow, the costliest first.

    Args:
        operator: whether callers without a key are shown: they belong to no tenant.
    """
    since, until = days(sources.organisation, tenant)
    declared = {one.workflow for one in sources.workflows.listed(tenant)}
    declared |= {one.name for one in sources.organisation.workflows(tenant) if one.declared}
    rows = sources.keys.rows(tenant)

    async def spend(dimension: str) -> dict[str, SeenSpend]:
        found = await sources.reader.spend(tenant, since, until, (dimension,), filters={"workflow": NOBODY})
        return {group.values[0]: _spend(group) for group in found.groups if not group.rest}

    last = {one.name: one.last_ms for one in sources.organisation.workflows(tenant)}
    found = [
        *(inventory.callers(await sources.keys.unknown()) if operator else ()),
        *inventory.keys(rows, declared, await spend("key")),
        *inventory.names("label", await spend("tag:label_workflow"), last),
        *inventory.names("model", await spend("model")),
        *inventory.names("agent", await spend("agent")),
        *inventory.bills(
            await _bill_lines(sources, tenant, since, until), {name for row in rows for name in (row.name, row.id)} | declared
        ),
    ]  # fmt: skip
    return inventory.ranked(found, limits.WORKFLOW_PAGE_ROWS)


def _spend(group: Group) -> SeenSpend:
    return SeenSpend(group.figures.rows, group.figures.billed_nano)


async def _bill_lines(sources: WorkflowSources, tenant: str, since: str, until: str) -> list[Any]:
    providers = {one.provider for one in await sources.importer.batches(tenant) if one.use == "bill"}
    return [
        line for provider in sorted(providers) for line in await sources.importer.bill(tenant, provider, since, until)
    ]


_USUAL: Final = frozenset({"standard", "default", "auto"})
"""How providers call the tier of whoever asks for none."""


async def draft(sources: WorkflowSources, tenant: str, name: str, agents: Sequence[str] = ()) -> WorkflowManifest:
    """A manifest of what was observed of a workflow in 28 days. What nobody can observe is left out. Models are those that
    served, for gate 5.b goes by these; one that served in several tiers stands there once, in any."""
    since, until = days(sources.organisation, tenant)
    filters: dict[str, Sequence[str]] = {"workflow": (name,)}
    if not sources.workflows.is_declared(tenant, name):
        filters = {"tag:label_workflow": (name,)}
    models = await sources.reader.spend(tenant, since, until, ("model", "tier"), filters=filters)
    usage = await sources.reader.spend(tenant, since, until, ("usage",), filters=filters)
    since_ms, until_ms = since_of(sources.organisation, tenant), sources.now_ms() + 1
    ran, tools = await sources.database.read(
        lambda connection: (
            journal_store.agents_between(connection, tenant, name, since_ms, until_ms),
            journal_store.tools_between(connection, tenant, name, since_ms, until_ms),
        )
    )
    unit = sources.organisation.tree(tenant).find("workflow", name, sources.now_ms()) or Unit("workflow", name)
    there = sources.organisation.workflow(name, tenant)
    tiers: dict[str, set[str]] = {}
    for group in models.groups:
        if not group.rest and group.values[0]:
            tiers.setdefault(group.values[0], set()).add("" if group.values[1] in _USUAL else group.values[1])
    return WorkflowManifest(
        workflow=name, title=unit.title, unit=unit.parent, owner=there.owner if there else "",
        deputy=there.deputy if there else "", stage=there.stage if there else "",
        usage=_usage([group.values[0] for group in usage.groups if not group.rest]),
        agents=tuple(sorted({*ran, *agents} - {"", MODEL_AGENT})),
        models=tuple(ManifestModel(model, next(iter(some)) if len(some) == 1 else "") for model, some in sorted(tiers.items())),
        tools=tuple(ManifestTool(tool, sources.workflows.effect_of(tenant, tool)) for tool in tools),
    )  # fmt: skip


def _usage(some: Sequence[str]) -> WorkflowUsage:
    if set(some) == {labels.SEATED}:
        return "seated"
    return "headless" if set(some) == {labels.HEADLESS} else "both"


async def plan_facts(sources: WorkflowSources, intake: Intake, tenant: str, use_case: str) -> PlanFacts:
    """What is known of a use case."""
    one = sources.workflows.current(tenant, use_case)
    idea = next((each for each in await intake.listed(tenant) if use_case in (each.name, each.workflow)), None)
    result = triage(idea, sources.now_ms()) if idea is not None and idea.answers else None
    manifest = one.manifest if one is not None else None
    there = sources.organisation.workflow(use_case, tenant)
    owner, deputy = (one.owner, one.deputy) if one is not None else ("", "")
    tools = manifest.tools if manifest is not None else ()
    runs = (await sources.workflows.blast_radius(tenant, use_case)).runs if one is not None else 0
    batches = await sources.importer.batches(tenant)
    return PlanFacts(
        today=sources.organisation.today(tenant), triage=result.sentence if result is not None else "",
        suits=result is not None and result.verdict != "does_not_suit_yet",
        owner=owner or (there.owner if there is not None else ""), deputy=deputy or (there.deputy if there is not None else ""),
        payer=one.payer if one is not None else "", manifest=one.version if one is not None else "",
        state=one.state if one is not None else "",
        keys=sum(row.labels.get(labels.WORKFLOW) == use_case and row.state == "active" for row in sources.keys.rows(tenant)),
        budget=manifest is not None
        and any(budget.name == manifest.budget for budget in sources.budgets.definitions(tenant)),
        bills=any(batch.use == "bill" for batch in batches), outcome=manifest is not None and manifest.outcome is not None,
        unclassed=tuple(each.name for each in tools if sources.workflows.tool_class(tenant, each.name) is None), runs=runs,
    )  # fmt: skip
