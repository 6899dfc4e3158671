"""Statements of workflows: functions of a connection, each in the transaction of whoever calls."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, and_, delete, func, select

from holdfast.governance import limits
from holdfast.governance.ledger.store import add_once
from holdfast.governance.store.changes import count_change
from holdfast.governance.store.tables.workflows import workflow_acceptances as acceptances
from holdfast.governance.store.tables.workflows import workflow_current as current
from holdfast.governance.store.tables.workflows import workflow_manifest_tools as manifest_tools
from holdfast.governance.store.tables.workflows import workflow_manifests as manifests
from holdfast.governance.store.tables.workflows import workflow_steps as steps
from holdfast.governance.store.tables.workflows import workflow_tools as tools
from holdfast.governance.workflows.model import (
    CurrentWorkflow,
    ManifestVersion,
    RoleAcceptance,
    ToolClass,
    WorkflowManifest,
    WorkflowStep,
    document_of,
)

DOMAIN = "workflows"
_NAMES = [name for name in CurrentWorkflow.__struct_fields__ if name != "manifest"]
_CURRENT = [current.c[name] for name in _NAMES]


class WorkflowContents(NamedTuple):
    """What is in memory, by tenant: workflows by name, classes by tool, and the last acceptance of each role and person."""

    current: Mapping[str, Mapping[str, CurrentWorkflow]]
    tools: Mapping[str, Mapping[str, ToolClass]]
    acceptances: Mapping[str, Mapping[tuple[str, str, str], RoleAcceptance]]


def read_all(connection: Connection) -> WorkflowContents:
    """Everything that holds now."""
    found: dict[str, dict[str, CurrentWorkflow]] = {}
    for row in connection.execute(_with_manifests()):
        one = _current(row._mapping)
        found.setdefault(one.tenant, {})[one.workflow] = one
    classes: dict[str, dict[str, ToolClass]] = {}
    for row in connection.execute(select(tools)):
        each = msgspec.convert(plain(row), ToolClass)
        classes.setdefault(each.tenant, {})[each.tool] = each
    roles: dict[str, dict[tuple[str, str, str], RoleAcceptance]] = {}
    key = (acceptances.c.tenant, acceptances.c.workflow, acceptances.c.role, acceptances.c.person)
    for row in connection.execute(select(*key, func.max(acceptances.c.at_ms).label("at_ms")).group_by(*key)):
        acceptance = msgspec.convert(plain(row), RoleAcceptance)
        roles.setdefault(acceptance.tenant, {})[acceptance.workflow, acceptance.role, acceptance.person] = acceptance
    return WorkflowContents(found, classes, roles)


def _with_manifests() -> Any:
    same = and_(
        manifests.c.tenant == current.c.tenant,
        manifests.c.workflow == current.c.workflow,
        manifests.c.version == current.c.version,
    )
    return select(*_CURRENT, manifests.c.document).select_from(current.outerjoin(manifests, same))


def _current(facts: Mapping[Any, Any]) -> CurrentWorkflow:
    document = facts["document"]
    manifest = msgspec.convert(document, WorkflowManifest) if document is not None else None
    return msgspec.convert({name: facts[name] for name in _NAMES} | {"manifest": manifest}, CurrentWorkflow)


def plain(row: Any) -> dict[str, Any]:
    """A row by its columns' names, as plain texts."""
    return {str(name): value for name, value in row._mapping.items()}


def find(connection: Connection, tenant: str, workflow: str) -> CurrentWorkflow | None:
    """Where a workflow stands; None for one of which nothing is known."""
    where = current.c.tenant == tenant, current.c.workflow == workflow
    row = connection.execute(_with_manifests().where(*where)).first()
    return _current(row._mapping) if row is not None else None


def put(connection: Connection, one: CurrentWorkflow) -> None:
    """Let a workflow stand so."""
    facts = {name: getattr(one, name) for name in _NAMES}
    connection.execute(delete(current).where(current.c.tenant == one.tenant, current.c.workflow == one.workflow))
    connection.execute(current.insert(), facts)
    count_change(connection, DOMAIN)


def add_manifest(connection: Connection, tenant: str, made: ManifestVersion) -> None:
    """Have a manifest among those that ever held; one that is there stays as it is."""
    key = {"tenant": tenant, "workflow": made.workflow, "version": made.version}
    add_once(connection, manifests, {**key, "document": document_of(made.manifest), "by": made.by, "at_ms": made.at_ms})
    for tool in made.manifest.tools:
        add_once(connection, manifest_tools, {**key, "tool": tool.name, "effect": tool.effect, "limit": tool.limit})


def add_step(
    connection: Connection, one: CurrentWorkflow, what: str, before: str, after: str, by: str, at_ms: int, reason: str
) -> None:
    """Put a transition on record."""
    facts = {
        "id": f"ws-{secrets.token_hex(8)}", "tenant": one.tenant, "workflow": one.workflow, "what": what, "before": before,
        "after": after, "by": by, "at_ms": at_ms, "reason": reason,
    }  # fmt: skip
    connection.execute(steps.insert(), facts)


def list_steps(connection: Connection, tenant: str, workflow: str, since_ms: int = 0) -> list[WorkflowStep]:
    """The transitions of a workflow since a moment, the newest first."""
    where = steps.c.tenant == tenant, steps.c.workflow == workflow, steps.c.at_ms >= since_ms
    wanted = select(steps).where(*where).order_by(steps.c.at_ms.desc(), steps.c.id).limit(limits.WORKFLOW_PAGE_ROWS)
    return [msgspec.convert(plain(row), WorkflowStep) for row in connection.execute(wanted)]


def list_versions(connection: Connection, tenant: str, workflow: str) -> list[ManifestVersion]:
    """The manifests that a workflow ever had, the newest first."""
    where = manifests.c.tenant == tenant, manifests.c.workflow == workflow
    wanted = select(manifests).where(*where).order_by(manifests.c.at_ms.desc(), manifests.c.version)
    return [_version(row) for row in connection.execute(wanted.limit(limits.WORKFLOW_PAGE_ROWS))]


def find_version(connection: Connection, tenant: str, workflow: str, version: str) -> ManifestVersion | None:
    """A manifest that ever held, or None."""
    where = manifests.c.tenant == tenant, manifests.c.workflow == workflow, manifests.c.version == version
    row = connection.execute(select(manifests).where(*where)).first()
    return _version(row) if row is not None else None


def _version(row: Any) -> ManifestVersion:
    manifest = msgspec.convert(row.document, WorkflowManifest)
    return ManifestVersion(workflow=row.workflow, version=row.version, manifest=manifest, by=row.by, at_ms=row.at_ms)


def add_acceptance(connection: Connection, acceptance: RoleAcceptance) -> None:
    """Put on record that somebody took on a role."""
    add_once(connection, acceptances, msgspec.structs.asdict(acceptance))
    count_change(connection, DOMAIN)


def put_tool(connection: Connection, each: ToolClass) -> None:
    """Let a tool count as this from now on."""
    connection.execute(delete(tools).where(tools.c.tenant == each.tenant, tools.c.tool == each.tool))
    connection.execute(tools.insert(), msgspec.structs.asdict(each))
    count_change(connection, DOMAIN)
