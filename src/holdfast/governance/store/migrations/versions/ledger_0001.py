"""The ledger's tables, and the triggers that keep what is in them."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from holdfast.governance.store import types

revision: Final = "ledger_0001"
down_revision: Final = None
branch_labels: Final = ("ledger",)
depends_on: Final = None

KEPT: Final = ("ledger_rows", "ledger_periods", "ledger_allocations", "ledger_gaps")
BY_PERIOD: Final = ("ledger_rows", "ledger_allocations")
FUNCTIONS: Final = (
    "CREATE OR REPLACE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " RAISE EXCEPTION 'ledger.append_only: % takes no %', TG_TABLE_NAME, TG_OP; END $$",
    # A volatile function sees what was committed while its statement waited for the lock of the table: a close that
    # takes that lock is seen by every row that comes after it.
    "CREATE OR REPLACE FUNCTION ledger_period_open() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF EXISTS (SELECT 1 FROM ledger_periods p WHERE p.tenant = NEW.tenant AND p.period = NEW.period)"
    " THEN RAISE EXCEPTION 'ledger.period_closed'; END IF; RETURN NEW; END $$",
)


def upgrade() -> None:
    """Make the tables and their triggers."""
    _openings()
    _rows()
    _beside_rows()
    _imports()
    _books()
    dialect = op.get_bind().dialect.name
    for statement in postgresql() if dialect == "postgresql" else sqlite():
        op.get_bind().exec_driver_sql(statement)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _numbers(*names: str, optional: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=optional) for name in names]


def _json(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, types.Json(), nullable=False) for name in names]


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _once(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def _openings() -> None:
    table = "ledger_processes"
    op.create_table(table, *_texts("process"), *_numbers("beat_ms"), _key(table, "process"))
    table = "ledger_openings"
    op.create_table(
        table, *_texts("id", "call", "process"), *_numbers("at_ms"), *_texts("opening"), _key(table, "id")
    )  # fmt: skip
    op.create_index(op.f("ix_ledger_openings_call"), table, ["call"])
    op.create_index(op.f("ix_ledger_openings_process"), table, ["process"])


def _rows() -> None:
    table = "ledger_rows"
    op.create_table(
        table,
        *_texts("id", "parent", "call"),
        sa.Column("number", sa.Integer(), nullable=False),
        *_texts("kind", "source", "basis", "corrects", "tenant"),
        *_numbers("at_ms"),
        *_texts("day", "week", "month", "period"),
        *_texts("organisation", "team", "workflow", "task", "person", "cost_centre", "usage", "key", "session", "run"),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        *_texts("parent_run", "agent", "upstream", "provider", "asked", "model", "wire", "tier", "region", "speed"),
        *_json("counts", "raw"),
        *_numbers("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
        *_texts("price", "catalogue", "card", "waiver"),
        *_numbers("list_nano", "contracted_nano", "effective_nano", "billed_nano", optional=True),
        *_json("parts"),
        *_texts("unpriced", "currency", "rate", "outcome", "reason"),
        *_numbers("took_ms"),
        *_numbers("first_ms", optional=True),
        *_texts("batch"),
        *_json("tags"),
        _key(table, "id"),
    )
    indexed = {
        "time": ["tenant", "at_ms", "id"], "day": ["tenant", "day"], "period": ["tenant", "period", "id"],
        "session": ["tenant", "session"], "call": ["call"], "batch": ["batch"],
    }  # fmt: skip
    for name, columns in indexed.items():
        op.create_index(f"ix_ledger_rows_{name}", table, columns)
    only = sa.text("corrects != ''")
    op.create_index(
        "uq_ledger_rows_corrects", table, ["corrects"], unique=True, sqlite_where=only, postgresql_where=only
    )


def _beside_rows() -> None:
    table = "ledger_sessions"
    op.create_table(
        table,
        *_texts("reference", "tenant", "session"),
        *_numbers("at_ms"),
        _key(table, "reference"),
        _once(table, "tenant", "session"),
    )
    table = "ledger_gaps"
    op.create_table(table, *_texts("id"), *_numbers("at_ms"), *_texts("after", "until", "detail"), _key(table, "id"))


def _imports() -> None:
    table = "ledger_batches"
    op.create_table(
        table,
        *_texts("id", "tenant", "use", "content", "format", "family", "name", "provider", "by"),
        *_numbers("at_ms", "lines", "total_nano"),
        *_texts("first_day", "last_day"),
        sa.Column("complete", sa.Boolean(), nullable=False),
        *_json("notes"),
        _key(table, "id"),
        _once(table, "tenant", "use", "content"),
    )
    table = "ledger_bill_lines"
    op.create_table(
        table,
        *_texts("id", "batch", "tenant", "provider", "account", "key", "model", "day"),
        *_numbers("since_ms", "until_ms"),
        *_texts("kind", "line", "tier", "region", "unit"),
        *_json("counts"),
        *_numbers("amount_nano", "list_nano", "contracted_nano", "effective_nano", optional=True),
        *_texts("currency", "rate"),
        *_json("tags"),
        _key(table, "id"),
    )
    op.create_index("ix_ledger_bill_lines_batch", table, ["batch"])
    op.create_index("ix_ledger_bill_lines_day", table, ["tenant", "provider", "day"])


def _books() -> None:
    table = "ledger_periods"
    op.create_table(
        table,
        *_texts("tenant", "period"),
        *_numbers("closed_ms"),
        *_texts("by"),
        *_numbers("rows", "unpriced"),
        *_numbers("list_nano", "contracted_nano", "effective_nano", "billed_nano", "shared_nano"),
        *_texts("digest"),
        _key(table, "tenant", "period"),
    )
    table = "ledger_allocations"
    op.create_table(
        table,
        *_texts("id", "tenant", "period", "name", "key", "dimension", "by", "note"),
        *_numbers("at_ms", "amount_nano"),
        *_json("shares"),
        _key(table, "id"),
        _once(table, "tenant", "period", "name"),
    )


def sqlite() -> list[str]:
    """The triggers of SQLite."""
    triggers = [
        f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table} BEGIN"
        f" SELECT RAISE(ABORT, 'ledger.append_only: {table} takes no {verb}'); END"
        for table in KEPT
        for verb in ("update", "delete")
    ]
    # INSERT OR REPLACE deletes without asking the trigger above
    triggers.append(
        "CREATE TRIGGER ledger_rows_once BEFORE INSERT ON ledger_rows WHEN EXISTS"
        " (SELECT 1 FROM ledger_rows r WHERE r.id = NEW.id) BEGIN SELECT RAISE(IGNORE); END"
    )
    return triggers + [
        f"CREATE TRIGGER {table}_closed BEFORE INSERT ON {table} WHEN EXISTS"
        f" (SELECT 1 FROM ledger_periods p WHERE p.tenant = NEW.tenant AND p.period = NEW.period) BEGIN"
        f" SELECT RAISE(ABORT, 'ledger.period_closed'); END"
        for table in BY_PERIOD
    ]


def postgresql() -> list[str]:
    """The triggers of PostgreSQL."""
    triggers = [*FUNCTIONS]
    for table in KEPT:
        triggers += [
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION ledger_append_only()",
            f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()",
        ]
    return triggers + [
        f"CREATE TRIGGER {table}_closed BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION ledger_period_open()"
        for table in BY_PERIOD
    ]
