"""The tables of outcomes."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "outcomes_0001"
down_revision: Final = None
branch_labels: Final = ("outcomes",)
depends_on: Final = None


def upgrade() -> None:
    """The tables of outcomes."""
    op.create_table(
        "outcome_proxies",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("edited", sa.Boolean(), nullable=False),
        sa.Column("regenerated", sa.Boolean(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "session", "run", name=op.f("pk_outcome_proxies")),
    )
    with op.batch_alter_table("outcome_proxies", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outcome_proxies_at_ms"), ["at_ms"], unique=False)
        batch_op.create_index("ix_outcome_proxies_input", ["tenant", "session", "input"], unique=False)

    op.create_table(
        "outcomes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("call", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("value_nano", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Boolean(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("cost_nano", sa.BigInteger(), nullable=True),
        sa.Column("work_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcomes")),
    )
    with op.batch_alter_table("outcomes", schema=None) as batch_op:
        batch_op.create_index("ix_outcomes_call", ["tenant", "call"], unique=False)
        batch_op.create_index("ix_outcomes_run", ["tenant", "session", "run"], unique=False)
        batch_op.create_index("ix_outcomes_time", ["tenant", "at_ms", "id"], unique=False)
