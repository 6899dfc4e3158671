"""What is wrong with a manifest beside what is known: the organisation, budgets, prices, classes of tools. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

import msgspec

from holdfast.governance.money import parse as money
from holdfast.governance.workflows.document import ManifestFile, ManifestProblem, Path, field_of
from holdfast.governance.workflows.model import ToolEffect, WorkflowManifest


class LintFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a manifest is held beside.

    Attributes:
        teams: names of the teams of the organisation.
        people: those that are known; None where that is not known.
        budgets: their names.
        priced: the models of the manifest that have a price, or are waived.
        tools: what tools were classed as.
        agents: those that other enforced manifests name, with the workflow of each.
    """

    teams: Collection[str] = ()
    people: Collection[str] | None = None
    budgets: Collection[str] = ()
    priced: Collection[str] = ()
    tools: Mapping[str, ToolEffect] = {}
    agents: Mapping[str, str] = {}


def lint(file: ManifestFile, facts: LintFacts) -> list[ManifestProblem]:
    """All that is wrong, in the order of the file."""
    if file.manifest is None:
        return list(file.problems)
    found = []
    for path, what, blocks in _wrong(file.manifest, facts):
        line = next((file.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in file.lines), 0)
        found.append(ManifestProblem(field_of(path), line, what, blocks))
    return sorted(found, key=lambda one: (one.line, one.field))


def blocking(manifest: WorkflowManifest, facts: LintFacts) -> list[ManifestProblem]:
    """Of that only what cannot be applied."""
    return [one for one in lint(ManifestFile(manifest), facts) if one.blocks]


_Wrong = Iterator[tuple[Path, str, bool]]


def _wrong(manifest: WorkflowManifest, facts: LintFacts) -> _Wrong:
    yield from _people(manifest, facts)
    yield from _twice(manifest)
    yield from _used(manifest, facts)
    if not manifest.outcome:
        yield ("outcome",), "it does not say when work is accepted: cost per accepted outcome stays unknown", False
    elif (value := manifest.outcome.value_usd) is not None and money(value.low) > money(value.high):
        yield ("outcome", "value_usd"), f"from {value.low} to {value.high}: the low end is above the high end", True
    if not manifest.stage:
        yield ("stage",), "no stage is declared: chat, pilot or stateful", False


def _people(manifest: WorkflowManifest, facts: LintFacts) -> _Wrong:
    if not manifest.unit:
        yield ("unit",), "it belongs to no team", False
    elif manifest.unit not in facts.teams:
        yield ("unit",), f"{manifest.unit!r} is no team of the organisation", True
    for role in ("owner", "deputy", "payer"):
        if not getattr(manifest, role):
            yield (role,), f"it has no {role}", False
    if manifest.owner and manifest.owner == manifest.deputy:
        yield ("deputy",), "the owner cannot be their own deputy", True
    if manifest.payer and manifest.payer == manifest.owner:
        yield ("payer",), "the owner pays: nobody else says how much this may cost", False
    for role in ("owner", "deputy", "sponsor", "payer"):
        name = getattr(manifest, role)
        if name.startswith(("agent:", "user:", "system:")):
            yield (role,), f"write {name!r} without what marks an actor: only people have roles", True
        elif name and facts.people is not None and name not in facts.people:
            yield (role,), f"nobody in the directory is called {name!r}", False


def _twice(manifest: WorkflowManifest) -> _Wrong:
    names = {
        "agents": manifest.agents, "models": [one.model for one in manifest.models], "policies": manifest.policies,
        "prompts": [one.name for one in manifest.prompts], "tools": [one.name for one in manifest.tools],
        "data": [one.source for one in manifest.data],
    }  # fmt: skip
    for field, some in names.items():
        for name, number in Counter(some).items():
            if number > 1:
                yield (field,), f"{name!r} stands {number} times", True


def _used(manifest: WorkflowManifest, facts: LintFacts) -> _Wrong:
    if not manifest.budget:
        yield ("budget",), "no budget: nothing ends what it spends", False
    elif manifest.budget not in facts.budgets:
        yield ("budget",), f"there is no budget {manifest.budget!r}", False
    for number, model in enumerate(manifest.models):
        if model.model not in facts.priced:
            yield (
                ("models", number),
                f"nobody has priced {model.model!r}: its calls are refused, or cost nobody knows what",
                False,
            )
    for number, tool in enumerate(manifest.tools):
        effect = facts.tools.get(tool.name)
        if effect is None:
            yield ("tools", number), f"nobody has classed {tool.name!r}: it counts as one that writes", False
        elif effect != tool.effect:
            yield ("tools", number, "effect"), f"{tool.name!r} counts as {effect}, whatever is declared", False
    for number, agent in enumerate(manifest.agents):
        other = facts.agents.get(agent, manifest.workflow)
        if other != manifest.workflow:
            yield (
                ("agents", number),
                f"workflow {other!r} names {agent!r} too: runs without a label may be of neither",
                False,
            )
