"""The Monday page as it was mailed."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from holdfast.governance.store import types

revision: Final = "rollout_0002"
down_revision: Final = "rollout_0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """The Monday page as it was mailed."""
    op.create_table(
        "rollout_posts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout_posts")),
    )
