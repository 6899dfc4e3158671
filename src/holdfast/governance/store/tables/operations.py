"""The tables of operations: stops, the runs that each has ended, and incidents."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, default="")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, default=0)


operation_stops: Final = Table(
    "operation_stops",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "scope", "subject", "reason", "by")),
    *map(_number, ("at_ms", "grace_ms")),
    _text("state"),
    *(Column(name, BigInteger) for name in ("done_ms", "lifted_ms")),
    *map(_text, ("lifted_by", "lifted_reason")),
    *map(_number, ("left", "refused", "calls")),
    _text("incident"),
)
"""Stops (``operations/model.py``), those that were lifted included."""
Index("ix_operation_stops_tenant", operation_stops.c.tenant, operation_stops.c.at_ms)

operation_stop_runs: Final = Table(
    "operation_stop_runs",
    metadata,
    Column("stop", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    *map(_text, ("agent", "workflow", "found")),
    _number("queued_ms"),
    Column("forced", Boolean, nullable=False, default=False),
)
"""The runs that a stop has found, written before it ends them: ``found`` is how they stood then. ``session`` is a reference of
the ledger, which leads nowhere once the session is deleted."""

operation_stop_sessions: Final = Table(
    "operation_stop_sessions",
    metadata,
    Column("stop", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("people", Json, nullable=False),
)
"""The sessions in which they were, and who takes part in each."""

operation_incidents: Final = Table(
    "operation_incidents",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "workflow", "stop", "by", "notes")),
    *map(_number, ("at_ms", "from_ms")),
    *(Column(name, BigInteger) for name in ("to_ms", "stopped_ms")),
    *map(_number, ("sessions", "people", "outputs")),
    Column("cost_nano", BigInteger),
)
"""Incidents (``operations/model.py``)."""
Index("ix_operation_incidents_tenant", operation_incidents.c.tenant, operation_incidents.c.from_ms)
