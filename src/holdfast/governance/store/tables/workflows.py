"""The tables of workflows: manifests, where each workflow stands, ideas, classes of tools, and the journal of runs."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, default="")


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _time(name: str = "at_ms") -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, default=0)


def _truth(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, default=False)


workflow_manifests: Final = Table(
    "workflow_manifests",
    metadata,
    *map(_key, ("tenant", "workflow", "version")),
    Column("document", Json, nullable=False),
    _text("by"),
    _time(),
)
"""Every manifest that ever held; ``version`` is a hash of ``document``. Only ever grows."""

workflow_manifest_tools: Final = Table(
    "workflow_manifest_tools",
    metadata,
    *map(_key, ("tenant", "workflow", "version", "tool")),
    *map(_text, ("effect", "limit")),
)
"""The tools of each manifest, as its owner declared them: derived, for statements that join them."""

workflow_current: Final = Table(
    "workflow_current",
    metadata,
    *map(_key, ("tenant", "workflow")),
    *map(_text, ("version", "state", "mode", "stage", "unit", "owner", "deputy", "sponsor", "payer")),
    _time("since_ms"),
    _text("by"),
)
"""Where each workflow stands. ``since_ms``: when its state began."""

workflow_steps: Final = Table(
    "workflow_steps",
    metadata,
    _key("id"),
    *map(_text, ("tenant", "workflow", "what", "before", "after", "by")),
    _time(),
    _text("reason"),
)
"""Every transition of every workflow; only ever grows."""
Index("ix_workflow_steps_workflow", workflow_steps.c.tenant, workflow_steps.c.workflow, workflow_steps.c.at_ms)

workflow_ideas: Final = Table(
    "workflow_ideas",
    metadata,
    _key("id"),
    *map(_text, ("tenant", "name", "title", "by")),
    _time(),
    Column("document", Json, nullable=False),
    *map(_text, ("state", "workflow")),
    _time("changed_ms"),
)
"""What somebody would have agents do; ``document`` is what was answered, each with who and when (``workflows/triage.py``)."""
Index("uq_workflow_ideas_name", workflow_ideas.c.tenant, workflow_ideas.c.name, unique=True)

workflow_acceptances: Final = Table(
    "workflow_acceptances",
    metadata,
    *map(_key, ("tenant", "workflow", "role", "person")),
    Column("at_ms", BigInteger, primary_key=True),
)
"""Who took on a role of a workflow, and when they last said so. Only ever grows."""

workflow_tools: Final = Table(
    "workflow_tools",
    metadata,
    *map(_key, ("tenant", "tool")),
    *map(_text, ("effect", "by")),
    _time(),
)
"""What a tool does, as the policy editor classes it. A tool without a row counts as one that writes."""

workflow_runs: Final = Table(
    "workflow_runs",
    metadata,
    *map(_key, ("tenant", "id")),
    *map(_text, ("session", "run", "parent", "root", "workflow", "agent", "actor", "version", "usage")),
    Column("sign_in_s", BigInteger),
    *map(_truth, ("interactive", "test")),
    _time("queued_ms"),
    _time("queued_seq"),
    Column("ended_ms", BigInteger),
    _text("status"),
    *map(_count, ("tools", "side_effects", "unclassified", "memory")),
    *map(_truth, ("counted", "lost")),
    Column("task", Text),
)
"""The journal: one row for each run and sub-run. ``session`` is a reference of the ledger; ``task`` is null in rows that were
written before it was kept."""
_of = workflow_runs.c
Index("ix_workflow_runs_workflow", _of.tenant, _of.workflow, _of.queued_ms)
Index("ix_workflow_runs_session", _of.tenant, _of.session)

workflow_run_tools: Final = Table(
    "workflow_run_tools",
    metadata,
    *map(_key, ("tenant", "id", "tool")),
    *map(_text, ("workflow", "effect")),
    _time("queued_ms"),
    _count("calls"),
    Column("errors", Integer),
    Column("error", Text),
)
"""Which tools each run of the journal called, as what they counted then, how often, and how often they failed with which
code last; null in rows that were written before that was counted."""
Index(
    "ix_workflow_run_tools_workflow",
    workflow_run_tools.c.tenant,
    workflow_run_tools.c.workflow,
    workflow_run_tools.c.queued_ms,
)

workflow_approvals: Final = Table(
    "workflow_approvals",
    metadata,
    *map(_key, ("tenant", "id")),
    *map(_text, ("session", "run", "workflow", "agent", "tool")),
    *map(_time, ("at_ms", "deadline_ms")),
)
"""Approvals that wait for somebody, of runs of the journal: ``id`` is the life of the session and the approval, ``run`` the
row of the run, ``session`` a reference of the ledger. One that was decided, or can come to nothing any more, is removed."""
_waiting = workflow_approvals.c
Index("ix_workflow_approvals_workflow", _waiting.tenant, _waiting.workflow)
Index("ix_workflow_approvals_run", _waiting.tenant, _waiting.run)
Index("ix_workflow_approvals_session", _waiting.tenant, _waiting.session)
Index("ix_workflow_approvals_deadline", _waiting.deadline_ms)
