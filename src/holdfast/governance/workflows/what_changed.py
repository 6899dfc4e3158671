"""What changed in a workflow since a moment: gathered facts of before and after, and the lines of their difference. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from holdfast.governance.workflows.model import ManifestVersion, WorkflowStep, differences

ChangeArea = Literal["model", "prompt", "tool", "price", "policy", "people", "state", "manifest", "outcome"]
NOT_KEPT: Final = "prompts as they were sent are not kept: only those that the manifest names are compared"
_AREAS: Final[Mapping[str, ChangeArea]] = {
    "models": "model", "prompts": "prompt", "tools": "tool", "policies": "policy", "outcome": "outcome",
    "owner": "people", "deputy": "people", "sponsor": "people", "payer": "people",
}  # fmt: skip
_STEPS: Final[Mapping[str, ChangeArea]] = {
    "state": "state", "stage": "policy", "mode": "policy", "unit": "people", "owner": "people", "deputy": "people",
    "sponsor": "people", "payer": "people", "version": "manifest",
}  # fmt: skip


class WorkflowPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """What a workflow did in a time.

    Attributes:
        models: rows of the ledger by the model that served, as the provider named it.
        tools: calls by tool.
        outcomes, accepted: pieces of work with an outcome, and of them those accepted.
    """

    models: Mapping[str, int] = {}
    tools: Mapping[str, int] = {}
    outcomes: int = 0
    accepted: int = 0


class PriceNews(msgspec.Struct, frozen=True):
    """An approved change of prices: ``what`` it was of, and of which models; none for one that may touch all."""

    what: str
    models: Collection[str]
    at_ms: int
    by: str


class WorkflowChange(msgspec.Struct, frozen=True, kw_only=True):
    """A line. ``at_ms``, ``by``: when, and who; 0 and empty where nobody did it at a moment."""

    area: ChangeArea
    what: str
    before: str = ""
    after: str = ""
    at_ms: int = 0
    by: str = ""


class WorkflowChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What changed; ``unknown``: what could not be compared, in sentences."""

    workflow: str
    since_ms: int
    until_ms: int
    changes: tuple[WorkflowChange, ...]
    unknown: tuple[str, ...]


def compare(
    workflow: str, since_ms: int, until_ms: int, before: WorkflowPeriod, after: WorkflowPeriod, *,
    steps: Sequence[WorkflowStep] = (), versions: Sequence[ManifestVersion] = (), prices: Sequence[PriceNews] = (),
) -> WorkflowChanges:  # fmt: skip
    """What changed.

    Args:
        before, after: what it did in as long a time before the moment, and since.
        steps: its transitions since the moment.
        versions: all its manifests.
        prices: approved since the moment.
    """
    found = [
        *_seen("model", "served", before.models, after.models, "rows"),
        *_seen("tool", "called", before.tools, after.tools, "calls"),
        *_manifests(steps, versions),
        *_prices(prices, before.models.keys() | after.models.keys()),
        *_outcomes(before, after),
    ]
    unknown = [NOT_KEPT]
    if not after.models:
        unknown.append("nothing of it was served since then: its models cannot be compared")
    elif not before.models:
        unknown.append("nothing of it was served before: all its models are new")
    if not before.outcomes or not after.outcomes:
        unknown.append("outcomes are missing on one side: acceptance cannot be compared")
    return WorkflowChanges(
        workflow=workflow, since_ms=since_ms, until_ms=until_ms, changes=tuple(found), unknown=tuple(unknown)
    )


def _seen(
    area: ChangeArea, verb: str, before: Mapping[str, int], after: Mapping[str, int], unit: str
) -> Iterator[WorkflowChange]:
    for name in sorted(before.keys() ^ after.keys()):
        new = name in after
        what = f"{name} {verb} for the first time" if new else f"{name} {verb} no more"
        number = after[name] if new else before[name]
        text = f"{number:,} {unit}"
        yield WorkflowChange(area=area, what=what, before="" if new else text, after=text if new else "")


def _manifests(steps: Sequence[WorkflowStep], versions: Sequence[ManifestVersion]) -> Iterator[WorkflowChange]:
    manifests = {one.version: one.manifest for one in versions}
    for step in sorted(steps, key=lambda one: (one.at_ms, one.id)):
        why = f": {step.reason}" if step.reason else ""
        yield WorkflowChange(
            area=_STEPS.get(step.what, "policy"),
            what=f"{step.what}{why}",
            before=step.before,
            after=step.after,
            at_ms=step.at_ms,
            by=step.by,
        )
        new = manifests.get(step.after) if step.what == "version" else None
        if new is None or step.before not in manifests:
            continue
        for field, old, now in differences(manifests[step.before], new):
            area = _AREAS.get(field.partition(".")[0], "manifest")
            yield WorkflowChange(
                area=area, what=f"manifest: {field}", before=old, after=now, at_ms=step.at_ms, by=step.by
            )


def _prices(prices: Sequence[PriceNews], models: Collection[str]) -> Iterator[WorkflowChange]:
    for news in sorted(prices, key=lambda one: one.at_ms):
        touched = sorted(set(news.models) & set(models))
        if touched or not news.models:
            of = ", ".join(touched) or "may touch all models"
            yield WorkflowChange(area="price", what=f"{news.what}: {of}", at_ms=news.at_ms, by=news.by)


def _outcomes(before: WorkflowPeriod, after: WorkflowPeriod) -> Iterator[WorkflowChange]:
    if before.outcomes and after.outcomes:
        yield WorkflowChange(
            area="outcome", what="accepted", before=_share(before.accepted, before.outcomes),
            after=_share(after.accepted, after.outcomes),
        )  # fmt: skip


def _share(accepted: int, outcomes: int) -> str:
    return f"{100 * accepted / outcomes:.0f} % of {outcomes:,}"
