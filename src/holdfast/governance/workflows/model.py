"""Manifests, and where a workflow stands. Pure."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from holdfast.governance import limits
from holdfast.governance.organisation.model import Stage

WorkflowState = Literal["registered", "pilot", "production", "retired"]
STATES: Final[tuple[WorkflowState, ...]] = get_args(WorkflowState)
WorkflowMode = Literal["observe", "enforce"]
"""``observe`` judges and stops nothing; ``enforce`` refuses what may not begin."""
MODES: Final[tuple[WorkflowMode, ...]] = get_args(WorkflowMode)
WorkflowRole = Literal["owner", "deputy"]
ToolEffect = Literal["read", "write", "memory"]
"""``memory``: reads what other sessions left behind."""
EFFECTS: Final[tuple[ToolEffect, ...]] = get_args(ToolEffect)
DataClass = Literal["public", "internal", "confidential", "personal"]
DATA_CLASSES: Final[tuple[DataClass, ...]] = get_args(DataClass)
WorkflowUsage = Literal["seated", "headless", "both"]
UNCLASSED: Final[ToolEffect] = "write"
"""What a tool counts as that nobody has classed."""
VERSION_CHARS: Final = 12
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.ORG_NAME_CHARS)]
ShortText = Annotated[str, msgspec.Meta(max_length=limits.ORG_NAME_CHARS)]
Words = Annotated[str, msgspec.Meta(max_length=limits.WORKFLOW_TEXT_CHARS)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Dollars = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,12}([.][0-9]{1,9})?$")]
"""USD as decimal text."""
Hours = Annotated[float, msgspec.Meta(ge=0, le=168)]
_FEW: Final = msgspec.Meta(max_length=limits.WORKFLOW_LIST_ENTRIES)


class ManifestModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model that the workflow may use, and at which tier of service; empty for the standard one."""

    model: Name
    tier: ShortText = ""


class ManifestPrompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A prompt by the hash of its text: what it says is nobody's business here."""

    name: Name
    sha256: Digest


class ManifestTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tool as the owner declares it. What it counts as is said by the policy editor (``ToolClass``).

    Attributes:
        limit: in words, such as "100 a day"; empty for none.
    """

    name: Name
    effect: ToolEffect
    limit: Words = ""


class DataSource(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"data_class": "class"}
):
    """Where the workflow reads, and what class its data are."""

    source: Name
    data_class: DataClass


class OwnerHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Hours a week that the owner has for it."""

    owner_week: Hours = 0.0


class ValueRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From low to high, USD as decimal text."""

    low: Dollars
    high: Dollars


class DeclaredOutcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a piece of work counts as accepted, in words, and what one is worth."""

    definition: Words
    value_usd: ValueRange | None = None


class WorkflowManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a workflow is, as the file in its owner's repository says it.

    Attributes:
        unit: the team that it belongs to, by its name in the organisation.
        owner, deputy, sponsor, payer: people, by what stands after ``user:`` in an actor; empty for nobody yet.
        stage: the declared one; empty for none.
        mode: to be set when this version is applied; empty leaves it as it is.
        usage: whether people wait for its answers.
        unit_of_work: what one outcome is of, in words.
        agents: by name.
        policies: by name.
        budget: by name.
    """

    workflow: Name
    title: ShortText = ""
    unit: ShortText = ""
    owner: ShortText = ""
    deputy: ShortText = ""
    sponsor: ShortText = ""
    payer: ShortText = ""
    stage: Stage = ""
    mode: Literal["", "observe", "enforce"] = ""
    usage: WorkflowUsage = "both"
    unit_of_work: Words = ""
    agents: Annotated[tuple[Name, ...], _FEW] = ()
    models: Annotated[tuple[ManifestModel, ...], _FEW] = ()
    prompts: Annotated[tuple[ManifestPrompt, ...], _FEW] = ()
    tools: Annotated[tuple[ManifestTool, ...], _FEW] = ()
    data: Annotated[tuple[DataSource, ...], _FEW] = ()
    policies: Annotated[tuple[Name, ...], _FEW] = ()
    budget: ShortText = ""
    hours: OwnerHours = OwnerHours()
    outcome: DeclaredOutcome | None = None


class CurrentWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """Where a workflow stands now.

    Attributes:
        version: of its manifest; empty for one that was registered without.
        unit, owner, deputy, sponsor, payer, stage: as they hold, which after a rollback are not those of the manifest.
        since_ms: when its state began, Unix ms; ``by`` whom.
        manifest: None for one that was registered without.
    """

    tenant: str = "default"
    workflow: str
    version: str = ""
    state: WorkflowState = "registered"
    mode: WorkflowMode = "observe"
    stage: Stage = ""
    unit: str = ""
    owner: str = ""
    deputy: str = ""
    sponsor: str = ""
    payer: str = ""
    since_ms: int
    by: str = ""
    manifest: WorkflowManifest | None = None

    @property
    def prompts(self) -> tuple[str, ...]:
        """Hashes of the prompts that its manifest names."""
        return tuple(one.sha256 for one in self.manifest.prompts) if self.manifest is not None else ()

    @property
    def enforced(self) -> bool:
        """Whether what is judged of it holds something up."""
        return self.mode == "enforce"


class WorkflowStep(msgspec.Struct, frozen=True, kw_only=True):
    """A transition of a workflow: ``what`` is ``state``, ``stage``, ``mode``, ``version``, ``unit`` or a role."""

    id: str
    tenant: str = "default"
    workflow: str
    what: str
    before: str = ""
    after: str = ""
    by: str = ""
    at_ms: int
    reason: str = ""


class ManifestVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that holds or held."""

    workflow: str
    version: str
    manifest: WorkflowManifest
    by: str
    at_ms: int


class RoleAcceptance(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody took on a role of a workflow."""

    tenant: str = "default"
    workflow: str
    role: WorkflowRole
    person: str
    at_ms: int


class ToolClass(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool counts as, said by the policy editor."""

    tenant: str = "default"
    tool: str
    effect: ToolEffect
    by: str
    at_ms: int


def document_of(manifest: WorkflowManifest) -> dict[str, Any]:
    """A manifest as plain values, without what it leaves at its default."""
    found: dict[str, Any] = msgspec.to_builtins(manifest)
    return found


def version_of(manifest: WorkflowManifest) -> str:
    """Its version: the beginning of the SHA-256 of its canonical JSON. What says the same is the same version."""
    canonical = msgspec.json.encode(document_of(manifest), order="sorted")
    return hashlib.sha256(canonical).hexdigest()[:VERSION_CHARS]


def differences(before: WorkflowManifest | None, after: WorkflowManifest) -> list[tuple[str, str, str]]:
    """``(field, before, after)`` of what differs, by field; entries of lists by their name."""
    old, new = _flat(before) if before is not None else {}, _flat(after)
    return [
        (name, old.get(name, ""), new.get(name, ""))
        for name in sorted(old.keys() | new.keys())
        if old.get(name, "") != new.get(name, "")
    ]


def _flat(manifest: WorkflowManifest) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in document_of(manifest).items():
        if isinstance(value, (list, tuple)):
            for one in value:
                key, *rest = list(one.values()) if isinstance(one, dict) else [one]
                found[f"{name}.{key}"] = ", ".join(map(str, rest)) or "yes"
        elif isinstance(value, dict):
            found |= {f"{name}.{key}": _text(each) for key, each in value.items()}
        else:
            found[name] = str(value)
    return found


def _text(value: Any) -> str:
    return f"{value['low']} to {value['high']}" if isinstance(value, dict) else str(value)
