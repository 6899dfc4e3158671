"""The tables of validations."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from holdfast.governance.store import types

revision: Final = "validations_0001"
down_revision: Final = None
branch_labels: Final = ("validations",)
depends_on: Final = None


def upgrade() -> None:
    """The tables of validations."""
    op.create_table(
        "rollout_builds",
        sa.Column("build", sa.Text(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("build", name=op.f("pk_rollout_builds")),
    )
    op.create_table(
        "rollout_validations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("build", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("began_ms", sa.BigInteger(), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.Column("resilient", sa.Text(), nullable=False),
        sa.Column("continuity", sa.Text(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("absent", sa.Integer(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("unloaded_ms", sa.BigInteger(), nullable=False),
        sa.Column("loaded_ms", sa.BigInteger(), nullable=False),
        sa.Column("document", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout_validations")),
    )
    with op.batch_alter_table("rollout_validations", schema=None) as batch_op:
        batch_op.create_index("ix_rollout_validations_kind", ["tenant", "kind", "began_ms"], unique=False)
