"""The ledger's tables. Rows, their seals, closed periods, allocations and gaps only ever grow: triggers of the database, which the steps
of its migration make, refuse everything else, and refuse rows for a month that is closed.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, UniqueConstraint

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, default="")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, default=0)


ledger_processes: Final = Table(
    "ledger_processes",
    metadata,
    Column("process", Text, primary_key=True),
    Column("beat_ms", BigInteger, nullable=False),
)
"""Who opens attempts, and when each was last heard of: attempts of a silent one are nobody's any more."""

ledger_openings: Final = Table(
    "ledger_openings",
    metadata,
    Column("id", Text, primary_key=True),
    Column("call", Text, nullable=False, index=True),
    Column("process", Text, nullable=False, index=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("opening", Text, nullable=False),
)
"""Attempts that were opened and not settled: ``opening`` is ``gateway.port.Opening`` as JSON."""

ledger_links: Final = Table(
    "ledger_links",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("call", Text, primary_key=True),
    Column("session", Text, nullable=False),
    Column("link", Text, nullable=False),
)
"""Which run a call is of whose attempts are open: ``link`` is ``ledger.links.RunLink`` as JSON. Its rows name the run."""

ledger_rows: Final = Table(
    "ledger_rows",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("parent", "call")),
    Column("number", Integer, nullable=False, default=1),
    *map(_text, ("kind", "source", "basis", "corrects", "tenant")),
    Column("at_ms", BigInteger, nullable=False),
    *map(_text, ("day", "week", "month", "period")),
    *map(_text, ("organisation", "team", "workflow", "task", "person", "cost_centre", "usage", "key")),
    *map(_text, ("session", "run")),
    Column("run_attempt", Integer, nullable=False, default=0),
    *map(_text, ("parent_run", "agent", "upstream", "provider", "asked", "model", "wire", "tier", "region", "speed")),
    Column("counts", Json, nullable=False),
    Column("raw", Json, nullable=False),
    *map(_number, ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")),
    *map(_text, ("price", "catalogue", "card", "waiver")),
    Column("list_nano", BigInteger),
    Column("contracted_nano", BigInteger),
    Column("effective_nano", BigInteger),
    Column("billed_nano", BigInteger),
    Column("parts", Json, nullable=False),
    *map(_text, ("unpriced", "currency", "rate", "outcome", "reason")),
    Column("took_ms", BigInteger, nullable=False, default=0),
    Column("first_ms", BigInteger),
    _text("batch"),
    Column("tags", Json, nullable=False),
)
"""The rows (``ledger/model.py``). ``session`` is a reference of ``ledger_sessions``; the five sums of tokens are derived
from ``counts`` so that the database can add them up."""
_of_rows = ledger_rows.c
Index("ix_ledger_rows_time", _of_rows.tenant, _of_rows.at_ms, _of_rows.id)
Index("ix_ledger_rows_day", _of_rows.tenant, _of_rows.day)
Index("ix_ledger_rows_period", _of_rows.tenant, _of_rows.period, _of_rows.id)
Index("ix_ledger_rows_session", _of_rows.tenant, _of_rows.session)
Index("ix_ledger_rows_call", _of_rows.call)
Index("ix_ledger_rows_batch", _of_rows.batch)
Index(
    "uq_ledger_rows_corrects",
    _of_rows.corrects,
    unique=True,
    sqlite_where=_of_rows.corrects != "",
    postgresql_where=_of_rows.corrects != "",
)
"""A row is replaced once: whoever wants to replace it again replaces its replacement."""

ledger_seals: Final = Table(
    "ledger_seals",
    metadata,
    Column("row", Text, primary_key=True),
    *map(_text, ("tenant", "seal")),
)
"""A hash of each row as it was written, in the same transaction: whoever changes or removes a row leaves its seal behind."""

ledger_sessions: Final = Table(
    "ledger_sessions",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    UniqueConstraint("tenant", "session"),
)
"""Which session a reference in a row stands for, since when. Removed when the session is deleted: the row stays."""

ledger_gaps: Final = Table(
    "ledger_gaps",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    *map(_text, ("after", "until", "detail")),
)
"""Where usage of agents was missed, and can not be read again."""

ledger_batches: Final = Table(
    "ledger_batches",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "use", "content", "format", "family", "name", "provider", "by")),
    Column("at_ms", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("total_nano", BigInteger, nullable=False),
    *map(_text, ("first_day", "last_day")),
    Column("complete", Boolean, nullable=False),
    Column("notes", Json, nullable=False),
    UniqueConstraint("tenant", "use", "content"),
)
"""Imports. ``use``: ``bill`` or ``spend``; ``content``: hash of the file."""

ledger_bill_lines: Final = Table(
    "ledger_bill_lines",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("batch", "tenant", "provider", "account", "key", "model", "day")),
    Column("since_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    *map(_text, ("kind", "line", "tier", "region", "unit")),
    Column("counts", Json, nullable=False),
    Column("amount_nano", BigInteger),
    Column("list_nano", BigInteger),
    Column("contracted_nano", BigInteger),
    Column("effective_nano", BigInteger),
    *map(_text, ("currency", "rate")),
    Column("tags", Json, nullable=False),
)
"""What providers say that they bill (``ledger/bill_line.py``)."""
_of_lines = ledger_bill_lines.c
Index("ix_ledger_bill_lines_day", _of_lines.tenant, _of_lines.provider, _of_lines.day)
Index("ix_ledger_bill_lines_batch", _of_lines.batch)

ledger_periods: Final = Table(
    "ledger_periods",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("closed_ms", BigInteger, nullable=False),
    _text("by"),
    *map(_number, ("rows", "unpriced")),
    *map(_number, ("list_nano", "contracted_nano", "effective_nano", "billed_nano", "shared_nano")),
    _text("digest"),
)
"""Months that are closed, with what was in them and its hash."""

ledger_allocations: Final = Table(
    "ledger_allocations",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "period", "name", "key", "dimension", "by", "note")),
    Column("at_ms", BigInteger, nullable=False),
    Column("amount_nano", BigInteger, nullable=False),
    Column("shares", Json, nullable=False),
    UniqueConstraint("tenant", "period", "name"),
)
"""Shared costs and how each was divided: ``shares`` is nano-USD by value of ``dimension``."""
