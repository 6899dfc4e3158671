"""Errors of tools, tasks of runs, and approvals that wait."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "workflows_0002"
down_revision: Final = "workflows_0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Make the table, empty: what waits already is not in it. Of runs before, errors and tasks were not counted."""
    op.create_table(
        "workflow_approvals",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("deadline_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_workflow_approvals")),
    )
    with op.batch_alter_table("workflow_approvals", schema=None) as batch_op:
        batch_op.create_index("ix_workflow_approvals_deadline", ["deadline_ms"], unique=False)
        batch_op.create_index("ix_workflow_approvals_run", ["tenant", "run"], unique=False)
        batch_op.create_index("ix_workflow_approvals_session", ["tenant", "session"], unique=False)
        batch_op.create_index("ix_workflow_approvals_workflow", ["tenant", "workflow"], unique=False)

    with op.batch_alter_table("workflow_run_tools", schema=None) as batch_op:
        batch_op.add_column(sa.Column("errors", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("error", sa.Text(), nullable=True))

    with op.batch_alter_table("workflow_runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("task", sa.Text(), nullable=True))
