"""The tables of outcomes: what was said of work, and which runs were edited or asked again."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text

from holdfast.governance.store.tables.base import metadata


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, default="")


outcomes: Final = Table(
    "outcomes",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "call", "session", "run", "verdict")),
    Column("value_nano", BigInteger),
    *map(_text, ("by", "kind")),
    Column("at_ms", BigInteger, nullable=False),
    Column("counts", Boolean, nullable=False),
    *map(_text, ("workflow", "task", "model")),
    Column("cost_nano", BigInteger),
    Column("work_ms", BigInteger, nullable=False, default=0),
)
"""What was said (``outcomes/model.py``). ``session`` is a reference of the ledger: it leads nowhere once the session is gone.
Only ``counts`` and what the ledger has of the work are ever changed."""
_of = outcomes.c
Index("ix_outcomes_time", _of.tenant, _of.at_ms, _of.id)
Index("ix_outcomes_run", _of.tenant, _of.session, _of.run)
Index("ix_outcomes_call", _of.tenant, _of.call)

outcome_proxies: Final = Table(
    "outcome_proxies",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    _text("input"),
    Column("edited", Boolean, nullable=False, default=False),
    Column("regenerated", Boolean, nullable=False, default=False),
    Column("at_ms", BigInteger, nullable=False, index=True),
)
"""Runs that people asked for, and whether what they answered was asked again, or its question edited."""
Index("ix_outcome_proxies_input", outcome_proxies.c.tenant, outcome_proxies.c.session, outcome_proxies.c.input)
