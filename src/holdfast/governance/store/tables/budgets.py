"""The tables of budgets. What is spent stands in the ledger; ``budget_spent`` is its sum by account and window, kept in the
transaction that writes its rows, and ``budget_holds`` is what attempts under way may still spend.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, default="")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, default=0)


budgets: Final = Table(
    "budgets",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "name")),
    Column("scope", Json, nullable=False),
    _text("each"),
    _number("cap_nano"),
    _text("span"),
    _number("rolling_s"),
    *map(_text, ("zone", "strength", "mode", "payer", "decider", "approved_by")),
    _number("approved_ms"),
    Column("alerts", Json, nullable=False),
    _text("set_by"),
    *map(_number, ("set_ms", "since_ms")),
    Column("ended_ms", BigInteger),
)
"""Budgets as they stand (``budgets/model.py``)."""
Index(
    "uq_budgets_name", budgets.c.tenant, budgets.c.name, unique=True,
    sqlite_where=budgets.c.ended_ms.is_(None), postgresql_where=budgets.c.ended_ms.is_(None),
)  # fmt: skip
"""Of the budgets that hold, one has a name."""

budget_changes: Final = Table(
    "budget_changes",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "budget", "what", "by")),
    _number("at_ms"),
    Column("before", Json),
    Column("after", Json),
)
"""What was changed of a budget, by whom; only ever grows."""
Index("ix_budget_changes_budget", budget_changes.c.budget, budget_changes.c.at_ms)

budget_brakes: Final = Table(
    "budget_brakes",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("workflow", Text, primary_key=True),
    _text("policy"),
    Column("wait_s", Integer, nullable=False),
    _text("by"),
    _number("at_ms"),
)
"""What becomes of the running answers of a workflow (``BrakeRule``)."""

budget_spent: Final = Table(
    "budget_spent",
    metadata,
    Column("budget", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("bucket_ms", BigInteger, primary_key=True),
    *map(_number, ("spent_nano", "settled_nano", "returned_nano", "rows", "refused", "observed")),
    _number("touched_ms"),
)
"""What was spent by account and bucket: a window of the calendar, or a part of one that rolls."""

Index("ix_budget_spent_touched", budget_spent.c.budget, budget_spent.c.touched_ms)

budget_holds: Final = Table(
    "budget_holds",
    metadata,
    Column("budget", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("attempt", Text, primary_key=True),
    *map(_number, ("nano", "input_tokens", "output_tokens", "at_ms")),
)
"""What attempts hold: of one attempt every line has the same amount, and the tokens that it stands for."""
Index("ix_budget_holds_attempt", budget_holds.c.attempt)

budget_refusals: Final = Table(
    "budget_refusals",
    metadata,
    Column("id", Text, primary_key=True),
    _text("tenant"),
    _number("at_ms"),
    *map(_text, ("budget", "subject", "attempt", "call", "workflow", "key", "mode")),
    Column("in_stream", Boolean, nullable=False),
    _text("reason"),
    *map(_number, ("need_nano", "cap_nano", "spent_nano", "reserved_nano", "waited_ms")),
    Column("in_flight", Json, nullable=False),
    Column("false", Boolean),
)
"""What did not fit (``BudgetRefusal``)."""
Index("ix_budget_refusals_time", budget_refusals.c.tenant, budget_refusals.c.at_ms)

budget_requests: Final = Table(
    "budget_requests",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "budget")),
    *map(_number, ("from_nano", "to_nano")),
    *map(_text, ("by", "why")),
    _number("at_ms"),
    *map(_text, ("call", "session", "run")),
    Column("until_ms", BigInteger),
    *map(_text, ("state", "decided_by")),
    _number("decided_ms"),
    _text("note"),
)
"""Requests to raise a budget (``RaiseRequest``)."""
Index("ix_budget_requests_state", budget_requests.c.tenant, budget_requests.c.state, budget_requests.c.at_ms)

budget_alerts: Final = Table(
    "budget_alerts",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "budget", "subject", "kind")),
    _number("bucket_ms"),
    _number("at_ms"),
    Column("facts", Json, nullable=False),
    _text("text"),
    Column("sent", Json, nullable=False),
)
"""Who was told of what: ``id`` says budget, subject, window and kind, so that nobody is told twice; ``sent`` is what became
of each way of telling."""
Index("ix_budget_alerts_time", budget_alerts.c.tenant, budget_alerts.c.at_ms)
