"""The tables of routing: documents, experiments with every step they took, decisions, and which model a session has."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, default="")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, default=0)


routing_documents: Final = Table(
    "routing_documents",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("document", Json, nullable=False),
    _text("by"),
    Column("at_ms", BigInteger, nullable=False),
)
"""Documents as they were set; the last one of a tenant holds. Only ever grows."""

routing_experiments: Final = Table(
    "routing_experiments",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "name")),
    Column("plan", Json, nullable=False),
    *map(_text, ("state", "why", "by")),
    *map(
        _number, ("since_ms", "share_ms", "ended_ms", "answered", "failed", "same", "compared", "outcomes", "accepted")
    ),
)
"""Experiments (``routing/peel.py``) as they stand: ``plan`` is fixed at the start."""
Index("ix_routing_experiments_name", routing_experiments.c.tenant, routing_experiments.c.name)

routing_steps: Final = Table(
    "routing_steps",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("experiment", "before", "after", "why", "by")),
    Column("at_ms", BigInteger, nullable=False),
)
"""Every step from one state to another; only ever grows."""
Index("ix_routing_steps_experiment", routing_steps.c.experiment, routing_steps.c.at_ms)

routing_decisions: Final = Table(
    "routing_decisions",
    metadata,
    Column("id", Text, primary_key=True),
    _text("tenant"),
    Column("at_ms", BigInteger, nullable=False),
    *map(_text, ("call", "key", "workflow", "task", "route", "asked", "model", "kind", "reason", "upstreams")),
    Column("propensity", Float, nullable=False, default=1.0),
    *map(_text, ("experiment", "shadow", "session", "served")),
    Column("other", Boolean, nullable=False, default=False),
    Column("fell_back", Boolean, nullable=False, default=False),
    Column("refused", Boolean, nullable=False, default=False),
)
"""Decisions, for a bounded time. ``session`` is a short hash; ``served`` what the provider says answered."""
Index("ix_routing_decisions_time", routing_decisions.c.tenant, routing_decisions.c.at_ms, routing_decisions.c.id)
Index("ix_routing_decisions_call", routing_decisions.c.call)

routing_sessions: Final = Table(
    "routing_sessions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    _text("model"),
    Column("at_ms", BigInteger, nullable=False, index=True),
)
"""Which model a session has on a route; ``session`` is a short hash."""
